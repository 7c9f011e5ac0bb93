"""What happens to files."""

from __future__ import annotations

import numpy as np


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One of: cut short, a byte changed, a run of zeros, a run of noise, something appended."""
    place, length = int(rng.integers(len(content))), int(rng.integers(1, 30))
    noise = rng.integers(0, 256, length, np.uint8).tobytes()
    return [
        content[:place],
        content[:place]
        + bytes([content[place] ^ int(rng.integers(1, 256))])
        + content[place + 1 :],
        content[:place] + bytes(length) + content[place + length :],
        content[:place] + noise + content[place + length :],
        content + noise,
    ][int(rng.integers(5))]
