"""Value noise that tiles and can be sampled without flicker: the surface texture of streets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

TEXTURE_SIZE = 256  # texels along a side, a power of two
NUM_LEVELS = 8  # halvings along each axis, the last is two texels wide
OCTAVE_WAVELENGTHS = (2, 4, 8, 16, 32, 64)  # texels


@dataclass(frozen=True)
class NoiseTexture:
    """A periodic grey texture in [0, 1] with its averages over 2^i x 2^j texels.

    Averages are kept for both axes apart (a rip-map): a road seen at a grazing angle is blurred
    along the view but not across it, where stereo matching needs its detail.
    """

    texels: np.ndarray  # float32, all levels one after the other, each row's first texel repeated
    below: np.ndarray  # the texels of the next row, in the same places
    offsets: np.ndarray  # int32 [NUM_LEVELS, NUM_LEVELS], first texel of level (v, u)

    def sample(
        self,
        u: np.ndarray,
        v: np.ndarray,
        du: np.ndarray,
        dv: np.ndarray,
        counts: np.ndarray | None = None,
    ) -> np.ndarray:
        """Look the texture up bilinearly, averaged over about one pixel.

        Rays often come in runs that share some of this, which is then worked out once per run.

        Args:
            u: Column coordinates in texels, any range (the texture repeats), float32 [N], or [R]
                if they do not change in a run.
            v: Row coordinates likewise.
            du: Extent of one pixel along u, in texels, float32 [R].
            dv: Extent of one pixel along v.
            counts: Number of rays in each run, int [R], N in all; without it each is one.

        Returns:
            Values in [0, 1], float32 [N].
        """
        counts = np.ones(len(du), np.intp) if counts is None else counts
        level_u, level_v = _level(du), _level(dv)
        start = self.offsets[level_v, level_u]
        place, across = _texel_position(u, level_u, 1, start, counts)
        row, down = _texel_position(v, level_v, (TEXTURE_SIZE >> level_u) + 1, 0, counts)
        place += row
        top, bottom = self.texels[place], self.below[place]
        top += across * (self.texels[1:][place] - top)
        bottom += across * (self.below[1:][place] - bottom)
        bottom -= top
        bottom *= down
        bottom += top
        return bottom


def make_noise_texture(rng: np.random.Generator) -> NoiseTexture:
    """Draw a texture whose octaves have equal contrast: detail for every distance."""
    noise = sum(_value_noise(rng, wavelength) for wavelength in OCTAVE_WAVELENGTHS)
    noise = (noise - noise.mean()) / noise.std()
    base = np.clip(0.5 + 0.22 * noise, 0, 1)
    texels, below, total = [], [], 0
    offsets = np.zeros((NUM_LEVELS, NUM_LEVELS), np.int32)
    rows = base
    for j in range(NUM_LEVELS):
        level = rows
        for i in range(NUM_LEVELS):
            offsets[j, i] = total
            closed = np.append(level, level[:, :1], axis=1).astype(np.float32)
            texels.append(closed.ravel())
            below.append(np.roll(closed, -1, axis=0).ravel())
            total += closed.size
            level = (level[:, ::2] + level[:, 1::2]) / 2
        rows = (rows[::2] + rows[1::2]) / 2
    return NoiseTexture(np.concatenate(texels), np.concatenate(below), offsets)


def _value_noise(rng: np.random.Generator, wavelength: int) -> np.ndarray:
    """Periodic value noise [TEXTURE_SIZE, TEXTURE_SIZE]: a random lattice, smoothly blended."""
    count = TEXTURE_SIZE // wavelength
    lattice = rng.uniform(-1, 1, (count, count))
    position = np.arange(TEXTURE_SIZE) / wavelength
    cell = position.astype(int)
    fraction = position - cell
    blend = fraction * fraction * (3 - 2 * fraction)
    following = (cell + 1) % count
    rows = lattice[cell] * (1 - blend)[:, None] + lattice[following] * blend[:, None]
    return rows[:, cell] * (1 - blend) + rows[:, following] * blend


def _level(extent: np.ndarray) -> np.ndarray:
    """Nearest whole log2 of an extent in texels, within the levels there are."""
    _, exponent = np.frexp(extent * np.float32(np.sqrt(2)))
    return np.clip(exponent - 1, 0, NUM_LEVELS - 1)


def _texel_position(
    coordinate: np.ndarray, level: np.ndarray, stride: Any, start: Any, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the texel before a coordinate is in memory, and the weight of the one after it.

    Arguments are per run, [R], the coordinate perhaps per ray; both results are per ray, [N].
    """
    shrink = np.exp2(-np.arange(NUM_LEVELS), dtype=np.float32)[level]
    last = (TEXTURE_SIZE >> level) - 1
    is_per_run = len(coordinate) == len(counts)
    if not is_per_run:
        shrink, last = np.repeat(shrink, counts), np.repeat(last, counts)
        stride, start = (np.repeat(x, counts) if np.ndim(x) else x for x in (stride, start))
    weight = (coordinate + np.float32(0.5)) * shrink
    weight -= np.float32(0.5)
    before = np.floor(weight)
    weight -= before
    place = ((before.astype(np.int32) & last) * stride + start).astype(np.intp)
    if is_per_run:
        return np.repeat(place, counts), np.repeat(weight, counts)
    return place, weight
