from __future__ import annotations

import numpy as np
import pytest

from errors import InputError
from evaluation.disparity_files import load_disparities, save_disparities


def test_saving_passes_on_and_round_trips(tmp_path):
    path = tmp_path / "disps.npy"
    disparities = np.random.default_rng(0).random((3, 4, 5))
    passed_on = save_disparities(iter(disparities), path, 3)
    np.testing.assert_array_equal(next(passed_on), disparities[0])
    assert not path.exists()
    assert len(list(passed_on)) == 2
    loaded = load_disparities(path, 3)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, disparities.astype(np.float32))
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_saving_leaves_nothing(tmp_path):
    passed_on = save_disparities(iter(np.zeros((3, 4, 5))), tmp_path / "disps.npy", 3)
    next(passed_on)
    passed_on.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 4, 5)), r"\[2, 4, 5\]; needs \[3, height, width\]"),
        (np.zeros((3, 1, 4, 5)), r"\[3, 1, 4, 5\]"),
        (np.zeros((3, 4, 5), int), "real numbers"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, array, words):
    path = tmp_path / "disps.npy"
    np.save(path, array)
    with pytest.raises(InputError, match=rf"--ext_disp_to_eval .*disps\.npy.*{words}"):
        load_disparities(path, 3)


def test_what_is_no_array_is_refused(tmp_path):
    path = tmp_path / "disps.npy"
    with pytest.raises(InputError, match="no such file"):
        load_disparities(path, 3)
    for content in (b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no readable"):
            load_disparities(path, 3)
    np.save(path, np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"disps\.npy"):
        load_disparities(path, 3)
    archive = tmp_path / "disps.npz"
    np.savez(archive, np.zeros((3, 4, 5)))
    with pytest.raises(InputError, match="must be one"):
        load_disparities(archive, 3)
