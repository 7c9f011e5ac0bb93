"""Which engine runs a depth network on which device, in which precision; without opening it."""

from __future__ import annotations

import importlib.util

from system.device import sees_gpu
from system.errors import InputError
from system.paddle_versions import why_no_onnx

EXTRAS = ("openvino", "onnxruntime")  # modules that engines of these names need, the fastest first
CUDA = "CUDAExecutionProvider"  # of ONNX Runtime
# Precisions besides float32, by engine.
ON_CPU = {"openvino": ("fp32", "bf16", "int8"), "onnxruntime": ("fp32", "int8")}
ON_GPU = {"paddle": ("fp32", "bf16")}


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


def automatic_engine(device: str, precision: str = "fp32") -> str:
    """The fastest engine for a device: OpenVINO, ONNX Runtime, then Paddle Inference on CPUs."""
    if device.startswith("gpu"):
        return "paddle"
    if precision != "fp32":
        return EXTRAS[0]
    found = (name for name in EXTRAS if installed(name) and not why_no_onnx())
    return next(found, "paddle-inference")


def check_engine(name: str, precision: str, device: str | None) -> None:
    """Raise InputError for an engine that is not there, or not for that device or precision."""
    if name in EXTRAS and not installed(name):
        raise InputError(
            f"--engine {name}: is not installed; pip install -r requirements-engines.txt, or use "
            "--engine paddle"
        )
    if name == "openvino" and (device or "cpu") != "cpu":
        raise InputError(
            f"--engine openvino: runs on CPUs, not on {device}; use --engine paddle, or --device "
            "cpu"
        )
    on_gpu = device.startswith("gpu") if device else name != "openvino" and sees_gpu()
    have = (ON_GPU if on_gpu else ON_CPU).get(name, ("fp32",))
    if precision not in have:
        where, remedy = ("on a GPU ", "--device cpu") if on_gpu else ("", "--engine openvino")
        raise InputError(
            f"--precision {precision}: the engine {name} computes {where}in {', '.join(have)}; use "
            f"{remedy}"
        )


def number_of(device: str) -> int:
    """N of ``gpu:N``; 0 of ``gpu``."""
    return int(device.partition(":")[2] or 0)
