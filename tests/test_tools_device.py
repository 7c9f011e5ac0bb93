"""The checks of a device: each is ok, and notices what is broken on purpose."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import numpy as np
import paddle
import pytest

import layers
from datasets.splits import load_split
from prediction import engines as prediction_engines
from system.errors import InputError
from tests import parity_monodepth2, stub_task
from tests.checked_rows import assert_off
from tests.stub_items import write_items
from tools.device import data, engines, parity, paths, processes, speed, training
from tools.device.rows import NOT_HERE, OFF, OK, Settings
from training import checkpoint, objective
from training.cpu.fast_paths import FastPaths, fast_paths

GPU_HERE = paddle.device.get_device().startswith("gpu")


@pytest.fixture
def settings(tmp_path):
    return Settings("cpu", tmp_path, small=True)


# The project's own paths


def wrong_gradient(function):
    """The same values, and gradients that are a hundredth too large."""

    def broken(*arguments, **named):
        value = function(*arguments, **named)
        return value + 0.01 * (value - value.detach())

    return broken


def wrong_value(function):
    """The same gradients, and values that are a hundredth off."""
    return lambda *arguments, **named: function(*arguments, **named) + 0.01


SUBJECTS = {
    "sampling": (layers, "warp"),
    "projection": (layers, "project"),
    "mirrored padding": (layers, "reflection_pad"),
    "doubling": (layers, "upsample_nearest"),
    "window means": (layers, "window_mean"),
    "SSIM": (layers, "ssim_distance"),
    "enlargement": (layers, "resize_bilinear"),
    "smallest error": (objective, "minimum_error"),
    "recomputation": (paths, "recomputed"),
    "colour jitter": (paths, "jitter_batch"),
}

# Jitter has no gradient to be wrong.
BROKEN_PATHS = [(name, wrong_value) for name in SUBJECTS]
BROKEN_PATHS += [(name, wrong_gradient) for name in SUBJECTS if name != "colour jitter"]


def path_named(name):
    return next(path for path in paths.custom_paths(32, 48, 2) if path.name == name)


def test_every_path_is_well():
    rows = [paths.path_row(path) for path in paths.custom_paths(32, 48, 2)]
    assert {row.name.partition(": ")[2] for row in rows} >= SUBJECTS.keys()
    assert [row for row in rows if row.status != OK] == []


@pytest.mark.parametrize(("name", "breaking"), BROKEN_PATHS)
def test_a_path_that_is_wrong_is_noticed(name, breaking, monkeypatch, tmp_path, capsys):
    owner, attribute = SUBJECTS[name]
    original = getattr(owner, attribute)
    broken = breaking(original)
    if attribute == "recomputed":  # gives the function to be broken
        broken = lambda function: breaking(original(function))  # noqa: E731
    monkeypatch.setattr(owner, attribute, broken)
    assert_off(tmp_path, capsys, paths.path_row(path_named(name)))


@pytest.mark.parametrize("name", ["warp_sources", "photometric_error"])
def test_fused_kernels_that_are_wrong_are_noticed(name, monkeypatch, tmp_path, capsys):
    kernels = fast_paths().kernels
    if kernels is None:
        pytest.skip("needs Numba, an extra, and is for CPUs")
    function = getattr(kernels, name)
    broken = wrong_gradient(function)
    if name == "warp_sources":
        broken = lambda *arguments: [1.02 * function(*arguments)[0]]  # noqa: E731
    broken = FastPaths(kernels=replace(kernels, **{name: broken}))
    monkeypatch.setattr(paths, "fast_paths", lambda: broken)
    path = {"warp_sources": "fused warp", "photometric_error": "fused error"}[name]
    assert_off(tmp_path, capsys, paths.path_row(path_named(path)))


@pytest.mark.parametrize("name", layers.ALTERNATIVES)
def test_a_form_that_is_wrong_is_noticed(name, tmp_path, capsys):
    path = next(path for path in paths.custom_paths(32, 48, 2) if path.form == name)
    ways = layers.ALTERNATIVES[name]
    row = paths.form_row(path, ways)
    assert row.status == OK
    assert row.figures["taken"] in row.figures["milliseconds"]
    broken = wrong_gradient(ways[-1])
    broken.__name__ = "broken"
    assert_off(tmp_path, capsys, paths.form_row(path, [*ways, broken]))


def test_a_form_that_is_faster_than_the_one_taken_is_named(monkeypatch):
    path = next(path for path in paths.custom_paths(32, 48, 2) if path.form == "mean")
    costs = {"mean_by_convolution": 2.0, "mean_by_pooling": 0.5}
    monkeypatch.setattr(paths, "run", lambda path, way: ([], costs.get(way.__name__, 1.0)))
    row = paths.form_row(path, layers.ALTERNATIVES["mean"])
    assert row.status == OK
    assert row.figures["fastest"] == "mean_by_pooling"
    assert ("is faster here" in row.words) == (row.figures["taken"] != "mean_by_pooling")


def test_a_copy_that_arrives_otherwise_is_noticed(monkeypatch, tmp_path, capsys):
    assert paths.copies_row().status == OK
    to_device = paths.to_device

    def late(arrays):  # as if memory were written to again before it was read
        arrays[0][:] = 0
        return to_device(arrays)

    monkeypatch.setattr(paths, "to_device", late)
    assert_off(tmp_path, capsys, paths.copies_row())


def test_what_is_no_number_is_off():
    path = path_named("window means")
    broken = replace(path, ours=lambda x: layers.window_mean(x) * float("nan"))
    assert paths.path_row(broken).status == OFF
    assert paths.deviation(np.zeros(2), np.zeros(3)) == math.inf


# The figures of the published implementation


@pytest.fixture
def arrays(monkeypatch):
    """Of the golden file, one configuration and no trajectory."""
    chosen = {"stereo": parity_monodepth2.CONFIGURATIONS["stereo"]}
    monkeypatch.setattr(parity_monodepth2, "CONFIGURATIONS", chosen)
    with np.load(parity.GOLDEN, allow_pickle=False) as file:
        arrays = {
            key: file[key]
            for key in file.files
            if not key.startswith("objective/") or key.startswith("objective/stereo/")
        }
    return {**arrays, "trajectory/loss": np.zeros(0)}


def test_a_golden_figure_that_is_altered_is_noticed(arrays, tmp_path, capsys):
    key = "objective/stereo/loss"
    row = parity.parity_row({**arrays, key: arrays[key] * np.float32(1.001)})
    assert_off(tmp_path, capsys, row)
    assert row.figures["count"] > 10
    assert f"1 off: {key} by 0.001" in row.words


def test_half_precision_that_is_far_off_is_noticed(arrays, monkeypatch, tmp_path, capsys):
    assert parity.half_row(arrays, "bf16").status == (OK if GPU_HERE else NOT_HERE)
    monkeypatch.setattr(parity, "check_precision", lambda precision: None)
    monkeypatch.setattr(parity, "DTYPES", {})

    class Networks(parity.Networks):
        def __init__(self, model, precision):
            super().__init__(model)
            self.factor = {"bf16": 1.0, "fp16": 0.8}[precision]

        def compute(self, inputs):
            predicted = super().compute(inputs)
            return {**predicted, "disps": [self.factor * disp for disp in predicted["disps"]]}

    monkeypatch.setattr(parity, "Networks", Networks)
    assert parity.half_row(arrays, "bf16").status == OK
    assert_off(tmp_path, capsys, parity.half_row(arrays, "fp16"))


def test_without_the_tests_beside_it_parity_is_not_available(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(parity, "GOLDEN", tmp_path / "golden.npz")
    (row,) = parity.check_parity(settings)
    assert row.status == NOT_HERE
    assert "clone" in row.words


# Training


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """A network of some fifty parameters in the place of the real ones, and its data."""
    stub_task.use_stub(monkeypatch.setattr)
    monkeypatch.setattr(training, "task_of", stub_task.StubTask)
    monkeypatch.setattr(training, "RATE", 0.05)
    numbers = write_items(tmp_path / "numbers")
    for module in (training, speed):
        monkeypatch.setattr(module, "streets", lambda settings: numbers)
    return numbers


def test_a_compiled_step_that_is_wrong_is_noticed(stub, settings, monkeypatch, tmp_path, capsys):
    (row,) = training.check_compiled(settings)
    assert row.status == OK
    assert row.figures["loss"] < 1e-6

    def compile_wrongly(whole, processes):
        whole.networks.forward = wrong_gradient(whole.networks.forward)
        whole.networks.forward = wrong_gradient(wrong_gradient(whole.networks.forward))

    monkeypatch.setattr(training, "compile_layers", compile_wrongly)
    (row,) = training.check_compiled(settings)
    assert_off(tmp_path, capsys, row)
    assert row.figures["loss"] == 0


def test_steps_that_learn_nothing_are_noticed(stub, settings, monkeypatch, tmp_path, capsys):
    (row,) = training.check_steps(settings, "fp32")
    assert row.status == OK
    assert len(row.figures["losses"]) == training.STEPS
    monkeypatch.setattr(training.Update, "apply", lambda self: None)
    (row,) = training.check_steps(settings, "fp32")
    assert_off(tmp_path, capsys, row)


def test_a_loss_that_is_no_number_is_noticed(tmp_path, capsys):
    row = training.steps_row("20 steps", [0.1, 0.09, float("nan"), 0.05, 0.04])
    assert_off(tmp_path, capsys, row)
    assert "nan at step 2" in row.words


@pytest.mark.skipif(GPU_HERE, reason="there is a GPU")
def test_half_precision_is_not_available_on_cpus(settings):
    (row,) = training.check_steps(settings, "fp16")
    assert row.status == NOT_HERE
    assert "GPUs only" in row.words


def test_a_resume_that_loses_something_is_noticed(stub, settings, monkeypatch, tmp_path, capsys):
    (row,) = training.check_resume(settings)
    assert row.status == OK
    monkeypatch.setattr(checkpoint, "restore_optimiser", lambda *_: None)
    (row,) = training.check_resume(settings)
    assert_off(tmp_path, capsys, row)
    assert "optimiser.safetensors" in row.words

    one, other = (settings.folder / "resume" / name / "last" for name in ("straight", "copy"))
    shutil.copytree(one, other)
    assert training.resume_row(one, other).status == OK
    path = other / "depth.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "depth.safetensors" in training.resume_row(one, other).words
    path.unlink()
    assert training.resume_row(one, other).status == OFF


def test_processes_that_differ_are_noticed(tmp_path, capsys):
    one = [0.1, 0.09, 0.08]
    assert processes.processes_row([0.1, 0.09, 0.08001], one, "gloo").status == OK
    assert_off(tmp_path, capsys, processes.processes_row([0.1001, 0.09, 0.08], one, "gloo"))
    assert_off(tmp_path, capsys, processes.processes_row([0.1, 0.09], one, "gloo"))
    assert processes.processes_row([math.nan] * 3, one, "gloo").status == OFF


def test_processes_that_fail_or_hang_are_quoted(settings, monkeypatch, tmp_path):
    def train(program):
        launcher = tmp_path / "train.py"
        launcher.write_text(program)
        monkeypatch.setattr(processes, "ROOT", tmp_path)
        return processes.train(settings, tmp_path, "one", 1, on_gpu=False)

    with pytest.raises(InputError, match=r"training in 1 processes failed \(3\):\nno peer"):
        train("import sys\nprint('no peer')\nsys.exit(3)")
    monkeypatch.setattr(processes, "SECONDS", 1)
    with pytest.raises(InputError, match=r"training in 1 processes hung"):
        train("import time\ntime.sleep(600)")


def test_one_gpu_has_no_second_process(settings, monkeypatch):
    monkeypatch.setattr(processes, "choose_device", lambda device: "gpu:0")
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    (row,) = processes.check_processes(settings)
    assert row.status == NOT_HERE


# Speed


def test_the_speed_of_a_training_is_measured(stub, settings):
    write_items(settings.folder / "more", train=8)
    options = data.training_options(settings, settings.folder / "more", "--num_epochs", 1)
    watch = speed.watched_run(options, untimed=1)
    assert watch.given == 4
    assert 0 <= watch.waited <= watch.seconds


def test_waiting_is_measured_where_it_happens(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    watch = speed.Watch(untimed=2)
    for batch in watch.over(lambda epoch: ({"index": i} for i in range(4)))(0):
        assert batch["index"] == watch.given - 1
    # A tick between each two looks at the clock: two steps of asking, coming and starting.
    assert (watch.given, watch.waited) == (4, 2)
    assert watch.seconds == 6


def test_a_training_that_waits_for_its_data_is_noticed(tmp_path, capsys):
    watch = speed.Watch(untimed=1, given=5, waited=0.1, seconds=2.0)
    row = speed.speed_row("training, batch 8", watch, 8, (192, 640), ("on the device", 812.4))
    assert row.status == OK
    assert row.words.startswith("16.00 items/s at 640x192, 5% of it waiting for data, 812 MiB")
    watch.waited = 1.0
    row = speed.speed_row("training, batch 8", watch, 8, (192, 640), ("on the device", None))
    assert_off(tmp_path, capsys, row)


def test_memory_that_is_full_ends_the_row_only(streets, settings, monkeypatch):
    def full(options, untimed):
        raise RuntimeError("ResourceExhaustedError: \n\nOut of memory error on GPU 0.")

    monkeypatch.setattr(speed, "streets", lambda settings: streets)
    monkeypatch.setattr(speed, "watched_run", full)
    (row,) = speed.check_speed(settings, 24)
    assert row.status == NOT_HERE
    monkeypatch.setattr(speed, "watched_run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(speed.check_speed(settings, 24))


def test_a_split_repeats_its_items(streets, tmp_path):
    split = data.repeated_split(streets, tmp_path / "split", 17)
    lines = load_split(str(streets / "splits"), "train")
    repeated = load_split(str(split), "train")
    assert len(repeated) == 17
    assert set(repeated) == set(lines)
    assert len(load_split(str(split), "val")) == 1


# Engines


def test_an_engine_that_is_off_is_noticed(settings, monkeypatch, tmp_path, capsys):
    opened = engines.open_model(engines.write_model(settings))
    images = np.random.default_rng(0).integers(0, 256, (1, *settings.size, 3), np.uint8)
    own = prediction_engines.open_engine(opened, "paddle", "fp32", "cpu")
    expected = own.disparity(images)
    told = (opened, "onnxruntime", "fp32", "cpu", images, expected)

    def scaled(factor):
        off = prediction_engines.Engine("x", lambda images: factor * own.disparity(images))
        monkeypatch.setattr(engines, "open_engine", lambda *_: off)
        return engines.engine_row(*told)

    assert scaled(1.0).status == OK
    assert_off(tmp_path, capsys, scaled(1.01))


def test_an_engine_that_is_not_installed_is_not_available(settings, monkeypatch):
    def refuse(*_):
        raise InputError("--engine openvino: is not installed")

    monkeypatch.setattr(engines, "open_engine", refuse)
    row = engines.engine_row(None, "openvino", "bf16", "cpu", None, None)
    assert row.status == NOT_HERE
    assert row.name == "engine openvino, bf16"
