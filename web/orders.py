"""Who wants which video: at most one of each visitor waits or is in work."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, replace

from web.watch import Watch

MOST = 1000  # orders that are known; no queue is as long


@dataclass(frozen=True)
class Order:
    """A video that somebody wants, and what its work looks at; None while it waits."""

    key: str
    watch: Watch | None = None


class Orders:
    """The videos that visitors want, from the press of the button until their work has ended."""

    def __init__(self) -> None:
        self._lock, self._orders = threading.Lock(), dict[str, Order]()

    def place(self, visitor: str) -> str | None:
        """The key of a new order; None if the visitor has one."""
        with self._lock:
            if visitor in self._orders:
                return None
            if len(self._orders) >= MOST:
                del self._orders[next(iter(self._orders))]
            self._orders[visitor] = order = Order(secrets.token_hex(8))
            return order.key

    def begin(self, visitor: str, key: object, watch: Watch) -> bool:
        """Whether to work on an order now: it is still wanted, and nobody else does."""
        with self._lock:
            order = self._orders.get(visitor)
            if order is None or order.key != key or order.watch is not None:
                return False
            self._orders[visitor] = replace(order, watch=watch)
            return True

    def end(self, visitor: str, key: object) -> None:
        """The work on an order has ended."""
        with self._lock:
            if visitor in self._orders and self._orders[visitor].key == key:
                del self._orders[visitor]

    def stop(self, visitor: str) -> bool:
        """Drop a visitor's order, if there is any: one in work ends at its next frame.

        Returns:
            Whether it only waited.
        """
        with self._lock:
            order = self._orders.get(visitor)
            if order is None:
                return False
            if order.watch is not None:
                order.watch.stop()
                return False
            del self._orders[visitor]
            return True

    def has(self, visitor: str) -> bool:
        """Whether a visitor's video waits or is in work."""
        return visitor in self._orders
