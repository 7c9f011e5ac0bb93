"""The training loss: how well the sources rebuild the target, and how smooth the disparity is.

Every error map below is [B, 1, H, W].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from datasets.conventions import STEREO, disp_to_depth
from layers import (
    LocalStatistics,
    average_halve,
    back_project,
    edge_aware_smoothness,
    local_statistics,
    project,
    resize_bilinear,
    ssim_distance,
    warp,
)
from networks.monodepth import Architecture, Motion, Prediction
from training.recompute import recomputed

SSIM_WEIGHT = 0.85
PREDICTED_MASK_WEIGHT = 0.2
TIE_BREAK = 1e-5


@dataclass(frozen=True)
class Losses:
    """The loss of one batch and, for pictures, what led to it.

    Attributes:
        total: scalar, the mean over scales.
        per_scale: one scalar per scale.
        warped: per scale, one warped image [B, 3, H, W] per source.
        automasks: per scale [B, 1, H, W], 1 where a warped source beats the unwarped ones; empty
            without auto-masking.
        hinted: per scale [B, 1, H, W], 1 where the depth hint beats the prediction; empty without
            hints.
    """

    total: Tensor
    per_scale: list[Tensor]
    warped: list[list[Tensor]]
    automasks: list[Tensor]
    hinted: list[Tensor]


def photometric_error(
    prediction: Tensor, target: Tensor, ssim: bool, statistics: LocalStatistics | None = None
) -> Tensor:
    """Difference of two images [B, 3, H, W], per pixel (paper, equation 2).

    ``statistics`` are those of the target, where several images are compared with it.
    """
    l1 = paddle.abs(target - prediction).mean(axis=1, keepdim=True)
    if not ssim:
        return l1
    structure = ssim_distance(prediction, target, statistics).mean(axis=1, keepdim=True)
    return SSIM_WEIGHT * structure + (1 - SSIM_WEIGHT) * l1


def minimum_error(errors: Sequence[Tensor]) -> Tensor:
    """Smallest error over the sources: an occluded view does not count (paper, equation 4)."""
    # Pairwise, because the gradient of a minimum along an axis is slow.
    smallest = errors[0]
    for error in errors[1:]:
        smallest = paddle.minimum(smallest, error)
    return smallest


def mean_error(errors: Sequence[Tensor]) -> Tensor:
    """Mean error over the sources, as before Monodepth2."""
    return sum(errors) / len(errors)


def automask(error: Tensor, identity_error: Tensor) -> Tensor:
    """1 where warping explains the target better than not moving at all (paper, equation 5)."""
    return (error < identity_error).astype("float32").detach()


def hint_distance(depth: Tensor, hint: Tensor) -> Tensor:
    """log(1 + |depth - hint|), which far outliers hardly move (Watson et al., ICCV 2019)."""
    return paddle.log1p(paddle.abs(depth - hint))


def smoothness(disp: Tensor, image: Tensor) -> Tensor:
    """Edge-aware smoothness of disparity divided by its mean, which takes scale out of it."""
    mean = disp.mean(axis=[2, 3], keepdim=True)
    return edge_aware_smoothness(disp / (mean + 1e-7), image)


def pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """``image`` [B, 3, H, W] and its successive 2x2 averages."""
    images = [image]
    for _ in range(levels - 1):
        images.append(average_halve(images[-1]))
    return images


def scale_intrinsics(K: Tensor, level: int) -> Tensor:
    """Intrinsics [B, 3, 3] of a pyramid level, as published: the first two rows over 2^level."""
    if level == 0:
        return K
    return paddle.concat([K[:, :2] / 2**level, K[:, 2:]], axis=1)


def warp_sources(
    sources: Sequence[Tensor], depth: Tensor, K: Tensor, transforms: Sequence[Tensor]
) -> list[Tensor]:
    """Every source as the target camera would see it at ``depth`` [B, 1, H, W]."""
    height, width = depth.shape[2:]
    points = back_project(depth, K)
    return [
        warp(source, project(points, K, source_T_target, height, width))
        for source, source_T_target in zip(sources, transforms)
    ]


@dataclass(frozen=True)
class Kernels:
    """The two functions that take most of the loss's time, for which there may be faster ones.

    Attributes:
        warp_sources: see :func:`warp_sources`.
        photometric_error: see :func:`photometric_error`.
        compilable: whether they are made of Paddle's operations alone.
    """

    warp_sources: Callable[..., list[Tensor]]
    photometric_error: Callable[..., Tensor]
    compilable: bool = True


PLAIN = Kernels(warp_sources, photometric_error)


@dataclass(frozen=True)
class Objective:
    """The loss of Monodepth2 (paper, section 3).

    Attributes:
        architecture: which sources and scales there are.
        min_depth: nearest depth, model units.
        max_depth: farthest depth, model units.
        disparity_smoothness: weight of the smoothness, halved from one scale to the next.
        ssim: whether the photometric error has its SSIM part.
        average_sources: mean over the sources instead of their minimum.
        automasking: whether the unwarped sources compete with the warped ones, which leaves out
            what moves with the camera (section 3.2).
        v1_multiscale: compare each scale at its own resolution instead of the full one.
        recompute: compute photometric errors again in the backward pass, to save memory.
        hint_weight: of the distance to depth hints, where these are given.
        kernels: those of :mod:`training.cpu.fused`, for example, in the place of this module's.
    """

    architecture: Architecture
    min_depth: float = 0.1
    max_depth: float = 100.0
    disparity_smoothness: float = 1e-3
    ssim: bool = True
    average_sources: bool = False
    automasking: bool = True
    v1_multiscale: bool = False
    recompute: bool = False
    hint_weight: float = 1.0
    kernels: Kernels = PLAIN

    def __call__(
        self,
        prediction: Prediction,
        target: Tensor,
        sources: Tensor,
        K: Tensor,
        T_stereo: Tensor | None = None,
        tie_break: Tensor | None = None,
        hint: Tensor | None = None,
    ) -> Losses:
        """Loss of one batch.

        Args:
            prediction: of the networks.
            target: [B, 3, H, W] in [0, 1], not augmented.
            sources: [B, S, 3, H, W] in [0, 1], in the order of ``source_ids``.
            K: [B, 3, 3] in pixels of H x W.
            T_stereo: pose [B, 4, 4] of the stereo source, if there is one.
            tie_break: noise [B, S, H, W] of deviation 1 that lets neither side win the auto-mask
                where warped and unwarped sources are equally good.
            hint: depth [B, 1, H, W] in model units, 0 where unknown, that the stereo source is
                warped with as well: where it explains the target better than the prediction, the
                prediction is drawn to it (Watson et al., ICCV 2019). Not with ``v1_multiscale``.

        Returns:
            The losses.
        """
        scales = self.architecture.scales
        error_of = self.kernels.photometric_error
        if self.recompute:
            error_of = recomputed(error_of)
        levels = max(scales) + 1
        targets = pyramid(target, levels)
        source_images = [sources[:, i] for i in range(len(self.architecture.source_ids))]
        # The pyramid level at which warped and target images of a scale are compared.
        level_of = {scale: scale if self.v1_multiscale else 0 for scale in scales}
        compared = sorted(set(level_of.values()))
        source_pyramids = [pyramid(image, max(compared) + 1) for image in source_images]
        shared = self.ssim and self.kernels.photometric_error is photometric_error
        statistics = {
            level: local_statistics(targets[level]) if shared else None for level in compared
        }
        identity_errors = {}
        if self.automasking:
            for level in compared:
                unwarped = [images[level] for images in source_pyramids]
                identity_errors[level] = self._identity_error(
                    unwarped, targets[level], statistics[level], tie_break
                )

        if hint is not None:
            stereo = self.architecture.source_ids.index(STEREO)
            known, hint = hint > 0, paddle.clip(hint, self.min_depth, self.max_depth)
            hint_error = self._hint_error(
                hint, source_images[stereo], target, K, T_stereo, statistics[0]
            )

        per_scale, warped_images, automasks, hinted = [], [], [], []
        for index, scale in enumerate(scales):
            level = level_of[scale]
            disp = prediction.disps[index]
            height, width = targets[level].shape[2:]
            _, depth = disp_to_depth(
                resize_bilinear(disp, height, width), self.min_depth, self.max_depth
            )
            transforms = self._transforms(prediction.motions, depth, T_stereo)
            warped = self.kernels.warp_sources(
                [images[level] for images in source_pyramids],
                depth,
                scale_intrinsics(K, level),
                transforms,
            )
            errors = [
                error_of(image, targets[level], self.ssim, statistics[level]) for image in warped
            ]
            loss = 0.0
            if hint is not None:
                better = known & (hint_error < errors[stereo])
                hinted.append(better.astype(depth.dtype).detach())
            if prediction.masks is not None:
                mask = resize_bilinear(prediction.masks[index], height, width)
                errors = [error * mask[:, i : i + 1] for i, error in enumerate(errors)]
                loss = PREDICTED_MASK_WEIGHT * F.binary_cross_entropy(mask, paddle.ones_like(mask))
            error = self._reduce(errors)
            if self.automasking:
                automasks.append(automask(error, identity_errors[level]))
                error = paddle.minimum(identity_errors[level], error)
            weight = self.disparity_smoothness / 2**scale
            loss = loss + error.mean() + weight * smoothness(disp, targets[scale])
            if hint is not None:
                distance = hinted[-1] * hint_distance(depth, hint)
                loss = loss + self.hint_weight * distance.mean()
            per_scale.append(loss)
            warped_images.append(warped)
        return Losses(sum(per_scale) / len(per_scale), per_scale, warped_images, automasks, hinted)

    def _identity_error(
        self,
        sources: Sequence[Tensor],
        target: Tensor,
        statistics: LocalStatistics | None,
        tie_break: Tensor | None,
    ) -> Tensor:
        """Error of the unwarped sources."""
        error = self.kernels.photometric_error
        errors = [error(image, target, self.ssim, statistics) for image in sources]
        if tie_break is not None:
            height, width = target.shape[2:]
            noise = TIE_BREAK * tie_break[:, :, :height, :width]
            errors = [error + noise[:, i : i + 1] for i, error in enumerate(errors)]
        return self._reduce(errors)

    def _hint_error(
        self,
        hint: Tensor,
        source: Tensor,
        target: Tensor,
        K: Tensor,
        T_stereo: Tensor,
        statistics: LocalStatistics | None,
    ) -> Tensor:
        """Error of the stereo source warped with the hints; nothing of it learns."""
        (warped,) = self.kernels.warp_sources([source], hint, K, [T_stereo])
        return self.kernels.photometric_error(warped, target, self.ssim, statistics).detach()

    def _reduce(self, errors: Sequence[Tensor]) -> Tensor:
        """One error of those of the sources."""
        return mean_error(errors) if self.average_sources else minimum_error(errors)

    def _transforms(
        self, motions: Sequence[Motion], depth: Tensor, T_stereo: Tensor | None
    ) -> list[Tensor]:
        """``source_T_target`` [B, 4, 4] of every source, in the order of ``source_ids``."""
        translation_scale = None
        if self.architecture.pose_model_type == "posecnn":
            # Translation relative to mean inverse depth (Wang et al., CVPR 2018).
            translation_scale = (1 / depth).mean(axis=[1, 2, 3]).unsqueeze(1)
        temporal = iter(motions)
        return [
            T_stereo if source == STEREO else next(temporal).source_T_target(translation_scale)
            for source in self.architecture.source_ids
        ]
