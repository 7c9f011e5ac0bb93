"""Checkpoints: a resumed run equals one without a stop, and no failure harms an earlier one."""

from __future__ import annotations

import contextlib
import errno
import json
import sys

import numpy as np
import paddle
import pytest
from paddle import nn
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

import weight_files.folder
from networks.monodepth import Architecture
from system import files, folders
from system.errors import InputError
from training import checkpoint
from training.checkpoint import (
    Progress,
    checkpoints,
    load_checkpoint,
    optimiser_arrays,
    restore_optimiser,
    resume,
    save_checkpoint,
)
from weight_files.folder import load_into, read_info
from weight_files.model_info import ModelInfo

INFO = ModelInfo(Architecture(), height=64, width=64)
SUMS = ["SHA256SUMS"]
WEIGHTS = ["depth.safetensors", "encoder.safetensors", "model.json"]
RESUME = ["optimiser.safetensors", "progress.json"]


class Tiny(nn.Layer):
    """The modules of a model without pose network, as small as can be, with running statistics."""

    def __init__(self, seed):
        super().__init__()
        self.architecture = Architecture()
        paddle.seed(seed)
        self.encoder = nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.ReLU())
        self.depth = nn.Linear(4, 1)

    def forward(self, x):
        return self.depth(self.encoder(x).mean([2, 3]))


def start(seed=0, learning_rate=0.01):
    model = Tiny(seed)
    return model, paddle.optimizer.Adam(learning_rate, parameters=model.parameters())


def train(model, optimiser, steps):
    """Optimiser steps, each on the batch of its number."""
    for step in steps:
        x = np.random.default_rng(step).random((2, 3, 8, 8), np.float32)
        (model(paddle.to_tensor(x)) - 1).square().mean().backward()
        optimiser.step()
        optimiser.clear_grad()


