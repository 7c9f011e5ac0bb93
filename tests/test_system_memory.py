"""Memory that is used again is the same one in a thread, and no other's."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from system import memory
from system.memory import scratch, without_collection


def test_a_name_has_one_memory_per_thread_and_shape():
    first = scratch("a", (4, 5, 3))
    assert first.dtype == np.uint8
    assert scratch("a", (4, 5, 3)) is first
    assert not np.shares_memory(scratch("b", (4, 5, 3)), first)
    assert scratch("a", (5, 4, 3)).shape == (5, 4, 3)

    elsewhere = []
    mine = scratch("a", (5, 4, 3))
    thread = threading.Thread(target=lambda: elsewhere.append(scratch("a", (5, 4, 3))))
    thread.start()
    thread.join()
    assert not np.shares_memory(elsewhere[0], mine)


def test_what_is_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(memory, "MOST_KEPT", 59)
    assert scratch("large", (4, 5, 3)) is not scratch("large", (4, 5, 3))


def test_no_garbage_is_looked_for_meanwhile():
    with pytest.raises(KeyError), without_collection():
        assert not gc.isenabled()
        with without_collection():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
