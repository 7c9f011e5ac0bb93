"""Training through its command line, on small generated streets."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image
from safetensors.numpy import load_file

import train
from errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, run_command
from options import TrainOptions, parse
from training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
MODES = {
    "M": ["--frame_ids", "0", "-1", "1"],
    "S": ["--frame_ids", "0", "--use_stereo"],
    "MS": ["--frame_ids", "0", "-1", "1", "--use_stereo"],
}
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
    return [*where, *size, "--eager", "--log_frequency", "1", *(str(word) for word in more)]


def run(*args: object, name: str = "run") -> None:
    train.main(arguments(*args, name=name))


def refusal(capsys, argv: list[str]) -> str:
    """What the command says when it ends with the exit code of bad input."""
    with pytest.raises(SystemExit) as end:
        run_command(lambda: train.main(argv))
    assert end.value.code == EXIT_BAD_INPUT
    return capsys.readouterr().err


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path, phase: str = "train") -> list[float]:
    return [row["loss"] for row in logged(folder) if row["phase"] == phase]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def target_of(data: Path, place: Path, line: int = 0) -> Path:
    """The image of a line of the training split."""
    lines = (place / "split" / "train_files.txt").read_text().splitlines()
    folder, frame, side = lines[line].split()
    camera = {"l": "image_02", "r": "image_03"}[side]
    return data / folder / camera / "data" / f"{int(frame):010d}.jpg"


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_trains_and_leaves_a_model_and_logs(mode, streets, place):
    run(streets, place, *MODES[mode], "--num_epochs", 1)
    folder = place / "logs" / "run"
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


def test_training_lowers_the_loss(streets, place):
    run(streets, place, *MODES["MS"], "--num_epochs", 7, "--learning_rate", 1e-3)
    values = losses(place / "logs" / "run")
    assert np.mean(values[-4:]) < 0.95 * np.mean(values[:4])


def test_best_is_the_epoch_of_the_lowest_validation_loss(streets, place):
    # A rate this high makes later epochs worse than the first.
    run(streets, place, *MODES["S"], "--num_epochs", 3, "--learning_rate", 0.1)
    folder = place / "logs" / "run"
    values = losses(folder, "val")
    best = json.loads((folder / "best" / "model.json").read_text())["step"]
    assert best == 2 * (1 + int(np.argmin(values)))


def test_the_number_of_workers_changes_nothing(streets, place):
    for workers in (0, 1, 2):
        more = (*MODES["MS"], "--num_epochs", 2, "--num_workers", workers)
        run(streets, place, *more, name=f"w{workers}")
    runs = [place / "logs" / f"w{workers}" for workers in (0, 1, 2)]
    assert len(losses(runs[0])) == 4
    assert losses(runs[0]) == losses(runs[1]) == losses(runs[2])
    weights = [contents(folder / "last") for folder in runs]
    for name in weights[0].keys() - {"model.json", "SHA256SUMS"}:
        assert weights[0][name] == weights[1][name] == weights[2][name]


def test_another_seed_gives_other_losses(streets, place):
    for seed in (0, 1):
        run(streets, place, *MODES["S"], "--max_steps", 1, "--seed", seed, name=f"s{seed}")
    assert losses(place / "logs" / "s0") != losses(place / "logs" / "s1")


def test_a_resumed_run_equals_one_without_a_stop(streets, place):
    # Three steps end in the middle of the second epoch.
    more = (*MODES["MS"], "--num_epochs", 2)
    run(streets, place, *more, name="straight")
    run(streets, place, *more, "--max_steps", 3, name="stopped")
    run(streets, place, *more, "--resume", name="stopped")
    straight, stopped = place / "logs" / "straight", place / "logs" / "stopped"
    assert losses(straight) == losses(stopped)
    a, b = contents(straight / "last"), contents(stopped / "last")
    assert a["depth.safetensors"] == b["depth.safetensors"]
    assert a["pose_encoder.safetensors"] == b["pose_encoder.safetensors"]
    assert a["optimiser.safetensors"] == b["optimiser.safetensors"]


def test_the_compiled_step_equals_the_eager_one(streets, place):
    # Both phases: a compiled layer must not mistake validation for training.
    argv = arguments(streets, place, *MODES["MS"])
    eager = Trainer(parse(TrainOptions, argv))
    compiled = Trainer(parse(TrainOptions, [word for word in argv if word != "--eager"]))
    for phase in ("train", "eval"):
        values = []
        for trainer in (eager, compiled):
            getattr(trainer.step, phase)()
            batch = next(iter(trainer.train_loader.batches(epoch=0)))
            with paddle.no_grad():
                values.append(float(trainer.evaluate(batch, trainer.place(0)).total))
        assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_weights_of_another_run_are_a_start(streets, place):
    run(streets, place, *MODES["S"], "--max_steps", 1, name="first")
    first = place / "logs" / "first" / "last"
    argv = arguments(streets, place, *MODES["S"], "--load_weights_folder", first, name="second")
    start = Trainer(parse(TrainOptions, argv)).model.depth.state_dict()
    saved = load_file(first / "depth.safetensors")
    assert all((start[name].numpy() == value).all() for name, value in saved.items())


def test_constant_intrinsics_stand_in_for_a_missing_calibration(own_data, place, caplog):
    for path in own_data.glob("*/calib*.txt"):
        path.unlink()
    run(own_data, place, *MODES["S"], "--max_steps", 1)
    assert "calib_cam_to_cam.txt" in caplog.text
    assert "published intrinsics" in caplog.text


def test_png_images_are_found_by_themselves(own_data, place):
    for path in own_data.glob("*/*/image_0*/data/*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    run(own_data, place, *MODES["S"], "--max_steps", 1)
    assert len(losses(place / "logs" / "run")) == 1


def test_a_missing_neighbour_is_named_before_anything_is_written(own_data, place, capsys):
    target = target_of(own_data, place)
    neighbour = target.with_name(f"{int(target.stem) + 1:010d}.jpg")
    neighbour.unlink()
    assert str(neighbour) in refusal(capsys, arguments(own_data, place, *MODES["M"]))
    assert not (place / "logs").exists()


def test_a_truncated_image_is_named_and_the_run_goes_on_once_it_is_repaired(
    own_data, place, capsys
):
    target = target_of(own_data, place, line=3)
    whole = target.read_bytes()
    target.write_bytes(whole[: len(whole) // 2])
    argv = arguments(own_data, place, *MODES["S"], "--num_epochs", 2, "--batch_size", 1)
    message = refusal(capsys, argv)
    assert str(target) in message
    folder = place / "logs" / "run"
    done = len(losses(folder))
    assert (folder / "last").is_dir() == (done > 0)
    target.write_bytes(whole)
    train.main([*argv, "--resume"] if done else argv)
    assert len(losses(folder)) == 8


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
def test_weights_of_another_model_are_refused(more, given, streets, place, capsys):
    run(streets, place, *MODES["S"], "--max_steps", 1, name="first")
    start = ["--load_weights_folder", place / "logs" / "first" / "last"]
    argv = arguments(streets, place, *MODES["S"], *start, *more, name="second")
    assert given in refusal(capsys, argv)
    assert not (place / "logs" / "second").exists()


def test_a_batch_larger_than_the_split_is_refused(streets, place, capsys):
    argv = arguments(streets, place, *MODES["S"], "--batch_size", 5)
    assert "--batch_size 5" in refusal(capsys, argv)


def test_an_earlier_run_is_not_written_over(streets, place, capsys):
    run(streets, place, *MODES["S"], "--max_steps", 1)
    before = contents(place / "logs" / "run" / "last")
    assert "--resume" in refusal(capsys, arguments(streets, place, *MODES["S"]))
    assert contents(place / "logs" / "run" / "last") == before


def test_resuming_what_is_not_there_is_refused(streets, place, capsys):
    message = refusal(capsys, arguments(streets, place, *MODES["S"], "--resume"))
    assert str(place / "logs" / "run" / "last") in message


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_items(streets, place, capsys):
    run(streets, place, *MODES["S"], "--num_epochs", 1)
    folder = place / "logs" / "run"
    before = {name: contents(folder / name) for name in ("best", "last")}
    more = ("--num_epochs", 3, "--resume", "--learning_rate", 1e30)
    message = refusal(capsys, arguments(streets, place, *MODES["S"], *more))
    assert "the loss is nan" in message
    lines = (place / "split" / "train_files.txt").read_text().splitlines()
    names = [f"{folder} {int(frame)} {side}" for folder, frame, side in map(str.split, lines)]
    assert sum(name in message for name in names) == 2  # the batch
    assert {name: contents(folder / name) for name in ("best", "last")} == before


def started(argv: list[str]) -> subprocess.Popen:
    """Training in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *argv],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_losses(process: subprocess.Popen, folder: Path, count: int) -> None:
    """Wait until a run has logged so many training steps."""
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() or len(whole_losses(folder)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)


