"""The loss of a step, read when the next one is under way: the device need not wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from paddle import Tensor


class LateLoss:
    """The loss of the last step that was read; another may be on its way.

    Args:
        check: raises where a loss will not do; of the loss, its step and the items learnt from.

    Attributes:
        value: the loss; None before the first one is read.
        stop: whether any of the processes that computed it had been asked to stop.
    """

    def __init__(self, check: Callable[[float, int, Sequence[int]], None]) -> None:
        self.value: float | None = None
        self.stop = False
        self._check = check
        self._unread: tuple[Tensor, int, Sequence[int]] | None = None

    def give(self, values: Tensor, step: int, items: Sequence[int]) -> None:
        """A step has been given to the device; the one before it is read.

        Args:
            values: [turns + 1], the loss of each turn, and the share of processes asked to stop.
            step: its number.
            items: that this process learnt from, as the loader names them.
        """
        self.read()
        self._unread = values, step, items

    def read(self) -> None:
        """Wait for the last step's loss, unless it was read before.

        Raises:
            Exception: of ``check``.
        """
        if self._unread is None:
            return
        (values, step, items), self._unread = self._unread, None
        *losses, stop = values.tolist()
        self.value, self.stop = float(np.mean(losses)), stop > 0
        self._check(self.value, step, items)
