"""Networks in half precision on GPUs; geometry, loss, weights and Adam stay in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager

import paddle

from errors import InputError

DTYPES = {"bf16": "bfloat16", "fp16": "float16"}
FIRST_SCALE = 2.0**15


def check_precision(precision: str) -> None:
    """Raise InputError where Paddle cannot train in that precision."""
    if precision in DTYPES and not paddle.device.get_device().startswith("gpu"):
        raise InputError(
            f"--precision {precision}: Paddle trains in half precision on GPUs only; leave it out"
        )


def networks_in(precision: str) -> AbstractContextManager[None]:
    """Within it, networks compute in ``fp32``, ``bf16`` or ``fp16``."""
    half = precision in DTYPES
    return paddle.amp.auto_cast(enable=half, dtype=DTYPES.get(precision, "float16"), level="O1")


def loss_scaler(precision: str) -> paddle.amp.GradScaler:
    """Keeps small gradients above the smallest number of ``fp16``; does nothing otherwise."""
    return paddle.amp.GradScaler(enable=precision == "fp16", init_loss_scaling=FIRST_SCALE)


def scaler_state(scaler: paddle.amp.GradScaler) -> dict[str, float]:
    """What a checkpoint keeps of a scaler; nothing of one that does nothing."""
    return {name: float(value) for name, value in scaler.state_dict().items()}


def restore_scaler(scaler: paddle.amp.GradScaler, state: dict[str, float]) -> None:
    """Give a scaler the state that :func:`scaler_state` returned."""
    if not state or not scaler.is_enable():
        return
    whole = {"incr_count", "decr_count", "incr_every_n_steps", "decr_every_n_nan_or_inf"}
    values = {name: int(value) if name in whole else value for name, value in state.items()}
    values["scale"] = paddle.to_tensor([values["scale"]], "float32").numpy()
    values["use_dynamic_loss_scaling"] = bool(values["use_dynamic_loss_scaling"])
    scaler.load_state_dict(values)
