"""Training of the real networks on small streets; the loop is in test_training_trainer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image
from safetensors.numpy import load_file

import train
from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from options import TrainOptions, parse
from prediction.predictor import DepthPredictor
from system.errors import EXIT_BAD_INPUT, run_command
from training.objective import Objective
from training.trainer import Trainer
from weight_files.folder import open_model

ROOT = Path(__file__).resolve().parents[1]
MODES = {
    "M": ["--frame_ids", "0", "-1", "1"],
    "S": ["--frame_ids", "0", "--use_stereo"],
    "MS": ["--frame_ids", "0", "-1", "1", "--use_stereo"],
}
HINTS = ["--depth_hints", "--depth_hint_weight", "0.5"]
DEPTH_FILES = ["SHA256SUMS", "depth.safetensors", "encoder.safetensors", "model.json"]
POSE_FILES = ["pose.safetensors", "pose_encoder.safetensors"]
RESUME_FILES = ["optimiser.safetensors", "progress.json"]


def small_split(streets: Path, folder: Path, train_items: int = 4, val_items: int = 2) -> Path:
    """The first lines of the streets' own split."""
    folder.mkdir()
    for part, count in (("train", train_items), ("val", val_items)):
        name = f"{part}_files.txt"
        lines = (streets / "splits" / name).read_text().splitlines()[:count]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def place(streets, tmp_path):
    """A folder with a split of its own in ``split``; logs go to ``logs``."""
    small_split(streets, tmp_path / "split")
    return tmp_path


@pytest.fixture
def own_data(streets, place):
    """A copy of the streets to damage."""
    return shutil.copytree(streets, place / "data")


def arguments(data: Path, place: Path, *more: object, name: str = "run") -> list[str]:
    size = ["--height", "64", "--width", "64", "--batch_size", "2", "--num_workers", "0"]
    where = ["--data_path", str(data), "--split", str(place / "split")]
    where += ["--log_dir", str(place / "logs"), "--model_name", name]
    start = [] if "--weights_init" in more else ["--weights_init", "scratch"]
    how = [*size, *start, "--eager", "--log_frequency", "1"]
    return [*where, *how, *(str(word) for word in more)]


def run(*args: object, name: str = "run") -> None:
    train.main(arguments(*args, name=name))


def refusal(capsys, argv: list[str]) -> str:
    """What the command says when it ends with the exit code of bad input."""
    with pytest.raises(SystemExit) as end:
        run_command(lambda: train.main(argv))
    assert end.value.code == EXIT_BAD_INPUT
    return capsys.readouterr().err


def losses(folder: Path, phase: str = "train") -> list[float]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if row["phase"] == phase]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def target_of(data: Path, place: Path) -> Path:
    """The image of the first line of the training split."""
    folder, frame, side = (place / "split" / "train_files.txt").read_text().split()[:3]
    camera = {"l": "image_02", "r": "image_03"}[side]
    return data / folder / camera / "data" / f"{int(frame):010d}.jpg"


@pytest.fixture(scope="module")
def trained(streets, tmp_path_factory):
    """Runs of two steps by their mode, each trained when it is first asked for."""
    place = tmp_path_factory.mktemp("trained")
    small_split(streets, place / "split")

    @lru_cache
    def trained(mode: str) -> Path:
        run(streets, place, *MODES[mode], "--num_epochs", 1, name=mode)
        return place / "logs" / mode

    return trained


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_trains_and_leaves_a_model_and_logs(mode, trained):
    folder = trained(mode)
    modules = DEPTH_FILES + (POSE_FILES if mode != "S" else [])
    assert sorted(contents(folder / "best")) == sorted(modules)
    assert sorted(contents(folder / "last")) == sorted(modules + RESUME_FILES)

    info = json.loads((folder / "last" / "model.json").read_text())
    assert (info["metric"], info["step"]) == ("S" in mode, 2)
    options = json.loads((folder / "options.json").read_text())
    assert (options["height"], options["batch_size"]) == (64, 2)
    assert np.isfinite(losses(folder)).all()
    assert len(losses(folder)) == 2
    assert len(losses(folder, "val")) == 1
    assert list((folder / "train").glob("vdlrecords*"))


