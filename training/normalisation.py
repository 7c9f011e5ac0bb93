"""The layers that follow statistics of what passes through them, found in one place."""

from __future__ import annotations

from paddle import Tensor, nn

STATE = ("_mean", "_variance", "_momentum")


def following(layer: nn.Layer) -> list[nn.Layer]:
    """Batch normalisations within a layer, of any kind, whose running statistics move.

    Told by what they have, as Paddle's have no common base that is public: those of one device
    and of all, of images and of vectors. Frozen ones (:func:`freeze_statistics`) do not count.
    """
    return [
        part
        for part in layer.sublayers(include_self=True)
        if all(hasattr(part, name) for name in STATE) and not part._use_global_stats
    ]


def running_statistics(layer: nn.Layer) -> list[Tensor]:
    """Means and variances that move within a layer; Paddle counts them as parameters."""
    return [value for norm in following(layer) for value in (norm._mean, norm._variance)]


def freeze_statistics(layer: nn.Layer) -> None:
    """Normalise by the running statistics as they are, in training too."""
    for norm in following(layer):
        # Not eval(), which the next train() of the whole model would undo.
        norm._use_global_stats = True
