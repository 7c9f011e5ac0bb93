"""Files of disparities, and predictions for KITTI's depth benchmark."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

import evaluate_depth
from datasets.conventions import STEREO
from evaluation import metric_depth
from evaluation.metric_depth import (
    IMAGES,
    benchmark_images,
    load_disparities,
    save_disparities,
    write_submission,
)
from networks.monodepth import Architecture
from system.errors import InputError
from weight_files.model_info import ModelInfo


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


@pytest.fixture
def three(monkeypatch):
    """A benchmark of three images."""
    lines = ["image 0", "image 1", "image 2"]
    monkeypatch.setattr(metric_depth, "published_lines", lambda name, part: lines)


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
    info = ModelInfo(Architecture(source_ids=source_ids), 64, 64)
    network = SimpleNamespace(info=info, disparity=lambda images: np.zeros((len(images), 64, 64)))
    opened = SimpleNamespace(network=network)
    monkeypatch.setattr(metric_depth, "open_predictor", lambda options: opened)
    monkeypatch.setattr("evaluation.metric_depth.check_model", lambda options: None)
    words = f"--load_weights_folder {tmp_path} --data_path {data} --eval_split benchmark"
    monkeypatch.setattr("sys.argv", ["evaluate_depth.py", *words.split(), "--num_workers", "0"])
    if STEREO not in source_ids:
        with pytest.raises(InputError, match="--pred_depth_scale_factor"):
            evaluate_depth.main()
        return
    evaluate_depth.main()
    written = sorted(path.name for path in (tmp_path / "benchmark_predictions").iterdir())
    assert written == ["0000000000.png", "0000000001.png", "0000000002.png"]
    assert "wrote 3 predictions" in capsys.readouterr().out


@pytest.mark.parametrize("source_ids", [(STEREO,), (-1, 1)])
def test_the_scale_factor_is_of_every_model(source_ids, data, tmp_path, monkeypatch):
    """A sigmoid of 0 is the farthest, 100 units: 540 m of stereo; times 0.05, 27 or 5 m."""
    info = ModelInfo(Architecture(source_ids=source_ids), 64, 64)
    network = SimpleNamespace(info=info, disparity=lambda images: np.zeros((len(images), 64, 64)))
    opened = SimpleNamespace(network=network)
    monkeypatch.setattr(metric_depth, "open_predictor", lambda options: opened)
    monkeypatch.setattr("evaluation.metric_depth.check_model", lambda options: None)
    words = f"--load_weights_folder {tmp_path} --data_path {data} --eval_split benchmark"
    words += " --num_workers 0 --pred_depth_scale_factor 0.05"
    monkeypatch.setattr("sys.argv", ["evaluate_depth.py", *words.split()])
    evaluate_depth.main()
    path = tmp_path / "benchmark_predictions" / "0000000000.png"
    depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 256
    np.testing.assert_allclose(depth, 27 if STEREO in source_ids else 5, atol=1 / 256)
    network.disparity = lambda images: np.full((len(images), 64, 64), np.nan)
    with pytest.raises(InputError, match=r"0000000000\.png\) is not finite"):
        evaluate_depth.main()


def test_disparities_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "disps.npy", np.ones((3, 4, 5), np.float32))
    monkeypatch.setattr(metric_depth, "MOST_PIXELS", 19)
    with pytest.raises(InputError, match="maps of 20 pixels"):
        load_disparities(tmp_path / "disps.npy", 3)