def test_a_killed_run_ends_with_the_same_bytes(trained, streets, place):
    straight, killed = trained("MS"), place / "logs" / "killed"
    # One step a checkpoint: it is killed in the second step, or while its last one is saved.
    argv = arguments(streets, place, *MODES["MS"], "--num_epochs", 1, name="killed")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *argv, "--save_every_steps", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (killed / "last" / "progress.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    train.main([*argv, "--resume"])
    assert losses(killed) == losses(straight)
    assert losses(killed, "val") == losses(straight, "val")
    for name in ("best", "last"):
        ours, theirs = contents(killed / name), contents(straight / name)
        for file in theirs.keys() - {"model.json", "SHA256SUMS"}:  # they hold the name of the run
            assert ours[file] == theirs[file], f"{name}/{file}"


def test_networks_learn_how_far_a_wall_is():
    """Seen by two cameras 0.1 apart, 4 pixels off, where 6.4 are guessed."""
    paddle.seed(0)
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:64, :64]
    x, y = rng.uniform(0.1, 0.6, (2, 2, 3, 4, 1, 1))
    waves = np.sin(u * x + v * y + rng.uniform(0, 6, x.shape)).sum(axis=2)
    target = (0.5 + 0.1 * waves).astype(np.float32)
    K = np.array([[40, 0, 31.5], [0, 40, 31.5], [0, 0, 1]], np.float32)
    T_stereo = np.eye(4, dtype=np.float32)
    T_stereo[0, 3] = -0.1
    arrays = (target, np.roll(target, -4, axis=3)[:, None], [K, K], [T_stereo, T_stereo])
    target, sources, K, T_stereo = map(paddle.to_tensor, map(np.array, arrays))

    architecture = Architecture(source_ids=(STEREO,), scales=(0,))
    model = Monodepth(architecture)
    model.depth.start_outputs_at(0.16)
    objective = Objective(architecture, automasking=False)
    adam = paddle.optimizer.Adam(1e-3, parameters=model.parameters())
    values = []
    for _ in range(9):
        loss = objective(model(target, sources), target, sources, K, T_stereo).total
        loss.backward()
        adam.step()
        adam.clear_grad()
        values.append(float(loss))
    assert values[-1] < 0.6 * values[0]  # 0.07 to 0.35 with five seeds


def test_another_seed_gives_other_losses(trained, streets, place):
    run(streets, place, *MODES["S"], "--max_steps", 1, "--seed", 1)
    assert losses(place / "logs" / "run")[0] != losses(trained("S"))[0]


def test_depth_hints_are_of_training_alone(trained, streets, place):
    run(streets, place, *MODES["S"], *HINTS, "--max_steps", 2)
    folder, plain = place / "logs" / "run", trained("S")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("hinted_share", 0) > 0.2 for row in rows] == [True, True, False]
    assert all(a > b + 0.05 for a, b in zip(losses(folder), losses(plain)))
    # The published loss is what tells weights apart.
    assert losses(folder, "val")[0] == pytest.approx(losses(plain, "val")[0], rel=0.1)
    assert sorted(contents(folder / "best")) == DEPTH_FILES


def test_a_compiled_step_takes_depth_hints(streets, place):
    argv = arguments(streets, place, *MODES["S"], *HINTS)
    eager = Trainer(parse(TrainOptions, argv))
    compiled = Trainer(parse(TrainOptions, [word for word in argv if word != "--eager"]))
    batch = next(iter(eager.train_loader.batches(epoch=0)))
    assert batch["hint"].shape == (2, 1, 64, 64)
    values = [float(each.evaluate(batch, epoch=0).total) for each in (eager, compiled)]
    # Where hint and prediction are equally good, rounding chooses.
    assert values[0] == pytest.approx(values[1], rel=5e-3)


def test_the_compiled_step_equals_the_eager_one(streets, place):
    # Both phases: a compiled layer must not mistake validation for training.
    argv = arguments(streets, place, *MODES["MS"])
    eager = Trainer(parse(TrainOptions, argv))
    compiled = Trainer(parse(TrainOptions, [word for word in argv if word != "--eager"]))
    for phase in ("train", "eval"):
        values = []
        for trainer in (eager, compiled):
            getattr(trainer.model_with_loss, phase)()
            batch = next(iter(trainer.train_loader.batches(epoch=0)))
            with paddle.no_grad():
                values.append(float(trainer.evaluate(batch, epoch=0).total))
        assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_weights_of_another_run_are_a_start(trained, streets, place):
    first = trained("S") / "last"
    argv = arguments(streets, place, *MODES["S"], "--load_weights_folder", first)
    start = Trainer(parse(TrainOptions, argv)).model.depth.state_dict()
    saved = load_file(first / "depth.safetensors")
    assert all((start[name].numpy() == value).all() for name, value in saved.items())


def test_averaged_weights_predict(streets, place):
    more = ("--max_steps", 1, "--ema_decay", 0.9, "--scheduler", "one_cycle", "--no_color_jitter")
    run(streets, place, *MODES["S"], *more)
    last, best = (place / "logs" / "run" / name for name in ("last", "best"))
    for name in DEPTH_FILES[1:]:
        assert (best / name).read_bytes() == (last / name).read_bytes()
    picture = next(streets.glob("*/*/image_02/data/*.jpg"))
    depth = DepthPredictor.from_folder(best, engine="paddle")(picture).depth
    assert np.isfinite(depth).all()
    raw = load_file(last / "raw_weights.safetensors")
    saved = open_model(last).depth_network().state_dict()
    assert raw.keys() == saved.keys()
    averaged = [name for name, value in saved.items() if (value.numpy() != raw[name]).any()]
    assert len(averaged) > 0.9 * len(saved)


