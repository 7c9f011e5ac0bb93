"""Models that OpenVINO has compiled, kept for the next command, which opens one in a third of that.

They are of one machine, so they lie in its cache folder: under what decides them, with checksums,
and as many as were used last.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from system import cpu_math
from system.files import SUMS_FILE, folder_written_whole, is_whole, write_sums
from weight_files.download import cache_folder

if TYPE_CHECKING:
    import openvino  # an extra

FOLDER, FILE = "compiled", "model.blob"
MOST_KEPT = 4
MOST_BYTES = 200 << 20  # of a model that is kept; larger ones compute for longer than they compile


def opened_compiled(
    core: openvino.Core, place: Path, hints: Mapping[str, str]
) -> openvino.CompiledModel | None:
    """The compiled model that lies in a place; None where there is none that can be used."""
    if not is_whole(place):
        return None
    with suppress(OSError, RuntimeError):
        opened = _imported(core, place / FILE, hints)
        os.utime(place)  # was used
        return opened
    return None


def _imported(core: openvino.Core, file: Path, hints: Mapping[str, str]) -> openvino.CompiledModel:
    import openvino  # noqa: PLC0415 - an extra

    content = np.memmap(file, np.uint8, "r")
    try:
        return core.import_model(openvino.Tensor(content), "CPU", dict(hints))
    except TypeError:  # OpenVINO 2025.3, the last for Python 3.9, takes a copy only
        return core.import_model(content.tobytes(), "CPU", dict(hints))


def keep_compiled(compiled: openvino.CompiledModel, place: Path) -> None:
    """Put a compiled model into a place, and remove those that were not used for longest."""
    with suppress(OSError):  # it is compiled again
        with folder_written_whole(place, replace=True) as folder:
            (folder / FILE).write_bytes(compiled.export_model().read())
            write_sums(folder)
        kept = [path for path in place.parent.iterdir() if not path.name.startswith(".")]
        kept.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[MOST_KEPT:]:
            shutil.rmtree(path, ignore_errors=True)


def place_of(
    core: openvino.Core, path: Path, shape: Sequence[int], hints: Mapping[str, str]
) -> Path | None:
    """Where a model compiled for a shape belongs; None for one without checksums, or too large.

    Args:
        core: that compiles.
        path: of the model, whose folder's checksums say what it holds.
        shape: of its input.
        hints: that it is compiled with.
    """
    import openvino  # noqa: PLC0415 - an extra

    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        sums = (path.parent / SUMS_FILE).read_text(encoding="utf-8")
    except OSError:
        return None
    processor = [
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        sorted(cpu_math.instructions(cpu_math.read_facts())) or platform.processor(),
    ]
    decides = [sums, list(shape), dict(hints), openvino.__version__, processor]
    key = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]
    return cache_folder() / FOLDER / f"openvino-{key}"


def asked_at_once(
    compiled: openvino.CompiledModel, count: int
) -> Callable[[np.ndarray], np.ndarray]:
    """What a model compiled for one image makes of several, [B, ...], one after the other.

    Args:
        compiled: has one input and one output.
        count: threads that are answered at a time; others wait.
    """
    requests: SimpleQueue[openvino.InferRequest] = SimpleQueue()
    for _ in range(count):
        requests.put(compiled.create_infer_request())
    pixels = compiled.input(0).element_type.to_dtype()

    def outputs(images: np.ndarray) -> np.ndarray:
        request, found = requests.get(), []
        try:
            for image in np.ascontiguousarray(images, pixels):
                request.infer([image[None]])
                found.append(request.get_output_tensor(0).data[0].copy())
        finally:
            requests.put(request)
        return np.stack(found)

    return outputs
