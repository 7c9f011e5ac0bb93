"""The loop, on a task of a few numbers: what it saves, resumes, refuses and survives."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

import train
from options import TrainOptions, parse
from system.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, run_command
from tests import stub_task
from tests.stub_items import NUMBERS, write_items
from training import logger, trainer
from training.checkpoint import checkpoints
from training.optimisation import Update
from training.schedule import in_turns
from training.self_supervised import SelfSupervised
from training.trainer import Trainer
from weight_files.folder import load_into

WEIGHTS = ["depth.safetensors", "encoder.safetensors"]
NAME_OF_THE_RUN = {"model.json", "SHA256SUMS"}  # files that hold it


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return write_items(tmp_path_factory.mktemp("stub") / "numbers")


@pytest.fixture(autouse=True)
def _stub(monkeypatch):
    stub_task.use_stub(monkeypatch.setattr)


@pytest.fixture
def words(numbers, tmp_path):
    """The command line of a run in ``tmp_path``."""

    def words(*more, name="run", data=numbers, logs=tmp_path):
        return stub_task.words(data, logs, *more, name=name)

    return words


@pytest.fixture
def run(words, tmp_path):
    """Train; returns the folder of the run."""

    def run(*more, name="run", **where):
        train.main(words(*more, name=name, **where))
        return where.get("logs", tmp_path) / name

    return run


@pytest.fixture
def refusal(capsys):
    """What the command says when it ends with the exit code of bad input."""

    def refusal(argv):
        with pytest.raises(SystemExit) as end:
            run_command(lambda: train.main(argv))
        assert end.value.code == EXIT_BAD_INPUT
        return capsys.readouterr().err

    return refusal


def logged(folder, phase="train"):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["phase"] == phase]


def losses(folder, phase="train"):
    return [row["loss"] for row in logged(folder, phase)]


def progress(folder):
    return json.loads((folder / "last" / "progress.json").read_text())


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def assert_same_end(a, b):
    """Two runs logged the same, and left the same bytes."""
    assert losses(a) == losses(b)
    assert losses(a, "val") == losses(b, "val")
    for name in ("best", "last"):
        ours, theirs = contents(a / name), contents(b / name)
        assert ours.keys() == theirs.keys()
        for file in ours.keys() - NAME_OF_THE_RUN:
            assert ours[file] == theirs[file], f"{name}/{file}"


def test_training_lowers_the_loss(run):
    values = losses(run("--num_epochs", 20, "--learning_rate", 0.1))
    # 0.003 to 0.06 with eight seeds.
    assert np.mean(values[-4:]) < 0.5 * np.mean(values[:4])


def test_best_is_the_epoch_of_the_lowest_validation_loss(run):
    # A rate this high makes later epochs worse and better in turn.
    folder = run("--num_epochs", 5, "--learning_rate", 1)
    values = losses(folder, "val")
    best = json.loads((folder / "best" / "model.json").read_text())["step"]
    assert best == 2 * (1 + int(np.argmin(values)))
    assert best < 10


def test_the_number_of_workers_changes_nothing(run):
    runs = [run("--num_epochs", 2, "--num_workers", n, name=f"w{n}") for n in (0, 1, 2)]
    assert len(losses(runs[0])) == 4
    assert_same_end(runs[0], runs[1])
    assert_same_end(runs[0], runs[2])


def test_another_seed_gives_other_losses(run):
    a, b = (losses(run("--max_steps", 1, "--seed", n, name=f"s{n}")) for n in (0, 1))
    assert a != b


def test_a_resumed_run_equals_one_without_a_stop(run):
    # Three steps end in the middle of the second epoch.
    straight = run("--num_epochs", 3, name="straight")
    run("--num_epochs", 3, "--max_steps", 3, name="stopped")
    stopped = run("--num_epochs", 3, "--resume", name="stopped")
    assert_same_end(straight, stopped)
    assert len(losses(straight)) == 6


def test_a_step_of_several_turns_is_as_one_of_their_joint_batch(run, monkeypatch):
    monkeypatch.setattr(stub_task.StubTask, "normalise", False)  # by the statistics of a batch
    joint = run("--max_steps", 2, "--batch_size", 4, "--num_epochs", 2, name="joint")
    turns = run("--max_steps", 2, "--batch_size", 1, "--accumulate", 4, name="turns")
    assert progress(turns)["step"] == 2
    np.testing.assert_allclose(losses(turns), losses(joint), rtol=1e-5)
    for file in WEIGHTS:
        a, b = (load_file(folder / "last" / file) for folder in (joint, turns))
        for name in a:
            np.testing.assert_allclose(b[name], a[name], rtol=1e-3, atol=1e-5)


def test_clipping_bounds_what_adam_is_given(run):
    """Adam's first moment after one step is a tenth of the gradient."""
    norms = {}
    for clip in (0, 1e-3):
        folder = run("--max_steps", 1, "--clip_norm", clip, name=f"clip{clip}")
        arrays = load_file(folder / "last" / "optimiser.safetensors")
        moments = [value for name, value in arrays.items() if name.endswith("moment1_0")]
        norms[clip] = 10 * np.sqrt(sum(float((m.astype(float) ** 2).sum()) for m in moments))
    assert norms[0] > 0.01
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)


