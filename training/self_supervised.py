"""Depth and motion learnt by rebuilding each frame from others (Godard et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor

from datasets.items import TrainingItems
from datasets.loader import Batch
from networks.model_info import ModelInfo
from networks.monodepth import Monodepth
from options import TrainOptions
from training.arrays import to_tensor
from training.color_jitter import jitter_batch
from training.health import Health, signs_of
from training.logger import disparity_picture, image_picture, mask_picture
from training.setup import architecture_of, info_of, initial_model, items_of, objective_of
from training.step import StepOutput, TrainingStep, draw_tie_break
from training.task import Place, Task


class SelfSupervised(Task):
    """Training on frames without known depth."""

    def __init__(self, options: TrainOptions) -> None:
        super().__init__(options)
        self.architecture = architecture_of(options)
        self.health = Health()

    def items(self, part: str) -> TrainingItems:
        """The items of a split; see :func:`training.setup.items_of`."""
        return items_of(self.options, part)

    def initial_model(self) -> Monodepth:
        """Depth and pose networks; see :func:`training.setup.initial_model`."""
        return initial_model(self.options)

    def learning_rate(self) -> tuple[float, str]:
        """The published one."""
        return self.options.learning_rate, "as given or published"

    def step(self, model: Monodepth) -> TrainingStep:
        """Networks and objective."""
        return TrainingStep(model, objective_of(self.options), self.options.precision)

    def inputs(self, batch: Batch, place: Place) -> list[Tensor]:
        """Frames as they are and as the networks see them, cameras, and tie-break noise.

        The noise is drawn for the whole step, of which the batch takes its part.
        """
        options, count = self.options, len(batch["index"])
        shape = [place.items, len(options.source_ids), options.height, options.width]
        noise = draw_tie_break(options.seed, place.step, shape)
        target, sources = (to_tensor(batch[key]) for key in ("target", "sources"))
        frames = paddle.concat([target.unsqueeze(1), sources], axis=1).astype("float32") / 255
        seen = jitter_batch(frames, batch["color_jitter"])
        return [
            frames[:, 0],
            frames[:, 1:],
            seen[:, 0],
            seen[:, 1:],
            to_tensor(batch["K"]),
            to_tensor(batch["T_stereo"]),
            noise[place.first : place.first + count],
        ]

    def output(self, tensors: Sequence[Tensor]) -> StepOutput:
        """Name the tensors that :meth:`TrainingStep.forward` returned."""
        rest = list(tensors)
        total = rest.pop(0)
        per_scale = [rest.pop(0) for _ in self.architecture.scales]
        disp = rest.pop(0)
        warped = [rest.pop(0) for _ in self.architecture.source_ids]
        return StepOutput(total, per_scale, disp, warped, rest[0] if rest else None)

    def scalars(self, output: StepOutput, batch: Batch) -> dict[str, float]:
        """The loss of each scale, and the share of pixels that the auto-mask keeps."""
        scales = self.architecture.scales
        scalars = {f"loss_{s}": float(v) for s, v in zip(scales, output.per_scale)}
        if output.automask is not None:
            scalars["automask_share"] = float(output.automask.mean())
        return scalars

    def pictures(self, output: StepOutput, batch: Batch) -> dict[str, np.ndarray]:
        """Target, disparity, warped sources and auto-mask."""
        pictures = {
            "input": batch["target"][0].transpose(1, 2, 0),
            "disparity": disparity_picture(output.disp[0].numpy()),
        }
        for source, warped in zip(self.architecture.source_ids, output.warped):
            pictures[f"warped_{source}"] = image_picture(warped[0].numpy())
        if output.automask is not None:
            pictures["automask"] = mask_picture(output.automask[0].numpy())
        return pictures

    def warnings(self, output: StepOutput, batch: Batch) -> list[str]:
        """Collapse, a camera that stands still, frames without parallax."""
        return self.health.look(signs_of(output, batch))

    def info(self, items: TrainingItems, step: int) -> ModelInfo:
        """Architecture, size, depth range and baseline."""
        return info_of(self.options, step, items.baseline_metres)
