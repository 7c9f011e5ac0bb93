"""Versions of Paddle that were not tried: refused, or warned about; and which makes ONNX."""

from __future__ import annotations

import paddle
import pytest

from prediction import engine_choice
from prediction.graph import PROGRAMS, program_of
from system import paddle_versions
from system.device import choose_device
from system.errors import InputError
from system.paddle_versions import NEWEST, OLDEST, auto_cast, numbers, why_no_onnx
from tests.architecture import ROOT
from tools.choose_paddle import project_requirement


@pytest.fixture(autouse=True)
def nothing_said_yet():
    paddle_versions._check.cache_clear()


@pytest.mark.parametrize("version", [OLDEST, "3.0.0", "3.2.2", NEWEST])
def test_versions_that_ran_are_used_without_a_word(version, monkeypatch, caplog):
    monkeypatch.setattr(paddle, "__version__", version)
    choose_device("cpu")
    assert caplog.messages == []


@pytest.mark.parametrize("version", ["3.4.0", "3.10.1", "4.0.0.dev20270101", "0.0.0"])
def test_a_newer_one_is_used_and_warned_about_once(version, monkeypatch, caplog):
    monkeypatch.setattr(paddle, "__version__", version)
    choose_device("cpu")
    choose_device("cpu")
    (message,) = caplog.messages
    assert message.startswith(f"Paddle {version}: is newer than {NEWEST}")


@pytest.mark.parametrize("version", ["2.5.2", "2.6.1", "2.6.0.post117"])
def test_an_older_one_is_refused(version, monkeypatch):
    monkeypatch.setattr(paddle, "__version__", version)
    with pytest.raises(InputError, match=rf"Paddle {version}: is older than {OLDEST}.*make venv"):
        choose_device("cpu")


def test_the_requirement_begins_with_the_oldest():
    assert project_requirement(ROOT / "requirements.txt") == f"paddlepaddle>={OLDEST},<4"


@pytest.mark.parametrize(
    ("paddle_version", "maker", "remedy"),
    [
        ("3.3.1", "2.1.0", None),
        ("2.6.2", "1.3.1", None),
        ("0.0.0", "2.1.0", None),
        ("2.6.2", "2.1.0", "pip install paddle2onnx==1.3.1"),
        ("3.3.1", "1.3.1", "pip install 'paddle2onnx>=2.1'"),
    ],
)
def test_each_paddle_has_its_maker_of_onnx(paddle_version, maker, remedy, monkeypatch):
    monkeypatch.setattr(paddle, "__version__", paddle_version)
    monkeypatch.setattr(paddle_versions, "version", lambda package: maker)
    monkeypatch.setattr(engine_choice, "installed", lambda module: True)
    if remedy is None:
        assert why_no_onnx() == ""
        assert engine_choice.automatic_engine("cpu") == "openvino"
    else:
        assert f"paddle2onnx {maker} is not for Paddle {paddle_version}; {remedy}" in why_no_onnx()
        assert engine_choice.automatic_engine("cpu") == "paddle-inference"


def test_programs_of_either_kind_are_found(tmp_path):
    for name in reversed(PROGRAMS):
        (tmp_path / name).touch()
        assert program_of(tmp_path) == tmp_path / name


def test_numbers_compare_as_versions_do():
    assert numbers("3.10.0") > numbers("3.9.1") > numbers("3.9.0rc1")
    assert numbers("2.6.2.post120") == numbers("2.6.2")


def test_an_old_paddle_compiles_without_casts(monkeypatch):
    monkeypatch.setattr(paddle.amp, "auto_cast", lambda **settings: settings)
    assert auto_cast(enable=False) == {"enable": False}
    monkeypatch.setattr(paddle, "in_dynamic_mode", lambda: False)
    monkeypatch.setattr(paddle, "__version__", NEWEST)
    assert auto_cast(enable=False) == {"enable": False}
    monkeypatch.setattr(paddle, "__version__", OLDEST)
    with auto_cast(enable=False) as nothing:
        assert nothing is None
