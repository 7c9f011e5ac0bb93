"""The device that Paddle computes on."""

from __future__ import annotations

import paddle

from system.errors import InputError


def choose_device(device: str | None) -> str:
    """Select ``cpu``, ``gpu`` or ``gpu:N``; None takes the GPU when Paddle has one.

    Returns:
        The name of the device.

    Raises:
        InputError: there is no such device.
    """
    has_gpu = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    if device is None:
        device = "gpu" if has_gpu else "cpu"
    if device.startswith("gpu") and not has_gpu:
        raise InputError(
            f"--device {device}: Paddle sees no GPU; use --device cpu or install paddlepaddle-gpu"
        )
    try:
        paddle.set_device(device)
    except (ValueError, OSError) as error:
        raise InputError(f"--device {device}: Paddle refuses it ({error})") from error
    return device


def device_kind() -> str:
    """``cpu`` or ``gpu``: what Paddle computes on."""
    return paddle.device.get_device().partition(":")[0]


def is_deterministic() -> bool:
    """Whether operations on GPUs may only take what gives the same result every time."""
    flag = "FLAGS_cudnn_deterministic"
    try:
        return bool(paddle.get_flags([flag])[flag])
    except ValueError:  # which Paddle for CPUs does not have
        return False
