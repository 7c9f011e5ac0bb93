from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from errors import InputError
from evaluation.images import image_batches, read_resized


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(7)]
    for index, path in enumerate(paths):
        Image.new("RGB", (20 + index, 10), (index, 0, 0)).save(path)
    return paths


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_batches_keep_the_order(paths, num_workers):
    batches = list(image_batches(paths, 8, 4, 3, num_workers))
    assert [batch.shape for batch in batches] == [(3, 4, 8, 3), (3, 4, 8, 3), (1, 4, 8, 3)]
    assert batches[0].dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate(batches)[:, 0, 0, 0], np.arange(7))


def test_resizing_is_lanczos(tmp_path):
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(noise).save(path)
    expected = Image.fromarray(noise).resize((16, 8), Image.LANCZOS)
    np.testing.assert_array_equal(read_resized(path, 16, 8), np.asarray(expected))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_missing_image_is_named(paths, num_workers):
    paths[4].unlink()
    with pytest.raises(InputError, match=r"4\.png"):
        list(image_batches(paths, 8, 4, 3, num_workers))
