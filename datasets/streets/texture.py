"""Value noise that tiles and can be sampled without flicker: the surface texture of streets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TEXTURE_SIZE = 256  # texels along a side, a power of two
NUM_LEVELS = 8  # halvings along each axis, the last is two texels wide
OCTAVE_WAVELENGTHS = (2, 4, 8, 16, 32, 64)  # texels
PERIODS = 3  # how often each level is repeated down the atlas

SIZES = TEXTURE_SIZE >> np.arange(NUM_LEVELS)  # texels of the levels along an axis
# Where the first texels of the levels are in an atlas; beside them are those that come round.
COLUMNS = np.cumsum(SIZES + 2) - SIZES - 1
ROWS = np.cumsum(PERIODS * SIZES + 2) - PERIODS * SIZES - 1
# A texel's value is that of its middle, at half a texel of its level.
SHIFTS = 0.5 / TEXTURE_SIZE - 0.5 / SIZES  # periods
LARGEST_MAP = 1 << 14  # pixels along an axis, cv2.remap takes less than 1 << 15


@dataclass(frozen=True)
class NoiseTexture:
    """A periodic grey texture in [0, 1] with its averages over 2^i x 2^j texels.

    Averages are kept for both axes apart (a rip-map): a road seen at a grazing angle is blurred
    along the view but not across it, where stereo matching needs its detail.

    All levels are in one picture, the atlas, side by side along u and one below the other along v.
    Down the atlas each is repeated ``PERIODS`` times: so far, walls go on without coming round.
    """

    atlas: np.ndarray  # float32
    turned: np.ndarray  # float32, the atlas of the texture with u and v exchanged

    def sample(self, u: np.ndarray, v: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        """Look the texture up bilinearly, averaged over about one pixel.

        Args:
            u: Column coordinates in texels, any range (the texture repeats), [N].
            v: Row coordinates likewise.
            du: Extent of one pixel along u, in texels.
            dv: Extent of one pixel along v.

        Returns:
            Values in [0, 1], float32 [N].
        """
        x, y = places(u, level_of(du), COLUMNS), places(v, level_of(dv), ROWS)
        padding = -len(x) % LARGEST_MAP
        x, y = (np.pad(place, (0, padding)).reshape(-1, LARGEST_MAP) for place in (x, y))
        return look_up(self.atlas, x, y).ravel()[: len(u)]


def look_up(atlas: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values at places in an atlas, float32 [H, W]; sides below 2^15."""
    return cv2.remap(atlas, x, y, cv2.INTER_LINEAR)


def level_of(extent: np.ndarray) -> np.ndarray:
    """Nearest whole log2 of an extent in texels, within the levels there are."""
    _, exponent = np.frexp(extent * np.float32(np.sqrt(2)))
    return np.clip(exponent - 1, 0, NUM_LEVELS - 1)


def places(coordinate: np.ndarray, level: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Places in an atlas of coordinates in texels, float32 [N]; ``starts`` is COLUMNS or ROWS.

    The level is that of each coordinate, or [G] for coordinates [W, G].
    """
    shift, size, start = (table.astype(np.float32).take(level) for table in (SHIFTS, SIZES, starts))
    turns = coordinate * np.float32(1 / TEXTURE_SIZE)
    turns += shift
    turns -= np.floor(turns)
    turns *= size
    turns += start
    return turns


def lines(
    start: np.ndarray, step: np.ndarray, lowest: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places down an atlas of coordinates ``start + step * s``, as such a sum, float32 [N] both.

    They do not come round: for s from ``lowest`` on, they go on for ``PERIODS - 1`` periods.
    """
    size = SIZES.take(level)
    turns = start / TEXTURE_SIZE + SHIFTS.take(level)
    turns -= np.floor(turns + step / TEXTURE_SIZE * lowest)
    places = ROWS.take(level) + turns * size, step * (size / TEXTURE_SIZE)
    return places[0].astype(np.float32), places[1].astype(np.float32)


def make_noise_texture(rng: np.random.Generator) -> NoiseTexture:
    """Draw a texture whose octaves have equal contrast: detail for every distance."""
    noise = sum(_value_noise(rng, wavelength) for wavelength in OCTAVE_WAVELENGTHS)
    noise = (noise - noise.mean()) / noise.std()
    base = np.clip(0.5 + 0.22 * noise, 0, 1)
    return NoiseTexture(_make_atlas(base), _make_atlas(base.T))


def _make_atlas(base: np.ndarray) -> np.ndarray:
    """All levels of a texture [TEXTURE_SIZE, TEXTURE_SIZE] in one picture."""
    shape = ROWS[-1] + PERIODS * SIZES[-1] + 1, COLUMNS[-1] + SIZES[-1] + 1
    atlas, band = np.empty(shape, np.float32), base
    for row, down in zip(ROWS - 1, SIZES):
        level, down_around = band, np.arange(-1, PERIODS * down + 1) % down
        for column, across in zip(COLUMNS - 1, SIZES):
            around = np.arange(-1, across + 1) % across
            place = atlas[row : row + len(down_around), column : column + len(around)]
            place[...] = level.astype(np.float32)[:, around][down_around]
            level = (level[:, ::2] + level[:, 1::2]) / 2
        band = (band[::2] + band[1::2]) / 2
    return atlas


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
