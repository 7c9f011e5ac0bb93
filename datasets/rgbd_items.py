"""Training items of pictures with depth: one data set, or several with a share each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from datasets.depth_files import DepthNote, read_depth
from datasets.facts import Facts, facts_of_files
from datasets.items import NO_AUGMENTATION, draw_augmentation
from datasets.pictures import read_picture
from datasets.rgbd import Pair, size_message
from system.errors import InputError

CROP, SOURCE = 1, 2  # what is drawn besides flip and jitter, each from a generator of its own
ONE_SURFACE = 0.05  # largest difference of neighbouring depth on it, as a share


class Window(NamedTuple):
    """The part of a picture that becomes an item, in pixels."""

    left: int
    top: int
    width: int
    height: int


def draw_window(
    size: tuple[int, int], wanted: tuple[int, int], zoom: float, rng: np.random.Generator | None
) -> Window:
    """The part of a picture that is resized to an item; it has the item's aspect ratio.

    Args:
        size: (width, height) of the picture.
        wanted: likewise of the item.
        zoom: the part may be smaller than what fits by up to this factor.
        rng: draws zoom and place; None takes the largest part, in the middle.
    """
    fits = min(size[0] / wanted[0], size[1] / wanted[1])
    if rng is not None:
        fits /= rng.uniform(1, zoom)
    width, height = (max(1, min(s, round(fits * w))) for s, w in zip(size, wanted))
    free = (size[0] - width, size[1] - height)
    left, top = (f // 2 if rng is None else int(rng.integers(f + 1)) for f in free)
    return Window(left, top, width, height)


def cut(values: np.ndarray, window: Window, size: tuple[int, int], how: int) -> np.ndarray:
    """The window of a picture [h, w, 3], resized to ``size`` (width, height)."""
    return cv2.resize(part_of(values, window), size, interpolation=how)


def part_of(values: np.ndarray, window: Window) -> np.ndarray:
    """The window of a picture or depth map [h, w, ...]."""
    rows = slice(window.top, window.top + window.height)
    return values[rows, window.left : window.left + window.width]


def resize_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth [h, w], 0 where unknown, in ``size`` (width, height) and on the grid of its picture.

    Each pixel takes the depth nearest to its centre: no depth is mixed with that of another
    surface, or with unknown pixels. Where two are as near, as in every halving, it is their mean
    if they are of one surface.
    """
    if depth.shape[::-1] == size:
        return depth
    # Plain INTER_NEAREST takes the upper left pixel, half a pixel of the result from the centre.
    after = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    turned = np.ascontiguousarray(depth[::-1, ::-1])
    before = cv2.resize(turned, size, interpolation=cv2.INTER_NEAREST_EXACT)[::-1, ::-1]
    same = np.abs(after - before) <= ONE_SURFACE * np.minimum(after, before)
    return np.where(same, (after + before) / 2, after)


@dataclass(frozen=True)
class RgbdItems:
    """The items of one data set, each made from (epoch, index) alone."""

    pairs: Sequence[Pair]  # pictures and depth
    note: DepthNote  # what the depth files hold
    height: int  # of an item
    width: int  # likewise
    seed: int = 0  # of the augmentation
    # Whether to crop at random, flip and jitter; without it, the middle is taken.
    augment: bool = True
    # Largest random enlargement; 1 where depth is metric, whose size in the picture counts.
    zoom: float = 1.0
    cached = False

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        """The picture of an item, for messages."""
        return str(self.pairs[index].picture)

    def facts(self) -> Facts:
        """What the depth files hold, the pairs and their files."""
        paths = [path for pair in self.pairs for path in pair]
        what = " ".join(f"{name} {value}" for name, value in vars(self.note).items())
        return {"pairs": str(len(self)), "depth": what, **facts_of_files(paths)}

    def item(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """One item.

        Returns:
            ``image`` [3, H, W] uint8; ``depth`` [H, W] float32, metres, 0 where it is not known;
            ``color_jitter`` [8] float32; ``index`` int64, for :meth:`name`.

        Raises:
            InputError: a file is damaged, or picture and depth differ in size.
        """
        return self.drawn(index, (self.seed, epoch, index))

    def drawn(self, index: int, key: tuple[int, int, int]) -> dict[str, np.ndarray]:
        """The item ``index``, its augmentation drawn from ``key``."""
        pair = self.pairs[index]
        picture, depth = read_picture(pair.picture), read_depth(pair.depth, self.note)
        if picture.shape[:2] != depth.shape:
            raise InputError(size_message(pair, picture.shape[1::-1], depth.shape[::-1]))
        draw, rng = NO_AUGMENTATION, None
        if self.augment:
            draw, rng = draw_augmentation(*key), np.random.default_rng((*key, CROP))
        size = (self.width, self.height)
        window = draw_window(depth.shape[::-1], size, self.zoom, rng)
        how = cv2.INTER_AREA if window.width > self.width else cv2.INTER_LINEAR
        image = cut(picture, window, size, how)
        depth = resize_depth(part_of(depth, window), size)
        if draw.flip:
            image, depth = image[:, ::-1], depth[:, ::-1]
        return {
            "image": np.ascontiguousarray(image.transpose(2, 0, 1)),
            "depth": np.ascontiguousarray(depth),
            "color_jitter": draw.color_jitter,
            "index": np.int64(index),
        }


@dataclass(frozen=True)
class MixedItems:
    """Items of several data sets."""

    sets: Sequence[RgbdItems]  # the items of each
    # How often each is drawn from, any positive numbers; None: every item once.
    shares: Sequence[float] | None = None
    cached = False

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    @property
    def seed(self) -> int:
        """Of all draws."""
        return self.sets[0].seed

    def name(self, index: int) -> str:
        """The picture with that ``index`` of an item, for messages."""
        which, within = self._place(index)
        return self.sets[which].name(within)

    def facts(self) -> Facts:
        """Those of every data set."""
        return {
            f"data set {number}: {name}": value
            for number, items in enumerate(self.sets, 1)
            for name, value in items.facts().items()
        }

    def item(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """An item of an epoch; with shares, which one follows from (seed, epoch, index).

        Returns:
            As :meth:`RgbdItems.item`; ``index`` counts through all data sets.
        """
        key = (self.seed, epoch, index)
        which, within = self._place(index)
        if self.shares is not None:
            rng = np.random.default_rng((*key, SOURCE))
            which = int(rng.choice(len(self.sets), p=np.array(self.shares) / sum(self.shares)))
            within = int(rng.integers(len(self.sets[which])))
        before = sum(map(len, self.sets[:which]))
        return {**self.sets[which].drawn(within, key), "index": np.int64(before + within)}

    def _place(self, index: int) -> tuple[int, int]:
        """The data set, and the place in it, of a number that counts through all."""
        for which, items in enumerate(self.sets):
            if index < len(items):
                return which, index
            index -= len(items)
        raise IndexError(index)
