"""Tensors made from arrays: their values, and nothing that stays behind."""

from __future__ import annotations

import gc

import numpy as np
import paddle
import pytest

from training.cpu import arrays

needs_cpu = pytest.mark.skipif(
    not paddle.device.get_device().startswith("cpu"), reason="memory of GPUs cannot be looked at"
)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7,), ()])
def test_a_tensor_has_the_values_and_its_own_memory(shape, dtype):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    tensor = arrays.to_tensor(array)
    expected = array.copy()
    array[...] = 0
    assert tensor.numpy().dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_parts_of_an_array_and_other_orders_are_taken():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for part in (array[:, 1:], array[:, ::-1], array.transpose(2, 0, 1)):
        np.testing.assert_array_equal(arrays.to_tensor(part).numpy(), part)


@needs_cpu
def test_what_is_written_to_the_array_is_in_the_tensor():
    tensor, memory = arrays.empty((2, 3), np.float32)
    memory[:] = [[1, 2, 3], [4, 5, 6]]
    assert tensor.numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert tensor.sum().item() == 21


@needs_cpu
def test_nothing_stays_behind():
    array = np.ones((2, 3), np.float32)
    arrays.to_tensor(array)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(100):
        arrays.to_tensor(array)
    gc.collect()
    assert len(gc.get_objects()) < before + 50


def test_tensors_that_do_not_say_where_they_are_have_the_values_too(monkeypatch):
    monkeypatch.delattr(paddle.Tensor, "data_ptr")
    assert arrays.to_tensor(np.arange(3)).tolist() == [0, 1, 2]
