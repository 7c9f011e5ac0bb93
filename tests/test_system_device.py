"""The device is the one that was asked for, or it is said why not; and how exactly it computes."""

from __future__ import annotations

import os

import paddle
import pytest

from system import device as module
from system.device import choose_device, computes_in, device_in_words
from system.errors import InputError
from tests.fake_gpu import OWN_GPU, FakeGpus


@pytest.mark.parametrize(
    ("asked", "chosen"), [(None, "gpu:0"), ("gpu", "gpu:0"), ("gpu:1", "gpu:1"), ("cpu", "cpu")]
)
def test_the_device_is_the_one_that_was_asked_for(monkeypatch, caplog, asked, chosen):
    FakeGpus(monkeypatch)
    assert choose_device(asked) == chosen
    assert not caplog.records
    assert device_in_words(chosen) == (
        "cpu" if chosen == "cpu" else f"{chosen} (Fake {chosen[-1]}), TF32 off"
    )


@pytest.mark.parametrize(
    ("cuda", "count", "asked", "reason"),
    [
        (True, 2, "gpu:2", "--device gpu:2: Paddle sees 2, which are numbered from 0"),
        (True, 0, "gpu", "--device gpu: Paddle sees no GPU; look at nvidia-smi"),
        (False, 2, "gpu", "--device gpu: this Paddle is made for CPUs; install paddlepaddle-gpu"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(monkeypatch, cuda, count, asked, reason):
    FakeGpus(monkeypatch, count, cuda)
    with pytest.raises(InputError, match=reason):
        choose_device(asked)


def test_a_paddle_for_cpus_beside_a_driver_is_said(monkeypatch, caplog):
    FakeGpus(monkeypatch, cuda=False)
    assert choose_device(None) == "cpu"
    assert "on the CPU beside an NVIDIA driver: this Paddle is made for CPUs" in caplog.text
    caplog.clear()
    choose_device("cpu")  # as asked for
    FakeGpus(monkeypatch, count=0, cuda=False)
    choose_device(None)  # there is nothing else
    assert not caplog.records


def test_each_of_several_processes_takes_its_own(monkeypatch):
    FakeGpus(monkeypatch)
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", "2")
    monkeypatch.setenv(OWN_GPU, "1")
    assert choose_device("gpu") == choose_device(None) == "gpu:1"
    with pytest.raises(InputError, match="gpu:1: is one device for 2 processes; use --device gpu"):
        choose_device("gpu:1")
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", "1")  # of a machine, of which there are two
    assert choose_device("gpu:1") == "gpu:1"


@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_decided_before_a_gpu_is_used(monkeypatch, tf32):
    gpus = FakeGpus(monkeypatch)
    choose_device("gpu", tf32)
    assert os.environ.get(module.TF32_VARIABLE) == (None if tf32 else "0")
    assert gpus.switches == {"cublas": False, "cudnn": tf32}
    # Products of matrices, as of the geometry, stay exact.
    assert gpus.flags == {module.TF32_OF_MATRICES: False, module.TF32_OF_CONVOLUTIONS: tf32}
    assert gpus.done[-1] == "device"
    assert device_in_words("gpu:0", tf32).endswith("TF32 in convolutions" if tf32 else "TF32 off")


def test_a_paddle_without_switches_and_flags_is_told_by_the_environment(monkeypatch):
    gpus = FakeGpus(monkeypatch)
    gpus.known = ()
    for name in ("cublas", "cudnn"):
        monkeypatch.delattr(paddle.base.core, f"set_{name}_switch")
    choose_device("gpu", deterministic=True)
    assert os.environ[module.TF32_VARIABLE] == "0"
    assert gpus.flags == {}


def test_deterministic_algorithms_are_asked_for_on_gpus(monkeypatch):
    gpus = FakeGpus(monkeypatch)
    choose_device("gpu")
    assert "FLAGS_cudnn_deterministic" not in gpus.flags
    choose_device("cpu", deterministic=True)
    assert "FLAGS_cudnn_deterministic" not in gpus.flags
    choose_device("gpu", deterministic=True)
    assert gpus.flags["FLAGS_cudnn_deterministic"] is True


def test_a_cpu_has_no_tf32_and_is_left_alone(monkeypatch):
    gpus = FakeGpus(monkeypatch)
    with pytest.raises(InputError, match="--tf32: is for GPUs"):
        choose_device("cpu", tf32=True)
    choose_device("cpu")
    assert gpus.flags == gpus.switches == {}
    assert os.environ[module.TF32_VARIABLE] == "1"


def test_half_precision_is_what_the_gpu_computes_in(monkeypatch):
    gpus = FakeGpus(monkeypatch)
    for dtype, has in (("bfloat16", False), ("float16", True)):  # as a card of capability 7
        monkeypatch.setattr(paddle.amp, f"is_{dtype}_supported", lambda has=has: has)
    gpus.device = "gpu:0"
    assert [computes_in(dtype) for dtype in ("bfloat16", "float16")] == [False, True]
    gpus.device = "cpu"
    assert not computes_in("float16")