def first_batch(data: Path, place: Path, *more: object) -> dict[str, np.ndarray]:
    """What a run would begin with."""
    trainer = Trainer(parse(TrainOptions, arguments(data, place, *MODES["S"], *more)))
    return next(iter(trainer.train_loader.batches(epoch=0)))


def test_other_files_of_the_same_pictures_and_cameras_do_as_well(streets, own_data, place, caplog):
    for path in own_data.glob("*/*/image_0*/data/*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    for path in own_data.glob("*/calib*.txt"):
        path.unlink()
    expected, got = (first_batch(data, place) for data in (streets, own_data))
    assert "calib_cam_to_cam.txt" in caplog.text
    assert "published intrinsics" in caplog.text
    assert got["K"].shape == expected["K"].shape
    for key in ("target", "sources", "color_jitter"):
        np.testing.assert_array_equal(got[key], expected[key])


def test_items_are_mirrored_as_with_jitter_where_their_colours_stay(streets, place):
    usual, plain = (first_batch(streets, place, *more) for more in ((), ("--no_color_jitter",)))
    for key in ("target", "sources", "K", "T_stereo"):
        np.testing.assert_array_equal(plain[key], usual[key])


def test_a_missing_neighbour_is_named_before_anything_is_written(own_data, place, capsys):
    target = target_of(own_data, place)
    neighbour = target.with_name(f"{int(target.stem) + 1:010d}.jpg")
    neighbour.unlink()
    assert str(neighbour) in refusal(capsys, arguments(own_data, place, *MODES["M"]))
    assert not (place / "logs").exists()


def test_an_image_of_another_size_is_named(own_data, place, capsys):
    target = target_of(own_data, place)
    Image.open(target).resize((100, 64)).save(target)
    message = refusal(capsys, arguments(own_data, place, *MODES["S"]))
    assert str(target) in message
    assert "100x64" in message
    assert "160x64" in message


def test_a_missing_calibration_key_is_named(own_data, place, capsys):
    path = next(own_data.glob("*/calib_cam_to_cam.txt"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("P_rect_03")))
    message = refusal(capsys, arguments(own_data, place, *MODES["S"]))
    assert f"{path}: key 'P_rect_03' is missing" in message
    assert not (place / "logs").exists()


def test_an_empty_split_is_named(streets, place, capsys):
    path = place / "split" / "val_files.txt"
    path.write_text("\n")
    assert f"{path}: empty" in refusal(capsys, arguments(streets, place, *MODES["S"]))
    assert not (place / "logs").exists()


@pytest.mark.parametrize(
    ("more", "given"),
    [
        (["--num_layers", "34"], "encoder.safetensors: weights of another architecture"),
        (["--max_depth", "50"], "--max_depth 50.0: the weights in"),
    ],
)
def test_weights_of_another_model_are_refused(more, given, trained, streets, place, capsys):
    start = ["--load_weights_folder", trained("S") / "last"]
    argv = arguments(streets, place, *MODES["S"], *start, *more, name="second")
    assert given in refusal(capsys, argv)
    assert not (place / "logs" / "second").exists()


def test_depth_is_logged_by_the_published_names_where_there_is_lidar(streets, place, trained):
    """And the weights are those of a run that did not look: LiDAR is for the eye only."""
    folder = trained("S")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {row["phase"] for row in rows} == {"train", "val"}
    for row in rows:
        assert 0 < row["de/abs_rel"] < 20
        assert 0 <= row["da/a1"] <= row["da/a2"] <= row["da/a3"] <= 1
    blind = shutil.copytree(streets, place / "blind")
    for sweeps in blind.rglob("velodyne_points"):
        shutil.rmtree(sweeps)
    run(blind, place, *MODES["S"], "--num_epochs", 1, name="S")
    assert "de/abs_rel" not in (place / "logs" / "S" / "metrics.jsonl").read_text()
    assert contents(place / "logs" / "S" / "last") == contents(folder / "last")


def test_a_damaged_sweep_ends_the_look_and_not_the_training(own_data, place, caplog):
    for sweep in own_data.rglob("velodyne_points/data/*.bin"):
        sweep.write_bytes(b"123")
    run(own_data, place, *MODES["S"], "--num_epochs", 1)
    assert caplog.text.count("depth is not compared with LiDAR any more") == 1
    assert (place / "logs" / "run" / "last" / "model.json").is_file()
