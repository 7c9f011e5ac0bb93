"""The test images, read and resized ahead of the network, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.kitti import read_image


def image_batches(
    paths: Sequence[Path], width: int, height: int, batch_size: int, num_workers: int
) -> Iterator[np.ndarray]:
    """Yield the images in order as RGB uint8 [B,height,width,3]; the last batch may be smaller.

    Threads do the work, since Pillow decodes and resizes outside Python's lock; at most two
    batches are held ready.
    """
    images = _read_ahead(paths, width, height, 2 * batch_size, num_workers)
    for start in range(0, len(paths), batch_size):
        yield np.stack([next(images) for _ in paths[start : start + batch_size]])


def read_resized(path: Path, width: int, height: int) -> np.ndarray:
    """Read an image and resize it as the published evaluation does, with Lanczos' filter."""
    image = Image.fromarray(read_image(path))
    return np.asarray(image.resize((width, height), Image.LANCZOS))


def _read_ahead(
    paths: Sequence[Path], width: int, height: int, ahead: int, num_workers: int
) -> Iterator[np.ndarray]:
    if num_workers == 0:
        yield from (read_resized(path, width, height) for path in paths)
        return
    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(num_workers) as pool:
        for path in paths:
            waiting.append(pool.submit(read_resized, path, width, height))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
