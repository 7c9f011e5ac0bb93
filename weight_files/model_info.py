"""What a weights folder says of its model: in ``model.json``, or by its parameters.

The published models have no ``model.json``: ``encoder.pth`` and ``depth.pth``, ``pose_encoder.pth``
and ``pose.pth`` where motion was learnt. The encoder's file also says the size of the images and
whether stereo pairs took part.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.conventions import KITTI_BASELINE_METRES, NOMINAL_BASELINE, STEREO
from networks.architecture import Architecture, SourceId
from networks.kinds import CONVNEXTS, KINDS, MIDAS_SMALL, MONODEPTH, RESNET, RESNET_LAYERS
from system.errors import InputError
from system.files import json_text, parse_json, text_of
from weight_files.names import split_bookkeeping, torch_name
from weight_files.reading import SUFFIXES, Value

FORMAT_VERSION = 1
INFO_FILE = "model.json"
LARGEST_SIDE = 1 << 13  # pixels
MOST_PIXELS = 1 << 23  # of the images together; a picture in 4K has fewer
MOST_SOURCES = 16
MOST_STEPS = 10**12
LONGEST = 1e12  # of lengths, in metres or model units
# What a model was trained on, which decides what is known of the scale of its output.
FRAMES, RELATIVE_DEPTH, METRIC_DEPTH = "frames", "relative_depth", "metric_depth"

Shapes = Mapping[str, tuple[int, ...]]

# Residual blocks of the four stages, and whether each has three convolutions.
RESNETS = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
DECODER_CHANNELS = (16, 32, 64, 128)  # of the depth decoder at scales 0 to 3


@dataclass(frozen=True)
class ModelInfo:
    """What ``model.json`` says of a model.

    Attributes:
        architecture: of the networks.
        height: of the images that it was trained on, and has to be given; of networks for
            any size the side of what they were trained on.
        width: likewise.
        min_depth: nearest depth, model units.
        max_depth: farthest depth, model units.
        name: of the training run.
        step: optimiser steps that it was trained for.
        baseline_metres: between the cameras of the stereo pairs that it was trained on.
        kind: of :data:`networks.kinds.KINDS`; those for any size have no use for most of the above.
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
        if self.kind != MONODEPTH:
            return self.supervision == METRIC_DEPTH
        return self.supervision != RELATIVE_DEPTH

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
        return json_text(fields)


def parse_info(content: bytes, path: Path) -> ModelInfo:
    """What the ``content`` of a file ``model.json`` says.

    Raises:
        InputError: it is damaged, or not what this version writes.
    """
    try:
        fields = parse_json(text_of(content))
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
        check_info(info, path)
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: damaged or not of this project ({error})") from error
    return info