def test_an_item_that_cannot_be_read_is_named_and_the_run_goes_on_once_it_is_repaired(
    run, words, numbers, tmp_path, refusal
):
    data = shutil.copytree(numbers, tmp_path / "data")
    straight = run("--num_epochs", 2, "--batch_size", 1, name="straight")
    order = np.random.default_rng((0, 0)).permutation(4)
    for place in (0, 3):  # in the order of the first epoch
        path = data / f"train_{order[place]}.npy"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        argv = words("--num_epochs", 2, "--batch_size", 1, data=data, name=f"run{place}")
        message = refusal(argv)
        assert str(path) in message
        folder = tmp_path / f"run{place}"
        assert len(losses(folder)) == place
        assert (folder / "last").is_dir() == (place > 0) == ("--resume goes on" in message)
        path.write_bytes(whole)
        train.main([*argv, "--resume"] if place else argv)
        assert_same_end(folder, straight)


def test_a_batch_larger_than_the_split_is_refused(words, tmp_path, refusal):
    assert "--batch_size 5" in refusal(words("--batch_size", 5))
    assert not list(tmp_path.iterdir())


def test_an_earlier_run_is_not_written_over(run, words, refusal):
    before = contents(run("--max_steps", 1) / "last")
    assert "--resume" in refusal(words())
    assert contents(run("--max_steps", 1, "--resume") / "last").keys() == before.keys()


def test_resuming_what_is_not_there_is_refused(words, tmp_path, refusal):
    assert str(tmp_path / "run" / "last") in refusal(words("--resume"))


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_items(run, words, refusal):
    folder = run("--num_epochs", 1)
    before = {name: contents(folder / name) for name in ("best", "last")}
    message = refusal(words("--num_epochs", 3, "--resume", "--learning_rate", 1e30))
    assert "the loss is " in message
    assert sum(f"train_{index}.npy" in message for index in range(4)) == 2  # the batch
    assert {name: contents(folder / name) for name in ("best", "last")} == before


@pytest.mark.parametrize(("frequency", "logged_before"), [(1, 2), (100, 1)])
def test_the_step_and_the_items_of_a_loss_that_is_not_finite_are_named_and_nothing_is_saved(
    words, numbers, tmp_path, refusal, frequency, logged_before
):
    """Whether it is logged or read when a checkpoint is due."""
    data = shutil.copytree(numbers, tmp_path / "data")
    order = np.random.default_rng((0, 0)).permutation(4)
    np.save(data / f"train_{order[2]}.npy", np.full(NUMBERS, np.inf, np.float32))
    how = ("--batch_size", 1, "--save_every_steps", 3, "--log_frequency", frequency)
    message = refusal(words(*how, data=data))
    assert f"at step 2, on the items train_{order[2]}.npy;" in message
    assert not (tmp_path / "run" / "last").exists()
    assert len(losses(tmp_path / "run")) == logged_before


