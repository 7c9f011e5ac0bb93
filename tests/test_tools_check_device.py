"""The check of a device: what the machine is, and the command with its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from options import parse
from system.errors import EXIT_INTERRUPTED, InputError
from tests.checked_rows import assert_off, exit_code
from tools import check_device as command
from tools.device import machine, nvidia
from tools.device.child import function_of
from tools.device.children import Check, Outcome, run_check
from tools.device.rows import NOT_HERE, OFF, OK, Row, Settings, judged

ROOT = Path(__file__).resolve().parents[1]
GPU_HERE = paddle.device.get_device().startswith("gpu")


@pytest.fixture
def settings(tmp_path):
    return Settings("cpu", tmp_path, small=True)


# The driver, the card and the build

SAID = (
    "NVIDIA TITAN Xp, 535.183.01, 12288, 6.1\nNVIDIA GeForce RTX 4090, 535.183.01, [N/A], 8.9\n"
    "NVIDIA H100 PCIe, 535.183.01, 81559, 9.0\n"
)
HEADER = "| NVIDIA-SMI 535.183.01    Driver Version: 535.183.01    CUDA Version: 12.2     |"
OLD = nvidia.Build("2.6.2", (11, 8), nvidia.CAPABILITIES["2.6"])
NEW = nvidia.Build("3.3.1", (12, 6), ((7, 0), (9, 0)))


@pytest.fixture
def nvidia_smi(monkeypatch):
    """Puts answers in the place of nvidia-smi's: (exit code, text) by a word of the query."""

    def fake(answers):
        def answer(*words):
            return next(said for key, said in answers.items() if key in " ".join(words))

        monkeypatch.setattr(nvidia.shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(nvidia, "_nvidia_smi", answer)
        return nvidia.read_driver()

    return fake


def test_the_driver_says_its_cards(nvidia_smi):
    driver = nvidia_smi({"compute_cap": (0, SAID), "": (0, HEADER)})
    assert driver.cuda == (12, 2)
    assert [card.capability for card in driver.cards] == [(6, 1), (8, 9), (9, 0)]
    assert driver.cards[0] == nvidia.Card("NVIDIA TITAN Xp", "535.183.01", 12288, (6, 1))
    assert nvidia.problem_of(OLD, driver, driver.cards[0]) == ""
    assert nvidia.problem_of(OLD, driver, driver.cards[1]) == ""  # code for 8.6 runs on 8.9
    assert nvidia.problem_of(NEW, driver, driver.cards[2]) == ""


def test_an_old_driver_knows_no_capability(nvidia_smi):
    said = "Tesla K80, 450.51.06, 11441\n"
    answers = {"compute_cap": (1, 'Field "compute_cap" is not a valid field'), "query": (0, said)}
    driver = nvidia_smi({**answers, "": (0, HEADER.replace("12.2", "11.0"))})
    assert driver.cards == [nvidia.Card("Tesla K80", "450.51.06", 11441, None)]
    problem = nvidia.problem_of(NEW, driver, driver.cards[0])
    assert "the driver 450.51.06 is for CUDA 11.0 at most" in problem
    assert "made with CUDA 12.6; update the driver (525.60 or newer), or install" in problem
    assert nvidia.problem_of(OLD, driver, driver.cards[0]) == ""


def test_a_driver_that_does_not_work_is_quoted(nvidia_smi, monkeypatch):
    words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    driver = nvidia_smi({"": (9, f"\n{words}\n")})
    assert words in nvidia.problem_of(NEW, driver, None)
    monkeypatch.setattr(nvidia.shutil, "which", lambda name: None)
    assert "no nvidia-smi" in nvidia.problem_of(NEW, nvidia.read_driver(), None)


def test_a_build_says_which_cards_it_is_not_for():
    cards = nvidia.parse_cards("NVIDIA H100, 535.1, 81559, 9.0\nTesla K40, 535.1, 11441, 3.5\n")
    driver = nvidia.Driver(cards, (12, 2))
    new, old = (nvidia.problem_of(OLD, driver, card) for card in cards)
    assert "NVIDIA H100 (compute capability 9.0) is too new: this Paddle (2.6.2)" in new
    assert "install Paddle 3" in new
    assert "Tesla K40 (compute capability 3.5) is too old" in old
    assert "made for CPUs" in nvidia.problem_of(replace(OLD, cuda=None), driver, cards[0])
    assert "CUDA_VISIBLE_DEVICES" in nvidia.problem_of(OLD, driver, None)


def test_what_nvidia_smi_does_not_say_is_unknown():
    assert nvidia.parse_cards("nonsense\n\n") == []
    assert nvidia.in_words(nvidia.cuda_of_header("CUDA Version: N/A")) == "unknown"
    card = nvidia.Card("New", "1", 0, None)
    assert nvidia.problem_of(replace(NEW, capabilities=None), nvidia.Driver([card]), card) == ""


def test_the_card_is_the_one_that_is_left_visible(monkeypatch):
    driver = nvidia.Driver(nvidia.parse_cards(SAID), (12, 2))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.card_of("gpu:1", driver) == driver.cards[1]
    assert machine.card_of("gpu:7", driver) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert machine.card_of(None, driver) == driver.cards[2]
    assert machine.card_of("gpu:1", driver) == driver.cards[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.card_of("gpu", driver) is None


@pytest.mark.skipif(GPU_HERE, reason="there is a GPU")
def test_without_a_gpu_the_machine_says_so_and_the_command_refuses(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "read_driver", lambda: nvidia.Driver(problem="there is no driver"))
    with pytest.raises(InputError, match="--device gpu: there is no driver; install NVIDIA's"):
        list(machine.check_machine(replace(settings, device="gpu")))

    def run(check, settings, time_limit):
        return Outcome([], "--device gpu: there is no driver")

    options = command.CheckDeviceOptions(device="gpu", out=tmp_path / "result.json")
    with pytest.raises(InputError, match="no driver"):
        command.check_device(options, run)
    assert not options.out.exists()


@pytest.mark.skipif(GPU_HERE, reason="there is a GPU")
def test_a_cpu_is_well_where_it_is_meant(settings, monkeypatch, tmp_path, capsys):
    rows = list(machine.check_machine(settings))
    assert {row.status for row in rows} == {OK}
    assert rows[0].figures["device"] == "cpu"
    driver = nvidia.Driver(nvidia.parse_cards(SAID), (12, 2))
    monkeypatch.setattr(machine, "read_driver", lambda: driver)
    assert next(machine.check_machine(settings)).words.endswith(", not the NVIDIA TITAN Xp")
    row = next(machine.check_machine(replace(settings, device=None)))
    assert_off(tmp_path, capsys, row)
    assert "this Paddle" in row.remedy


def test_a_gpu_is_named_with_its_driver(monkeypatch, tmp_path, capsys):
    properties = SimpleNamespace(name="NVIDIA H100 PCIe", total_memory=80 << 30, major=9, minor=0)
    monkeypatch.setattr(paddle.device.cuda, "get_device_properties", lambda device: properties)
    driver = nvidia.Driver(nvidia.parse_cards(SAID), (12, 2))
    row = machine.device_row("gpu:2", driver, driver.cards[2], "")
    assert row.status == OK
    assert "gpu:2: NVIDIA H100 PCIe, 80.0 GiB, compute capability 9.0; driver 535" in row.words
    assert json.loads(json.dumps(row.as_json()))["figures"]["driver"]["cuda"] == [12, 2]
    problem = nvidia.problem_of(OLD, driver, driver.cards[2])
    assert_off(tmp_path, capsys, machine.device_row("gpu:2", driver, driver.cards[2], problem))
    unknown = machine.device_row("gpu:0", nvidia.Driver(problem="does not answer"), None, "")
    assert "driver unknown for CUDA unknown" in unknown.words


def test_rounding_as_in_tf32_is_noticed(monkeypatch, tmp_path, capsys):
    def rounded(tensor):  # to 10 bits of mantissa
        bits = tensor.numpy().view(np.uint32)
        return paddle.to_tensor(((bits + 0x1000) & 0xFFFFE000).view(np.float32))

    matmul, conv2d = paddle.matmul, machine.F.conv2d
    monkeypatch.setattr(paddle, "matmul", lambda a, b: matmul(rounded(a), rounded(b)))
    monkeypatch.setattr(machine.F, "conv2d", lambda a, b: conv2d(rounded(a), rounded(b)))
    for row in machine.exactness_rows("cpu"):
        assert_off(tmp_path, capsys, row)
        assert "TF32 is on" in row.remedy


# The command, and the processes that it starts

BROKEN = """
import os, signal, sys, time
from system.errors import InputError
from tools.device.rows import judged

def well(settings, **more):
    yield judged("one", True, f"is well {more}")

def crash(settings):
    yield judged("one", True, "is well")
    print("about to crash", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)

def hang(settings):
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (settings.folder.parent / "hanging").write_text(f"{os.getpid()} {child.pid}")
    print("waiting", flush=True)
    time.sleep(600)
    yield

def fail(settings):
    raise RuntimeError("no kernel image is available")
    yield

def silent(settings):
    return ()

def refuse(settings):
    raise InputError("no such thing")
    yield
"""


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Runs a function of the module above as a check; returns what comes of it."""
    (tmp_path / "broken_checks.py").write_text(BROKEN)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(name, time_limit=60.0, **arguments):
        check = Check(name, f"broken_checks:{name}", arguments)
        return run_check(check, Settings("cpu", tmp_path / "work", small=True), time_limit)

    return run


def test_a_check_runs_in_a_process_of_its_own(broken):
    assert broken("well", batch_size=3).rows == [judged("one", True, "is well {'batch_size': 3}")]


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX")
def test_a_crash_is_a_row_with_the_last_words(broken):
    well, crashed = broken("crash").rows
    assert well.status == OK
    assert crashed.status == OFF
    assert crashed.words == "crashed (SIGSEGV), after 1 rows"
    assert "about to crash" in crashed.remedy


def ended(number):
    """Whether a process is gone, or as good as."""
    stat = Path(f"/proc/{number}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(condition):
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_a_hang_is_stopped_with_all_that_it_started(broken, tmp_path):
    (row,) = broken("hang", time_limit=4).rows
    assert row.status == OFF
    assert "took longer than 4 s" in row.words
    numbers = (tmp_path / "hanging").read_text().split()
    assert len(numbers) == 2
    assert wait_until(lambda: all(map(ended, numbers)))


def test_an_error_silence_and_a_refusal_are_rows(broken):
    (row,) = broken("fail").rows
    assert row.status == OFF
    assert "no kernel image is available" in row.remedy
    assert broken("silent").rows[0].words == "said nothing"
    outcome = broken("refuse")
    assert outcome.refusal == "no such thing"
    (row,) = command.rows_of(Check("x", ""), outcome)
    assert (row.status, row.words) == (OFF, "no such thing")


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_ctrl_c_ends_with_what_is_known(broken, tmp_path):
    program = """
import sys
from system.errors import run_command
from tools import check_device
check_device.FUNCTIONS = {"machine": "fake_machine:check", "paths": "broken_checks:hang"}
run_command(check_device.main)
"""
    (tmp_path / "fake_machine.py").write_text(
        "from tools.device.rows import OK, Row\n"
        "def check(settings):\n    yield Row('device', OK, 'well', '', {'device': 'cpu'})\n"
        "    (settings.folder.parent / 'folder').write_text(str(settings.folder))\n"
    )
    words = ["--checks", "paths", "--out", tmp_path / "result.json"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert wait_until((tmp_path / "hanging").exists)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == EXIT_INTERRUPTED, said
    assert "stopped before the end" in said
    result = json.loads((tmp_path / "result.json").read_text())
    assert not result["whole"]
    assert [row["name"] for row in result["rows"]] == ["device"]
    assert wait_until(lambda: all(map(ended, (tmp_path / "hanging").read_text().split())))
    assert not Path((tmp_path / "folder").read_text()).exists()


def test_what_is_not_available_is_not_off(tmp_path, capsys):
    rows = [Row("a", NOT_HERE, "no second GPU"), judged("b", True, "1.0", value=float("inf"))]
    assert exit_code(tmp_path, rows) == 0
    said = capsys.readouterr().out
    assert "2 ok, 0 off, 1 not available" in said
    assert "what to do" not in said
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["whole"]
    assert result["rows"][2]["figures"] == {"value": "inf"}
    assert result["asked"]["checks"] == ["paths"]


def test_all_checks_have_their_functions():
    for name in command.FUNCTIONS:
        for check in command.checks_of(name, small=False, on_gpu=True):
            assert callable(function_of(check.function))
    checks = command.checks_of("speed", small=False, on_gpu=True)
    speeds = [check.arguments["batch_size"] for check in checks]
    assert (speeds[0], speeds[-1]) == (1, 24)


def test_sizes_are_small_on_cpus_and_when_asked(tmp_path):
    seen = []

    def run_on(device):
        def run(check, settings, time_limit):
            seen.append((check.name, settings.device, settings.small))
            return Outcome([Row("device", OK, "", figures={"device": device})])

        return run

    for device, *more in (("cpu",), ("gpu:0",), ("gpu:0", "--quick")):
        words = [*more, "--checks", "paths", "--out", str(tmp_path / "result.json")]
        command.check_device(parse(command.CheckDeviceOptions, words), run_on(device))
    chosen = [(device, small) for name, device, small in seen if name == "paths"]
    assert chosen == [("cpu", True), ("gpu", False), ("gpu", True)]
    assert [name for name, *_ in seen].count("paths_more") == 2  # what is for GPUs only


def test_a_paddle_that_does_not_start_is_one_row(tmp_path, capsys):
    def run(check, settings, time_limit):
        return Outcome([Row("machine", OFF, "crashed (SIGABRT)", "send it")])

    options = command.CheckDeviceOptions(out=tmp_path / "result.json")
    assert command.check_device(options, run) == 1
    assert capsys.readouterr().out.count("crashed") == 1
