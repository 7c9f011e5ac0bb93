"""Many clients at once on the page: is every request answered, how fast, and what memory is left?

python -m benchmarks.page_load --load_weights_folder weights/best [--requests 1000] [--clients 64]

Starts ``python -m web`` itself, sends pictures through the HTTP API, prints a table. A request is
upload, call and answer, which names files of the picture and of its depth in colours. What else is
given goes to ``python -m web``.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import resident_bytes
from tools.stages import ROOT

SIZE = (1242, 375)  # of the pictures
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
        path = self.upload(content)
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return self.call("predict", file, None, "inferno", "English")


def start_page(weights: Path, port: int, *more: str) -> subprocess.Popen:
    """Start ``python -m web`` and wait until it answers."""
    words = ["--load_weights_folder", str(weights), "--port", str(port), *more]
    process = subprocess.Popen([sys.executable, "-m", "web", *words], cwd=ROOT)
    for _ in range(600):
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--load_weights_folder", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--port", type=int, default=7899)
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, help="width and height, pixels")
    args, more = parser.parse_known_args()
    process = start_page(args.load_weights_folder, args.port, *more)
    try:
        page = Page(f"http://127.0.0.1:{args.port}")

        def ask(number: int) -> tuple[str, float, object]:
            content = picture(number, tuple(args.size))
            start = time.monotonic()
            try:
                kind, value = page.predict(content)
            except OSError as error:
                kind, value = "lost", str(error)
            return kind, time.monotonic() - start, value

        with ThreadPoolExecutor(args.clients) as clients:
            list(clients.map(ask, range(WARM_UP)))
            before = resident_bytes(process.pid) / 2**20
            start = time.monotonic()
            answers = list(clients.map(ask, range(args.requests)))
            seconds = time.monotonic() - start
        time.sleep(5)
        after = resident_bytes(process.pid) / 2**20
        kinds = [kind for kind, _, _ in answers]
        times = [time for kind, time, _ in answers if kind == "complete"]
        refusals = {str(value)[:120] for kind, _, value in answers if kind != "complete"}
        print(f"{args.requests} requests of {args.clients} clients in {seconds:.0f} s")
        print(f"predicted {kinds.count('complete')}, refused {kinds.count('error')}, ", end="")
        print(f"lost {kinds.count('lost')}")
        for refusal in sorted(refusals):
            print(f"  {refusal}")
        if times:
            median, slowest = float(np.median(times)), max(times)
            print(f"fastest {min(times):.3f} s, median {median:.3f} s, ", end="")
            print(f"slowest {slowest:.3f} s, slowest over median {slowest / median:.1f}")
        print(f"memory {before:.0f} MB before, {after:.0f} MB after")
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
