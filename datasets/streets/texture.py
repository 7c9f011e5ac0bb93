"""Value noise that tiles and can be sampled without flicker: the surface texture of streets."""

from dataclasses import dataclass

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

    texels: np.ndarray  # float32, all levels one after the other
    offsets: np.ndarray  # int32 [NUM_LEVELS, NUM_LEVELS], first texel of level (v, u)

    def sample(self, u: np.ndarray, v: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        """Look the texture up bilinearly, averaged over about one pixel.

        Args:
            u: Column coordinates in texels, any range (the texture repeats), float32 [N].
            v: Row coordinates likewise.
            du: Extent of one pixel along u, in texels, float32 [N].
            dv: Extent of one pixel along v.

        Returns:
            Values in [0, 1], float32 [N].
        """
        level_u, level_v = _level(du), _level(dv)
        column, column_weight, width = _texel_position(u, level_u)
        row, row_weight, height = _texel_position(v, level_v)
        start = self.offsets[level_v, level_u]
        left, right = column & (width - 1), (column + 1) & (width - 1)
        upper = start + (row & (height - 1)) * width
        lower = start + ((row + 1) & (height - 1)) * width
        texels = self.texels
        top = texels[upper + left]
        top += column_weight * (texels[upper + right] - top)
        bottom = texels[lower + left]
        bottom += column_weight * (texels[lower + right] - bottom)
        return top + row_weight * (bottom - top)


def make_noise_texture(rng: np.random.Generator) -> NoiseTexture:
    """Draw a texture whose octaves have equal contrast: detail for every distance."""
    noise = sum(_value_noise(rng, wavelength) for wavelength in OCTAVE_WAVELENGTHS)
    noise = (noise - noise.mean()) / noise.std()
    base = np.clip(0.5 + 0.22 * noise, 0, 1)
    levels, offsets, total = [], np.zeros((NUM_LEVELS, NUM_LEVELS), np.int32), 0
    for j in range(NUM_LEVELS):
        rows = base.reshape(TEXTURE_SIZE >> j, 1 << j, TEXTURE_SIZE).mean(axis=1)
        for i in range(NUM_LEVELS):
            level = rows.reshape(len(rows), TEXTURE_SIZE >> i, 1 << i).mean(axis=2)
            offsets[j, i] = total
            total += level.size
            levels.append(level.ravel())
    return NoiseTexture(np.concatenate(levels).astype(np.float32), offsets)


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
    coordinate: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texel before a coordinate, weight of the texel after it, and texels along the level."""
    shrink = np.exp2(-np.arange(NUM_LEVELS), dtype=np.float32)[level]
    position = (coordinate + np.float32(0.5)) * shrink - np.float32(0.5)
    before = np.floor(position)
    return before.astype(np.int32), position - before, TEXTURE_SIZE >> level
