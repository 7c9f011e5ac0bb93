"""What ``paddle.hub.load("OWNER/REPOSITORY", NAME, source=...)`` serves: see docs/deploy.md.

Every published model by its name, ``transforms`` for their input, and ``depth_predictor`` for all
of it in one call.
"""

from __future__ import annotations

import functools as _functools
import sys as _sys
from pathlib import Path as _Path
from typing import Any as _Any

dependencies = ["paddle", "numpy", "PIL", "cv2", "safetensors", "tqdm"]

# Paddle takes the folder off the path again before it calls what is here.
_sys.path.insert(0, str(_Path(__file__).resolve().parent))
from weight_files.published import DEPTH_MODELS as _NAMES  # noqa: E402


def transforms() -> _Any:
    """Functions from an RGB picture [H, W, 3] uint8 to the input [1, 3, h, w] of a model.

    ``small_transform`` for midas_v21_small, ``depth_anything_transform``,
    ``monodepth_640x192_transform`` and ``monodepth_1024x320_transform``. A loaded model has its
    own as ``model.transform``.
    """
    from prediction.hub import transforms

    return transforms()


def depth_predictor(weights: str = "midas_v21_small", **how: _Any) -> _Any:
    """Pictures of any size to depth: ``predictor("street.jpg").depth``.

    Args:
        weights: the name of a published model, or a weights folder.
        how: ``device``, ``engine``, ``precision``: see ``DepthPredictor.from_folder``.
    """
    from prediction.predictor import DepthPredictor
    from weight_files.download import named_model

    return DepthPredictor.from_folder(named_model(weights) if weights in _NAMES else weights, **how)


def _load(name: str, pretrained: bool = True) -> _Any:
    from prediction.hub import load

    return load(name, pretrained)


def _entry(name: str) -> _Any:
    entry = _functools.partial(_load, name)
    entry.__doc__ = (
        f"{name}: a layer from images [B, 3, h, w] in [0, 1] to inverse depth [B, h, w].\n\n"
        "Its ``transform`` makes such images. ``pretrained=False`` gives random weights."
    )
    return entry


for _name in _NAMES:
    globals()[_name] = _entry(_name)
MiDaS_small = _entry("midas_v21_small")  # as it is called elsewhere
