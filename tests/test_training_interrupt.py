"""Requests to stop: which signals are one, which kill, and what becomes of a closed terminal."""

from __future__ import annotations

import signal
import sys

import pytest
from tqdm import tqdm

from training.interrupt import StopRequest, Unbroken

posix = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _handlers():
    """Signals that nobody asked for raise Killed; afterwards they mean what they meant."""

    def kill(number, frame):
        raise Killed

    numbers = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    before = {number: signal.signal(number, kill) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_is_a_request(name):
    number = getattr(signal, name)
    with StopRequest() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
        if name == "SIGHUP":  # of which a closing terminal sends several
            signal.raise_signal(number)
        else:
            with pytest.raises(Killed):
                signal.raise_signal(number)
            signal.raise_signal(signal.SIGHUP)
    with pytest.raises(Killed):
        signal.raise_signal(number)


@posix
def test_a_hang_up_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop.requested


class Gone:
    """A stream whose reader has gone."""

    def write(self, text=""):
        raise BrokenPipeError(32, "Broken pipe")

    flush = write


def test_a_bar_goes_on_when_nobody_reads_it():
    with pytest.raises(BrokenPipeError), tqdm(total=2, file=Gone()) as bar:
        bar.update()
    with tqdm(total=2, file=Unbroken(Gone()), mininterval=0) as bar:
        bar.set_postfix(loss=1)
        bar.update(2)
    assert bar.n == 2
