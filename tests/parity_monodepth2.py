"""Figures of networks, objective and training steps against the published implementation's."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from unittest.mock import patch

import numpy as np
import paddle

import layers
from datasets.conventions import STEREO, disp_to_depth
from networks.monodepth import Architecture, Monodepth, Prediction
from tests.figures import Figure, compare
from training.cpu import onednn
from training.cpu.fast_paths import fast_paths
from training.objective import PLAIN, Losses, Objective
from training.self_supervised import Networks
from weight_files.names import published_names

NETWORKS = 1e-4  # absolute: disparities and transforms
LOSS = 1e-5  # relative
GRADIENT_NORM = 5e-3  # relative
GRADIENT_DIRECTION = 5e-3  # one minus cosine
TRAJECTORY, HELD = 1e-3, 3  # relative, for the first losses

MONO = Architecture(source_ids=(-1, 1))
MONO_STEREO = Architecture(source_ids=(-1, 1, STEREO))

CONFIGURATIONS = {
    "mono_stereo": (MONO_STEREO, {}),
    "mono": (MONO, {}),
    "stereo": (Architecture(source_ids=(STEREO,)), {}),
    "ms_v1_multiscale": (MONO_STEREO, {"v1_multiscale": True}),
    "ms_no_ssim": (MONO_STEREO, {"ssim": False}),
    "ms_avg_reprojection": (MONO_STEREO, {"average_sources": True}),
    "ms_disable_automasking": (MONO_STEREO, {"automasking": False}),
    "m_predictive_mask": (replace(MONO, predictive_mask=True), {"automasking": False}),
    "m_posecnn": (replace(MONO, pose_model_type="posecnn"), {}),
    "m_shared": (replace(MONO, pose_model_type="shared"), {}),
    "m_pose_all": (replace(MONO, pose_model_input="all"), {}),
    "ms_resnet50": (replace(MONO_STEREO, num_layers=50), {}),
    "ms_avg_v1_no_mask": (
        MONO_STEREO,
        {"average_sources": True, "v1_multiscale": True, "automasking": False},
    ),
    "ms_depth_range": (
        MONO_STEREO,
        {"min_depth": 0.5, "max_depth": 40.0, "disparity_smoothness": 0.01},
    ),
}


@lru_cache(maxsize=400)  # encoders are the same in most configurations
def derived_parameter(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The value that a published ``module/key`` name stands for."""
    rng = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    n = rng.standard_normal(shape)
    leaf = name.rsplit(".", 1)[1]
    if leaf == "running_mean":
        value = 0.1 * n
    elif leaf == "running_var":
        value = 1 + 0.1 * np.abs(n)
    elif n.ndim == 1 and (".bn" in name or ".downsample.1." in name):
        value = 1 + 0.1 * n if leaf == "weight" else 0.1 * n
    elif n.ndim > 1:
        value = n * np.sqrt(2 / np.prod(shape[1:]))
    else:
        value = 0.05 * n
    return value.astype(np.float32)


@lru_cache(maxsize=4)  # architectures take turns, and take seconds to make
def _derived_layers(
    architecture: Architecture, seed: int, fast: bool
) -> tuple[Monodepth, dict[str, np.ndarray]]:
    # Drawing numbers that are overwritten would take a third of the check.
    paddle.nn.initializer.set_global_initializer(paddle.nn.initializer.Constant(0.0))
    try:
        with patch("networks.resnet_encoder.start_convolution"):
            model = Monodepth(architecture)
    finally:
        paddle.nn.initializer.set_global_initializer(None)
    if fast:
        compile_networks(model)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    names = published_names(shapes, architecture)
    return model, {
        name: derived_parameter(f"{module}/{key}", shapes[name], seed)
        for name, (module, key) in names.items()
    }


def derived_model(architecture: Architecture, seed: int, fast: bool = False) -> Monodepth:
    """The model as the seed makes it; the one that was made before of the same is used again."""
    model, arrays = _derived_layers(architecture, seed, fast)
    state = model.state_dict()
    for name, value in arrays.items():
        state[name].set_value(value)
    for parameter in model.parameters():
        parameter.clear_gradient(set_to_zero=False)
    return model


