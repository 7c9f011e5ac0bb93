"""The kinds of depth networks by name, said once and without Paddle."""

from __future__ import annotations

from dataclasses import dataclass

# Encoders of Monodepth: ResNets by their number of layers, and the other ones by name.
RESNET, RESNET_LAYERS = "resnet", (18, 34, 50, 101, 152)
CONVNEXTS = ("convnext_tiny", "convnext_small", "convnext_base")
ENCODERS = (*(f"{RESNET}{layers}" for layers in RESNET_LAYERS), *CONVNEXTS)

MONODEPTH, MIDAS_SMALL = "monodepth", "midas_small"
DEPTH_ANYTHING = {size: f"depth_anything_v2_{size}" for size in ("small", "base", "large")}
# The modules of Monodepth.
MODULES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")


@dataclass(frozen=True)
class Kind:
    """What is known of a kind of depth network besides its code.

    Attributes:
        modules: those that predicting depth needs, the trunk first.
        multiple: that sides of the network's input are of, pixels.
        side: of the pictures that it was trained on, pixels; None where each model says its own,
            and is given no other.
    """

    modules: tuple[str, str]
    multiple: int = 32
    side: int | None = None


KINDS = {
    MONODEPTH: Kind(("encoder", "depth")),
    MIDAS_SMALL: Kind(("pretrained", "scratch"), side=256),
    **{name: Kind(("pretrained", "depth_head"), 14, 518) for name in DEPTH_ANYTHING.values()},
}
FOR_DEPTH = tuple(dict.fromkeys(module for kind in KINDS.values() for module in kind.modules))
ALL_MODULES = tuple(dict.fromkeys((*MODULES, *FOR_DEPTH)))
