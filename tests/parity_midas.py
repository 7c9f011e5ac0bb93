"""Figures of MiDaS v2.1 small against the published implementation's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
import paddle

from networks.input_sizes import midas_size
from networks.midas_small import MidasSmall
from tests.derived import draw, plain_value
from tests.figures import Figure, compare
from weight_files.names import torch_name

RELATIVE = 1e-4  # to the largest value of an array
FEATURES_OF = "256x256"


def derived_parameter(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The value that a published key stands for."""
    n = draw(f"midas_small/{key}", shape, seed)
    leaf = key.rsplit(".", 1)[1]
    if leaf == "running_mean":
        value = 0.1 * n
    elif leaf == "running_var":
        value = 1 + 0.1 * np.abs(n)
    else:
        value = plain_value(key, n)
    return value.astype(np.float32)


def derived_model(seed: int) -> MidasSmall:
    model = MidasSmall()
    for name, value in model.state_dict().items():
        value.set_value(derived_parameter(torch_name(name), tuple(value.shape), seed))
    return model


def check_midas(arrays: Mapping[str, np.ndarray], seed: int) -> Iterator[Figure]:
    for given, expected in zip(arrays["resize/in_wh"], arrays["resize/out_wh"]):
        got = np.array(midas_size(*map(int, given)))
        wanted = np.maximum(expected, 32)  # the published rule may give 0
        yield compare(f"resize/{given[0]}x{given[1]}", got, wanted, 0.0)
    inputs = sorted(key for key in arrays if key.startswith("input/"))
    with paddle.no_grad():
        for key in inputs:
            size = key.split("/")[1]
            images = paddle.to_tensor(arrays[key].astype(np.float32))
            for phase in ("eval", "train"):
                model = derived_model(seed)  # a pass in train mode moves its statistics
                getattr(model, phase)()
                output = model.predict_normalised(images).numpy()
                name = f"output/{size}/{phase}"
                yield compare_scaled(name, output, arrays[name])
            if size == FEATURES_OF and "feature_mean/layer1" in arrays:
                model = derived_model(seed)
                model.eval()
                yield from check_features(model, images, arrays)


def compare_scaled(name: str, got: np.ndarray, expected: np.ndarray) -> Figure:
    """Compare two arrays as shares of the largest expected value: ReLU makes many of them 0."""
    scale = float(np.abs(expected).max())
    return compare(name, got / scale, expected / scale, RELATIVE)


def check_features(
    model: MidasSmall, images: paddle.Tensor, arrays: Mapping[str, np.ndarray]
) -> Iterator[Figure]:
    for number, level in enumerate(model.pretrained(images), start=1):
        name = f"feature_mean/layer{number}"
        yield compare_scaled(name, level.mean(axis=[0, 2, 3]).numpy(), arrays[name])
        shape = f"feature_shape/layer{number}"
        yield compare(shape, np.array(level.shape), arrays[shape], 0.0)


def seed_of(file_name: str) -> int:
    """The seed that a file's name says, as in ``midas_small_seed0.npz``."""
    found = re.search(r"seed(\d+)", file_name)
    return int(found.group(1)) if found else 0
