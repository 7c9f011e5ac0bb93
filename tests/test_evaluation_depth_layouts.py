"""Every layout gives its depth in metres, and only the pixels that its protocol names count."""

import csv
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from datasets.kitti import frame_path
from evaluation.depth_layouts import find_layout, open_depth_set
from evaluation.protocols import garg_mask
from evaluation.relative_depth import evaluate_set
from networks.monodepth import Architecture
from options import EvaluateOptions, parse
from prediction.depth_map import METRES, RELATIVE_INVERSE, DepthMap, ScaleShift
from system.errors import InputError
from weight_files.model_info import ModelInfo

ROWS, COLUMNS = 480, 640


@dataclass
class Known:
    """Predicts what it is told of each picture, by the name of its file."""

    disparities: dict
    unit: str = RELATIVE_INVERSE
    scale: float = 1.0
    info: ModelInfo = field(default_factory=lambda: ModelInfo(Architecture(), 32, 32, name="known"))

    def __call__(self, picture):
        name = picture.name if isinstance(picture, Path) else "array"
        return DepthMap(self.disparities[name], self.unit, ScaleShift(self.scale))


def floor(height=ROWS, width=COLUMNS, near=1.0, far=8.0):
    """Metres [height, width] of a floor that comes nearer row by row, unlike in each column."""
    depth = np.linspace(far, near, height)[:, None] * np.linspace(1, 1.1, width)
    return np.rint(1000 * depth).astype(np.float32) / 1000


def save_picture(path, height=ROWS, width=COLUMNS):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def save_millimetres(path, depth):
    assert cv2.imwrite(str(path), np.rint(1000 * depth).astype(np.uint16))


def source(path, *words):
    options = ["--task", "relative", "--load_weights_folder", "w", "--data_path", path, *words]
    return parse(EvaluateOptions, list(map(str, options)))


def evaluate(path, tmp_path, disparities, words=(), **predictor):
    depth_set = open_depth_set(source(path, *words))
    alignment = predictor.pop("alignment", "scale_shift")
    out = tmp_path / "result.json"
    result = evaluate_set(Known(disparities, **predictor), depth_set, out, alignment)
    depth_set.close()
    assert json.loads(out.read_text()) == result
    return result