READS = ("numpy", "item", "tolist", "__float__", "__int__", "__bool__", "__array__", "__index__")


@pytest.mark.parametrize("task", [stub_task.StubTask, SelfSupervised])
def test_nothing_is_read_from_the_device_between_a_batch_and_the_step(
    words, streets, monkeypatch, task
):
    """Else it would wait for its next work; what is read later is still read."""
    reads = {"before": 0, "after": 0}
    place = ["after"]

    def counting(method):
        def read(self, *args, **more):
            reads[place[0]] += 1
            return method(self, *args, **more)

        return read

    def entering(name, method):
        def enter(self, *args):
            place[0] = name
            return method(self, *args)

        return enter

    apply = Update.apply

    def apply_and_leave(self):
        apply(self)
        place[0] = "after"

    for name in READS:
        method = getattr(paddle.Tensor, name, None)
        if method is not None:
            monkeypatch.setattr(paddle.Tensor, name, counting(method))
    monkeypatch.setattr(trainer, "task_of", task)
    monkeypatch.setattr(task, "inputs", entering("before", task.inputs))
    monkeypatch.setattr(Update, "apply", apply_and_leave)
    more = ("--accumulate", 2, "--batch_size", 1, "--clip_norm", 1, "--ema_decay", 0.9)
    more += ("--log_frequency", 100, "--weights_init", "scratch")
    if task is SelfSupervised:
        more += ("--split", streets / "splits", "--data_path", streets)
    run = Trainer(parse(TrainOptions, words(*more)))
    run.stop = SimpleNamespace(requested=False)
    run.train_on(next(in_turns(run.train_loader.batches(0), 2)))
    assert reads["before"] == 0
    assert reads["after"] > 0
    assert np.isfinite(run.loss.value)


def test_resuming_with_other_options_names_them(run, caplog):
    run("--max_steps", 1)
    run("--resume", "--max_steps", 2, "--learning_rate", 0.01, "--num_workers", 1)
    assert "learning_rate was 0.02, is 0.01" in caplog.text
    assert "max_steps" not in caplog.text
    assert "num_workers" not in caplog.text


def test_a_run_remembers_the_rate_that_it_was_given_by_its_start(run, words, tmp_path, caplog):
    caplog.set_level("INFO")
    first = run("--max_steps", 1, name="first")
    argv = words("--task", "supervised", "--dataset", "rgbd", "--max_steps", 1, name="second")
    for word, values in (("--learning_rate", 1), ("--frame_ids", 1), ("--use_stereo", 0)):
        place = argv.index(word)
        del argv[place : place + 1 + values]
    train.main([*argv, "--load_weights_folder", str(first / "last")])
    assert "learning rate 0.01 (start)" in caplog.text
    argv[argv.index("--max_steps") + 1] = "2"
    train.main([*argv, "--resume"])
    rates = [row["learning_rate"] for row in logged(tmp_path / "second")]
    assert rates == [0.01, 0.01]
    assert "with other options" not in caplog.text.rpartition("resuming")[2]


def test_a_damaged_last_checkpoint_is_named_and_the_run_goes_on(run, caplog):
    straight, folder = (run("--num_epochs", 2, name=name) for name in ("straight", "damaged"))
    path = folder / "last" / "depth.safetensors"
    path.write_bytes(path.read_bytes()[:-2])
    run("--num_epochs", 2, "--resume", name="damaged")
    assert str(path) in caplog.text
    assert_same_end(folder, straight)


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_before_its_first_checkpoint(words, monkeypatch, *more):
    def kill(self, name):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "save", kill)
        train.main(words(*more, name="killed"))


def test_a_run_killed_before_its_first_checkpoint_is_started_by_resuming(
    run, words, monkeypatch, caplog
):
    first = run("--max_steps", 2, "--seed", 1, name="first")
    start = ("--load_weights_folder", first / "last")
    straight = run("--num_epochs", 2, *start, name="straight")
    killed_before_its_first_checkpoint(words, monkeypatch, "--num_epochs", 2, *start)
    killed = straight.with_name("killed")
    assert len(losses(killed)) == 2
    assert not (killed / "last").exists()
    run("--num_epochs", 2, "--resume", name="killed")
    assert "stopped before its first checkpoint: starting it" in caplog.text
    assert_same_end(killed, straight)  # from its own weights


