"""Real KITTI frames of one camera and one day: no stereo partner, few LiDAR sweeps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import demo
import train

DRIVE = "2011_09_26/2011_09_26_drive_0000_sync"


@pytest.fixture(scope="module")
def model(shared, tmp_path_factory):
    """The folder of a model trained for two steps on the real frames."""
    place = tmp_path_factory.mktemp("kitti")
    data = shared / "kitti_mini"
    frames = sorted((data / DRIVE / "image_02" / "data").iterdir())
    targets = [int(path.stem) for path in frames[1:-1]]
    for part, chosen in (("train", targets[:4]), ("val", targets[-2:])):
        lines = [f"{DRIVE} {frame:010d} l" for frame in chosen]
        (place / f"{part}_files.txt").write_text("\n".join(lines) + "\n")
    where = ["--data_path", str(data), "--split", str(place), "--log_dir", str(place / "logs")]
    size = ["--height", "64", "--width", "128", "--batch_size", "2", "--num_workers", "0"]
    run = ["--model_name", "real", "--num_epochs", "1", "--log_frequency", "1", "--eager"]
    run += ["--weights_init", "scratch"]
    train.main([*where, *size, *run])
    return place / "logs" / "real" / "last"


def test_a_mono_model_trains_without_a_stereo_camera(model):
    rows = [json.loads(line) for line in (model.parent / "metrics.jsonl").open()]
    assert [row["phase"] for row in rows] == ["train", "train", "val"]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert json.loads((model / "model.json").read_text())["metric"] is False


def test_the_demo_shows_a_real_picture_without_claiming_a_unit(model, shared, tmp_path):
    picture = next(iter(sorted((shared / "kitti_mini" / DRIVE / "image_02" / "data").iterdir())))
    weights = ["--load_weights_folder", str(model)]
    demo.main(["--image_path", str(picture), *weights, "--output", str(tmp_path)])
    disparity = np.load(tmp_path / f"{picture.stem}_disp.npy", allow_pickle=False)
    assert disparity.shape == Image.open(picture).size[::-1]
    assert Image.open(tmp_path / f"{picture.stem}_disp.jpeg").size == Image.open(picture).size
    assert json.loads((tmp_path / f"{picture.stem}_disp.json").read_text())["unit"] == "relative"
    assert not (tmp_path / f"{picture.stem}_depth.png").exists()