class GoldenBatch:
    """The batch of a golden file as tensors.

    ``jitter`` seeds noise of half a unit in the last place on the images: what rounding alone does.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], jitter: int | None = None) -> None:
        self.images = {}
        for key in (k for k in arrays if k.startswith("image/")):
            image = arrays[key].astype(np.float32).transpose(0, 3, 1, 2) / 255
            if jitter is not None:
                noise = np.random.default_rng(jitter).uniform(-6e-8, 6e-8, image.shape)
                image = (image + noise).astype(np.float32)
            self.images[key.split("/")[1]] = paddle.to_tensor(image)
        self.target = self.images["0"]
        batch, _, self.height, self.width = self.target.shape
        K = arrays["K_normalised"][:3, :3].astype(np.float32).copy()
        K[0] *= self.width
        K[1] *= self.height
        self.K = paddle.to_tensor(np.repeat(K[None], batch, 0))
        T_stereo = np.eye(4, dtype=np.float32)
        T_stereo[0, 3] = -0.1
        self.T_stereo = paddle.to_tensor(np.repeat(T_stereo[None], batch, 0))

    def in_float64(self) -> GoldenBatch:
        """The same batch in double precision."""
        batch = copy.copy(self)
        batch.images = {key: image.astype("float64") for key, image in self.images.items()}
        batch.target = batch.images["0"]
        batch.K, batch.T_stereo = self.K.astype("float64"), self.T_stereo.astype("float64")
        return batch

    def sources(self, architecture: Architecture) -> paddle.Tensor:
        return paddle.stack([self.images[str(i)] for i in architecture.source_ids], axis=1)

    def losses(self, model: Monodepth, objective: Objective) -> Losses:
        sources = self.sources(model.architecture)
        prediction = model(self.target, sources)
        return objective(prediction, self.target, sources, self.K, self.T_stereo)


def missing(name: str) -> Figure:
    return Figure(f"{name} (missing)", np.nan, np.nan, np.inf, 0.0)


def compile_networks(model: Monodepth) -> None:
    """Run the model as training does on CPUs; it predicts the same."""
    networks, plain = Networks(model), model.forward
    onednn.compile_with_onednn(networks, threads=1)

    def forward(target: paddle.Tensor, sources: paddle.Tensor) -> Prediction:
        model.forward = plain  # which the networks call while they are compiled
        try:
            return Prediction.from_dict(networks({"target": target, "sources": sources}))
        finally:
            model.forward = forward

    model.forward = forward


def check_monodepth2(arrays: Mapping[str, np.ndarray], fast: bool = False) -> Iterator[Figure]:
    """All figures of a file laid out like ``monodepth2_seed0_96x64.npz``.

    With ``fast``, as training runs on CPUs: oneDNN's convolutions and the fused kernels.
    """
    seed = int(arrays["seed"])
    batch = GoldenBatch(arrays)
    yield from check_pieces(arrays, batch)
    yield from check_evaluation_mode(arrays, batch, seed)
    known = set()
    for name, (architecture, arguments) in CONFIGURATIONS.items():
        if f"objective/{name}/loss" not in arrays:
            yield missing(f"objective/{name}/loss")
            continue
        known.add(name)
        yield from check_configuration(arrays, batch, seed, name, architecture, arguments, fast)
    for name in sorted({k.split("/")[1] for k in arrays if k.startswith("objective/")} - known):
        yield missing(f"objective/{name}: a configuration that this check does not know")
    yield from check_trajectory(arrays, batch, seed, fast)


def check_pieces(arrays: Mapping[str, np.ndarray], batch: GoldenBatch) -> Iterator[Figure]:
    axisangle = paddle.to_tensor(arrays["geometry/axisangle"])[:, 0]
    translation = paddle.to_tensor(arrays["geometry/translation"])[:, 0]
    for key, invert in (("geometry/T", False), ("geometry/T_inverse", True)):
        transform = layers.transform_from_parameters(axisangle, translation, invert)
        yield compare(key, transform, arrays[key], NETWORKS)
    expected = arrays["ssim/0_vs_1"]
    ssim = layers.ssim_distance(batch.target, batch.images["1"])[: len(expected)]
    yield compare("ssim/0_vs_1", ssim, expected, NETWORKS)
    disp = paddle.to_tensor(arrays["smooth/disp"])
    got = layers.edge_aware_smoothness(disp, batch.target)
    yield compare("smooth/loss", got, arrays["smooth/loss"], LOSS, relative=True)


def check_evaluation_mode(
    arrays: Mapping[str, np.ndarray], batch: GoldenBatch, seed: int
) -> Iterator[Figure]:
    model = derived_model(MONO, seed)
    model.eval()
    with paddle.no_grad():
        features = model.encoder(batch.target)
        prediction = model(batch.target, batch.sources(MONO))
        pair = paddle.concat([batch.target, batch.images["1"]], axis=1)
        axisangle, translation = model.pose([model.pose_encoder(pair)])
    for level, feature in enumerate(features):
        key = f"nets/eval/feature_mean_{level}"
        yield compare(key, feature.mean(axis=[0, 2, 3]), arrays[key], NETWORKS)
    for scale, disp in zip(MONO.scales, prediction.disps):
        yield compare(f"nets/eval/disp_{scale}", disp, arrays[f"nets/eval/disp_{scale}"], NETWORKS)
    for key, value in (("axisangle", axisangle), ("translation", translation)):
        expected = arrays[f"nets/eval/{key}"]
        yield compare(f"nets/eval/{key}", value.unsqueeze(2), expected, NETWORKS)


def check_configuration(
    arrays: Mapping[str, np.ndarray],
    batch: GoldenBatch,
    seed: int,
    name: str,
    architecture: Architecture,
    arguments: Mapping,
    fast: bool,
) -> Iterator[Figure]:
    model = derived_model(architecture, seed, fast)
    model.train()
    objective = Objective(
        architecture, kernels=fast_paths().kernels if fast else PLAIN, **arguments
    )
    losses = batch.losses(model, objective)
    losses.total.backward()
    prefix = f"objective/{name}"
    yield compare(f"{prefix}/loss", losses.total, arrays[f"{prefix}/loss"], LOSS, relative=True)
    for scale, loss in zip(architecture.scales, losses.per_scale):
        key = f"{prefix}/loss_{scale}"
        yield compare(key, loss, arrays[key], LOSS, relative=True)

    norms = gradient_norms(model)
    expected = {}
    for module in norms:
        key = f"{prefix}/gradnorm/{module}"
        if key in arrays:
            expected[module] = float(arrays[key])
        else:
            yield missing(key)
    noise = dict.fromkeys(expected, 0.0)
    if any(abs(norms[m] - expected[m]) > GRADIENT_NORM * expected[m] for m in expected):
        noise = rounding_noise(arrays, seed, architecture, objective)
    for module, value in expected.items():
        name = f"{prefix}/gradnorm/{module}"
        tolerance = GRADIENT_NORM + noise[module]
        if noise[module]:
            name += f" (rounding +-{noise[module]:.2g})"
        yield compare(name, norms[module], value, tolerance, relative=True)
    if architecture == MONO_STEREO and not arguments:
        yield from check_gradients(arrays, model)
        yield from check_step_details(arrays, batch, model, objective, losses)


def gradient_norms(model: Monodepth) -> dict[str, float]:
    """L2 norm of all gradients of each module."""
    norms = {}
    for module, layer in model.named_children():
        gradients = [p.grad.numpy() for p in layer.parameters() if p.grad is not None]
        norms[module] = float(np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients)))
    return norms


def rounding_noise(
    arrays: Mapping[str, np.ndarray], seed: int, architecture: Architecture, objective: Objective
) -> dict[str, float]:
    """Relative deviation of each gradient norm that rounding of the input images alone causes.

    Bilinear sampling, minimum and clipping have gradients with steps, which a deep network with
    batch statistics of two images reaches with its rounding error. For ResNet-50 the gradient norms
    move by up to 1 %, and the golden figures carry that noise too (in double precision they are off
    by up to 6e-3). Three standard deviations of ten draws are what a figure may be off by for it.
    """
    draws = []
    for jitter in range(10):
        model = derived_model(architecture, seed)
        model.train()
        GoldenBatch(arrays, jitter).losses(model, objective).total.backward()
        draws.append(gradient_norms(model))
    return {
        module: float(3 * np.std([d[module] for d in draws]) / np.mean([d[module] for d in draws]))
        for module in draws[0]
    }


def check_gradients(arrays: Mapping[str, np.ndarray], model: Monodepth) -> Iterator[Figure]:
    """Norm and direction of sampled gradients."""
    parameters = dict(model.named_parameters())
    names = {
        f"grad/{module}/{key}": name
        for name, (module, key) in published_names(parameters, model.architecture).items()
    }
    for key in (k for k in arrays if k.startswith("grad/")):
        if key not in names:
            yield missing(key)
            continue
        gradient = parameters[names[key]].grad.numpy().reshape(-1).astype(np.float64)
        gradient = gradient[:: max(1, gradient.size // 2000)]
        expected = arrays[key].astype(np.float64)
        norm, expected_norm = np.linalg.norm(gradient), np.linalg.norm(expected)
        yield compare(f"{key} norm", norm, expected_norm, GRADIENT_NORM, relative=True)
        cosine = float(gradient @ expected / (norm * expected_norm))
        yield compare(f"{key} direction", cosine, 1.0, GRADIENT_DIRECTION)


def check_step_details(
    arrays: Mapping[str, np.ndarray],
    batch: GoldenBatch,
    model: Monodepth,
    objective: Objective,
    losses: Losses,
) -> Iterator[Figure]:
    """Outputs of the networks, warps and masks inside a training step (mono_stereo)."""
    model = derived_model(model.architecture, int(arrays["seed"]))
    model.train()
    with paddle.no_grad():
        prediction = model(batch.target, batch.sources(model.architecture))
    stereo = model.architecture.source_ids.index(STEREO)
    first = slice(0, 1)
    for i, scale in enumerate(model.architecture.scales):
        key = f"nets/train/disp_{scale}"
        yield compare(key, prediction.disps[i], arrays[key], NETWORKS)
        key = f"warp/color_pred_m1_{scale}"
        yield compare(key, losses.warped[i][0][first], arrays[key], NETWORKS)

        full = layers.resize_bilinear(prediction.disps[i], batch.height, batch.width)
        _, depth = disp_to_depth(full, objective.min_depth, objective.max_depth)
        grid = layers.project(
            layers.back_project(depth, batch.K), batch.K, batch.T_stereo, batch.height, batch.width
        )
        key = f"warp/sample_s_{scale}"
        assert model.architecture.source_ids[stereo] == STEREO
        yield compare(key, grid[first], arrays[key], NETWORKS)

        # A pixel whose two errors agree to the last bit may fall on either side.
        key = f"automask/{scale}"
        got = losses.automasks[i][:, 0].numpy() > 0.5
        share = float(np.mean(got != arrays[key]))
        yield Figure(key, got.mean(), arrays[key].mean(), share, 1e-4)
    for i, source in enumerate(model.architecture.temporal_ids):
        motion = prediction.motions[i]
        for key, value in (("axisangle", motion.axisangle), ("translation", motion.translation)):
            expected = arrays[f"nets/train/{key}_{source}"][:, 0, 0]
            yield compare(f"nets/train/{key}_{source}", value, expected, NETWORKS)
        key = f"nets/train/cam_T_cam_{source}"
        yield compare(key, motion.source_T_target(), arrays[key], NETWORKS)


def check_trajectory(
    arrays: Mapping[str, np.ndarray], batch: GoldenBatch, seed: int, fast: bool
) -> Iterator[Figure]:
    """Losses before each of a few Adam steps; only the first three are held to a tolerance.

    Adam's first steps are as long where a gradient is nothing but rounding, so that some processors
    leave the tolerance at the third loss by rounding alone. Then double precision decides, which
    rounds to nothing on any of them.
    """
    expected = arrays["trajectory/loss"]
    model = derived_model(MONO_STEREO, seed, fast)
    losses, note = trajectory(model, batch, len(expected), fast), ""
    if not fast and (np.abs(losses / expected - 1) > TRAJECTORY)[:HELD].any():
        model = copy.deepcopy(derived_model(MONO_STEREO, seed)).to(dtype="float64")
        losses, note = trajectory(model, batch.in_float64(), len(expected), fast), " (float64)"
    for step, (loss, published) in enumerate(zip(losses, expected)):
        tolerance = TRAJECTORY if step < HELD else None
        key = f"trajectory/loss step {step}{note}"
        yield compare(key, loss, published, tolerance, relative=True)


def trajectory(model: Monodepth, batch: GoldenBatch, steps: int, fast: bool) -> np.ndarray:
    """The loss before each step of Adam, float64 [steps]."""
    model.train()
    objective = Objective(MONO_STEREO, kernels=fast_paths().kernels if fast else PLAIN)
    adam = paddle.optimizer.Adam(learning_rate=1e-4, parameters=model.parameters())
    losses = []
    for _ in range(steps):
        loss = batch.losses(model, objective).total
        losses.append(float(loss))
        loss.backward()
        adam.step()
        adam.clear_grad()
    return np.array(losses)