def whole_losses(folder: Path) -> list[str]:
    """The lines of the training losses that are complete."""
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and '"train"' in line]


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(streets, place):
    more = (*MODES["S"], "--num_epochs", 4, "--save_every_steps", 1)
    run(streets, place, *more, name="straight")
    run_again = arguments(streets, place, *more, "--resume", name="killed")
    folder = place / "logs" / "killed"
    rng = random.Random(0)
    for kill in range(3):
        argv = run_again if kill else arguments(streets, place, *more, name="killed")
        process = started(argv)
        wait_for_losses(process, folder, 2 * kill + 1)
        time.sleep(rng.uniform(0, 1))  # within a step, or while a checkpoint is written
        process.kill()
        process.communicate()
    train.main(run_again)
    straight = place / "logs" / "straight"
    assert losses(folder) == losses(straight)
    assert losses(folder, "val") == losses(straight, "val")
    for name in ("best", "last"):
        a, b = contents(straight / name), contents(folder / name)
        for file in a.keys() - {"model.json", "SHA256SUMS"}:  # they hold the name of the run
            assert a[file] == b[file], f"{name}/{file}"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 700 MB: two checkpoints of a stereo run, and not much more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", str(folder)]
    allowed = shutil.which("mount") is not None
    if not allowed or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_nothing_of_a_run_is_lost_on_a_disk_that_is_full_to_the_brim(
    streets, place, small_disk, capsys
):
    more = (*MODES["S"], "--num_epochs", 2)
    run(streets, place, *more, name="straight")
    on_disk = ("--log_dir", small_disk, "--save_every_steps", 1)
    run(streets, place, *more, *on_disk, "--max_steps", 2)
    folder = small_disk / "run"
    before = {
        path.name: contents(path)
        for path in folder.iterdir()
        if (path / "depth.safetensors").is_file()
    }
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    assert shutil.disk_usage(small_disk).free == 0
    message = refusal(capsys, arguments(streets, place, *more, *on_disk, "--resume"))
    assert str(folder) in message
    assert "room" in message
    (small_disk / "filler").unlink()
    assert {name: contents(folder / name) for name in before} == before
    run(streets, place, *more, *on_disk, "--resume")
    straight = place / "logs" / "straight"
    assert losses(folder) == losses(straight)
    for file in ("depth.safetensors", "encoder.safetensors", "optimiser.safetensors"):
        a, b = (path / "last" / file for path in (straight, folder))
        assert a.read_bytes() == b.read_bytes()


