"""The untrained model that is predicted with."""

from __future__ import annotations

from pathlib import Path

import paddle

from benchmarks.measure import Scale
from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo


def write_model(folder: Path, scale: Scale) -> Path:
    """Write a model of stereo pairs, so of metres, into a new folder; returns it."""
    paddle.seed(0)
    info = ModelInfo(Architecture(source_ids=(STEREO,)), scale.height, scale.width, name="bench")
    folder.mkdir()
    save_weights(folder, Monodepth(info.architecture), info)
    return folder
