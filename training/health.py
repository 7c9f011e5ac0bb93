"""Signs that training goes nowhere, in words, while there is still time to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from datasets.loader import Batch
from training.step import StepOutput

FLATTEST = 0.02  # deviation of disparity, share of its mean
FEWEST_MOVING = 0.05  # share of the pixels that are not auto-masked
LOOKS = 4  # in a row, before it is said


@dataclass(frozen=True)
class Signs:
    """What a batch looks like.

    Attributes:
        disparity_spread: deviation over mean of disparity, mean of the images.
        moving: share of the pixels that warping explains best; None without auto-masking.
        gain: error of the sources as they are over that of the best warped one; above 1 is good.
    """

    disparity_spread: float
    moving: float | None
    gain: float


def signs_of(output: StepOutput, batch: Batch) -> Signs:
    """Measure a batch and what came out of it."""
    disp = output.disp.numpy()
    spread = float(np.mean(disp.std(axis=(1, 2, 3)) / disp.mean(axis=(1, 2, 3))))
    target = batch["target"].astype(np.float32) / 255
    sources = batch["sources"].astype(np.float32) / 255
    warped = [np.abs(image.numpy() - target).mean(axis=1) for image in output.warped]
    still = [np.abs(sources[:, i] - target).mean(axis=1) for i in range(sources.shape[1])]
    gain = np.min(still, axis=0).mean() / max(np.min(warped, axis=0).mean(), 1e-6)
    moving = None if output.automask is None else float(output.automask.mean())
    return Signs(spread, moving, float(gain))


WORDS = {
    "flat": (
        "the predicted depth is nearly the same everywhere ({spread:.1%} deviation): it has "
        "collapsed, or has not begun to be learnt; look at the frames' motion, the intrinsics and "
        "--learning_rate, or try --initial_disparity 0.05"
    ),
    "masked": (
        "auto-masking leaves out {masked:.0%} of the pixels: the camera hardly moves between "
        "these frames, or turns only; take frames that are farther apart"
    ),
    "unwarped": (
        "warped frames fit no better than frames as they are ({gain:.2f} of their error): "
        "wrong intrinsics, frames in the wrong order, or footage without parallax"
    ),
}


@dataclass
class Lasting:
    """Remembers how often in a row each sign was bad, and says each of them once."""

    _bad: dict[str, int] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def look(self, signs: Mapping[str, str | None]) -> list[str]:
        """What is to be said after another look: the words of each sign, None where it is good."""
        messages = []
        for name, words in signs.items():
            self._bad[name] = self._bad.get(name, 0) + 1 if words is not None else 0
            if self._bad[name] >= LOOKS and name not in self._said:
                self._said.add(name)
                messages.append(words)
        return messages


@dataclass
class Health:
    """The signs of self-supervised training, each said once when it lasts."""

    _lasting: Lasting = field(default_factory=Lasting)

    def look(self, signs: Signs) -> list[str]:
        """What is to be said after another look."""
        bad = {
            "flat": signs.disparity_spread < FLATTEST,
            "masked": signs.moving is not None and signs.moving < FEWEST_MOVING,
            "unwarped": signs.gain < 1,
        }
        values = {"spread": signs.disparity_spread, "gain": signs.gain}
        values["masked"] = 1 - (signs.moving or 0)
        return self._lasting.look(
            {name: WORDS[name].format(**values) if is_bad else None for name, is_bad in bad.items()}
        )