def test_a_run_killed_before_its_first_checkpoint_is_started_by_resuming(streets, place):
    run(streets, place, *MODES["S"], "--max_steps", 2, name="straight")
    process = started(arguments(streets, place, *MODES["S"], name="killed"))
    wait_for_losses(process, place / "logs" / "killed", 1)
    process.kill()
    process.communicate()
    shutil.rmtree(place / "logs" / "killed" / "last", ignore_errors=True)
    run(streets, place, *MODES["S"], "--max_steps", 2, "--resume", name="killed")
    assert losses(place / "logs" / "killed") == losses(place / "logs" / "straight")


def test_resuming_with_other_options_names_them(streets, place, caplog):
    run(streets, place, *MODES["S"], "--max_steps", 1)
    more = ("--resume", "--max_steps", 2, "--learning_rate", 2e-4, "--num_workers", 1)
    run(streets, place, *MODES["S"], *more)
    assert "learning_rate was 0.0001, is 0.0002" in caplog.text
    assert "max_steps" not in caplog.text
    assert "num_workers" not in caplog.text


def test_a_damaged_last_checkpoint_is_named_and_the_run_goes_on(streets, place, caplog):
    more = (*MODES["S"], "--num_epochs", 2)
    run(streets, place, *more, name="straight")
    run(streets, place, *more, name="damaged")
    folder = place / "logs" / "damaged"
    path = folder / "last" / "depth.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    run(streets, place, *more, "--resume", name="damaged")
    assert str(path) in caplog.text
    assert losses(folder) == losses(place / "logs" / "straight")
    straight = place / "logs" / "straight" / "last" / "depth.safetensors"
    assert path.read_bytes() == straight.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_saves_the_steps_done_and_resuming_finishes(streets, place):
    argv = arguments(streets, place, *MODES["S"], "--num_epochs", 500)
    folder = place / "logs" / "run"
    process = started(argv)
    wait_for_losses(process, folder, 3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == EXIT_INTERRUPTED
    assert "--resume goes on from there" in error
    assert "Traceback" not in error
    step = json.loads((folder / "last" / "progress.json").read_text())["step"]
    assert step == len(losses(folder))
    run(streets, place, *MODES["S"], "--max_steps", step + 1, "--num_epochs", 500, "--resume")
    assert len(losses(folder)) == step + 1
