"""The device that Paddle computes on, and how exactly it does; loaded where it is asked."""

from __future__ import annotations

import logging
import os
import shutil

from system.errors import InputError
from system.paddle_package import has_no_gpu
from system.paddle_versions import check_paddle

logger = logging.getLogger(__name__)

# Read by NVIDIA's libraries themselves, in every version: 0 keeps TF32 off whatever Paddle asks.
TF32_VARIABLE = "NVIDIA_TF32_OVERRIDE"
# Paddle's own flags, of which every version has some.
TF32_OF_MATRICES, TF32_OF_CONVOLUTIONS = "FLAGS_cublas_allow_tf32", "FLAGS_cudnn_allow_tf32"
DETERMINISTIC = {
    "FLAGS_cudnn_deterministic": True,
    "FLAGS_cudnn_exhaustive_search": False,  # which takes what is fastest at the moment
    "FLAGS_embedding_deterministic": 1,
}


def choose_device(device: str | None, tf32: bool = False, deterministic: bool = False) -> str:
    """Select a device, and on GPUs how exactly they compute; before anything is computed.

    Args:
        device: ``cpu``, ``gpu`` or ``gpu:N``; None takes the GPU when Paddle has one. ``gpu`` is
            the first one, or the one that the launcher has given to this process.
        tf32: whether convolutions may round what they multiply to 10 bits. Products of matrices,
            of which the geometry is made, never do.
        deterministic: whether cuDNN may only take what gives the same result every time.

    Returns:
        The name of the device, ``cpu`` or ``gpu:N``.

    Raises:
        InputError: there is no such device, it is not this process's own, or has no TF32; or Paddle
            is older than what this runs on.
    """
    import paddle  # noqa: PLC0415

    check_paddle()
    has_gpu = sees_gpu()
    if device is None:
        device = "gpu" if has_gpu else "cpu"
        if not has_gpu and has_nvidia_driver():
            logger.warning("computing on the CPU beside an NVIDIA driver: %s", why_no_gpu())
    if device.startswith("gpu"):
        _check_gpu(device, has_gpu)
        set_exactness(tf32, deterministic)
    elif tf32:
        raise InputError("--tf32: is for GPUs, and this is computed on the CPU; leave it out")
    try:
        paddle.set_device(device)
    except (ValueError, OSError) as error:
        raise InputError(f"--device {device}: Paddle refuses it ({error})") from error
    return paddle.device.get_device()


def device_to_be(device: str | None) -> str:
    """What :func:`choose_device` selects; loads Paddle, and selects it, only if it may be a GPU."""
    certain = device is None and has_no_gpu() and not has_nvidia_driver()  # of which it warns
    return "cpu" if device == "cpu" or certain else choose_device(device)


def device_kind() -> str:
    """``cpu`` or ``gpu``: what Paddle computes on."""
    import paddle  # noqa: PLC0415

    return paddle.device.get_device().partition(":")[0]


def is_deterministic() -> bool:
    """Whether operations on GPUs may only take what gives the same result every time."""
    import paddle  # noqa: PLC0415

    flag = "FLAGS_cudnn_deterministic"
    try:
        return bool(paddle.get_flags([flag])[flag])
    except ValueError:  # which Paddle for CPUs does not have
        return False


def _check_gpu(device: str, has_gpu: bool) -> None:
    """Raise InputError where there is no such GPU, or several processes would share it."""
    import paddle  # noqa: PLC0415

    if not has_gpu:
        raise InputError(f"--device {device}: {why_no_gpu()}, or use --device cpu")
    number = device.partition(":")[2]
    count = paddle.device.cuda.device_count()
    if number and int(number) >= count:
        raise InputError(f"--device {device}: Paddle sees {count}, which are numbered from 0")
    processes = int(os.environ.get("PADDLE_LOCAL_SIZE", "1"))
    if number and processes > 1:
        raise InputError(
            f"--device {device}: is one device for {processes} processes; use --device gpu, of "
            "which each takes its own, and name these with --devices of paddle.distributed.launch"
        )


def sees_gpu() -> bool:
    """Whether Paddle is made for GPUs, and there is one; loads it only if it may be so."""
    if has_no_gpu():
        return False
    import paddle  # noqa: PLC0415

    return paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0


def has_nvidia_driver() -> bool:
    """Whether NVIDIA's driver is installed, as where there is a GPU, seen by Paddle or not."""
    return shutil.which("nvidia-smi") is not None


def why_no_gpu() -> str:
    """What keeps Paddle from a GPU, and what to do."""
    import paddle  # noqa: PLC0415

    if not paddle.device.is_compiled_with_cuda():
        return "this Paddle is made for CPUs; install paddlepaddle-gpu (docs/gpu.md)"
    return "Paddle sees no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES"


def set_exactness(tf32: bool, deterministic: bool) -> None:
    """Tell NVIDIA's libraries whether they may use TF32, and whether results must be the same.

    They look at the environment when they are first used. Versions of Paddle differ in what is on
    without this, and in the switches that they have.
    """
    import paddle  # noqa: PLC0415

    if tf32:
        os.environ.pop(TF32_VARIABLE, None)
        os.unsetenv(TF32_VARIABLE)  # also where Paddle has set it, which Python does not see
    else:
        os.environ[TF32_VARIABLE] = "0"
    core = paddle.base.core
    for switch, allowed in (("set_cublas_switch", False), ("set_cudnn_switch", tf32)):
        if hasattr(core, switch):
            getattr(core, switch)(allowed)
    set_known_flags({TF32_OF_MATRICES: False, TF32_OF_CONVOLUTIONS: tf32})
    if deterministic:
        set_known_flags(DETERMINISTIC)


def set_known_flags(flags: dict[str, bool | int]) -> None:
    """Set those of Paddle's flags that this version and build has."""
    import paddle  # noqa: PLC0415

    for name, value in flags.items():
        try:
            paddle.set_flags({name: value})
        except ValueError:
            logger.debug("this Paddle has no %s", name)


def device_in_words(device: str, tf32: bool = False) -> str:
    """A device for the log, a GPU with its name and whether it may use TF32."""
    if not (device.startswith("gpu") and sees_gpu()):
        return device
    import paddle  # noqa: PLC0415

    name = paddle.device.cuda.get_device_name(int(device.partition(":")[2] or 0))
    return f"{device} ({name}), TF32 {'in convolutions' if tf32 else 'off'}"


def computes_in(dtype: str) -> bool:
    """Whether Paddle's device is a GPU that computes in ``bfloat16`` or ``float16``."""
    import paddle  # noqa: PLC0415

    supported = getattr(paddle.amp, f"is_{dtype}_supported")
    return paddle.device.get_device().startswith("gpu") and supported()