def nyu(folder, depth, name="00045", suffix=".jpg"):
    save_picture(folder / "kitchen" / f"rgb_{name}{suffix}")
    save_millimetres(folder / "kitchen" / f"sync_depth_{name}.png", depth)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_nyu_counts_inside_the_crop_only(tmp_path, capsys, suffix):
    truth = floor()
    stored = np.full_like(truth, 0.3)
    stored[45:471, 41:601] = truth[45:471, 41:601]
    nyu(tmp_path / "nyu", stored, suffix=suffix)
    result = evaluate(tmp_path / "nyu", tmp_path, {f"rgb_00045{suffix}": 5 / truth + 2})
    assert result["layout"] == "nyu"
    assert result["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert (result["metrics"]["a1"], result["percent_beyond_1_25"]) == (1, 0)
    assert result["crop"] == "rows 45:471, columns 41:601 of 480x640 (Eigen)"
    assert "rows 45:471, columns 41:601" in capsys.readouterr().out
    stored[45, 41] = 0.3
    nyu(tmp_path / "nyu", stored, suffix=suffix)
    result = evaluate(tmp_path / "nyu", tmp_path, {f"rgb_00045{suffix}": 5 / truth + 2})
    assert result["metrics"]["abs_rel"] > 1e-6


def test_nyu_depth_of_10_metres_and_more_does_not_count(tmp_path):
    truth = floor(near=2, far=14)
    predicted = np.where(truth < 10, 1 / truth, 1)
    nyu(tmp_path / "nyu", truth)
    result = evaluate(tmp_path / "nyu", tmp_path, {"rgb_00045.jpg": predicted})
    assert result["cap_metres"] == 10
    assert result["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_nyu_of_another_size_or_without_partner_is_refused(tmp_path):
    nyu(tmp_path / "nyu", floor(240, 320))
    with pytest.raises(InputError, match=r"sync_depth_00045\.png: has 320x240 pixels"):
        evaluate(tmp_path / "nyu", tmp_path, {})
    save_picture(tmp_path / "nyu" / "kitchen" / "rgb_00046.jpg")
    with pytest.raises(InputError, match=r"1 files lack their partners: .*rgb_00046\.jpg"):
        evaluate(tmp_path / "nyu", tmp_path, {})


def labeled(path, depths):
    count = len(depths)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((count, 3, COLUMNS, ROWS), np.uint8)
        file["rawDepths"] = np.stack([depth.T for depth in depths])


def test_the_labelled_set_of_nyu_is_read(tmp_path):
    folder = tmp_path / "nyu"
    folder.mkdir()
    truth = floor()
    labeled(folder / "nyu_depth_v2_labeled.mat", [truth, 0 * truth, truth[:, ::-1]])
    result = evaluate(folder, tmp_path, {"array": 1 / truth})
    assert (result["images"], result["without_depth"]) == (2, 1)
    assert result["metrics"]["abs_rel"] > 1e-3
    (folder / "nyu_test.txt").write_text("1\n")
    result = evaluate(folder / "nyu_depth_v2_labeled.mat", tmp_path, {"array": 1 / truth})
    assert result["images"] == 1
    assert result["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    for text in ("4\n", "1\n1\n", ""):
        (folder / "nyu_test.txt").write_text(text)
        with pytest.raises(InputError, match=r"nyu_test\.txt: must hold numbers from 1 to 3"):
            evaluate(folder, tmp_path, {})


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("images", np.zeros((1, 3, COLUMNS, ROWS), np.uint16), "8-bit colours"),
        ("images", np.zeros((1, COLUMNS, ROWS), np.uint8), "8-bit colours"),
        ("rawDepths", np.ones((1, COLUMNS, ROWS), np.uint16), "metres"),
        ("rawDepths", np.ones((1, 1, COLUMNS, ROWS), np.float32), "metres"),
    ],
)
def test_other_numbers_than_those_of_the_labelled_set_are_refused(tmp_path, name, values, said):
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    labeled(path, [floor()])
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = values
    with pytest.raises(InputError, match=f"{name} must be {said}"):
        open_depth_set(source(tmp_path))


def test_a_damaged_or_linked_labelled_set_is_refused(tmp_path):
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(InputError, match="damaged, not a whole HDF5"):
        open_depth_set(source(tmp_path))
    labeled(tmp_path / "other.h5", [floor()])
    with h5py.File(path, "w") as file:
        file["images"] = h5py.ExternalLink("other.h5", "images")
    with pytest.raises(InputError, match="does not hold images"):
        open_depth_set(source(tmp_path))


@pytest.mark.parametrize(
    ("shape", "chunks", "problem"),
    [
        ((1 << 40, 3, COLUMNS, ROWS), (1, 3, COLUMNS, ROWS), "says that it holds"),
        ((1, 1 << 20, COLUMNS, ROWS), (1, 3, COLUMNS, ROWS), "images must be 8-bit colours"),
        ((1 << 10, 3, COLUMNS, ROWS), (1 << 10, 3, COLUMNS, ROWS), "too large to unpack"),
    ],
)
def test_a_labelled_set_that_says_more_than_it_holds_is_refused(tmp_path, shape, chunks, problem):
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", shape, np.uint8, chunks=chunks)
        file.create_dataset("rawDepths", (shape[0], COLUMNS, ROWS), "f4", chunks=(1, COLUMNS, ROWS))
    with pytest.raises(InputError, match=problem):
        open_depth_set(source(tmp_path))


def diode(folder, depth, mask, name="00019_00183_indoors_110_000"):
    scan = folder / "val" / "indoors" / "scene_00019" / "scan_00183"
    save_picture(scan / f"{name}.png", *depth.shape)
    np.save(scan / f"{name}_depth.npy", depth[..., None].astype(np.float32))
    np.save(scan / f"{name}_depth_mask.npy", mask.astype(np.float32))
    return scan / name


def test_diode_counts_where_its_mask_is_1(tmp_path):
    truth = floor(24, 32)
    mask = np.ones(truth.shape)
    mask[:5] = 0
    stored = np.where(mask == 1, truth, 77)
    name = diode(tmp_path / "diode", stored, mask).name
    result = evaluate(tmp_path / "diode", tmp_path, {f"{name}.png": 2 / truth + 1})
    assert (result["layout"], result["crop"], result["cap_metres"]) == ("diode", "none", None)
    assert result["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    with (tmp_path / "result.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == f"val/indoors/scene_00019/scan_00183/{name}"
    assert float(row["a1"]) == 1


def test_broken_files_of_diode_are_named(tmp_path):
    truth = floor(24, 32)
    name = diode(tmp_path / "diode", truth, np.ones((24, 31)))
    with pytest.raises(InputError, match=r"depth_mask\.npy: has shape \[24, 31\]"):
        evaluate(tmp_path / "diode", tmp_path, {})
    for mask in (np.full((24, 32), 255), np.full((24, 32), 0.5), np.full((24, 32), "1")):
        np.save(name.with_name(f"{name.name}_depth_mask.npy"), mask)
        with pytest.raises(InputError, match=r"depth_mask\.npy: must be a mask of 0 and 1"):
            evaluate(tmp_path / "diode", tmp_path, {})
    with name.with_name(f"{name.name}_depth_mask.npy").open("wb") as file:
        np.savez(file, np.ones((24, 32)))
    with pytest.raises(InputError, match=r"depth_mask\.npy: cannot be read as a mask"):
        evaluate(tmp_path / "diode", tmp_path, {})
    name.with_name(f"{name.name}_depth_mask.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"depth_mask\.npy: cannot be read"):
        evaluate(tmp_path / "diode", tmp_path, {})
    name.with_name(f"{name.name}_depth.npy").unlink()
    with pytest.raises(InputError, match=r"2 files lack their partners"):
        evaluate(tmp_path / "diode", tmp_path, {})


def kitti(tmp_path, depth):
    split = tmp_path / "split"
    split.mkdir(exist_ok=True)
    (split / "test_files.txt").write_text("day/drive 3 l\n")
    np.savez(split / "gt_depths.npz", kind="velodyne_forward", **{"000000": depth})
    save_picture(frame_path(tmp_path / "kitti", "day/drive", 3, "l", "png"), *depth.shape)
    return ["--eval_split", split]


def test_kitti_counts_inside_the_crop_and_nearer_than_80_metres(tmp_path):
    truth = floor(37, 120, near=4, far=60)
    stored = np.where(garg_mask(37, 120), truth, 5)
    stored[20, 50] = 90
    words = kitti(tmp_path, stored.astype(np.float32))
    predicted = {"0000000003.png": 9 / truth - 0.1}
    result = evaluate(tmp_path / "kitti", tmp_path, predicted, words)
    assert (result["layout"], result["crop"], result["cap_metres"]) == ("kitti", "Garg/Eigen", 80)
    assert result["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)


def pairs(folder, depth, names=("a",)):
    for name in names:
        save_picture(folder / "rgb" / f"{name}.png", *depth.shape)
        (folder / "depth").mkdir(exist_ok=True)
        np.save(folder / "depth" / f"{name}.npy", depth)


def test_pairs_may_have_ordinal_labels_too(tmp_path, capsys):
    truth = floor(24, 32)
    pairs(tmp_path / "own", truth)
    save_picture(tmp_path / "own" / "alone.png")
    label = "24,1,1,1,>,32,24"  # the lower pixel is nearer
    wrong = label.replace(">", "<")
    (tmp_path / "own" / "ordinal.csv").write_text(
        f"rgb/a.png\n{label}\n{label}\n{wrong}\nalone.png\n{label}\n"
    )
    disparities = {"a.png": 1 / truth, "alone.png": 1 / floor()}
    result = evaluate(tmp_path / "own", tmp_path, disparities)
    assert (result["images"], result["ordinal_labels"], result["whdr"]) == (1, 4, 0.25)
    printed = capsys.readouterr().out
    assert "WHDR: 0.2500 of 4 ordinal labels (> says that the first point is nearer)" in printed


def test_diw_needs_no_depth(tmp_path, capsys):
    folder = tmp_path / "diw"
    save_picture(folder / "DIW_test" / "one.png")
    (folder / "DIW_test" / "one.png").rename(folder / "DIW_test" / "one.thumb")
    (folder / "DIW_test.csv").write_text("./DIW_test/one.thumb\n240,320,120,320,<,320,240\n")
    (folder / "DIW_train.csv").write_text("")
    for path in (folder, folder / "DIW_test.csv"):
        result = evaluate(path, tmp_path, {"one.thumb": 1 / floor()})
        assert (result["layout"], result["whdr"]) == ("diw", 1)
        assert "metrics" not in result
        assert "more than half are wrong" in capsys.readouterr().out
    (folder / "DIW_test.csv").rename(folder / "other.csv")
    with pytest.raises(InputError, match="must hold one CSV, holds 2"):
        open_depth_set(source(folder))


def test_the_layout_found_is_logged_and_none_is_refused(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    pairs(tmp_path / "own", floor(24, 32))
    open_depth_set(source(tmp_path / "own"))
    assert "looks like --layout pairs" in caplog.text
    with pytest.raises(InputError, match=r"none of the layouts \(pairs: .*diw: "):
        find_layout(tmp_path / "own" / "rgb")
    with pytest.raises(InputError, match="there is no such file or folder"):
        open_depth_set(source(tmp_path / "elsewhere"))


def test_pairs_that_differ_in_size_are_listed_and_left_out(tmp_path, caplog):
    truth = floor(24, 32)
    pairs(tmp_path / "own", truth, "abc")
    disparities = {"a.png": 1 / truth, "b.png": np.ones((24, 31)), "c.png": np.ones((23, 32))}
    result = evaluate(tmp_path / "own", tmp_path, disparities)
    assert (result["images"], result["mismatched"]) == (1, ["rgb/b.png", "rgb/c.png"])
    assert "2 pictures and their depth differ in size" in caplog.text
    disparities["a.png"] = np.ones((1, 1))
    with pytest.raises(InputError, match=r"all pictures differ .*rgb/a\.png"):
        evaluate(tmp_path / "own", tmp_path, disparities)


def test_what_looks_wrong_is_said_of_every_layout(tmp_path, caplog):
    upside_down = floor(24, 32)[::-1]
    name = diode(tmp_path / "diode", upside_down, np.ones((24, 32))).name
    evaluate(tmp_path / "diode", tmp_path, {f"{name}.png": upside_down})
    assert "near and far look swapped" in caplog.text
    millimetres = 1000 * floor(24, 32)
    diode(tmp_path / "diode", millimetres, np.ones((24, 32)))
    evaluate(tmp_path / "diode", tmp_path, {f"{name}.png": millimetres})
    assert "looks like millimetres" in caplog.text


@pytest.mark.parametrize(
    ("alignment", "scale", "abs_rel", "rmse_log"),
    [
        ("none", 1.0, 0.0, 0.0),
        ("none", 2.0, 0.5, np.log(2)),  # half as far
        ("median", 2.0, 0.0, 0.0),
        ("scale_shift", 2.0, 0.0, 0.0),
    ],
)
def test_metric_depth_is_measured_as_it_is_or_aligned(
    tmp_path, alignment, scale, abs_rel, rmse_log
):
    truth = floor(24, 32)
    pairs(tmp_path / "own", truth)
    result = evaluate(
        tmp_path / "own",
        tmp_path,
        {"a.png": 5 / truth},
        unit=METRES,
        scale=scale / 5,
        alignment=alignment,
    )
    assert result["metrics"]["abs_rel"] == pytest.approx(abs_rel, abs=1e-6)
    assert result["metrics"]["rmse_log"] == pytest.approx(rmse_log, abs=1e-6)


def test_a_shift_is_aligned_by_scale_shift_alone(tmp_path):
    truth = floor(24, 32)
    pairs(tmp_path / "own", truth)
    for alignment, exact in (("scale_shift", True), ("median", False)):
        result = evaluate(
            tmp_path / "own",
            tmp_path,
            {"a.png": 1 / truth + 1},
            unit=METRES,
            alignment=alignment,
        )
        assert (result["metrics"]["abs_rel"] < 1e-6) == exact


@pytest.mark.parametrize("alignment", ["none", "median"])
def test_models_without_a_unit_are_refused_by_name(tmp_path, alignment):
    pairs(tmp_path / "own", floor(24, 32))
    with pytest.raises(InputError, match=rf"--alignment {alignment}: .*(known|monodepth)"):
        evaluate(tmp_path / "own", tmp_path, {}, alignment=alignment)


def test_a_prediction_that_is_no_number_is_refused(tmp_path):
    truth = floor(24, 32)
    pairs(tmp_path / "own", truth)
    with pytest.raises(InputError, match=r"rgb/a\.png: the prediction is not finite"):
        evaluate(tmp_path / "own", tmp_path, {"a.png": np.where(truth > 3, np.nan, 1)})
    assert not (tmp_path / "result.csv").exists()