def check_info(info: ModelInfo, path: Path) -> None:
    """Refuse values that no model can have, naming the key."""
    architecture = info.architecture
    sources = architecture.source_ids
    valid = {
        "kind": info.kind in tuple(KINDS),  # a list is in no dictionary
        "supervision": info.supervision in (FRAMES, RELATIVE_DEPTH)
        or (info.supervision == METRIC_DEPTH and info.kind != MIDAS_SMALL),
        "num_layers": architecture.num_layers in RESNET_LAYERS,
        "encoder": architecture.encoder in (RESNET, *CONVNEXTS),
        "scales": _are_different(architecture.scales, 4)
        and 0 in architecture.scales
        and all(_is_number(s) and s in (0, 1, 2, 3) for s in architecture.scales),
        "height": _is_side(info.height, info.kind),
        "width": _is_side(info.width, info.kind),
        "name": isinstance(info.name, str),
        "step": _is_number(info.step) and 0 <= info.step <= MOST_STEPS,
        "predictive_mask": isinstance(architecture.predictive_mask, bool),
        "min_depth": _is_length(info.min_depth),
        "max_depth": _is_length(info.max_depth),
        "baseline_metres": _is_length(info.baseline_metres),
        "source_ids": (len(sources) > 0 or info.supervision != FRAMES)
        and _are_different(sources, MOST_SOURCES)
        and all(i == STEREO or (_is_number(i) and 0 < abs(i) <= MOST_STEPS) for i in sources),
        "pose_model_type": architecture.pose_model_type in ("separate_resnet", "shared", "posecnn"),
        "pose_model_input": architecture.pose_model_input in ("pairs", "all"),
    }
    wrong = [key for key, ok in valid.items() if not ok]
    if not wrong and info.min_depth >= info.max_depth:
        wrong = ["min_depth and max_depth"]
    if not wrong and info.height * info.width > MOST_PIXELS:
        wrong = ["height and width, which are of too many pixels"]
    if wrong:
        raise InputError(f"{path}: impossible value of {', '.join(wrong)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_side(value: object, kind: object) -> bool:
    multiple = KINDS[kind].multiple if kind in tuple(KINDS) else 1
    return _is_number(value) and 0 < value <= LARGEST_SIDE and value % multiple == 0


def _is_length(value: object) -> bool:
    is_number = _is_number(value) or isinstance(value, float)
    return is_number and 1 / LONGEST <= value <= LONGEST


def _are_different(values: tuple[object, ...], most: int) -> bool:
    return len(values) <= most and len(values) == len({(type(v), str(v)) for v in values})


def infer_info(
    folder: Path, values: Mapping[str, Mapping[str, Value]], facts: Mapping[str, Any]
) -> ModelInfo:
    """Describe a model by the shapes of its parameters and the encoder's own words.

    Args:
        folder: the weights folder.
        values: what the files of its modules hold.
        facts: ``height``, ``width`` and ``trained_on`` (M, S or MS), where the encoder is silent.

    Raises:
        InputError: the folder holds no model, or not enough is known of it.
    """
    if "encoder" not in values or "depth" not in values:
        raise InputError(
            f"{folder}: not a weights folder (it has no {INFO_FILE}, and no encoder and depth as "
            f"{', '.join(SUFFIXES[1:])} either)"
        )
    shapes = {module: _shapes(content) for module, content in values.items()}
    said = {**facts, **split_bookkeeping(values["encoder"])[1]}
    try:
        trained_on = _trained_on(said, shapes)
        temporal: tuple[SourceId, ...] = (-1, 1) if "M" in trained_on else ()
        info = ModelInfo(
            architecture=Architecture(
                num_layers=_num_layers(shapes["encoder"]),
                scales=_scales(shapes["depth"]),
                source_ids=temporal + ((STEREO,) if "S" in trained_on else ()),
                predictive_mask="predictive_mask" in shapes,
                **(_pose(shapes) if "pose" in shapes else {}),
            ),
            height=int(said["height"]),
            width=int(said["width"]),
            name=folder.resolve().name,
        )
    except (KeyError, ValueError, IndexError, TypeError, OverflowError) as error:
        reason = f"{error.args[0]} is not said" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{folder}: has no {INFO_FILE}, and its files do not say enough of the model "
            f"({reason}); python -m tools.convert_weights takes what is missing as options"
        ) from error
    check_info(info, folder)
    return info


def _shapes(values: Mapping[str, Value]) -> Shapes:
    parameters, _ = split_bookkeeping(values)
    return {torch_name(name): getattr(value, "shape", ()) for name, value in parameters.items()}


def _trained_on(said: Mapping[str, Any], shapes: Mapping[str, Shapes]) -> str:
    """M, S or MS; a stereo model without a pose network counts as S."""
    if "use_stereo" not in said:
        return said["trained_on"] if "pose" in shapes else said.get("trained_on", "S")
    if not said["use_stereo"]:
        return "M"
    return "MS" if "pose" in shapes else "S"


def _num_layers(encoder: Shapes) -> int:
    stages = [
        len({name.split(".")[2] for name in encoder if name.startswith(f"encoder.layer{stage}.")})
        for stage in range(1, 5)
    ]
    kind = (tuple(stages), "encoder.layer1.0.conv3.weight" in encoder)
    if kind not in RESNETS:
        raise ValueError(f"its encoder is no ResNet that is known here: blocks {stages}")
    return RESNETS[kind]


def _scales(depth: Shapes) -> tuple[int, ...]:
    """The scales of the outputs in their order, by the channels that each reads."""
    outputs = {
        int(match[1]): shape[1]
        for name, shape in depth.items()
        if (match := re.fullmatch(r"decoder\.(\d+)\.conv\.weight", name))
    }
    return tuple(DECODER_CHANNELS.index(outputs[index]) for index in sorted(outputs))


def _pose(shapes: Mapping[str, Shapes]) -> dict[str, str]:
    """Type and input of the pose network."""
    pose = shapes["pose"]
    if "pose_conv.weight" in pose:
        kind, images = "posecnn", pose["net.0.weight"][1] // 3
    elif "pose_encoder" in shapes:
        kind, images = "separate_resnet", shapes["pose_encoder"]["encoder.conv1.weight"][1] // 3
    else:
        kind, images = "shared", pose["net.1.weight"][1] // 256
    if images not in (2, 3):
        raise ValueError(f"its pose network sees {images} frames at once, which are not known")
    return {"pose_model_type": kind, "pose_model_input": "pairs" if images == 2 else "all"}
