"""Signs of collapse are said once, in words, when they last."""

import numpy as np
import paddle
import pytest

from training.health import LOOKS, Health, signs_of_frames

GOOD = {"flat": None, "masked": None, "unwarped": None}


def test_what_lasts_is_said_once():
    health, bad = Health(), {**GOOD, "flat": "it is flat"}
    for _ in range(LOOKS - 1):
        assert health.look(bad) == []
    assert health.look(GOOD) == []
    said = [health.look(bad) for _ in range(3 * LOOKS)]
    assert said == [*[[]] * (LOOKS - 1), ["it is flat"], *[[]] * 2 * LOOKS]
    # Another sign has its own count.
    said = [health.look({**bad, "masked": "it stands still"}) for _ in range(LOOKS)]
    assert said == [*[[]] * (LOOKS - 1), ["it stands still"]]


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        ({}, None, None),
        ({"disp": 0.002}, "flat", "nearly the same everywhere (0.1% deviation)"),
        ({"automask": [1] + [0] * 99}, "masked", "leaves out 99% of the pixels"),
        ({"automask": None}, None, None),
        (
            {"warped": (0.5, 20 / 255 / 0.8)},
            "unwarped",
            "frames as they are (0.80",
        ),
    ],
)
def test_signs_are_measured(change, name, said):
    values = {"disp": 2, "automask": [1, 0, 0, 0], "warped": (0.5, 0.01), **change}
    target = np.full((2, 3, 4, 6), 100, np.uint8)
    sources = np.stack([target + 40, target + 20], axis=1)
    disp = np.ones((2, 1, 4, 6), np.float32)
    disp[..., :3] += values["disp"]
    automask = values["automask"]
    signs = signs_of_frames(
        paddle.to_tensor(disp),
        [paddle.to_tensor(np.float32(target) / 255 + error) for error in values["warped"]],
        None if automask is None else paddle.to_tensor(np.float32(automask)),
        {"target": target, "sources": sources},
    )
    assert signs.keys() == GOOD.keys()
    assert {sign for sign, words in signs.items() if words is not None} == {name} - {None}
    assert name is None or said in signs[name]
