"""Arrays on the device: what they were, in one copy of each type, of memory that stays so long."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from training.transfer import Staging, packed, to_device

ARRAYS = [
    np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    np.eye(3, dtype=np.float32)[None],
    np.arange(6, dtype=np.uint8).reshape(2, 3),
    np.linspace(0, 1, 8, dtype=np.float32),
    np.array([5, 2**40]),
]


@pytest.mark.parametrize("bring", [to_device, lambda a: packed(a, paddle.to_tensor)])
def test_tensors_are_the_arrays(bring):
    for tensor, array in zip(bring(ARRAYS), ARRAYS):
        assert list(tensor.shape) == list(array.shape)
        assert tensor.numpy().dtype == array.dtype
        np.testing.assert_array_equal(tensor.numpy(), array)
    assert bring([]) == []


def test_each_type_is_copied_once():
    copied = []
    packed(ARRAYS, lambda flat: copied.append(flat.dtype.name) or paddle.to_tensor(flat))
    assert sorted(copied) == ["float32", "int64", "uint8"]


class Mark:
    """What a GPU comes to."""

    passed = False

    def query(self):
        return self.passed


def test_memory_is_held_until_the_gpu_has_read_it():
    marks = []

    def mark():
        marks.append(Mark())
        return marks[-1]

    staging = Staging(stage=np.copy, send=paddle.to_tensor, mark=mark)
    for _ in range(3):
        staging.copy(ARRAYS[0])
    assert len(staging._held) == 3
    marks[0].passed = marks[1].passed = True
    assert staging.copy(ARRAYS[0]).numpy().sum() == ARRAYS[0].sum()
    assert [held for _, held in staging._held] == marks[2:]
