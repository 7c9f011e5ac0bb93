"""Depth and motion learnt by rebuilding each frame from others (Godard et al., ICCV 2019)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from datasets.cache import with_cache
from datasets.conventions import KITTI_BASELINE_METRES, disp_to_depth
from datasets.footage.advice import squeezed
from datasets.items import TrainingItems, make_items
from datasets.layouts import LAYOUTS, SPLITS
from datasets.loader import Batch
from datasets.prepare import prepared
from datasets.splits import load_split
from networks.monodepth import Architecture, Monodepth, Prediction
from options import SelfSupervisedOptions, TrainOptions
from prediction.visualise import colorize_disparity
from system.errors import InputError
from training.color_jitter import jitter_batch
from training.cpu.fast_paths import fast_paths
from training.depth_watch import KIND_OF_TRUTH, watched_depth
from training.health import Signs, signs_of_frames
from training.logger import image_picture
from training.model_with_loss import ModelWithLoss, TracedLayer
from training.objective import PLAIN, Objective
from training.optimisation import networks_in
from training.task import Task, check_depth_range, random_monodepth, start_encoders
from training.tie_break import tie_break
from training.transfer import to_device
from weight_files.folder import open_model
from weight_files.model_info import ModelInfo

logger = logging.getLogger(__name__)

BROUGHT = ("target", "sources", "K", "T_stereo", "hint")  # to the device, of what a batch has


@dataclass(frozen=True)
class SelfSupervisedOutput:
    """What one pass over a batch gives.

    Attributes:
        total: the loss, scalar.
        per_scale: its parts, one scalar per scale.
        disp: sigmoid disparity of the first scale, [B, 1, H, W].
        warped: sources warped at the first scale, [B, 3, H, W] each.
        automask: of the first scale, [B, 1, H, W], or None without auto-masking.
        hinted: 1 where depth hints beat the first scale, [B, 1, H, W], or None without them.
    """

    total: Tensor
    per_scale: list[Tensor]
    disp: Tensor
    warped: list[Tensor]
    automask: Tensor | None
    hinted: Tensor | None


class Networks(TracedLayer):
    """The networks on the target and the sources that they are shown, [B, ...] in [0, 1].

    What they predict (:meth:`networks.monodepth.Prediction.as_dict`) is in float32.
    """

    def __init__(self, model: Monodepth, precision: str = "fp32") -> None:
        super().__init__()
        self.model = model
        self.precision = precision

    def compute(self, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """The prediction for ``target`` and ``sources``."""
        if self.precision == "fp32":
            return self.model(**inputs).as_dict()
        with networks_in(self.precision):
            predicted = self.model(**inputs).as_dict()
        return paddle.utils.map_structure(
            lambda part: part.astype("float32") if hasattr(part, "astype") else part, predicted
        )


class Loss(TracedLayer):
    """The objective of a prediction."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective
        self.compilable = objective.kernels.compilable

    def compute(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The fields of :class:`SelfSupervisedOutput`.

        Args:
            inputs: ``predicted`` by :class:`Networks`, and the other arguments of the objective
                as ``known``.
        """
        prediction = Prediction.from_dict(inputs["predicted"])
        losses = self.objective(prediction, **inputs["known"])
        return {
            "total": losses.total,
            "per_scale": losses.per_scale,
            "disp": prediction.disps[0],
            "warped": losses.warped[0],
            "automask": losses.automasks[0] if losses.automasks else None,
            "hinted": losses.hinted[0] if losses.hinted else None,
        }


class SelfSupervised(Task):
    """Training on frames without known depth."""

    output = SelfSupervisedOutput

    def __init__(self, options: TrainOptions) -> None:
        super().__init__(options)
        self.architecture = architecture_of(options)
        self.parts: dict[str, TrainingItems] = {}
        self.kind_of_truth = KIND_OF_TRUTH.get(options.dataset)
        if options.unlike_published and options.dataset != "frames":
            logger.info(
                "unlike the published code, whose values are in brackets: %s; --published takes "
                "them",
                options.unlike_published,
            )

    def items(self, part: str) -> TrainingItems:
        """The items of a part of the split.

        Raises:
            InputError: frames are missing, or those of one's own cannot be prepared.
        """
        options = self.options
        data_path, split = options.data_path, options.split
        if options.dataset == "frames":
            data_path = prepared(data_path)
            if split == SelfSupervisedOptions.split:  # frames of one's own bring a split along
                split = str(data_path / SPLITS)
        items = make_items(
            data_path,
            load_split(split, part),
            options.source_ids,
            options.height,
            options.width,
            options.png,
            options.intrinsics,
            options.seed,
            augment=part == "train",
            layout=LAYOUTS[options.dataset],
            resize=options.resize,
            # Validation stays the published loss, so that `best` means the same with hints.
            depth_hints=options.depth_hints and part == "train",
        )
        if options.cache_dir is not None:
            items = with_cache(items, options.cache_dir, options.num_workers)
        self.parts[part] = items
        if part == "train":
            size = options.width, options.height
            told = {squeezed(frames, size) for _, frames in items.cameras.values()} - {None}
            for words in sorted(told):
                logger.warning(words)
        return items

    def initial_model(self) -> Monodepth:
        """Depth and pose networks; see :func:`initial_model`."""
        return initial_model(self.options)

    def learning_rate(self) -> tuple[float, str]:
        """The published one."""
        return self.options.learning_rate, "as given or published"

    def model_with_loss(self, model: Monodepth) -> ModelWithLoss:
        """Networks and objective."""
        options = self.options
        objective = Objective(
            self.architecture,
            min_depth=options.min_depth,
            max_depth=options.max_depth,
            disparity_smoothness=options.disparity_smoothness,
            ssim=not options.no_ssim,
            average_sources=options.avg_reprojection,
            automasking=not options.disable_automasking,
            v1_multiscale=options.v1_multiscale,
            recompute=options.recompute,
            hint_weight=options.depth_hint_weight,
            kernels=PLAIN if options.eager else fast_paths().kernels or PLAIN,
        )
        return ModelWithLoss(Networks(model, options.precision), Loss(objective))

    def inputs(self, batch: Batch, epoch: int) -> dict[str, dict[str, Tensor]]:
        """Frames as the networks see them; as they are, with cameras and tie-break noise."""
        options = self.options
        shape = [len(options.source_ids), options.height, options.width]
        names = [name for name in BROUGHT if name in batch]
        given = dict(zip(names, to_device([batch[name] for name in names])))
        images = [given.pop("target").unsqueeze(1), given.pop("sources")]
        frames = paddle.concat(images, axis=1).astype("float32") / 255
        seen = frames
        if not options.no_color_jitter:
            seen = jitter_batch(frames, batch["color_jitter"])
        known = {
            "target": frames[:, 0],
            "sources": frames[:, 1:],
            "tie_break": tie_break(options.seed, epoch, batch["index"], shape),
            **given,
        }
        return {"seen": {"target": seen[:, 0], "sources": seen[:, 1:]}, "known": known}

    def scalars(self, output: SelfSupervisedOutput, batch: Batch) -> dict[str, float]:
        """The loss of each scale; the shares of pixels that the auto-mask and hints keep."""
        scales = self.architecture.scales
        scalars = {f"loss_{s}": float(v) for s, v in zip(scales, output.per_scale)}
        if output.automask is not None:
            scalars["automask_share"] = float(output.automask.mean())
        if output.hinted is not None:
            scalars["hinted_share"] = float(output.hinted.mean())
        return scalars

    def depth_scalars(
        self, output: SelfSupervisedOutput, batch: Batch, part: str
    ) -> dict[str, float]:
        """The depth of a batch beside its LiDAR, by the published tags; see `watched_depth`."""
        if self.kind_of_truth is None:
            return {}
        options = self.options
        _, depth = disp_to_depth(output.disp[:, 0], options.min_depth, options.max_depth)
        try:
            return watched_depth(depth.numpy(), batch, self.parts[part], self.kind_of_truth)
        except InputError as error:
            logger.warning("depth is not compared with LiDAR any more: %s", error)
            self.kind_of_truth = None
            return {}

    def pictures(self, output: SelfSupervisedOutput, batch: Batch) -> dict[str, np.ndarray]:
        """Target, disparity, warped sources, auto-mask and depth hint."""
        pictures = {
            "input": batch["target"][0].transpose(1, 2, 0),
            "disparity": colorize_disparity(output.disp[0, 0].numpy()),
        }
        for source, warped in zip(self.architecture.source_ids, output.warped):
            pictures[f"warped_{source}"] = image_picture(warped[0].numpy())
        if output.automask is not None:
            pictures["automask"] = image_picture(np.repeat(output.automask[0].numpy(), 3, axis=0))
        if "hint" in batch:
            hint = batch["hint"][0, 0]
            disparity = np.divide(1, hint, out=np.zeros_like(hint), where=hint > 0)
            pictures["hint"] = colorize_disparity(disparity)
        return pictures

    def signs(self, output: SelfSupervisedOutput, batch: Batch) -> Signs:
        """Collapse, a camera that stands still, frames without parallax."""
        return signs_of_frames(output.disp, output.warped, output.automask, batch)

    def info(self, items: TrainingItems, step: int) -> ModelInfo:
        """Architecture, size, depth range and baseline."""
        return info_of(self.options, step, items.baseline_metres)


def architecture_of(options: TrainOptions) -> Architecture:
    """The networks that the options ask for."""
    return Architecture(
        num_layers=options.resnet_layers,
        scales=options.scales,
        source_ids=options.source_ids,
        pose_model_type=options.pose_model_type,
        pose_model_input=options.pose_model_input,
        predictive_mask=options.predictive_mask,
        encoder=options.depth_encoder,
    )


def info_of(
    options: TrainOptions, step: int = 0, baseline_metres: float = KITTI_BASELINE_METRES
) -> ModelInfo:
    """What is saved beside the weights."""
    return ModelInfo(
        architecture=architecture_of(options),
        height=options.height,
        width=options.width,
        min_depth=options.min_depth,
        max_depth=options.max_depth,
        name=options.model_name,
        step=step,
        baseline_metres=baseline_metres,
    )


def initial_model(options: TrainOptions) -> Monodepth:
    """The model that training starts from: drawn from the seed, or loaded.

    Raises:
        InputError: the weights to start from are of another architecture or depth range.
    """
    paddle.seed(options.seed)
    model = random_monodepth(architecture_of(options), options)
    start_encoders(model, options)
    folder = options.load_weights_folder
    if folder is not None:
        opened = open_model(folder, options.models_to_load)
        check_depth_range(opened.info, folder, options)
        loaded = opened.load_into(model, options.models_to_load)
        logger.info("loaded %s from %s", ", ".join(loaded), folder)
    return model
