"""What looks wrong with the depth of a whole data set: its unit, its order, what is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

PLAUSIBLE_METRES = (0.05, 300.0)  # medians of a data set
INVERTED = 0.3  # correlation of depth with the row, from the top
LOOKED_AT = 20  # depth maps that are looked at for what is wrong with all

Item = TypeVar("Item")


def some_of(items: Sequence[Item]) -> list[Item]:
    """At most :data:`LOOKED_AT` of the items, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(LOOKED_AT, len(items))).astype(int)
    return [items[place] for place in places]


def judge(depths: Iterable[np.ndarray], unit_remedy: str, order_remedy: str) -> list[str]:
    """What seems to be wrong with depth maps of one data set, in words.

    Units are judged by the median, a swap of near and far by where it is near, which is mostly
    below.

    Args:
        depths: metres [H, W], 0 where unknown.
        unit_remedy: what to do about a wrong unit.
        order_remedy: what to do about near and far swapped.
    """
    medians, slopes, unknown = [], [], []
    for depth in depths:
        known = depth > 0
        unknown.append(1 - known.mean())
        if not known.any():
            continue
        medians.append(np.median(depth[known]))
        rows = np.nonzero(known)[0]
        order = np.argsort(np.argsort(depth[known]))
        if rows.std() > 0 and order.std() > 0:
            slopes.append(np.corrcoef(rows, order)[0, 1])
    if not medians:
        return ["no depth is known anywhere: 0, negative and infinite values count as unknown"]
    words = []
    low, high = PLAUSIBLE_METRES
    median = float(np.median(medians))
    if not low <= median <= high:
        unit = "millimetres or steps" if median > high else "kilometres, or scaled twice"
        words.append(
            f"half of the depth is beyond {median:.3g} m: it looks like {unit}; {unit_remedy}"
        )
    if slopes and float(np.median(slopes)) > INVERTED:
        words.append(
            "depth grows towards the lower edge in most pictures: near and far look swapped; "
            f"{order_remedy}"
        )
    if max(unknown) > 0:
        share = np.mean(unknown)
        words.append(f"{share:.1%} of the pixels are unknown (0 or not finite): left out")
    return words