def state(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def equal(a, b):
    assert a.keys() == b.keys()
    return all(np.array_equal(a[name], b[name]) for name in a)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def refusal(call, *args):
    with pytest.raises(InputError) as error:
        call(*args)
    return str(error.value)


@pytest.fixture
def trained():
    model, optimiser = start()
    train(model, optimiser, range(2))
    return model, optimiser


@pytest.fixture
def saved(trained, tmp_path):
    """A checkpoint after two steps."""
    save_checkpoint(tmp_path / "last", trained[0], INFO, trained[1], Progress(1, 0, 2, 0.25))
    return tmp_path / "last"


@pytest.fixture
def unsummed(saved):
    """The checkpoint without the checksums that tell of every damage."""
    (saved / files.SUMS_FILE).unlink()
    return saved


def test_a_resumed_run_equals_one_without_a_stop(saved, trained):
    model, optimiser = start(seed=1)  # another model: all of it has to come from the folder
    assert not equal(state(model), state(trained[0]))
    assert load_checkpoint(saved, model, optimiser) == Progress(1, 0, 2, 0.25)
    assert equal(state(model), state(trained[0]))
    for pair in (trained, (model, optimiser)):
        train(*pair, range(2, 5))
    assert equal(state(model), state(trained[0]))
    assert equal(optimiser_arrays(model, optimiser), optimiser_arrays(*trained))


def test_the_weights_alone_do_not_continue_a_run(saved, trained):
    model, optimiser = start(seed=1)
    load_into(model, saved, ("encoder", "depth"))
    for pair in (trained, (model, optimiser)):
        train(*pair, [2])
    assert not equal(state(model), state(trained[0]))


def test_the_saved_moments_are_adams(tmp_path):
    # Every step's gradient of the output's sum is the mean feature, or 1 for the bias.
    model, optimiser = start(learning_rate=0.0)
    model.eval()
    x = paddle.to_tensor(np.random.default_rng(0).random((1, 3, 8, 8), np.float32))
    gradient = model.encoder(x).mean([2, 3]).numpy().T
    for _ in range(3):
        model(x).sum().backward()
        optimiser.step()
        optimiser.clear_grad()
    save_checkpoint(tmp_path / "last", model, INFO, optimiser, Progress())
    arrays = load_file(tmp_path / "last" / "optimiser.safetensors")
    for name, g in (("depth.weight", gradient), ("depth.bias", np.ones(1))):
        first, second = (arrays[f"{name}/moment{i}_0"] for i in (1, 2))
        np.testing.assert_allclose(first, (1 - 0.9**3) * g, rtol=1e-5)
        np.testing.assert_allclose(second, (1 - 0.999**3) * g**2, rtol=1e-3)
        # Paddle keeps the powers that correct the bias of the coming step.
        assert arrays[f"{name}/beta1_pow_acc_0"][0] == pytest.approx(0.9**4)
        assert arrays[f"{name}/beta2_pow_acc_0"][0] == pytest.approx(0.999**4)
    learned = {name for name, value in model.named_parameters() if not value.stop_gradient}
    assert {key.rsplit("/", 1)[0] for key in arrays} == learned


def test_a_run_can_be_saved_before_its_first_step(tmp_path):
    model, optimiser = start()
    save_checkpoint(tmp_path / "last", model, INFO, optimiser, Progress())
    other = start(seed=1)
    assert load_checkpoint(tmp_path / "last", *other) == Progress(0, 0, 0, None)
    for pair in ((model, optimiser), other):
        train(*pair, range(2))
    assert equal(state(model), state(other[0]))


def test_weights_are_saved_without_an_optimiser(saved, trained, tmp_path):
    save_checkpoint(tmp_path / "best", trained[0], INFO)
    assert sorted(contents(tmp_path / "best")) == SUMS + WEIGHTS
    assert sorted(contents(saved)) == SUMS + WEIGHTS + RESUME
    assert "best" in refusal(load_checkpoint, tmp_path / "best", *start())


class Killed(BaseException):
    """Stands for the end of the process."""


def fail_at(patch, name, error):
    """Make writing the file ``name`` raise ``error`` half-way."""

    def failing(write, name_of, half):
        def write_or_fail(*args, **kwargs):
            path = name_of(*args)
            if path.name != name:
                return write(*args, **kwargs)
            path.write_bytes(half)
            raise error

        return write_or_fail

    for module in (weight_files.folder, checkpoint):
        patch.setattr(module, "save_file", failing(save_file, lambda arrays, path: path, b"{"))
    folder = type(checkpoint.Path())
    text = failing(folder.write_text, lambda path, *rest: path, b"{")
    patch.setattr(checkpoint.Path, "write_text", text)


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        *((name, FULL) for name in WEIGHTS + RESUME),
        ("depth.safetensors", SafetensorError("I/O error: No space left on device")),
    ],
)
def test_a_full_disk_leaves_the_earlier_checkpoint(name, error, saved, trained, monkeypatch):
    before, earlier = contents(saved), state(trained[0])
    train(*trained, [2])
    with monkeypatch.context() as patch:
        fail_at(patch, name, error)
        message = refusal(save_checkpoint, saved, trained[0], INFO, trained[1], Progress(1, 1, 3))
    assert message.startswith(f"{saved}: cannot be saved")
    assert "No space left on device" in message
    assert "unharmed" in message
    assert list(saved.parent.iterdir()) == [saved]  # nothing half-written beside it
    assert contents(saved) == before
    model, optimiser = start(seed=1)
    assert load_checkpoint(saved, model, optimiser).step == 2
    assert equal(state(model), earlier)

    save_checkpoint(saved, trained[0], INFO, trained[1], Progress(1, 1, 3))
    assert load_checkpoint(saved, model, optimiser).step == 3
    assert equal(state(model), state(trained[0]))


def test_a_full_disk_at_the_first_save_leaves_nothing(trained, tmp_path, monkeypatch):
    folder = tmp_path / "last"
    with monkeypatch.context() as patch:
        fail_at(patch, "progress.json", FULL)
        message = refusal(save_checkpoint, folder, trained[0], INFO, trained[1], Progress())
    assert "none was there yet" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_the_systems_own_refusal_to_write_is_reported(saved, trained):
    import resource  # noqa: PLC0415

    before = contents(saved)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, hard))
    try:
        message = refusal(save_checkpoint, saved, trained[0], INFO, trained[1], Progress())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert message.startswith(f"{saved}: cannot be saved")
    assert contents(saved) == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("name", ["depth.safetensors", "progress.json"])
