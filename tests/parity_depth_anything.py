"""Figures of Depth Anything V2 against the published implementation's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import paddle

from networks.depth_anything import DepthAnything
from networks.input_sizes import depth_anything_size
from tests.derived import draw, plain_value
from tests.figures import Figure, compare
from tests.parity_midas import compare_scaled

GRADIENTS = 5e-3  # of norms, relative
FEATURES_OF = "84x126"
GRADIENTS_OF = "98x70"
LAST_BIAS = "depth_head.scratch.output_conv2.2.bias"


def derived_parameter(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The value that a published key stands for."""
    n = draw(f"depth_anything_v2_small/{key}", shape, seed)
    leaf = key.rsplit(".", 1)[1]
    if leaf in ("cls_token", "pos_embed"):
        value = 0.2 * n
    elif leaf == "mask_token":
        value = 0 * n
    elif leaf == "gamma":
        value = 0.5 + 0.1 * n
    else:
        value = 60 + n if key == LAST_BIAS else plain_value(key, n)
    return value.astype(np.float32)


def derived_model(seed: int) -> DepthAnything:
    """The small model, every parameter of which is what its published name stands for."""
    model = DepthAnything()
    for name, value in model.state_dict().items():
        value.set_value(derived_parameter(name, tuple(value.shape), seed))
    model.eval()
    return model


def check_depth_anything(arrays: Mapping[str, np.ndarray], seed: int) -> Iterator[Figure]:
    """The rule of sizes, outputs, tokens of the tapped blocks and norms of gradients."""
    for given, expected in zip(arrays["resize/in_wh"], arrays["resize/out_wh"]):
        got = np.array(depth_anything_size(*map(int, given)))
        yield compare(f"resize/{given[0]}x{given[1]}", got, expected, 0.0)
    model = derived_model(seed)
    inputs = {key.split("/")[1]: arrays[key] for key in arrays if key.startswith("input/")}
    for size, images in inputs.items():
        with paddle.no_grad():
            output = model.predict_normalised(paddle.to_tensor(images.astype(np.float32))).numpy()
        expected = arrays[f"output/{size}"]
        step = round(output.shape[1] / expected.shape[1])  # every so manyth row and column
        yield compare_scaled(f"output/{size}", output[:, ::step, ::step], expected)
    if FEATURES_OF in inputs:
        yield from check_features(model, inputs[FEATURES_OF], arrays)
    if GRADIENTS_OF in inputs:
        yield from check_gradients(model, inputs[GRADIENTS_OF], arrays)


def check_features(
    model: DepthAnything, images: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> Iterator[Figure]:
    """Of each tapped block, the mean over patches and the class."""
    with paddle.no_grad():
        tapped = model.pretrained(paddle.to_tensor(images.astype(np.float32)))
    for number, tokens in enumerate(tapped):
        name = f"features/{number}"
        if f"{name}/class" in arrays:
            means = tokens[:, 1:].mean(axis=1).numpy()
            yield compare_scaled(f"{name}/patch_mean", means, arrays[f"{name}/patch_mean"])
            yield compare_scaled(f"{name}/class", tokens[:, 0].numpy(), arrays[f"{name}/class"])


def check_gradients(
    model: DepthAnything, images: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> Iterator[Figure]:
    """Norms of the gradient of the mean output, of the input and of some parameters."""
    x = paddle.to_tensor(images.astype(np.float32), stop_gradient=False)
    model.predict_normalised(x).mean().backward()
    parameters = dict(model.named_parameters())
    for key in (key for key in arrays if key.startswith("gradient/")):
        name = key.partition("/")[2]
        gradient = x.grad if name == "input_norm" else parameters[name].grad
        norm = np.linalg.norm(gradient.numpy().astype(np.float64))
        yield compare(key, norm, arrays[key], GRADIENTS, relative=True)
