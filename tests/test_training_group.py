"""Several processes train as one would with their joint batch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

import train
from datasets.loader import Loader, Share
from errors import InputError
from training.checkpoint import Progress
from training.group import Group, synchronised
from training.schedule import in_turns, with_steps_of

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys, numpy as np, paddle
sys.path.insert(0, sys.argv[1])
from paddle import nn
from training.group import join_group
group = join_group()
paddle.seed(0)
layer = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
layer.register_buffer("statistic", paddle.full([2], float(group.rank)))
data = paddle.to_tensor(np.random.default_rng(0).random((4, 3), np.float32))
share = data[2 * group.rank : 2 * group.rank + 2] if group.size > 1 else data
(layer(share) ** 2).mean().backward()
values = group.share(layer, [float(group.rank), 1.0])
mean = group.mean([group.rank, 3])
grads = [p.grad.numpy().ravel() for p in layer.parameters()]
np.savez(f"{sys.argv[2]}/{group.size}_{group.rank}.npz", values=values, mean=mean,
         statistic=layer.statistic.numpy(), grads=np.concatenate(grads))
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


def launch(words, log_dir, **more):
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    command += ["--backend", "gloo", "--log_dir", log_dir, *words]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **more,
    )


def logs(log_dir):
    return "\n".join(p.read_text(errors="replace") for p in sorted(log_dir.glob("workerlog.*")))


needs_gloo = pytest.mark.skipif(sys.platform != "linux", reason="Paddle has gloo on Linux only")


@needs_gloo
def test_gradients_equal_those_of_one_process_with_the_joint_batch(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert launch([program, ROOT, tmp_path], tmp_path / "log").wait() == 0, logs(tmp_path / "log")
    subprocess.run([sys.executable, program, ROOT, tmp_path], check=True)
    one = np.load(tmp_path / "1_0.npz")
    both = [np.load(tmp_path / f"2_{rank}.npz") for rank in range(2)]
    for got in both:
        np.testing.assert_allclose(got["grads"], one["grads"], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(got["values"], [0.5, 1])
        np.testing.assert_allclose(got["mean"], [0.5, 3])
        np.testing.assert_allclose(got["statistic"], 0.5)
    np.testing.assert_array_equal(both[0]["grads"], both[1]["grads"])
    assert np.abs(one["grads"]).max() > 0.01


def words(streets, place, name, *more):
    common = ["--data_path", streets, "--split", streets / "splits", "--log_dir", place]
    common += ["--frame_ids", 0, "--use_stereo", "--height", 64, "--width", 64, "--num_workers", 0]
    common += ["--eager", "--log_frequency", 1, "--device", "cpu", "--model_name", name]
    return [str(word) for word in (*common, *more)]


def weights(run):
    return load_file(run / "last" / "depth.safetensors")


@needs_gloo
def test_two_processes_train_stop_and_resume_exactly(streets, tmp_path):
    def run(name, *more):
        log = tmp_path / f"log_{name}_{len(more)}"
        argv = ["train.py", *words(streets, tmp_path, name, "--batch_size", 1, *more)]
        assert launch(argv, log).wait() == 0, logs(log)
        return logs(log)

    said = run("straight", "--max_steps", 4)
    assert "2 items a step: 2 devices, --batch_size 1" in said
    run("stopped", "--max_steps", 2)
    run("stopped", "--max_steps", 4, "--resume")
    straight, stopped = weights(tmp_path / "straight"), weights(tmp_path / "stopped")
    assert all((straight[name] == stopped[name]).all() for name in straight)
    lines = (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()
    steps = [entry["step"] for entry in map(json.loads, lines) if entry["phase"] == "train"]
    assert steps == [0, 1, 2, 3]  # of one process alone
    # With another number of processes the order of the items goes on.
    train.main(words(streets, tmp_path, "stopped", "--batch_size", 2, "--max_steps", 5, "--resume"))
    assert json.loads((tmp_path / "stopped/last/progress.json").read_text())["step"] == 5


@needs_gloo
def test_a_killed_process_ends_the_job(streets, tmp_path):
    log = tmp_path / "log"
    more = ("--batch_size", 1, "--num_epochs", 500, "--save_every_steps", 1)
    job = launch(["train.py", *words(streets, tmp_path, "run", *more)], log)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "last" / "progress.json").exists():
            assert job.poll() is None, logs(log)
            assert time.monotonic() < deadline, logs(log)
            time.sleep(0.1)
        os.kill(worker_of(job.pid), signal.SIGKILL)
        assert job.wait(120) != 0
    finally:
        job.kill()
    assert "lost another one" in logs(log)
    step = json.loads((tmp_path / "run/last/progress.json").read_text())["step"]
    argv = words(streets, tmp_path, "run", "--batch_size", 2, "--max_steps", step + 1, "--resume")
    train.main(argv)


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


def test_accumulated_batches_are_as_one(streets, tmp_path):
    """All but batch normalisation, whose statistics are those of each batch."""
    losses = []
    for name, size in (("one", 2), ("two", 1)):
        accumulate = ("--accumulate", 2 // size, "--max_steps", 1, "--no_ssim")
        train.main(words(streets, tmp_path, name, "--batch_size", size, *accumulate))
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses.append(json.loads(lines[0])["loss"])
        assert json.loads((tmp_path / name / "last/progress.json").read_text())["step"] == 1
        shutil.rmtree(tmp_path / name)
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


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
    assert group.share(paddle.nn.Linear(1, 1), [5]) == [5]


@pytest.mark.parametrize(("size", "reason"), [(1, "one device only"), (2, "for GPUs only")])
def test_joint_normalisation_is_refused_where_it_cannot_be(size, reason):
    if size == 2 and paddle.device.get_device().startswith("gpu"):
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=reason):
        synchronised(paddle.nn.Linear(1, 1), Group(0, size))
