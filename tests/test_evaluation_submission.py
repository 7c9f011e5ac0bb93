"""Predictions for KITTI's depth benchmark."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

import evaluate_depth
from errors import InputError
from evaluation import submission
from evaluation.submission import IMAGES, benchmark_images, write_submission
from networks.model_info import ModelInfo
from networks.monodepth import STEREO, Architecture, Monodepth
from networks.weights import save_weights


@pytest.fixture
def three(monkeypatch):
    """A benchmark of three images."""
    lines = ["image 0", "image 1", "image 2"]
    monkeypatch.setattr(submission, "published_lines", lambda name, part: lines)


@pytest.fixture
def data(three, tmp_path):
    folder = tmp_path / "kitti" / IMAGES
    folder.mkdir(parents=True)
    for index in range(3):
        Image.new("RGB", (1216, 352), (90 * index, 0, 0)).save(folder / f"{index:010d}.png")
    return tmp_path / "kitti"


def test_depth_is_in_256ths_of_a_metre_at_the_size_of_the_images(tmp_path):
    disparities = [np.full((4, 8), 5.4 / 10), np.full((4, 8), 5.4 / 200)]
    paths = [tmp_path / "0000000007.png", tmp_path / "b.png"]
    write_submission(disparities, paths, 5.4, tmp_path / "out")
    near = cv2.imread(str(tmp_path / "out" / "0000000007.png"), cv2.IMREAD_UNCHANGED)
    assert (near.dtype, near.shape) == (np.uint16, (352, 1216))
    assert np.abs(near.astype(int) - 10 * 256).max() <= 1
    far = cv2.imread(str(tmp_path / "out" / "b.png"), cv2.IMREAD_UNCHANGED)
    assert (far == 80 * 256).all()


def test_missing_images_are_named_with_their_archive(data):
    assert [path.name for path in benchmark_images(data)][1] == "0000000001.png"
    (data / IMAGES / "0000000002.png").unlink()
    with pytest.raises(InputError, match=r"0000000002\.png.*data_depth_selection\.zip"):
        benchmark_images(data)


@pytest.mark.parametrize("source_ids", [(STEREO,), (-1, 1)])
def test_the_command_writes_all_predictions_of_a_model_with_a_unit(
    source_ids, data, tmp_path, monkeypatch, capsys
):
    weights = tmp_path / "weights"
    weights.mkdir()
    architecture = Architecture(source_ids=source_ids)
    save_weights(weights, Monodepth(architecture), ModelInfo(architecture, 64, 64))
    words = f"--load_weights_folder {weights} --data_path {data} --eval_split benchmark"
    monkeypatch.setattr("sys.argv", ["evaluate_depth.py", *words.split(), "--num_workers", "0"])
    if STEREO not in source_ids:
        with pytest.raises(InputError, match="--pred_depth_scale_factor"):
            evaluate_depth.main()
        return
    evaluate_depth.main()
    written = sorted(path.name for path in (weights / "benchmark_predictions").iterdir())
    assert written == ["0000000000.png", "0000000001.png", "0000000002.png"]
    assert "wrote 3 predictions" in capsys.readouterr().out