CURVES = ("--num_epochs", 3, "--scheduler", "one_cycle", "--ema_decay", 0.9)


def stopped_after(words, monkeypatch, step, *more, name):
    """Train until a request to stop is seen after so many steps."""
    train_on = Trainer.train_on

    def train_on_and_stop(self, turns):
        train_on(self, turns)
        self.stop.requested = self.progress.step == step

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "train_on", train_on_and_stop)
        train.main(words(*more, name=name))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_resumed_run_goes_on_with_its_curve_and_its_average(run, words, monkeypatch, step):
    straight = run(*CURVES, name="straight")
    stopped_after(words, monkeypatch, step, *CURVES, name="stopped")
    folder = straight.with_name("stopped")
    assert progress(folder)["step"] == len(losses(folder)) == step
    run(*CURVES, "--resume", "--max_steps", 4, name="stopped")  # a pause
    assert len(losses(folder)) == 4
    run(*CURVES, "--resume", name="stopped")
    assert_same_end(straight, folder)
    rates = [[row["learning_rate"] for row in logged(each)] for each in (straight, folder)]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) == 6
    assert rates[0][0] == pytest.approx(0.02 / 25)
    assert max(rates[0]) == rates[0][2] < 0.02  # of 6 steps, 1.8 lead up to it


def test_a_validation_that_ends_early_does_not_mix_up_average_and_weights(
    run, words, numbers, tmp_path, refusal
):
    straight = run(*CURVES, name="straight")
    data = shutil.copytree(numbers, tmp_path / "data")
    path = data / "val_0.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert str(path) in refusal(words(*CURVES, data=data))
    path.write_bytes(whole)
    folder = run(*CURVES, "--resume", data=data)
    assert_same_end(straight, folder)


def test_a_curve_is_not_followed_beyond_its_end(run, words, refusal):
    curve = ("--scheduler", "cosine", "--num_epochs", 9)
    folder = run(*curve, "--max_steps", 2)
    before = contents(folder / "last")
    message = refusal(words(*curve, "--max_steps", 4, "--resume"))
    assert "was laid out for 2" in message
    assert "--load_weights_folder" in message
    assert contents(folder / "last") == before
    run("--num_epochs", 9, "--max_steps", 4, "--resume")  # the published one has no end
    assert len(losses(folder)) == 4


def test_the_rate_warms_up_step_by_step_and_falls_epoch_by_epoch(run):
    more = ("--num_epochs", 4, "--scheduler_step_size", 2, "--warmup_steps", 3)
    rates = [row["learning_rate"] for row in logged(run(*more))]
    assert rates == pytest.approx([0.005, 0.01, 0.015, 0.02, 0.002, 0.002, 0.002, 0.002])


def weights_of(folder):
    """All weights of a weights folder, by their name in the model."""
    files = {file.partition(".")[0]: load_file(folder / file) for file in WEIGHTS}
    return {f"{part}.{name}": value for part in files for name, value in files[part].items()}


def test_weights_that_are_saved_are_the_average_of_those_trained(run, words):
    """Which are those of a run without an average; the average starts where training does."""
    more = ("--num_epochs", 3, "--save_every_steps", 1, "--keep_checkpoints", 9)
    plain, folder = (run(*more, "--ema_decay", d, name=f"d{d}") for d in (0, 0.25))
    assert losses(plain) == losses(folder)
    assert losses(plain, "val") != losses(folder, "val")
    start = Trainer(parse(TrainOptions, words(name="start"))).model.state_dict()
    expected = {name: value.numpy() for name, value in start.items()}
    by_step = {json.loads((f / "progress.json").read_text())["step"]: f for f in checkpoints(plain)}
    seen = 0
    for mine in reversed(checkpoints(folder)):  # from the oldest
        step = json.loads((mine / "progress.json").read_text())["step"]
        raw = load_file(mine / "raw_weights.safetensors")
        trained, saved = weights_of(by_step[step]), weights_of(mine)
        assert raw.keys() == trained.keys() == saved.keys() == expected.keys()
        if step > seen:  # the end of an epoch is saved again
            decay = min(0.25, step / (9 + step))
            expected = {n: decay * expected[n] + (1 - decay) * v for n, v in trained.items()}
            seen += 1
        assert seen == step
        for name in expected:
            np.testing.assert_array_equal(raw[name], trained[name])
            np.testing.assert_allclose(saved[name], expected[name], rtol=1e-5, atol=1e-7)
    assert seen == 6


