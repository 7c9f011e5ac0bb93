"""Signs of collapse are said once, in words, when they last."""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from training.health import LOOKS, Health, Signs, signs_of

GOOD = Signs(disparity_spread=0.4, moving=0.6, gain=2.0)


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        (Signs(0.001, 0.6, 2.0), "nearly the same everywhere (0.1% deviation)"),
        (Signs(0.4, 0.01, 2.0), "leaves out 99% of the pixels"),
        (Signs(0.4, None, 0.8), "fit no better than frames as they are (0.80"),
    ],
)
def test_what_lasts_is_said_once(signs, said):
    health = Health()
    for _ in range(LOOKS - 1):
        assert health.look(signs) == []
    assert health.look(GOOD) == []
    messages = [message for _ in range(3 * LOOKS) for message in health.look(signs)]
    assert len(messages) == 1
    assert said in messages[0]


def test_a_good_batch_is_silent():
    health = Health()
    assert not any(health.look(GOOD) for _ in range(3 * LOOKS))


def test_signs_are_measured():
    target = np.full((2, 3, 4, 6), 100, np.uint8)
    sources = np.stack([target + 40, target + 20], axis=1)
    disp = np.ones((2, 1, 4, 6), np.float32)
    disp[..., :3] = 3
    output = SimpleNamespace(
        disp=paddle.to_tensor(disp),
        warped=[paddle.to_tensor(np.float32(target) / 255 + error) for error in (0.5, 0.01)],
        automask=paddle.to_tensor(np.float32([1, 0, 0, 0])),
    )
    signs = signs_of(output, {"target": target, "sources": sources})
    assert signs.disparity_spread == pytest.approx(0.5)
    assert signs.moving == pytest.approx(0.25)
    assert signs.gain == pytest.approx(20 / 255 / 0.01, rel=1e-3)
