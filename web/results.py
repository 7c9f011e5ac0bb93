"""What the page keeps of predictions: the last ones, in its own folder, each under a token."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Result:
    """A prediction.

    Attributes:
        folder: of its files; ``picture.jpg`` and ``disparity.npy``, the network's output.
        shape: of the picture, (height, width).
        model: name of the model.
    """

    folder: Path
    shape: tuple[int, int]
    model: str

    @property
    def sigmoid(self) -> np.ndarray:
        """The network's output, float32 [h, w]."""
        return np.load(self.folder / "disparity.npy", allow_pickle=False).astype(np.float32)


class Results:
    """The last predictions; older ones are removed from the disk.

    Args:
        folder: to keep them in.
        most: number of them.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._kept: OrderedDict[str, Result] = OrderedDict()
        self._lock = threading.Lock()

    def new_folder(self) -> tuple[str, Path]:
        """A token that cannot be guessed, and the folder that belongs to it."""
        token = secrets.token_urlsafe(16)
        folder = self.folder / token
        folder.mkdir(parents=True)
        return token, folder

    def keep(self, token: str, result: Result) -> None:
        """Remember a result, and forget the oldest ones."""
        with self._lock:
            self._kept[token] = result
            old = [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self.most)]
        for each in old:
            shutil.rmtree(each.folder, ignore_errors=True)

    def find(self, token: str | None) -> Result | None:
        """The result of a token, None when it is not kept (any more)."""
        with self._lock:
            return self._kept.get(token or "")

    def __len__(self) -> int:
        return len(self._kept)