def test_the_average_is_what_validation_measures(run, words):
    folder = run("--num_epochs", 3, "--ema_decay", 0.9)
    logged_losses = losses(folder, "val")
    judge = Trainer(parse(TrainOptions, words(name="judge")))
    judge.stop = SimpleNamespace(requested=False)
    load_into(judge.model, folder / "last", ("encoder", "depth"))
    assert judge.validate() == logged_losses[-1]
    load_into(judge.model, folder / "best", ("encoder", "depth"))
    assert judge.validate() == min(logged_losses)


def test_an_average_begins_and_ends_where_a_run_is_resumed(run, caplog):
    """Training itself goes on as it would have."""
    straight = run("--num_epochs", 3, name="straight")
    pieces = (("--max_steps", 2), ("--max_steps", 4, "--resume", "--ema_decay", 0.9), ("--resume",))
    for more in pieces:
        folder = run("--num_epochs", 3, *more, name="changed")
        assert (folder / "last" / "raw_weights.safetensors").exists() == ("--ema_decay" in more)
    assert losses(folder) == losses(straight)
    for file in WEIGHTS:
        names = [each / "last" / file for each in (straight, folder)]
        assert names[0].read_bytes() == names[1].read_bytes()
    assert "ema_decay was 0.0, is 0.9" in caplog.text


