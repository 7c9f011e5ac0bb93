"""What is known of the Paddle that is installed without loading it, which takes a second."""

from __future__ import annotations

import functools
import importlib.util
from importlib.metadata import PackageNotFoundError, version

FOR_CPUS, FOR_GPUS = "paddlepaddle", "paddlepaddle-gpu"  # as its packages are called


@functools.cache
def installed_paddle() -> str | None:
    """The version of Paddle, None where there is none; only that of unknown packages loads it."""
    known = _version(FOR_GPUS) or _version(FOR_CPUS)
    if known is None and importlib.util.find_spec("paddle") is not None:
        import paddle  # noqa: PLC0415

        return paddle.__version__
    return known


def has_no_gpu() -> bool:
    """Whether there is nothing but the package that knows no GPU, or no Paddle at all."""
    if _version(FOR_GPUS) is not None:
        return False
    return _version(FOR_CPUS) is not None or importlib.util.find_spec("paddle") is None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
