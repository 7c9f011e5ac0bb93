"""Parts of a network that learn at a rate of their own, or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from paddle import nn


def freeze(layer: nn.Layer) -> None:
    """Keep a layer's parameters and its running statistics as they are, in training too."""
    for parameter in layer.parameters():
        parameter.stop_gradient = True
    for part in layer.sublayers(include_self=True):
        if isinstance(part, nn.BatchNorm2D):
            # Not eval(), which the next train() of the whole model would undo.
            part._use_global_stats = True


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
