"""Figures of ConvNeXt encoders against the published implementation's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import paddle

from networks.convnext_encoder import ConvNextEncoder
from tests.derived import draw, plain_value
from tests.figures import Figure
from tests.parity_midas import compare_scaled


def derived_encoder(variant: str, seed: int) -> ConvNextEncoder:
    """An encoder, every parameter of which is what its published name stands for."""
    encoder = ConvNextEncoder(variant)
    for key, value in encoder.state_dict().items():
        n = draw(f"{variant}/{key}", tuple(value.shape), seed)
        drawn = 0.5 + 0.1 * n if key.endswith("layer_scale") else plain_value(key, n)
        value.set_value(drawn.astype(np.float32))
    encoder.eval()
    return encoder


def check_convnext(arrays: Mapping[str, np.ndarray], seed: int) -> Iterator[Figure]:
    """Features of every stage; of the first ones their means over the picture."""
    stages = [key for key in arrays if "/stage" in key]
    encoders = {key.split("/")[0] for key in stages}
    derived = {variant: derived_encoder(variant, seed) for variant in encoders}
    maps = {}
    for key in stages:
        variant, size, stage = key.split("/")
        if (variant, size) not in maps:
            images = arrays[f"image/{size}"].astype(np.float32).transpose(0, 3, 1, 2) / 255
            with paddle.no_grad():
                maps[variant, size] = derived[variant](paddle.to_tensor(images))
        got = maps[variant, size][int(stage[-1])].numpy()
        expected = arrays[key]
        yield compare_scaled(key, got.mean((2, 3)) if expected.ndim == 2 else got, expected)
