"""Several processes train as one would with their joint batch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

import train
from datasets.loader import Loader, Share
from system.errors import InputError
from tests import stub_task
from tests.stub_items import write_items
from training import group as module
from training.checkpoint import Progress
from training.group import Group, synchronised
from training.schedule import in_turns, with_steps_of

ROOT = Path(__file__).resolve().parents[1]
# What each of the processes does, one after the other; the last run goes on until it is killed.
PROGRAM = """
import logging, sys
from functools import lru_cache
from pathlib import Path
import numpy as np, paddle
from paddle import nn
from options import TrainOptions, parse
from tests import stub_task
from training import trainer
from training.group import Group, join_group
from training.self_supervised import SelfSupervised

logging.basicConfig(level=logging.INFO, force=True)
out, streets, numbers = map(Path, sys.argv[1:])
trainer.join_group = lru_cache(join_group)
group = trainer.join_group()
Group._leave = lambda group: None  # before the last run has ended

paddle.seed(group.rank)  # as if the machines' numbers were not the same
apart = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1D(4))
apart[1]._mean.set_value(paddle.full([4], float(group.rank)))
group.equalise(apart)
given = np.concatenate([value.numpy().ravel() for value in apart.state_dict().values()])
paddle.seed(0)
layer = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
norm = nn.BatchNorm2D(2)
norm._mean.set_value(paddle.full([2], float(group.rank)))
data = paddle.to_tensor(np.random.default_rng(0).random((4, 3), np.float32))
share = data[2 * group.rank : 2 * group.rank + 2] if group.size > 1 else data
(layer(share) ** 2).mean().backward()
values = paddle.to_tensor([float(group.rank), 1.0])
values = group.share(nn.LayerList([layer, norm]), values).numpy()
mean = group.mean([group.rank, 3])
grads = [p.grad.numpy().ravel() for p in layer.parameters()]
np.savez(out / f"{group.size}_{group.rank}.npz", values=values, mean=mean,
         given=given, statistic=norm._mean.numpy(), grads=np.concatenate(grads))
if group.size == 1:
    sys.exit()

def train(task, name, *more, data=numbers):
    trainer.task_of = task
    more = ("--batch_size", 1, "--split", streets / "splits", *more)
    trainer.train(parse(TrainOptions, stub_task.words(data, out, *more, name=name)))
    group.mean([0])  # the second process waits until the first one has saved

class Apart(SelfSupervised):
    def initial_model(self):
        model = super().initial_model()
        bias = model.depth.output_0.conv.bias
        bias.set_value(bias + group.rank)
        return model

    def model_with_loss(self, model):
        np.save(out / f"bias_{group.rank}.npy", model.depth.output_0.conv.bias.numpy())
        return super().model_with_loss(model)

