"""From a weights folder to the camera's motion between frames."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle

from layers import transform_from_parameters
from networks.kinds import MODULES
from networks.monodepth import Monodepth
from system.device import choose_device, device_in_words
from system.errors import InputError
from weight_files.folder import open_model
from weight_files.model_info import ModelInfo

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PosePredictor:
    """The pose network of a weights folder.

    Attributes:
        model: the networks.
        info: what the folder says of the model: size of the images, unit.
    """

    model: Monodepth
    info: ModelInfo

    @classmethod
    def from_folder(cls, folder: Path, device: str | None = None) -> PosePredictor:
        """Load the model of a weights folder.

        Raises:
            InputError: the folder or the device cannot be used, or its pose network does not see
                pairs of frames.
        """
        opened = open_model(folder, MODULES)
        architecture = opened.info.architecture
        if not architecture.temporal_ids:
            trained_on = "stereo pairs" if architecture.source_ids else "known depth"
            raise InputError(f"{folder}: was trained on {trained_on} alone, it has no pose network")
        if architecture.pose_model_type == "posecnn" or architecture.pose_model_input != "pairs":
            raise InputError(
                f"{folder}: has a pose network of type {architecture.pose_model_type} that sees "
                f"{architecture.pose_model_input}; measured are separate_resnet and shared on pairs"
            )
        found = device_in_words(choose_device(device))
        logger.info("pose network: paddle in fp32 on %s", found)
        return cls(opened.network(), opened.info)

    def later_T_earlier(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """Motion [B,4,4], model units, between RGB images [B,H,W,3] uint8: earlier to later."""
        images = [paddle.to_tensor(frames).transpose([0, 3, 1, 2]) for frames in (earlier, later)]
        with paddle.no_grad():
            motion = self.model.predict_motion(*(x.astype("float32") / 255 for x in images))
            return transform_from_parameters(*motion, invert=False).numpy()


def pairwise_poses(predictor: PosePredictor, batches: Iterable[np.ndarray]) -> np.ndarray:
    """Motions [N-1,4,4] float64 between each two following ones of N frames, given in batches.

    Raises:
        InputError: there are less than two frames.
    """
    poses, last = [], None
    for batch in batches:
        frames = batch if last is None else np.concatenate([last, batch])
        if len(frames) > 1:
            poses.append(predictor.later_T_earlier(frames[:-1], frames[1:]))
        last = frames[-1:]
    if not poses:
        raise InputError(
            "the way of a camera needs two frames or more; give more of them, or a smaller --stride"
        )
    return np.concatenate(poses).astype(np.float64)