def test_a_kill_while_saving_leaves_the_earlier_checkpoint(name, saved, trained, monkeypatch):
    before = contents(saved)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        fail_at(patch, name, Killed())
        save_checkpoint(saved, trained[0], INFO, trained[1], Progress(2, 0, 4))
    assert contents(saved) == before
    save_checkpoint(saved, trained[0], INFO, trained[1], Progress(2, 0, 4))
    assert load_checkpoint(saved, *start()).step == 4
    assert list(saved.parent.iterdir()) == [saved]  # the next save clears what was left


def test_a_refused_last_rename_puts_the_earlier_checkpoint_back(saved, trained, monkeypatch):
    before = contents(saved)
    folder = type(saved)
    rename = folder.rename

    def refuse_new(path, target):
        if path.name.endswith(".new"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "rename", refuse_new)
        message = refusal(save_checkpoint, saved, trained[0], INFO, trained[1], Progress())
    assert "unharmed" in message
    assert contents(saved) == before


def test_loading_recovers_a_checkpoint_that_a_kill_left_aside(saved):
    saved.rename(folders.backup_of(saved))
    assert load_checkpoint(saved, *start()).step == 2
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize(
    "text", ["", '{"epoch": 1', "null", "[1, 2]", "3", '{"epochs": 1}', "\x00" * 40]
)
def test_a_garbled_progress_file_is_refused(text, unsummed):
    (unsummed / "progress.json").write_text(text)
    assert refusal(load_checkpoint, unsummed, *start()).startswith(f"{unsummed}: not a checkpoint")


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": "1"},
        {"step": -1},
        {"step_in_epoch": 0.5},
        {"best_loss": "low"},
        {"schedule_steps": -1},
        {"schedule_steps": 0.5},
        {"averaged": "no"},
        {"averaged": True},  # and the raw weights are not there
    ],
)
def test_impossible_progress_is_refused(changes, unsummed):
    path = unsummed / "progress.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert str(unsummed) in refusal(load_checkpoint, unsummed, *start())


@pytest.mark.parametrize("name", RESUME)
def test_a_missing_file_is_refused(name, saved):
    (saved / name).unlink()
    message = refusal(load_checkpoint, saved, *start())
    assert message.startswith(f"{saved}: not a checkpoint")
    assert name in message


def test_a_truncated_optimiser_file_is_refused(unsummed):
    path = unsummed / "optimiser.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert refusal(load_checkpoint, unsummed, *start()).startswith(f"{unsummed}: not a checkpoint")


def test_the_optimiser_of_another_model_is_refused(unsummed):
    path = unsummed / "optimiser.safetensors"
    save_file({f"pose.{key}": value for key, value in load_file(path).items()}, path)
    assert refusal(load_checkpoint, unsummed, *start()).startswith(f"{unsummed}: not a checkpoint")


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.clear(),
        lambda arrays: arrays.pop("depth.weight/moment2_0"),
        lambda arrays: arrays.update({"depth.weight/moment1_0": np.zeros((2, 2), np.float32)}),
        lambda arrays: arrays.update({"depth.bias/moment1_0": np.full(1, np.nan, np.float32)}),
    ],
    ids=["empty", "missing", "shape", "not finite"],
)
def test_an_incomplete_optimiser_is_refused(change, unsummed):
    path = unsummed / "optimiser.safetensors"
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path)
    assert str(unsummed) in refusal(load_checkpoint, unsummed, *start())


def test_a_damaged_weight_file_is_named(saved):
    (saved / "depth.safetensors").write_bytes(b"")
    message = refusal(load_checkpoint, saved, *start())
    assert message.startswith(str(saved / "depth.safetensors"))


