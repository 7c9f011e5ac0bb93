"""``model.json``: what a weights folder says of its model."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

from datasets.units import KITTI_BASELINE_METRES, NOMINAL_BASELINE
from errors import InputError
from files import check_sum
from networks.monodepth import STEREO, Architecture
from networks.resnet_encoder import DEPTHS

FORMAT_VERSION = 1
INFO_FILE = "model.json"
MONODEPTH, MIDAS_SMALL = "monodepth", "midas_small"
# What a model was trained on, which decides what is known of the scale of its output.
FRAMES, RELATIVE_DEPTH, METRIC_DEPTH = "frames", "relative_depth", "metric_depth"
# The files of a weights folder that predicting needs, by kind of model.
DEPTH_MODULES = {MONODEPTH: ("encoder", "depth"), MIDAS_SMALL: ("pretrained", "scratch")}


@dataclass(frozen=True)
class ModelInfo:
    """What ``model.json`` says of a model.

    Attributes:
        architecture: of the networks.
        height: of the images that it was trained on, and has to be given; of ``midas_small`` the
            longest side.
        width: likewise.
        min_depth: nearest depth, model units.
        max_depth: farthest depth, model units.
        name: of the training run.
        step: optimiser steps that it was trained for.
        baseline_metres: between the cameras of the stereo pairs that it was trained on.
        kind: ``monodepth``, or ``midas_small``, which has no use for most of the above.
        supervision: ``frames`` without known depth; ``relative_depth``, known up to scale and
            shift of its inverse; ``metric_depth``, which makes a model unit a metre.
    """

    architecture: Architecture
    height: int
    width: int
    min_depth: float = 0.1
    max_depth: float = 100.0
    name: str = ""
    step: int = 0
    baseline_metres: float = KITTI_BASELINE_METRES
    kind: str = MONODEPTH
    supervision: str = FRAMES

    @property
    def metric(self) -> bool:
        """Whether depth has a unit: true once a stereo pair or metres took part in training."""
        if self.supervision != FRAMES:
            return self.supervision == METRIC_DEPTH
        return self.kind == MONODEPTH and STEREO in self.architecture.source_ids

    @property
    def shift_known(self) -> bool:
        """Whether inverse depth is known up to a factor at most, not up to a shift, too."""
        return self.kind == MONODEPTH and self.supervision != RELATIVE_DEPTH

    @property
    def metres_per_unit(self) -> float | None:
        """What turns depth into metres, None for a model without a unit."""
        if self.supervision == METRIC_DEPTH:
            return 1.0
        return self.baseline_metres / NOMINAL_BASELINE if self.metric else None

    def to_json(self) -> str:
        """The text of ``model.json``."""
        fields = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        fields.update({"metric": self.metric, "nominal_baseline": NOMINAL_BASELINE})
        return json.dumps(fields, indent=2) + "\n"


def read_info_file(folder: Path) -> ModelInfo:
    """Read ``model.json`` of a weights folder, which must have one.

    Raises:
        InputError: it is damaged, or not what this version writes.
    """
    path = folder / INFO_FILE
    check_sum(path)
    try:
        fields = json.loads(path.read_text())
        version = fields.pop("format_version")
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: format version {version}; this version reads {FORMAT_VERSION}"
            )
        for derived in ("metric", "nominal_baseline"):
            fields.pop(derived, None)
        architecture = fields.pop("architecture")
        for name in ("scales", "source_ids"):
            architecture[name] = tuple(architecture[name])
        info = ModelInfo(Architecture(**architecture), **fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or not of this project ({error})") from error
    check_info(info, path)
    return info


def check_info(info: ModelInfo, path: Path) -> None:
    """Refuse values that no model can have, naming the key."""
    architecture = info.architecture
    valid = {
        "kind": info.kind in DEPTH_MODULES,
        "supervision": info.supervision in (FRAMES, RELATIVE_DEPTH)
        or (info.supervision == METRIC_DEPTH and info.kind == MONODEPTH),
        "num_layers": architecture.num_layers in DEPTHS,
        "scales": 0 in architecture.scales and all(s in (0, 1, 2, 3) for s in architecture.scales),
        "height": isinstance(info.height, int) and info.height > 0 and info.height % 32 == 0,
        "width": isinstance(info.width, int) and info.width > 0 and info.width % 32 == 0,
        "min_depth": _is_length(info.min_depth),
        "max_depth": _is_length(info.max_depth),
        "baseline_metres": _is_length(info.baseline_metres),
        "source_ids": (len(architecture.source_ids) > 0 or info.supervision != FRAMES)
        and all(i == STEREO or (isinstance(i, int) and i != 0) for i in architecture.source_ids),
        "pose_model_type": architecture.pose_model_type in ("separate_resnet", "shared", "posecnn"),
        "pose_model_input": architecture.pose_model_input in ("pairs", "all"),
    }
    wrong = [key for key, ok in valid.items() if not ok]
    if not wrong and info.min_depth >= info.max_depth:
        wrong = ["min_depth and max_depth"]
    if wrong:
        raise InputError(f"{path}: impossible value of {', '.join(wrong)}")


def _is_length(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < math.inf
