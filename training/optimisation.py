"""An optimiser step: gradients in some precision, of some parts of the networks, clipped.

Networks may compute in half precision on GPUs; geometry, loss, weights and optimiser stay in
float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import numpy as np
import paddle
from paddle import Tensor, nn

from options import ADAM, MUON
from system.device import computes_in
from system.errors import InputError
from system.paddle_versions import auto_cast, compiles_half_precision
from training.muon import Muon
from training.normalisation import freeze_statistics

OPTIMISERS = {ADAM: paddle.optimizer.Adam, MUON: Muon}
DTYPES = {"bf16": "bfloat16", "fp16": "float16"}
FIRST_SCALE = 2.0**15
WHOLE_NUMBERS = {"incr_count", "decr_count", "incr_every_n_steps", "decr_every_n_nan_or_inf"}


def check_precision(precision: str, compiled: bool = False) -> None:
    """Raise InputError where Paddle or its device cannot train in that precision."""
    if precision not in DTYPES:
        return
    device = paddle.device.get_device()
    if computes_in(DTYPES[precision]):
        if not compiled or compiles_half_precision():
            return
        problem = f"Paddle {paddle.__version__} cannot compile half precision; add --eager"
    elif not device.startswith("gpu"):
        problem = "Paddle trains in half precision on GPUs only; leave it out"
    else:
        problem = f"{device} does not compute in {DTYPES[precision]}; use fp16, or leave it out"
    raise InputError(f"--precision {precision}: {problem}")


def networks_in(precision: str) -> AbstractContextManager[None]:
    """Within it, networks compute in ``fp32``, ``bf16`` or ``fp16``."""
    half = precision in DTYPES
    return auto_cast(enable=half, dtype=DTYPES.get(precision, "float16"), level="O1")


def freeze(layer: nn.Layer) -> None:
    """Keep a layer's parameters and its running statistics as they are, in training too."""
    for parameter in layer.parameters():
        parameter.stop_gradient = True
    freeze_statistics(layer)


def set_part_rates(model: nn.Layer, base: float, rates: Mapping[str, float]) -> None:
    """Let modules learn at rates of their own, which follow every change of the optimiser's.

    Args:
        model: whose modules they are.
        base: rate of the optimiser that ``rates`` go with.
        rates: by the module's name.
    """
    for name, rate in rates.items():
        for parameter in getattr(model, name).parameters():
            parameter.optimize_attr["learning_rate"] = rate / base


class Update:
    """The optimiser, and what stands between the loss and it.

    With ``fp16`` the loss is scaled, which keeps small gradients above the smallest number.

    Args:
        model: whose parameters it moves.
        precision: of the networks.
        clip_norm: largest norm of all gradients together; 0 for any.
        optimiser: by its name in :data:`OPTIMISERS`.
    """

    def __init__(
        self,
        model: nn.Layer,
        precision: str = "fp32",
        clip_norm: float = 0,
        optimiser: str = ADAM,
    ) -> None:
        clip = nn.ClipGradByGlobalNorm(clip_norm) if clip_norm else None
        self.model = model
        self.optimiser = OPTIMISERS[optimiser](parameters=model.parameters(), grad_clip=clip)
        scaled = precision == "fp16"
        self._scaler = paddle.amp.GradScaler(enable=scaled, init_loss_scaling=FIRST_SCALE)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.optimiser.get_lr()

    def set_rates(self, base: float, now: float, parts: Mapping[str, float]) -> None:
        """Learn at ``now``; modules in ``parts`` as they would with theirs for ``base``."""
        self.optimiser.set_lr(now)
        set_part_rates(self.model, base, parts)

    def add(self, loss: Tensor) -> None:
        """Add the gradients of a part of the step's loss."""
        self._scaler.scale(loss).backward()

    def apply(self) -> None:
        """Move the parameters, and forget the gradients."""
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.optimiser.clear_grad()

    @property
    def scaling(self) -> dict[str, float]:
        """State of the loss scaling, for a checkpoint; empty without one."""
        state = self._scaler.state_dict()  # with an array of one number
        return {name: float(np.asarray(value).item()) for name, value in state.items()}

    def restore_scaling(self, state: Mapping[str, float]) -> None:
        """Go on from :attr:`scaling` of before."""
        if not state or not self._scaler.is_enable():
            return
        values = {n: int(value) if n in WHOLE_NUMBERS else value for n, value in state.items()}
        values["scale"] = paddle.to_tensor([values["scale"]], "float32").numpy()
        values["use_dynamic_loss_scaling"] = bool(values["use_dynamic_loss_scaling"])
        self._scaler.load_state_dict(values)