train(Apart, "streets", "--max_steps", 2, "--weights_init", "scratch", data=streets)
stub = stub_task.StubTask
train(stub, "straight", "--num_epochs", 2, "--ema_decay", 0.9)
train(stub, "stopped", "--num_epochs", 2, "--ema_decay", 0.9, "--max_steps", 3)
train(stub, "stopped", "--num_epochs", 2, "--ema_decay", 0.9, "--resume")
train(stub, "killed", "--num_epochs", 10_000, "--save_every_steps", 1)
"""


class Numbers:
    """Stands for a split where only the order of its items matters."""

    seed = 3

    def __len__(self):
        return 50

    def item(self, epoch, index):
        return {"index": np.int64(index)}


def batches(batch_size, share, skip=0, shuffle=True):
    loader = Loader(Numbers(), batch_size, 0, shuffle, share=share)
    return [batch["index"].tolist() for batch in loader.batches(1, skip)]


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 4), (2, 2), (4, 1), (2, 1)])
def test_the_items_of_a_step_are_the_same_however_divided(processes, accumulate):
    joint = batches(3 * processes * accumulate, Share())
    for skip in (0, 2):
        parts = [
            list(in_turns(batches(3, Share(rank, processes, accumulate), skip), accumulate))
            for rank in range(processes)
        ]
        for step, expected in enumerate(joint[skip:]):
            got = [part[step][turn] for turn in range(accumulate) for part in parts]
            assert list(chain(*got)) == expected
        assert {len(part) for part in parts} == {len(joint) - skip}


def test_validation_leaves_out_nothing_and_repeats_nothing():
    seen = [batches(3, Share(rank, 4), shuffle=False) for rank in range(4)]
    assert sorted(chain(*chain(*seen))) == list(range(50))


def logs(log_dir):
    return "\n".join(p.read_text(errors="replace") for p in sorted(log_dir.glob("workerlog.*")))


def launch(out, streets):
    """Two processes, and one of them alone, leave in ``out`` what they compute."""
    out.mkdir()
    numbers = write_items(out / "numbers")
    program = out / "program.py"
    program.write_text(PROGRAM)
    words = [str(word) for word in (program, out, streets, numbers)]
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    command += ["--backend", "gloo", "--log_dir", str(out / "log"), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    alone = subprocess.Popen([sys.executable, *words], env=environment)
    with (out / "launcher.log").open("w") as log:
        job = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        assert alone.wait() == 0
        deadline = time.monotonic() + 240
        while not (out / "killed" / "last" / "progress.json").exists():
            assert job.poll() is None, logs(out / "log")
            assert time.monotonic() < deadline, logs(out / "log")
            time.sleep(0.1)
        os.kill(worker_of(job.pid), signal.SIGKILL)
        assert job.wait(120) != 0
    finally:
        job.kill()


@pytest.fixture(scope="module")
def launched(streets, made_once):
    """The folder of what :func:`launch` left."""
    if sys.platform != "linux":
        pytest.skip("Paddle has gloo on Linux only")
    return made_once("group", lambda out: launch(out, streets))


def test_gradients_equal_those_of_one_process_with_the_joint_batch(launched):
    one = np.load(launched / "1_0.npz")
    both = [np.load(launched / f"2_{rank}.npz") for rank in range(2)]
    for got in both:
        np.testing.assert_allclose(got["grads"], one["grads"], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(got["values"], [0.5, 1])
        np.testing.assert_allclose(got["mean"], [0.5, 3])
        np.testing.assert_allclose(got["statistic"], 0.5)
    np.testing.assert_array_equal(both[0]["grads"], both[1]["grads"])
    assert np.abs(one["grads"]).max() > 0.01


def test_all_begin_with_the_weights_of_the_first_process(launched):
    one = np.load(launched / "1_0.npz")["given"]
    both = [np.load(launched / f"2_{rank}.npz")["given"] for rank in range(2)]
    np.testing.assert_array_equal(both[0], one)
    np.testing.assert_array_equal(both[1], one)
    biases = [np.load(launched / f"bias_{rank}.npy") for rank in range(2)]
    np.testing.assert_array_equal(*biases)


def steps_logged(run):
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [row["step"] for row in rows if row["phase"] == "train"]


def test_two_processes_train_on_frames(launched):
    assert "2 items a step: 2 devices, --batch_size 1" in logs(launched / "log")
    assert steps_logged(launched / "streets") == [0, 1]  # of one process alone
    weights = load_file(launched / "streets" / "last" / "depth.safetensors")
    assert all(np.isfinite(value).all() for value in weights.values())


@pytest.fixture
def go_on(launched, tmp_path, monkeypatch):
    """Goes on with a run by itself, in a copy of its folder; returns its steps."""
    stub_task.use_stub(monkeypatch.setattr)

    def go_on(name, max_steps, *more):
        shutil.copytree(launched / name, tmp_path / name)
        words = ("--num_epochs", 10_000, "--max_steps", max_steps, "--resume", *more)
        train.main(stub_task.words(launched / "numbers", tmp_path, *words, name=name))
        return json.loads((tmp_path / name / "last" / "progress.json").read_text())["step"]

    return go_on


def test_two_processes_stop_and_resume_exactly(launched, go_on):
    for part in ("depth", "encoder", "raw_weights", "optimiser"):
        file = f"{part}.safetensors"
        straight, stopped = (launched / name / "last" / file for name in ("straight", "stopped"))
        assert straight.read_bytes() == stopped.read_bytes()
    assert steps_logged(launched / "straight") == steps_logged(launched / "stopped") == [0, 1, 2, 3]
    # With another number of processes the order of the items goes on.
    assert go_on("stopped", 5) == 5


def first_loss(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[0])["loss"]


def test_two_processes_compute_the_loss_of_one_that_takes_turns(launched, tmp_path, monkeypatch):
    """The noise of each item included, a hundred times as large as what is allowed here."""
    stub_task.use_stub(monkeypatch.setattr)
    how = ("--batch_size", 1, "--accumulate", 2, "--max_steps", 1)
    train.main(stub_task.words(launched / "numbers", tmp_path, *how))
    assert first_loss(launched / "straight") == pytest.approx(
        first_loss(tmp_path / "run"), rel=1e-5
    )


def test_a_killed_process_ends_the_job(launched, go_on):
    assert "lost another one" in logs(launched / "log")
    step = json.loads((launched / "killed/last/progress.json").read_text())["step"]
    assert go_on("killed", step + 1, "--save_every_steps", 1) == step + 1


def worker_of(parent):
    """The second process that a launcher has started."""
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            children.append(int(path.parent.name))
    return sorted(children)[-1]


def test_steps_of_another_size_keep_the_items_seen(caplog):
    progress = Progress(epoch=1, step_in_epoch=6, step=30, items_per_step=4)
    assert with_steps_of(progress, 4) == progress
    assert not caplog.records
    assert with_steps_of(progress, 8).step_in_epoch == 3
    assert "a step takes 8 items now, it took 4" in caplog.text
    assert with_steps_of(Progress(1, 6, 30), 8).step_in_epoch == 6  # it does not say


def test_one_process_is_alone():
    group = Group()
    assert group.is_first
    assert group.mean([1, 2]) == [1, 2]
    assert group.share(paddle.nn.Linear(1, 1), paddle.to_tensor([5.0])).tolist() == [5]


@pytest.mark.parametrize(("error", "done"), [(None, 1), (KeyboardInterrupt, 1), (OSError, 0)])
def test_only_who_is_done_leaves_the_others_alone(error, done):
    left = []
    group = Group(0, 2, SimpleNamespace(leave=lambda: left.append(1)))
    with suppress(*[error] * (error is not None)), group.together():
        if error is not None:
            raise error
    assert len(left) == done


def test_where_no_connection_can_be_made_that_is_said(monkeypatch, caplog):
    def refused(host):
        raise PermissionError(f"no sockets on {host}")

    monkeypatch.setenv("PADDLE_TRAINER_ENDPOINTS", "127.0.0.1:1,127.0.0.1:2")
    monkeypatch.setattr(module.dist, "broadcast", lambda tensor, src: None)
    monkeypatch.setattr(Group, "mean", lambda group, values: [float(value) for value in values])
    monkeypatch.setattr(module, "listen", refused)
    assert module._watched(Group(0, 2)) is None
    assert "lost will not be noticed: no sockets on 127.0.0.1" in caplog.text


@pytest.mark.parametrize(("size", "reason"), [(1, "one device only"), (2, "for GPUs only")])
def test_joint_normalisation_is_refused_where_it_cannot_be(size, reason):
    if size == 2 and paddle.device.get_device().startswith("gpu"):
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=reason):
        synchronised(paddle.nn.Linear(1, 1), Group(0, size))