def test_raw_weights_that_are_missing_or_damaged_are_refused(run, words, refusal):
    folder = run("--num_epochs", 1, "--ema_decay", 0.9)
    path = folder / "last" / "raw_weights.safetensors"
    whole = path.read_bytes()
    for content in (whole[:-1], None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        message = refusal(words("--num_epochs", 2, "--ema_decay", 0.9, "--resume"))
        assert path.name in message
        path.write_bytes(whole)
    run("--num_epochs", 2, "--ema_decay", 0.9, "--resume")
    assert len(losses(folder)) == 4


def started(argv, **more):
    """Training in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", stub_task.__name__, *argv],
        cwd=stub_task.ROOT,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def wait_for_losses(process, folder, count):
    """Wait until a run has logged so many training steps."""
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() or len(whole_losses(folder)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)


def whole_losses(folder):
    """The lines of the training losses that are complete."""
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and '"train"' in line]


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(run, words, tmp_path):
    more = ("--num_epochs", 50, "--save_every_steps", 1)
    straight, folder = run(*more, name="straight"), tmp_path / "killed"
    rng = random.Random(0)
    for kill in range(3):
        process = started(words(*more, *["--resume"] * (kill > 0), name="killed"))
        wait_for_losses(process, folder, 20 * kill + 5)
        time.sleep(rng.uniform(0, 0.1))  # within a step, or while a checkpoint is written
        process.kill()
        process.communicate()
        assert len(whole_losses(folder)) < 100
    run(*more, "--resume", name="killed")
    assert_same_end(folder, straight)


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_saves_the_steps_done_and_resuming_finishes(run, words, tmp_path):
    process = started(words("--num_epochs", 100_000))
    folder = tmp_path / "run"
    wait_for_losses(process, folder, 3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == EXIT_INTERRUPTED
    assert "--resume goes on from there" in error
    assert "Traceback" not in error
    step = progress(folder)["step"]
    assert step == len(losses(folder))
    run("--max_steps", step + 1, "--num_epochs", 100_000, "--resume")
    assert len(losses(folder)) == step + 1


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_a_closed_terminal_saves_the_steps_done(run, words, tmp_path):
    """It hangs up twice, workers too, and can no longer be written to."""
    process = started(words("--num_epochs", 100_000, "--num_workers", 1), start_new_session=True)
    folder = tmp_path / "run"
    wait_for_losses(process, folder, 3)
    process.stderr.close()
    for _ in range(2):
        os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(timeout=120) == EXIT_INTERRUPTED
    assert progress(folder)["step"] == len(losses(folder))
    assert not (tmp_path / ".run.lock").exists()


def test_one_job_trains_a_run_until_it_ends_or_is_killed(run, words, tmp_path, refusal):
    more = ("--num_epochs", 100_000)
    process, folder = started(words(*more)), tmp_path / "run"
    wait_for_losses(process, folder, 1)
    for resume in ([], ["--resume"]):
        message = refusal(words(*more, *resume))
        assert f"{folder}: another process trains there; wait for it, or choose another" in message
    run("--max_steps", 1, name="other")
    wait_for_losses(process, folder, len(losses(folder)) + 3)
    process.kill()
    process.communicate()
    step = progress(folder)["step"]
    run("--max_steps", step + 1, *more, "--resume")
    assert progress(folder)["step"] == len(losses(folder)) == step + 1


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("more", [("--num_epochs", 2), ("--max_steps", 3)])
def test_a_finished_run_says_so_and_stays_as_it_is(run, more, caplog):
    caplog.set_level("INFO")
    folder = run(*more)
    before = everything(folder)
    assert len(losses(folder, "val")) == 2
    assert "is finished" not in caplog.text
    run(*more, "--resume")
    assert f"{folder}: is finished, after" in caplog.text
    assert everything(folder) == before
    assert progress(run("--max_steps", 5, "--resume"))["step"] == 5


@pytest.mark.parametrize("more", [("--num_epochs", 2), ("--max_steps", 3)])
def test_a_run_stopped_before_its_last_validation_is_validated(run, words, monkeypatch, more):
    straight = run(*more, name="straight")
    stopped_after(words, monkeypatch, progress(straight)["step"], *more, name="stopped")
    assert_same_end(straight, run(*more, "--resume", name="stopped"))


DATA = "--allow_changed_data"


def test_a_resume_on_fewer_items_is_refused_or_ends_the_epoch(
    run, words, tmp_path, refusal, capsys
):
    data = write_items(tmp_path / "data", train=8)
    more = ("--num_epochs", 2, "--batch_size", 1)
    folder = run(*more, "--max_steps", 5, data=data)
    before = everything(folder)
    for index in range(3, 8):
        (data / f"train_{index}.npy").unlink()
    message = refusal(words(*more, "--resume", data=data))
    assert "train: files in . was 8 (" in message
    assert "is 3 (" in message
    assert "the epoch has 3 steps and 5 of them are done" in message
    assert DATA in message
    assert everything(folder) == before
    for path in (folder / "last" / "SHA256SUMS", folder / "last" / "progress.json"):
        content = json.loads(path.read_text()) if path.suffix else {}
        path.unlink()
    path.write_text(json.dumps({**content, "data": {}}))  # does not say what it was trained on
    message = refusal(words(*more, "--resume", data=data))
    assert "the epoch has 3 steps and 5 of them are done" in message
    run(*more, "--resume", DATA, data=data)
    assert "goes on with other data: the epoch has 3 steps" in capsys.readouterr().err
    assert progress(folder)["epoch"] == 2
    assert progress(folder)["step"] == 8
    assert len(losses(folder, "val")) == 2  # the epoch that has become shorter was validated


@pytest.mark.parametrize("part", ["train", "val"])
def test_changed_data_are_named_and_the_choice_is_remembered(
    run, words, numbers, tmp_path, refusal, part
):
    data = shutil.copytree(numbers, tmp_path / "data")
    folder = run("--num_epochs", 1, data=data)
    path, best = data / f"{part}_0.npy", progress(folder)["best_loss"]
    np.save(path, np.load(path) + (100 if part == "val" else 1))
    message = refusal(words("--num_epochs", 2, "--resume", data=data))
    assert f"{part}: files in ." in message
    run("--num_epochs", 2, "--resume", DATA, data=data)
    after = progress(folder)["best_loss"]
    if part == "val":  # losses on other data say nothing
        assert best < after == losses(folder, "val")[-1]
    else:
        assert after <= best
    run("--num_epochs", 3, "--resume", data=data)
    assert progress(folder)["epoch"] == 3


def test_options_that_decide_the_data_are_refused_like_changed_data(run, words, refusal):
    run("--num_epochs", 1)
    message = refusal(words("--num_epochs", 2, "--resume", "--seed", 1))
    assert "seed was 0, is 1" in message
    assert DATA in message
    run("--num_epochs", 2, "--resume", "--seed", 1, DATA)
    assert DATA in refusal(words("--num_epochs", 2, DATA, name="new"))


def test_the_same_data_elsewhere_are_the_same(run, numbers, tmp_path):
    folder = run("--num_epochs", 1)
    copy = shutil.copytree(numbers, tmp_path / "elsewhere" / "copy")
    run("--num_epochs", 2, "--resume", data=copy)
    assert progress(folder)["epoch"] == 2


def test_logs_that_cannot_be_written_end_the_run_with_its_steps_saved(
    run, words, tmp_path, monkeypatch, refusal
):
    straight, written = run("--num_epochs", 2, name="straight"), []
    append = logger.append

    def fail_at_the_third_step(file, content):
        written.append(b'"phase": "train"' in content)
        if sum(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(file.name))
        append(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(logger, "append", fail_at_the_third_step)
        message = refusal(words("--num_epochs", 2))
    folder = tmp_path / "run"
    assert f"{folder / 'metrics.jsonl'}: cannot be written to (No space left on device)" in message
    assert "stopped at step 3; --resume goes on from there" in message
    run("--num_epochs", 2, "--resume")
    for name in WEIGHTS:
        assert contents(folder / "last")[name] == contents(straight / "last")[name]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    allowed = shutil.which("mount") is not None
    if not allowed or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_nothing_of_a_run_is_lost_on_a_disk_that_is_full_to_the_brim(
    run, words, small_disk, refusal
):
    more = ("--num_epochs", 2, "--save_every_steps", 1)
    straight = run(*more, name="straight")
    folder = run(*more, "--max_steps", 2, logs=small_disk)
    before = {
        path.name: contents(path)
        for path in folder.iterdir()
        if (path / "depth.safetensors").is_file()
    }
    assert {"best", "last"} <= before.keys()
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    assert shutil.disk_usage(small_disk).free == 0
    message = refusal(words(*more, "--resume", logs=small_disk))
    assert str(folder) in message
    assert "room" in message
    (small_disk / "filler").unlink()
    assert {name: contents(folder / name) for name in before} == before
    run(*more, "--resume", logs=small_disk)
    assert_same_end(folder, straight)


def test_weights_of_each_epoch_are_kept_where_the_published_code_has_them(run):
    folder = run("--num_epochs", 4, "--save_frequency", 2)
    kept = folder / "models"
    assert sorted(path.name for path in kept.iterdir()) == ["weights_1", "weights_3"]
    for name, step in (("weights_1", 4), ("weights_3", 8)):
        assert json.loads((kept / name / "model.json").read_text())["step"] == step
        assert not (kept / name / "optimiser.safetensors").exists()
    last, kept_last = (
        load_file(f / "depth.safetensors") for f in (folder / "last", kept / "weights_3")
    )
    for key, value in last.items():
        np.testing.assert_array_equal(kept_last[key], value)
    assert not (run("--num_epochs", 2, name="plain") / "models").exists()


def test_a_part_of_an_epoch_is_not_kept_as_one(run):
    folder = run("--num_epochs", 3, "--save_frequency", 1, "--max_steps", 3)
    assert [path.name for path in (folder / "models").iterdir()] == ["weights_0"]
