"""The command line, with a network whose disparity is known."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import export_gt_depth
from datasets.conventions import STEREO
from datasets.kitti import frame_path
from datasets.splits import load_split
from evaluation import metric_depth
from evaluation.metrics import METRIC_NAMES
from networks.monodepth import Architecture
from options import EvaluateOptions, parse
from prediction.predictor import DepthPredictor
from system.errors import InputError
from weight_files.model_info import ModelInfo

SHARED = Path(__file__).parents[1].parent / "shared"
REAL = SHARED / "kitti_real"
GOLDEN = SHARED / "golden" / "kitti_eval_seed0.npz"
COUNT = 3


@dataclass(frozen=True)
class StubPredictor:
    """Sees 1 / 0.5 model units in every picture of even grey, 5 where it is twice as bright."""

    info: ModelInfo

    def disparity(self, images: np.ndarray) -> np.ndarray:
        scaled = images[..., 0].astype(np.float32) / 200
        return (scaled - 0.01) / (10 - 0.01)


@pytest.fixture
def place(tmp_path):
    """Drive of three grey pictures, 40, 80 and 120, ground truth 5, 2.5 and 5 / 3 times 5.4."""
    (tmp_path / "split").mkdir()
    (tmp_path / "weights").mkdir()
    lines = [f"day/drive {index} l\n" for index in range(COUNT)]
    (tmp_path / "split" / "test_files.txt").write_text("".join(lines))
    maps = {}
    for index in range(COUNT):
        path = frame_path(tmp_path / "kitti", "day/drive", index, "l", "png")
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = 40 * (index + 1)
        Image.new("RGB", (16, 12), (grey,) * 3).save(path)
        maps[f"{index:06d}"] = np.full((12, 16), 5.4 * 200 / grey, np.float32)
    np.savez(tmp_path / "split" / "gt_depths.npz", kind="velodyne_forward", **maps)
    return tmp_path


def run(monkeypatch, place, *arguments, metric=True, baseline_metres=0.54):
    architecture = Architecture(source_ids=(STEREO,) if metric else (-1, 1))
    info = ModelInfo(architecture, height=6, width=8, baseline_metres=baseline_metres)

    def opened(options):
        assert options.load_weights_folder == place / "weights"
        return DepthPredictor(StubPredictor(info))

    common = ["--data_path", place / "kitti", "--eval_split", place / "split", "--num_workers", 0]
    monkeypatch.setattr("evaluation.metric_depth.open_predictor", opened)
    monkeypatch.setattr("evaluation.metric_depth.check_model", lambda options: None)
    monkeypatch.setattr("sys.argv", list(map(str, ["evaluate_depth.py", *common, *arguments])))
    evaluate_depth.main()


def scored(path):
    """A result without what it was made of."""
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "inputs"}


def test_metric_model_is_scored_in_metres(place, monkeypatch, capsys):
    run(monkeypatch, place, "--load_weights_folder", place / "weights", "--batch_size", 2)
    values = json.loads((place / "weights" / "eval_split_stereo.json").read_text())
    assert values["images"] == COUNT
    assert values["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert values["metrics"]["a1"] == 1
    printed = capsys.readouterr().out
    assert printed.index("crop: Garg") < printed.index("abs_rel")


@pytest.mark.parametrize("arguments", [(), ("--eval_mono", "--post_process")])
def test_model_without_scale_is_scaled_by_the_median(place, monkeypatch, arguments):
    weights = ("--load_weights_folder", place / "weights")
    run(monkeypatch, place, *weights, *arguments, metric=bool(arguments))
    name = "eval_split_mono_post_process" if arguments else "eval_split_mono"
    values = json.loads((place / "weights" / f"{name}.json").read_text())
    assert values["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert values["scaling_ratios"]["median"] == pytest.approx(5.4, rel=1e-5)


@pytest.mark.parametrize("metric", [True, False])
def test_the_scale_factor_multiplies_every_prediction(place, monkeypatch, metric):
    factor = 2 if metric else 2 * 5.4
    arguments = ["--load_weights_folder", place / "weights", "--pred_depth_scale_factor", factor]
    run(monkeypatch, place, *arguments, "--disable_median_scaling", metric=metric)
    (path,) = (place / "weights").iterdir()
    values = json.loads(path.read_text())
    assert values["metrics"]["abs_rel"] == pytest.approx(1, abs=1e-5)
    assert values["protocol"]["scale_factor"] == pytest.approx(10.8)


@pytest.mark.parametrize("kind", ["velodyne_forward", "kitti_improved"])
@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf, -1, 1e30])
def test_unknown_pixels_of_any_kind_leave_the_metrics_alone(place, monkeypatch, unknown, kind):
    path = place / "split" / "gt_depths.npz"
    with np.load(path) as whole:
        content = dict(whole)
    content["000001"][6, 4:8] = unknown
    np.savez(path, **{**content, "kind": kind})
    weights = ("--load_weights_folder", place / "weights")
    run(monkeypatch, place, *weights)
    text = (place / "weights" / "eval_split_stereo.json").read_text()
    values = json.loads(text, parse_constant=pytest.fail)
    assert values["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert values["images"] == COUNT


def test_a_transposed_map_is_refused_and_nothing_written(place, monkeypatch):
    path = place / "split" / "gt_depths.npz"
    with np.load(path) as whole:
        content = dict(whole)
    content["000002"] = np.ascontiguousarray(content["000002"].T)
    np.savez(path, **content)
    with pytest.raises(InputError, match="day/drive 2 l: its ground truth is 12x16"):
        run(monkeypatch, place, "--load_weights_folder", place / "weights")
    np.save(place / "disps.npy", np.full((COUNT, 6, 8), 0.2))
    with pytest.raises(InputError, match="day/drive 2 l: its ground truth is 12x16"):
        run(monkeypatch, place, "--ext_disp_to_eval", place / "disps.npy", "--eval_stereo")
    assert not [*place.rglob("eval_*")]


def test_disparities_that_are_no_numbers_are_not_kept(place, monkeypatch):
    monkeypatch.setattr(StubPredictor, "disparity", lambda _, images: images[..., 0] * np.nan)
    weights = ("--load_weights_folder", place / "weights", "--save_pred_disps", "--no_eval")
    with pytest.raises(InputError, match=r"image 0 \(day/drive 0 l\) is not finite"):
        run(monkeypatch, place, *weights)
    assert not list((place / "weights").iterdir())


def test_the_unit_is_that_of_the_cameras_trained_on(place, monkeypatch):
    out = place / "out"
    weights = ("--load_weights_folder", place / "weights", "--eval_out_dir", out)
    run(monkeypatch, place, *weights, baseline_metres=0.27)
    values = json.loads((out / "eval_split_stereo.json").read_text())
    assert values["metrics"]["abs_rel"] == pytest.approx(0.5, abs=1e-5)


def test_saved_disparities_evaluate_to_the_same(place, monkeypatch):
    out = place / "out"
    weights = ("--load_weights_folder", place / "weights", "--eval_out_dir", out)
    run(monkeypatch, place, *weights, "--save_pred_disps")
    direct = scored(out / "eval_split_stereo.json")
    saved = np.load(out / "disps_split.npy", allow_pickle=False)
    assert saved.shape == (COUNT, 6, 8)
    np.testing.assert_allclose(saved[:, 0, 0], [0.2, 0.4, 0.6], rtol=1e-5)  # scaled, no sigmoid
    (out / "eval_split_stereo.json").unlink()
    run(monkeypatch, place, "--ext_disp_to_eval", out / "disps_split.npy", "--eval_stereo")
    assert scored(out / "eval_split_stereo.json") == direct


def test_predicting_alone_needs_no_ground_truth(place, monkeypatch, capsys):
    (place / "split" / "gt_depths.npz").unlink()
    weights = ("--load_weights_folder", place / "weights")
    run(monkeypatch, place, *weights, "--no_eval", "--save_pred_disps")
    written = sorted(path.name for path in (place / "weights").iterdir())
    assert written == ["disps_split.json", "disps_split.npy"]
    assert f"wrote {place / 'weights' / 'disps_split.npy'}" in capsys.readouterr().out
    with pytest.raises(InputError, match="export_gt_depth"):
        run(monkeypatch, place, *weights)


@pytest.fixture
def part(place):
    """The place, with an image less, and ground truth of the two last images in another order."""
    frame_path(place / "kitti", "day/drive", 1, "l", "png").unlink()
    path = place / "split" / "gt_depths.npz"
    with np.load(path) as whole:
        maps = {"000000": whole["000002"], "000001": whole["000001"]}
    np.savez(path, kind="velodyne_forward", lines=["day/drive 2 l", "day/drive 1 l"], **maps)
    return place


def test_a_part_is_scored_only_when_asked_for_and_marked(part, monkeypatch, capsys):
    weights = ("--load_weights_folder", part / "weights")
    with pytest.raises(InputError, match=r"partial, it holds 2 of the 3 .*--allow_missing"):
        run(monkeypatch, part, *weights)
    run(monkeypatch, part, *weights, "--allow_missing")
    assert [path.name for path in (part / "weights").iterdir()] == [
        "eval_split_stereo_partial.json"
    ]
    values = json.loads((part / "weights" / "eval_split_stereo_partial.json").read_text())
    assert values["images"] == {"scored": 1, "of": 3}
    assert values["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-5)  # each map with its image
    printed = capsys.readouterr().out
    assert "1 of 3 test images; 2 images are there, 2 with ground truth" in printed
    assert "images: 1 of 3; the others are missing" in printed


def test_missing_images_are_counted_before_the_network_is_opened(place, monkeypatch):
    paths = [frame_path(place / "kitti", "day/drive", index, "l", "png") for index in (0, 2)]
    for path in paths:
        path.unlink()
    weights = ("--load_weights_folder", place / "nowhere")
    with pytest.raises(InputError) as refusal:
        run(monkeypatch, place, *weights)
    message = str(refusal.value)
    assert message.startswith(f"2 of 3 test images are missing: {paths[0]}, {paths[1]}; ")
    assert "--allow_missing" in message


def test_allowing_what_does_not_happen_changes_nothing(place, monkeypatch):
    weights = ("--load_weights_folder", place / "weights")
    run(monkeypatch, place, *weights)
    whole = (place / "weights" / "eval_split_stereo.json").read_text()
    run(monkeypatch, place, *weights, "--allow_missing")
    assert [path.name for path in (place / "weights").iterdir()] == ["eval_split_stereo.json"]
    assert (place / "weights" / "eval_split_stereo.json").read_text() == whole
    assert json.loads(whole)["images"] == COUNT


def test_saved_disparities_of_a_part_keep_their_places(part, monkeypatch):
    out = part / "out"
    weights = ("--load_weights_folder", part / "weights", "--eval_out_dir", out)
    run(monkeypatch, part, *weights, "--save_pred_disps", "--allow_missing")
    direct = scored(out / "eval_split_stereo_partial.json")
    saved = np.load(out / "disps_split_partial.npy", allow_pickle=False)
    assert saved.shape == (COUNT, 6, 8)
    assert np.isnan(saved[:2]).all()
    np.testing.assert_allclose(saved[2], 0.6, rtol=1e-5)
    external = ("--ext_disp_to_eval", out / "disps_split_partial.npy", "--eval_stereo")
    run(monkeypatch, part, *external, "--allow_missing", "--eval_out_dir", part / "again")
    assert scored(part / "again" / "eval_split_stereo_partial.json") == direct
    run(monkeypatch, part, *weights, "--save_pred_disps", "--allow_missing", "--no_eval")
    saved = np.load(out / "disps_split_partial.npy", allow_pickle=False)
    assert np.isnan(saved).all(axis=(1, 2)).tolist() == [False, True, False]


def test_nothing_to_score_is_refused(part, monkeypatch):
    frame_path(part / "kitti", "day/drive", 2, "l", "png").unlink()
    weights = ("--load_weights_folder", part / "weights")
    with pytest.raises(InputError, match="--allow_missing: no test image"):
        run(monkeypatch, part, *weights, "--allow_missing")


def test_the_servers_list_has_no_part(place, monkeypatch):
    weights = ("--load_weights_folder", place / "weights")
    with pytest.raises(InputError, match="--allow_missing"):
        run(monkeypatch, place, *weights, "--allow_missing", "--eval_split", "benchmark")


@pytest.mark.parametrize(("height", "said"), [(6, "resized copy"), (5, "cropped")])
def test_pictures_of_another_size_than_their_ground_truth_are_said(
    place, monkeypatch, caplog, height, said
):
    for path in (place / "kitti").rglob("*.png"):
        Image.open(path).resize((8, height)).save(path)
    with caplog.at_level("INFO"):
        run(monkeypatch, place, "--load_weights_folder", place / "weights")
    records = [record for record in caplog.records if "ground truth" in record.getMessage()]
    assert len(records) == 1
    assert said in records[0].getMessage()
    values = json.loads((place / "weights" / "eval_split_stereo.json").read_text())
    assert values["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-5)


@pytest.mark.skipif(not REAL.exists(), reason="needs the real frames in ../shared/kitti_real")
def test_the_part_of_eigens_images_that_is_there(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    truth = ["--gt_path", tmp_path / "gt.npz", "--allow_missing", "--num_workers", "0"]
    data = ["--data_path", REAL, *truth]
    words = ["export_gt_depth.py", *data, "--split", "eigen"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    export_gt_depth.main()
    weights = ["--load_weights_folder", tmp_path / "weights"]
    run(monkeypatch, tmp_path, *data, "--eval_split", "eigen", *weights)
    values = json.loads((tmp_path / "weights" / "eval_eigen_stereo_partial.json").read_text())
    assert values["images"] == {"scored": 13, "of": 697}


def test_wrong_scale_is_warned_about(place, monkeypatch, caplog):
    weights = ("--load_weights_folder", place / "weights")
    run(monkeypatch, place, *weights, "--eval_stereo", metric=False)
    assert "--eval_stereo" in caplog.text


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the published figures in ../shared/golden")
@pytest.mark.parametrize("mode", ["mono", "stereo"])
def test_published_metrics_from_the_command_lines(tmp_path, monkeypatch, mode):
    golden = np.load(GOLDEN, allow_pickle=False)
    lines = [f"{golden['drive']} {frame} l\n" for frame in golden["frames"]]
    (tmp_path / "test_files.txt").write_text("".join(lines))
    np.save(tmp_path / "disps.npy", golden["pred_disp"])
    arguments = f"--data_path {SHARED / 'kitti_mini'} --split {tmp_path} --num_workers 0"
    monkeypatch.setattr("sys.argv", ["export_gt_depth.py", *arguments.split()])
    export_gt_depth.main()
    arguments = f"--eval_split {tmp_path} --ext_disp_to_eval {tmp_path}/disps.npy --eval_{mode}"
    monkeypatch.setattr("sys.argv", ["evaluate_depth.py", *arguments.split()])
    evaluate_depth.main()
    values = json.loads((tmp_path / f"eval_{tmp_path.name}_{mode}.json").read_text())
    got = [values["metrics"][name] for name in METRIC_NAMES]
    np.testing.assert_allclose(got, golden[f"metrics/{mode}/mean"], rtol=0, atol=1e-5)


def test_what_changes_an_evaluation_does_not_replace_another(place, monkeypatch):
    """Of one weights folder: mirrored or not, another truth, two lists of one name."""
    weights = ("--load_weights_folder", place / "weights", "--save_pred_disps")
    other = place / "other" / "split"
    shutil.copytree(place / "split", other)
    half = {f"{index:06d}": np.full((12, 16), 10, np.float32) for index in range(COUNT)}
    np.savez(place / "half.npz", kind="velodyne_forward", **half)
    ways = [
        (),
        ("--post_process",),
        ("--gt_path", place / "half.npz"),
        ("--eval_split", other),
        ("--eval_mono",),
        ("--eval_mono", "--disable_median_scaling"),
    ]
    contents = {}
    for way in ways * 2:
        run(monkeypatch, place, *weights, *way)
        for path in (place / "weights").iterdir():
            assert contents.setdefault(path.name, path.read_bytes()) == path.read_bytes()
    results = [name for name in contents if name.startswith("eval_")]
    assert len(results) == len(ways)
    assert {"eval_split_stereo.json", "eval_split_stereo_post_process.json"} < set(results)
    # Neither truth nor scale changes what is predicted.
    assert len([name for name in contents if name.endswith(".npy")]) == 3


def test_a_cap_is_part_of_the_protocol(place, monkeypatch):
    weights = ["--load_weights_folder", place / "weights"]
    run(monkeypatch, place, *weights, "--eval_max_depth", 20)
    values = json.loads((place / "weights" / "eval_split_stereo_below20.0.json").read_text())
    assert values["protocol"]["max_depth"] == 20
    assert len(values["skipped"]) == 1  # the picture whose truth is 27 m


def test_disparities_of_eigen_are_measured_on_those_of_the_benchmark(tmp_path, monkeypatch, capsys):
    """The 652 of 697, matched by their lines; the others would be wrong."""
    eigen, some = load_split("eigen", "test"), load_split("eigen_benchmark", "test")
    disparities = np.full((len(eigen), 2, 4), 1e-6, np.float32)
    truth = {}
    place_of = {line: index for index, line in enumerate(eigen)}
    for index, line in enumerate(some):
        depth = 2 + index / 10
        disparities[place_of[line]] = 1 / depth
        truth[f"{index:06d}"] = np.full((2, 4), depth, np.float32)
    np.save(tmp_path / "disps_eigen_split.npy", disparities)
    np.savez(tmp_path / "gt_depths.npz", kind="kitti_improved", **truth)
    line = (
        f"evaluate_depth.py --ext_disp_to_eval {tmp_path}/disps_eigen.npy --eval_mono "
        f"--eval_split eigen_benchmark --eval_eigen_to_benchmark --gt_path {tmp_path} "
        "--disable_median_scaling --load_weights_folder nowhere"
    )
    monkeypatch.setattr("sys.argv", line.split())
    evaluate_depth.main()
    values = json.loads((tmp_path / "eval_eigen_benchmark_mono_unscaled.json").read_text())
    assert values["images"] == 652
    assert values["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-5)


def test_a_depth_range_is_of_the_model_or_given_where_nobody_says_it(place, monkeypatch):
    """Of the darkest picture, disparity is near that of the farthest depth."""
    weights = ["--load_weights_folder", place / "weights"]
    checked = metric_depth.check_model
    run(monkeypatch, place, *weights, "--min_depth", 0.1, "--max_depth", 50)
    values = json.loads((place / "weights" / "eval_split_stereo.json").read_text())
    assert values["metrics"]["abs_rel"] > 0.01
    info = ModelInfo(Architecture(), height=64, width=64)
    (place / "weights" / "model.json").write_text(info.to_json())
    line = f"--load_weights_folder {place / 'weights'} --max_depth"
    checked(parse(EvaluateOptions, [*line.split(), "100"]))
    with pytest.raises(InputError, match=r"--max_depth 50.0: the model was trained with 100"):
        checked(parse(EvaluateOptions, [*line.split(), "50"]))
