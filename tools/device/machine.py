"""The device, its driver, the build of Paddle for it, and how exactly they compute."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterator

import numpy as np
import paddle
import paddle.nn.functional as F

from system.device import choose_device
from system.errors import InputError
from tools.device.nvidia import (
    CAPABILITIES,
    Build,
    Card,
    Driver,
    in_words,
    problem_of,
    read_driver,
    version_of,
)
from tools.device.rows import OFF, OK, Row, Settings, judged

EXACT = 2e-5  # largest relative error of float32 sums of a few hundred products; TF32 has 3e-4
FLAGS = (
    *("FLAGS_cublas_allow_tf32", "FLAGS_cudnn_allow_tf32", "FLAGS_cudnn_deterministic"),
    *("FLAGS_cudnn_exhaustive_search", "FLAGS_embedding_deterministic"),
    *("FLAGS_allocator_strategy", "FLAGS_fraction_of_gpu_memory_to_use"),
)
VARIABLES = ("NVIDIA_TF32_OVERRIDE", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")


def check_machine(settings: Settings) -> Iterator[Row]:
    """Rows of the machine; the first names the device that is used, as a figure.

    Raises:
        InputError: there is no GPU that Paddle can use, though one is asked for.
    """
    driver, build = read_driver(), paddle_build()
    wants_gpu = (settings.device or "gpu").startswith("gpu")
    card = card_of(settings.device, driver)
    problem = problem_of(build, driver, card) if wants_gpu else ""
    try:
        device = choose_device(settings.device)
    except InputError as error:
        raise InputError(
            f"--device {settings.device}: {problem}" if problem else str(error)
        ) from error
    yield device_row(device, driver, card, problem)
    yield Row("Paddle", OK, build_in_words(build), figures=versions())
    yield flags_row()
    yield from exactness_rows(device)


def card_of(device: str | None, driver: Driver) -> Card | None:
    """The card that a device is; Paddle counts those that CUDA_VISIBLE_DEVICES leaves."""
    number = (device or "gpu").partition(":")[2] or "0"
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        places = dict(enumerate(part.strip() for part in shown.split(",")))
        number = places.get(int(number), "")
    known = number.isdecimal() and int(number) < len(driver.cards)
    return driver.cards[int(number)] if known else None


def paddle_build() -> Build:
    """What the installed Paddle says of itself."""
    version = paddle.version
    capabilities = sorted(map(_capability, getattr(version, "cuda_archs", list)()))
    known = (capabilities[0], capabilities[-1]) if capabilities else None
    series = ".".join(paddle.__version__.split(".")[:2])
    return Build(paddle.__version__, version_of(version.cuda()), known or CAPABILITIES.get(series))


def _capability(number: object) -> tuple[int, int]:
    """86 and 100 are 8.6 and 10.0."""
    return divmod(int(number), 10)


def device_row(device: str, driver: Driver, card: Card | None, problem: str) -> Row:
    """Which device it is; off where it is not what Paddle was made for, or no GPU beside one."""
    figures = {"device": device, "driver": dataclasses.asdict(driver), "gpus": gpu_count()}
    if not device.startswith("gpu"):
        words = f"{device}: {platform.processor() or platform.machine()}, {os.cpu_count()} cores"
        if driver.cards:
            words += f", not the {driver.cards[0].name}"
            if problem:  # nobody asked for the CPU
                return Row("device", OFF, words, problem, figures)
        return Row("device", OK, words, figures=figures)
    properties = paddle.device.cuda.get_device_properties(device)
    capability = (properties.major, properties.minor)
    words = (
        f"{device}: {properties.name}, {properties.total_memory / 2**30:.1f} GiB, compute "
        f"capability {in_words(capability)}; driver {card.driver if card else 'unknown'} for CUDA "
        f"{in_words(driver.cuda)}"
    )
    if problem:
        return Row("device", OFF, words, problem, figures)
    return Row("device", OK, words, figures=figures)


def gpu_count() -> int:
    """GPUs that Paddle sees."""
    return paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0


def build_in_words(build: Build) -> str:
    """A build for the table."""
    if build.cuda is None:
        made = "for CPUs"
    else:
        made = f"CUDA {in_words(build.cuda)}, cuDNN {paddle.version.cudnn()}"
    return f"{build.version}, {made}; Python {platform.python_version()}, {platform.platform()}"


def versions() -> dict[str, str]:
    """What it runs on, for the JSON file."""
    return {
        "paddle": paddle.__version__,
        "commit": paddle.version.commit,
        "cuda": str(paddle.version.cuda()),
        "cudnn": str(paddle.version.cudnn()),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def flags_row() -> Row:
    """What is set, of what changes how exactly or how fast a GPU computes."""
    figures = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    for name in FLAGS:
        try:
            figures.update(paddle.get_flags(name))
        except ValueError:  # this version or build has it not
            continue
    shown = [f"{k.replace('FLAGS_', '')}={v}" for k, v in figures.items() if k != VARIABLES[-1]]
    return Row("flags", OK, ", ".join(shown) or "none of those for GPUs", figures=figures)


def exactness_rows(device: str) -> Iterator[Row]:
    """Whether float32 products are float32's, in matrices and in convolutions."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((256, 256), np.float32) for _ in range(2))
    image, weight = rng.random((2, 32, 24, 40), np.float32), rng.random((32, 32, 3, 3), np.float32)
    ways = {
        "matrices": (paddle.matmul, a, b),
        "convolutions": (F.conv2d, image, weight),
    }
    for name, (function, *arrays) in ways.items():
        found = function(*map(paddle.to_tensor, arrays)).numpy()
        expected = _in_double(function, arrays)
        error = float(np.abs(found - expected).max() / np.abs(expected).max())
        yield judged(
            f"float32 in {name}",
            error <= EXACT,
            f"relative error {error:.1e} on {device} (TF32 would be 3e-4)",
            "TF32 is on: set NVIDIA_TF32_OVERRIDE=0 in the environment; where it is set, "
            "send what this command wrote",
            error=error,
        )


def _in_double(function, arrays: list[np.ndarray]) -> np.ndarray:  # noqa: ANN001
    """The same in float64, by NumPy."""
    first, second = (array.astype(np.float64) for array in arrays)
    if function is paddle.matmul:
        return first @ second
    windows = np.lib.stride_tricks.sliding_window_view(first, (3, 3), axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", windows, second, optimize=True)
