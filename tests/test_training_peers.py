"""A process that ends is noticed by those that train with it, unless it was done."""

from __future__ import annotations

import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from training import peers
from training.peers import GREETING, Peers, join, kept_alive, listen, meet

ROOT = Path(__file__).resolve().parents[1]
HOST, TOKEN = "127.0.0.1", 2**61 + 5
PROGRAM = """
import sys, time
from training import peers
port, token, rank, then = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
peers.GRACE_SECONDS = 0
words = lambda which: f"rank {rank} lost {which}"
connections = peers.join("127.0.0.1", port, token, rank)
own = peers.Peers(connections, peers.end_process(words)).watch()
if then == "leaves":
    own.leave()
    sys.exit()
if then == "raises":
    raise SystemExit("no")
time.sleep(60)  # as within a sum that never returns
"""


@pytest.fixture
def first():
    """Makes the first process of several: those that it loses, it, and the others."""
    others = []

    def first(*others_do):
        server, port = listen(HOST)
        for rank, then in enumerate(others_do, start=1):
            words = (str(word) for word in (port, TOKEN, rank, then))
            command = [sys.executable, "-c", PROGRAM, *words]
            pipe = subprocess.PIPE
            others.append(subprocess.Popen(command, cwd=ROOT, stderr=pipe, text=True))
        lost = queue.Queue()
        own = Peers(meet(server, TOKEN, 1 + len(others)), lost.put).watch()
        return lost, own, others

    yield first
    for other in others:
        other.kill()
        other.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_is_noticed(first):
    lost, _, (other, _) = first("waits", "waits")
    other.send_signal(signal.SIGKILL)
    assert lost.get(timeout=30) == 1
    assert lost.empty()


def test_a_process_that_fails_is_noticed_and_one_that_is_done_is_not(first):
    lost, _, others = first("leaves", "raises")
    assert lost.get(timeout=30) == 2
    others[0].wait(30)
    assert lost.empty()


def test_the_others_end_with_a_message_whatever_they_are_in(first):
    _, own, (other,) = first("waits")
    for connection in own.connections.values():  # as the system does when a process ends
        connection.shutdown(socket.SHUT_RDWR)
    _, said = other.communicate(timeout=30)
    assert other.returncode == 1
    assert "rank 1 lost process 0" in said


def test_who_leaves_first_takes_nobody_along(first):
    lost, own, (other,) = first("waits")
    own.leave()
    other.kill()
    other.wait(30)
    with pytest.raises(queue.Empty):
        lost.get(timeout=0.2)
    own.leave()  # once more, when the other one has gone


def test_only_those_that_were_launched_are_taken():
    server, port = listen(HOST)
    strangers = [socket.create_connection((HOST, port)) for _ in range(2)]
    strangers[0].sendall(GREETING.pack(TOKEN + 1, 1))
    strangers[1].close()
    thread = threading.Thread(target=join, args=(HOST, port, TOKEN, 7))
    thread.start()
    (rank,) = meet(server, TOKEN, 2)
    thread.join()
    strangers[0].close()
    assert rank == 7


def test_one_that_never_comes_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(peers, "JOIN_SECONDS", 0.05)
    server, _ = listen(HOST)
    with pytest.raises(OSError, match="timed out"):
        meet(server, TOKEN, 2)


def test_a_machine_that_is_gone_is_noticed_within_a_minute():
    with socket.socket() as connection:
        kept_alive(connection)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        values = {
            name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in peers.KEEPALIVE
            if hasattr(socket, name)
        }
    if "TCP_KEEPIDLE" not in values:
        pytest.skip("this system calls it otherwise")
    seconds = values["TCP_KEEPIDLE"] + values["TCP_KEEPCNT"] * values["TCP_KEEPINTVL"]
    assert seconds + 2 * peers.GRACE_SECONDS < 60  # by way of the first process
