"""The versions of Paddle that this was run with, and what they differ in."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from system.errors import InputError
from system.paddle_package import installed_paddle

logger = logging.getLogger(__name__)

OLDEST, NEWEST = "2.6.2", "3.3.1"  # that ran (docs/install.md)
ONNX_MAKER = "paddle2onnx"
# That reads the programs of Paddle 3, and of Paddle 2.6.
ONNX_MAKER_OF_3, ONNX_MAKER_OF_2 = f"'{ONNX_MAKER}>=2.1'", f"{ONNX_MAKER}==1.3.1"


def numbers(version: str) -> tuple[int, ...]:
    """The first three numbers of a version, which compare as versions do."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def paddle_version() -> str:
    """The version of Paddle: what it says itself if it is loaded; "0.0.0" for no release."""
    loaded, package = sys.modules.get("paddle"), installed_paddle()
    if loaded is None and package is not None:
        return package
    import paddle  # noqa: PLC0415 - takes a second, if it is not loaded

    return paddle.__version__


def is_paddle_3() -> bool:
    """Whether Paddle is 3.0 or newer, or of no release."""
    return numbers(paddle_version()) >= (3,) or not any(numbers(paddle_version()))


def writes_json() -> bool:
    """Whether Paddle writes programs as JSON, in the representation that 3.0 brought."""
    return is_paddle_3()


def compiles_half_precision() -> bool:
    """Whether compiled networks may switch to half precision, which 2.6 refuses to compile."""
    return is_paddle_3()


def auto_cast(**settings: object) -> AbstractContextManager[None]:
    """``paddle.amp.auto_cast``; where it cannot be compiled, nothing: all is in float32 there."""
    import paddle  # noqa: PLC0415 - takes a second

    compiling = not paddle.in_dynamic_mode()
    left_out = compiling and not compiles_half_precision()
    return nullcontext() if left_out else paddle.amp.auto_cast(**settings)


def check_paddle() -> None:
    """Warn of a Paddle that is newer than all that this was run with, once.

    Raises:
        InputError: it is older than all of them.
    """
    _check(paddle_version())


@cache
def _check(found: str) -> None:
    release = any(numbers(found))
    if release and numbers(found) < numbers(OLDEST):
        raise InputError(
            f"Paddle {found}: is older than {OLDEST}, the oldest that this was run with; install "
            "a newer one: make venv, or pip install -r requirements.txt"
        )
    if not release or numbers(found) > numbers(NEWEST):
        logger.warning(
            "Paddle %s: is newer than %s, the newest that this was run with; should something "
            "fail, install that",
            found,
            NEWEST,
        )


def why_no_onnx() -> str:
    """What keeps Paddle's programs from becoming ONNX, and what to do; empty where nothing does.

    Without Paddle there are none, and what was made of them has to be there.
    """
    if installed_paddle() is None:
        return ""
    try:
        maker = version(ONNX_MAKER)
    except PackageNotFoundError:
        return f"needs {ONNX_MAKER} to make its model; pip install -r requirements-engines.txt"
    if (numbers(maker) >= (2,)) == writes_json():
        return ""
    remedy = ONNX_MAKER_OF_3 if writes_json() else ONNX_MAKER_OF_2
    return f"{ONNX_MAKER} {maker} is not for Paddle {paddle_version()}; pip install {remedy}"
