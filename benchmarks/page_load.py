"""Many clients at once on the page: is every request answered, how fast, and what does it take?

python -m benchmarks.page_load --load_weights_folder runs/quickstart/model/last [--requests 1000]
    [--clients 64] [--large_every 50] [--stalled 300]

Starts ``python -m web`` itself, sends pictures through the HTTP API, prints a table: times, and the
most memory and disk that the server had at any moment. A request is upload, call and answer, which
names files of the picture and of its depth in colours. With ``--large_every N`` every N-th picture
has 40 megapixels, and all its files are asked for, too. With ``--stalled N`` so many clients more
start an upload at once, and send nothing. What else is given goes to ``python -m web``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import resident_bytes
from tools.stages import ROOT
from web.kept import bytes_in

SIZE = (1242, 375)  # of the pictures
LARGE = (7740, 5160)  # of the large ones
WARM_UP = 64
PATIENCE = 600  # seconds


class Page:
    """A running page, by its HTTP API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def _post(self, path: str, body: bytes, kind: str) -> bytes:
        request = urllib.request.Request(self.address + path, body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()

    def upload(self, content: bytes, name: str = "picture.jpg") -> str:
        """Send a file; returns its name on the server."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + content
        body += f"\r\n--{mark}--\r\n".encode()
        kind = f"multipart/form-data; boundary={mark}"
        return json.loads(self._post("/gradio_api/upload", body, kind))[0]

    def call(self, name: str, *values: object) -> tuple[str, object]:
        """Call an endpoint: ``("complete", values)`` or ``("error", message)``."""
        body = json.dumps({"data": values}).encode()
        try:
            event = json.loads(self._post(f"/gradio_api/call/{name}", body, "application/json"))
        except urllib.error.HTTPError as error:
            return "error", error.read().decode()
        address = f"{self.address}/gradio_api/call/{name}/{event['event_id']}"
        kind = ""
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            for line in answer:
                text = line.decode().strip()
                if text.startswith("event:"):
                    kind = text[6:].strip()
                elif text.startswith("data:") and kind in ("complete", "error"):
                    return kind, json.loads(text[5:])
        return "lost", None

    def predict(self, content: bytes) -> tuple[str, object]:
        """Upload and predict a picture."""
        try:
            path = self.upload(content)
        except urllib.error.HTTPError as error:
            return "error", error.read().decode()
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return self.call("predict", file, None, "inferno", "English", False)

    def files(self, values: object) -> tuple[str, object]:
        """Ask for all files of a prediction, by what :meth:`predict` answered."""
        return self.call("files", values[4], 70, "inferno", "English")


def start_page(weights: Path, port: int, *more: str) -> subprocess.Popen:
    """Start ``python -m web`` and wait until it answers."""
    words = ["--load_weights_folder", str(weights), "--port", str(port), *more]
    process = subprocess.Popen([sys.executable, "-m", "web", *words], cwd=ROOT)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"python -m web ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            return process
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise SystemExit("python -m web did not answer")


def picture(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """A JPEG of a size (width, height) like no other."""
    grid = (12, 40, 3) if size == SIZE else (size[1] // 12, size[0] // 12, 3)
    noise = np.random.default_rng(number).integers(0, 256, grid, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


class Watcher:
    """Looks at a process and the folder that it writes to, until :meth:`stop`.

    Attributes:
        memory: bytes that the process held at most since the last :meth:`start`.
        disk: bytes in the folder, likewise.
    """

    def __init__(self, process: int, folder: Path) -> None:
        self._process, self._folder = process, folder
        self._ended = threading.Event()
        self.start()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def start(self) -> None:
        """Forget what was seen so far."""
        self.memory = self.disk = 0

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            with suppress(OSError, IndexError):  # the process has ended
                self.memory = max(self.memory, resident_bytes(self._process))
            self.disk = max(self.disk, bytes_in(self._folder))


def stall(port: int, count: int) -> list[socket.socket]:
    """Clients that start an upload of 10 MB and send nothing; they stay while they are held."""
    head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n"
    kind = b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(head + kind + part)
        clients.append(client)
    return clients


def report(
    args: argparse.Namespace, answers: list[tuple[str, float, object]], seconds: float
) -> None:
    """Print how requests were answered: their kinds, seconds, and values."""
    kinds = [kind for kind, _, _ in answers]
    times = [time for kind, time, _ in answers if kind == "complete"]
    refusals = {str(value)[:120] for kind, _, value in answers if kind != "complete"}
    large = args.requests // args.large_every if args.large_every else 0
    print(
        f"{args.requests} requests of {args.clients} clients in {seconds:.0f} s, {large} of them "
    )
    print(f"with {LARGE[0]}x{LARGE[1]} pixels; {args.stalled} more stalled")
    print(f"predicted {kinds.count('complete')}, refused {kinds.count('error')}, ", end="")
    print(f"lost {kinds.count('lost')}")
    for refusal in sorted(refusals):
        print(f"  {refusal}")
    if times:
        median, slowest = float(np.median(times)), max(times)
        print(f"fastest {min(times):.3f} s, median {median:.3f} s, ", end="")
        print(f"slowest {slowest:.3f} s, slowest over median {slowest / median:.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--load_weights_folder", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--port", type=int, default=7899)
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, help="width and height, pixels")
    parser.add_argument("--large_every", type=int, default=0, help="every which picture is large")
    parser.add_argument("--stalled", type=int, default=0, help="uploads that never come")
    args, more = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp(prefix="page-load-"))
    os.environ["TMPDIR"] = str(folder)  # of the server
    process = start_page(args.load_weights_folder, args.port, *more)
    watcher = Watcher(process.pid, folder)
    page = Page(f"http://127.0.0.1:{args.port}")
    large_picture = picture(0, LARGE) if args.large_every else b""

    def ask(number: int) -> tuple[str, float, object]:
        large = args.large_every and number % args.large_every == args.large_every - 1
        # Some bytes behind the end make it a file of its own.
        own = large_picture + number.to_bytes(4, "big")
        content = own if large else picture(number, tuple(args.size))
        start = time.monotonic()
        try:
            kind, value = page.predict(content)
            if large and kind == "complete":
                kind, value = page.files(value)
        except OSError as error:
            kind, value = "lost", str(error)
        return kind, time.monotonic() - start, value

    try:
        with ThreadPoolExecutor(args.clients) as clients:
            list(clients.map(lambda number: page.predict(picture(number)), range(WARM_UP)))
            before = resident_bytes(process.pid)
            watcher.start()
            stalled = stall(args.port, args.stalled)
            start = time.monotonic()
            answers = list(clients.map(ask, range(args.requests)))
            seconds = time.monotonic() - start
        for client in stalled:
            client.close()
        time.sleep(5)
        watcher.stop()
        report(args, answers, seconds)
        after = resident_bytes(process.pid)
        memory = [f"{each / 2**20:.0f} MB" for each in (before, watcher.memory, after)]
        print("memory {} before, {} at most, {} after".format(*memory), end="; ")
        print(f"disk {watcher.disk / 1e6:.0f} MB at most")
    finally:
        watcher.stop()
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
