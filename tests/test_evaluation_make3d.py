"""Make3D: which part of pictures and grids meets, and what is measured there."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from evaluation.depth_layouts import open_depth_set
from evaluation.make3d import central, central_picture, read_grid
from evaluation.relative_depth import evaluate_set
from options import EvaluateOptions, parse
from prediction.depth_map import RELATIVE, DepthMap
from system.errors import InputError

HEIGHT, WIDTH = 224, 168  # 4:3 on its side, of which 84 rows count
ROWS, COLUMNS = 55, 305


@pytest.fixture
def folder(tmp_path):
    """Two pictures; depth rises by rows, from 10 m, and is beyond the cap in the last columns."""
    (tmp_path / "data" / "Test134").mkdir(parents=True)
    (tmp_path / "data" / "Gridlaserdata").mkdir()
    rows = np.arange(HEIGHT, dtype=np.uint8)[:, None, None]
    for name in ("math1-p-1", "op2-p-7"):
        picture = Image.fromarray(np.broadcast_to(rows, (HEIGHT, WIDTH, 3)).copy())
        picture.save(tmp_path / "data" / "Test134" / f"img-{name}.png")
        grid = np.zeros((ROWS, COLUMNS, 4))
        grid[:, :, 3] = 10 + np.arange(ROWS)[:, None]
        grid[:, 300:, 3] = 75
        save_grid(tmp_path / "data", name, grid)
    save_grid(tmp_path / "data", "of-training", grid)
    return tmp_path / "data"


def save_grid(folder, name, grid):
    savemat(folder / "Gridlaserdata" / f"depth_sph_corr-{name}.mat", {"Position3DGrid": grid})


def open_it(folder, *words):
    line = ["--task", "relative", "--load_weights_folder", "w", "--data_path", str(folder), *words]
    return open_depth_set(parse(EvaluateOptions, line))


def predictor(disparity):
    """Predicts the same of every picture, which it must be given as its central part."""

    def predict(picture):
        assert picture.shape == (84, WIDTH, 3)
        assert picture[0, 0, 0] == 70
        return DepthMap(disparity.astype(np.float32), RELATIVE)

    predict.unit, predict.info = RELATIVE, SimpleNamespace(name="known", kind="monodepth")
    return predict


def test_the_published_part_of_pictures_and_grids_is_taken(tmp_path):
    """Half as high as wide: rows 710 to 1562 of 2272, and 17 to 38 of 55."""
    assert central(2272, 1704 / 2 / 2272) == slice(710, 1562)
    assert central(55, 1704 / 2 / 2272) == slice(17, 38)
    Image.new("RGB", (60, 20)).save(tmp_path / "wide.png")
    assert central_picture(tmp_path / "wide.png").shape == (20, 60, 3)


def test_true_depth_up_to_a_factor_has_no_error(folder, tmp_path):
    depth_set = open_it(folder)
    assert [sample.name for sample in depth_set.samples] == ["math1-p-1", "op2-p-7"]
    assert depth_set.layout == "make3d"
    # Every row of the grid is four of the picture's.
    depth = np.repeat(10.0 + np.arange(17, 38), 4)[:, None] * np.ones((1, WIDTH))
    out = tmp_path / "result.json"
    result = evaluate_set(predictor(3 / depth), depth_set, out, "median")
    assert json.loads(out.read_text()) == result
    assert result["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert result["metrics"]["log10"] == pytest.approx(0, abs=1e-6)
    assert (result["cap_metres"], result["images"]) == (70, 2)
    assert "log10" in out.with_suffix(".csv").read_text().splitlines()[0]


def test_log10_and_the_cap_are_those_of_the_definition(folder, tmp_path):
    """A flat prediction is at the median, 37 m, wherever it is."""
    result = evaluate_set(
        predictor(np.ones((84, WIDTH))), open_it(folder), tmp_path / "flat.json", "median"
    )
    truth = 10.0 + np.arange(17, 38)
    expected = np.mean(np.abs(np.log10(truth) - np.log10(37)))
    assert result["metrics"]["log10"] == pytest.approx(expected, abs=1e-6)
    assert result["metrics"]["rmse"] == pytest.approx(np.sqrt(np.mean((truth - 37) ** 2)), abs=1e-5)


def test_what_is_missing_or_damaged_is_named(folder):
    path = folder / "Gridlaserdata" / "depth_sph_corr-op2-p-7.mat"
    whole = path.read_bytes()
    for content in (b"", whole[:200], b"MATLAB 7.3 MAT-file" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"op2-p-7\.mat: cannot be read as a grid"):
            read_grid(path)
    savemat(path, {"Position3DGrid": np.zeros((3, 4))})
    with pytest.raises(InputError, match=r"must be \[rows, columns, 4\]"):
        read_grid(path)
    path.unlink()
    with pytest.raises(InputError, match=r"img-op2-p-7\.png.*needs depth_sph_corr"):
        open_it(folder, "--layout", "make3d")
