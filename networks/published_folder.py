"""Weights folders without ``model.json``: what their parameters say of the model.

The published models are such folders: ``encoder.pth`` and ``depth.pth``, ``pose_encoder.pth`` and
``pose.pth`` where motion was learnt. The encoder's file also says the size of the images and
whether stereo pairs took part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from errors import InputError
from networks.model_info import INFO_FILE, ModelInfo, check_info
from networks.monodepth import STEREO, Architecture, SourceId
from networks.parameter_names import MODULES
from weight_files.reading import SUFFIXES, Value, read_weights
from weight_files.state_dicts import split_bookkeeping, torch_name

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


def find_module(folder: Path, module: str) -> Path | None:
    """The file of a module in a weights folder, of whichever format is there."""
    files = (folder / f"{module}{suffix}" for suffix in SUFFIXES)
    return next((path for path in files if path.is_file()), None)


def module_file(folder: Path, module: str) -> Path:
    """Like :func:`find_module`; raises InputError when there is none."""
    path = find_module(folder, module)
    if path is None:
        raise InputError(f"{folder / module}{SUFFIXES[0]}: missing from the weights folder")
    return path


def infer_info(folder: Path, facts: Mapping[str, Any] | None = None) -> ModelInfo:
    """Describe a model by the shapes of its parameters and the encoder's own words.

    Args:
        folder: the weights folder.
        facts: ``height``, ``width`` and ``trained_on`` (M, S or MS), where the encoder is silent.

    Raises:
        InputError: the folder holds no model, or not enough is known of it.
    """
    paths = {module: find_module(folder, module) for module in MODULES}
    if paths["encoder"] is None or paths["depth"] is None:
        raise InputError(
            f"{folder}: not a weights folder (it has no {INFO_FILE}, and no encoder and depth as "
            f"{', '.join(SUFFIXES[1:])} either)"
        )
    values = {module: read_weights(path) for module, path in paths.items() if path is not None}
    shapes = {module: _shapes(content) for module, content in values.items()}
    said = {**(facts or {}), **split_bookkeeping(values["encoder"])[1]}
    try:
        info = ModelInfo(
            architecture=infer_architecture(shapes, _trained_on(said, shapes)),
            height=int(said["height"]),
            width=int(said["width"]),
            name=folder.resolve().name,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        reason = f"{error.args[0]} is not said" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{folder}: has no {INFO_FILE}, and its files do not say enough of the model "
            f"({reason}); convert_weights.py takes what is missing as options"
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


def infer_architecture(shapes: Mapping[str, Shapes], trained_on: str) -> Architecture:
    """The architecture whose published files have parameters of these shapes, per module.

    Raises:
        ValueError: there is none.
    """
    temporal: tuple[SourceId, ...] = (-1, 1) if "M" in trained_on else ()
    return Architecture(
        num_layers=_num_layers(shapes["encoder"]),
        scales=_scales(shapes["depth"]),
        source_ids=temporal + ((STEREO,) if "S" in trained_on else ()),
        predictive_mask="predictive_mask" in shapes,
        **(_pose(shapes) if "pose" in shapes else {}),
    )


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