@pytest.mark.parametrize("name", [*WEIGHTS, *RESUME])
def test_one_changed_bit_is_noticed(name, saved):
    path = saved / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if name == "model.json":
        message = refusal(read_info, saved)
    else:
        message = refusal(load_checkpoint, saved, *start())
    assert message.startswith(f"{path}: damaged")


@pytest.fixture
def run(tmp_path):
    """The folder of a run that keeps 3 checkpoints, of which step 5 is the newest."""
    model, optimiser = start()
    for step in range(1, 6):
        train(model, optimiser, [step])
        folder = tmp_path / "last"
        save_checkpoint(folder, model, INFO, optimiser, Progress(0, step, step), keep=3)
    return tmp_path


def steps_of(run):
    return [json.loads((f / "progress.json").read_text())["step"] for f in checkpoints(run)]


def test_the_last_few_checkpoints_are_kept(run):
    assert sorted(path.name for path in run.iterdir()) == ["last", "previous_1", "previous_2"]
    assert steps_of(run) == [5, 4, 3]


def test_fewer_are_kept_when_asked_for(run):
    model, optimiser = start()
    train(model, optimiser, [6])
    save_checkpoint(run / "last", model, INFO, optimiser, Progress(0, 6, 6), keep=2)
    assert steps_of(run) == [6, 5]


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(run, caplog):
    path = run / "last" / "optimiser.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert resume(run, *start()).step == 4
    assert str(path) in caplog.text
    assert str(run / "previous_1") in caplog.text


def test_checksums_that_lost_their_last_lines_are_named(run, caplog):
    path = run / "last" / "SHA256SUMS"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "progress.json" not in line))
    assert resume(run, *start()).step == 4
    assert f"{path}: damaged, it does not name progress.json" in caplog.text


def test_a_kill_before_the_newest_gets_its_name_leaves_it_readable(run, monkeypatch):
    model, optimiser = start()
    train(model, optimiser, [6])
    rename = type(run).rename

    def rename_or_die(path, target):
        if path == run / ".last.new":
            raise Killed
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(type(run), "rename", rename_or_die)
        save_checkpoint(run / "last", model, INFO, optimiser, Progress(0, 6, 6), keep=3)
    assert not (run / "last").exists()
    assert read_info(run / "last") == INFO


def test_a_run_without_a_whole_checkpoint_is_refused(run, tmp_path):
    for folder in checkpoints(run):
        (folder / "depth.safetensors").write_bytes(b"")
    assert str(run / "last" / "depth.safetensors") in refusal(resume, run, *start())
    (tmp_path / "new").mkdir()
    assert "no checkpoint" in refusal(resume, tmp_path / "new", *start())


@pytest.mark.parametrize("survived", range(6))
def test_a_kill_while_moving_on_leaves_a_checkpoint(survived, run, monkeypatch):
    model, optimiser = start()
    train(model, optimiser, [6])
    rename, calls = type(run).rename, []

    def rename_or_die(path, target):
        if len(calls) == survived:
            raise Killed
        calls.append(path)
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(run), "rename", rename_or_die)
        with contextlib.suppress(Killed):
            save_checkpoint(run / "last", model, INFO, optimiser, Progress(0, 6, 6), keep=3)
    assert resume(run, *start()).step == (6 if len(calls) == 3 else 5)
    save_checkpoint(run / "last", model, INFO, optimiser, Progress(0, 6, 6), keep=3)
    assert steps_of(run)[0] == 6
    assert resume(run, *start()).step == 6


def test_a_state_that_was_restored_is_there_before_the_next_step(monkeypatch):
    layer = paddle.nn.Linear(2, 2)
    adam = paddle.optimizer.Adam(parameters=layer.parameters())
    layer(paddle.ones([1, 2])).sum().backward()
    adam.step()
    arrays = optimiser_arrays(layer, adam)
    restored = paddle.optimizer.Adam(parameters=layer.parameters())
    restore_optimiser(layer, restored, arrays)
    monkeypatch.setattr(restored, "state_dict", dict)  # as in Paddle 2.6
    found = optimiser_arrays(layer, restored)
    assert found.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)
