"""Weights folders: self-describing, safe to load, never half-written, never half of another.

A folder holds one file per module (``encoder``, ``depth``, ``pose_encoder``, ``pose``,
``predictive_mask``, only those that the model has; other networks have others, see
:mod:`networks.kinds`) and ``model.json``, which says how to build the networks and how to read
their output. Files written here are safetensors. Folders in the published format (``encoder.pth``,
…) and those of its Paddle port (``encoder.pdparams``, …) are read too.

Training puts a new folder in the place of an old one while others read it. So :func:`open_model`
reads all that is wanted at one moment, and what is asked of it afterwards is of one checkpoint.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from networks.kinds import ALL_MODULES, KINDS, MODULES, MONODEPTH
from system.errors import InputError
from system.files import (
    SUMS_FILE,
    compare_sum,
    open_regular,
    parse_sums,
    write_sums,
)
from system.folders import recover_folder, where_now
from weight_files.model_info import INFO_FILE, ModelInfo, infer_info, parse_info
from weight_files.names import own_parameter_name, paddle_name, split_bookkeeping
from weight_files.nearby import what_to_do
from weight_files.reading import MOST_BYTES, SUFFIXES, Value, parse_weights

if TYPE_CHECKING:  # what only digests, or says what a model is, loads no Paddle
    from paddle import nn

    from networks.monodepth import Monodepth

MOST_TEXT = 1 << 20  # bytes of model.json and of the checksums
MOST_TOGETHER = MOST_BYTES + (64 << 20)  # bytes of all files
ATTEMPTS = 100  # at reading a folder that others replace; opening its files takes a millisecond
PAUSE = 0.01  # seconds before the next of them
PATIENCE = 0.2  # seconds for which a folder may be away while it is replaced


@dataclass(frozen=True)
class OpenedModel:
    """A model in a weights folder, read at one moment: whatever becomes of the folder afterwards.

    Attributes:
        folder: that it is of.
        contents: of the files that were there, by name; they agree with the folder's checksums.
        hashes: their SHA-256 in hexadecimal digits, likewise.
        facts: what is known of the model besides; see :func:`model_info.infer_info`.
    """

    folder: Path
    contents: Mapping[str, bytes]
    hashes: Mapping[str, str]
    facts: Mapping[str, Any]

    def find(self, module: str) -> str | None:
        """The name of the file of a module, of whichever format was there."""
        names = (module + suffix for suffix in SUFFIXES)
        return next((name for name in names if name in self.contents), None)

    def read(self, module: str) -> dict[str, Value]:
        """What the file of a module holds.

        Raises:
            InputError: there is none, or it is damaged.
        """
        name = self.find(module)
        if name is None:
            path = self.folder / f"{module}{SUFFIXES[0]}"
            raise InputError(f"{path}: missing from the weights folder")
        return parse_weights(self.contents[name], self.folder / name)

    @cached_property
    def info(self) -> ModelInfo:
        """What ``model.json`` says or, where there is none, parameters and ``facts``.

        Raises:
            InputError: that is not enough to build a model.
        """
        if INFO_FILE in self.contents:
            return parse_info(self.contents[INFO_FILE], self.folder / INFO_FILE)
        values = {module: self.read(module) for module in MODULES if self.find(module)}
        return infer_info(self.folder, values, self.facts)

    def load_into(self, model: nn.Layer, modules: Iterable[str]) -> list[str]:
        """Load those of ``modules`` that a model has; returns their names.

        Raises:
            InputError: a file is missing, damaged, or its parameters are not the module's.
        """
        layers = dict(model.named_children())
        wanted = [module for module in modules if module in layers]
        architecture = getattr(model, "architecture", None)
        for module in wanted:
            arrays = {
                own_parameter_name(name, module, architecture): value
                for name, value in parameters_of(self.read(module)).items()
            }
            assign(layers[module], arrays, self.folder / self.find(module))
        return wanted

    def network(self) -> Monodepth:
        """The networks with all of their modules, in evaluation mode.

        Raises:
            InputError: a module is missing or does not fit, or this is no Monodepth.
        """
        if self.info.kind != MONODEPTH:
            raise InputError(f"{self.folder}: is a {self.info.kind}, which this command cannot use")
        from networks.monodepth import Monodepth  # noqa: PLC0415 - loads Paddle

        return self._loaded(Monodepth(self.info.architecture), MODULES)

    def depth_network(self) -> nn.Layer:
        """The depth network alone, of any kind, in evaluation mode.

        Raises:
            InputError: a module is missing or does not fit.
        """
        from networks.any_picture import ANY_PICTURE, any_picture_network  # noqa: PLC0415
        from networks.monodepth import Monodepth  # noqa: PLC0415 - loads Paddle

        info = self.info
        if info.kind in ANY_PICTURE:
            model = any_picture_network(info.kind, info.max_depth if info.metric else None)
        else:  # without sources there is neither motion nor mask to predict
            architecture = info.architecture
            model = Monodepth(replace(architecture, source_ids=(), predictive_mask=False))
        return self._loaded(model, KINDS[info.kind].modules)

    def _loaded(self, model: Any, modules: Iterable[str]) -> Any:
        self.load_into(model, modules)
        model.eval()
        return model

    def digest(self, start: str = "") -> str:
        """What tells the depth network from every other one, a SHA-256 that ``start`` goes into."""
        names = map(self.find, KINDS[self.info.kind].modules)
        total, nothing = hashlib.sha256(start.encode()), hashlib.sha256().hexdigest()
        total.update(self.info.to_json().encode())
        for name in names:
            total.update(bytes.fromhex(self.hashes.get(name, nothing)))
        return total.hexdigest()


def open_model(
    folder: Path, modules: Collection[str] = ALL_MODULES, facts: Mapping[str, Any] | None = None
) -> OpenedModel:
    """Open a weights folder, all of one checkpoint: the one way in.

    Args:
        folder: of any format; ``weight_files.download.find_model`` gives that of a published name.
        modules: those to read, where not all are wanted: :data:`FOR_DEPTH`, or none for ``info``.
            A folder without ``model.json`` is described by all of its modules: then all are read.
        facts: see :class:`OpenedModel`.

    Raises:
        InputError: there is no such folder, or a file is damaged or cannot be read.
    """
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE if attempt else 0)
        try:
            contents = _read_at_once(folder, modules)
            break
        except FileNotFoundError:  # was replaced meanwhile
            continue
        except OSError as error:
            if error.errno == errno.ESTALE:  # the same, on the disk of another machine
                continue
            path = error.filename or folder
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    else:
        raise InputError(f"{folder}: changes while it is read; try again, or read a copy of it")
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if SUMS_FILE in contents:
        sums = parse_sums(contents[SUMS_FILE], folder / SUMS_FILE)
        for name in contents.keys() - {SUMS_FILE}:
            compare_sum(folder / name, sums, hashes[name])
    return OpenedModel(folder, contents, hashes, facts or {})


def _read_at_once(folder: Path, modules: Collection[str]) -> dict[str, bytes]:
    """The contents of the files by name.

    Files are opened before the first is read: open ones stay when their folder is replaced.

    Raises:
        FileNotFoundError: the folder, or a file in it, changed meanwhile.
        OSError: a file cannot be read.
    """
    with suppress(OSError):  # may not be written to, or another process was as fast
        recover_folder(folder, PATIENCE)
    place = where_now(folder)
    if place is None:
        raise InputError(f"{folder}: no such weights folder; {what_to_do(folder)}")
    before = place.stat()
    with ExitStack() as stack:
        files = {}

        def open_first(most: int, *names: str) -> None:
            there = (place / name for name in names)
            path = next((path for path in there if path.exists() and not path.is_dir()), None)
            if path is not None:
                files[path.name] = stack.enter_context(open_regular(path, most))

        open_first(MOST_TEXT, INFO_FILE)
        open_first(MOST_TEXT, SUMS_FILE)
        for module in modules if INFO_FILE in files else ALL_MODULES:
            open_first(MOST_BYTES, *(module + suffix for suffix in SUFFIXES))
        if sum(os.fstat(file.fileno()).st_size for file in files.values()) > MOST_TOGETHER:
            words = f"its files have more than {MOST_TOGETHER} bytes, which no model needs"
            raise OSError(errno.EFBIG, words, str(folder))
        # Once another is in its place, it is emptied; a name given and taken back changes its time.
        after = place.stat()
        moved = (before.st_ctime_ns, *_state(before)) != (after.st_ctime_ns, *_state(after))
        if moved or where_now(folder) != place:
            raise FileNotFoundError
        if not files:
            raise InputError(f"{folder}: holds no weights; {what_to_do(folder)}")
        # A copy that is made into the folder meanwhile changes the files themselves.
        opened = {name: _state(os.fstat(file.fileno())) for name, file in files.items()}
        contents = {name: file.read() for name, file in files.items()}
        if opened != {name: _state(os.fstat(file.fileno())) for name, file in files.items()}:
            raise FileNotFoundError
        return contents


def _state(facts: os.stat_result) -> tuple[int, ...]:
    """What changes when a file or folder is written to, or another takes its place."""
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def read_info(folder: Path) -> ModelInfo:
    """What a weights folder says of its model; see :attr:`OpenedModel.info`."""
    return open_model(folder, ()).info


def load_into(model: nn.Layer, folder: Path, modules: Collection[str]) -> list[str]:
    """Load those of ``modules`` that a model has from a folder; returns their names."""
    return open_model(folder, modules).load_into(model, modules)


def save_weights(
    folder: Path,
    model: nn.Layer,
    info: ModelInfo,
    modules: Collection[str] | None = None,
) -> None:
    """Write the files of a weights folder into ``folder``, which must exist.

    Checksums are written of all files that ``folder`` then holds.

    Args:
        folder: to write to.
        model: whose modules are written.
        info: what to say of it.
        modules: those to write; None for all.
    """
    for module, layer in model.named_children():
        if modules is None or module in modules:
            arrays = {name: value.numpy() for name, value in layer.state_dict().items()}
            save_file(arrays, folder / f"{module}.safetensors")
    (folder / INFO_FILE).write_text(info.to_json())
    write_sums(folder)


def parameters_of(values: Mapping[str, Value]) -> dict[str, np.ndarray]:
    """The parameters among the entries of a file, under the names that Paddle has for them."""
    parameters, _ = split_bookkeeping(values)
    return {paddle_name(name): np.asarray(value) for name, value in parameters.items()}


def assign(layer: nn.Layer, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Give a layer its parameters, read from ``path``.

    Raises:
        InputError: they are not the layer's; all that differ are listed.
    """
    state = layer.state_dict()
    problems = differences(arrays, {name: tuple(value.shape) for name, value in state.items()})
    if problems:
        shown = "; ".join(problems[:6]) + ("; …" if len(problems) > 6 else "")
        many = "1 parameter differs" if len(problems) == 1 else f"{len(problems)} parameters differ"
        raise InputError(f"{path}: weights of another architecture, {many}: {shown}")
    for name, value in state.items():
        value.set_value(arrays[name].astype(np.float32))


def differences(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """What keeps ``arrays`` from being the parameters of the given names and shapes."""
    problems = [f"{name} missing" for name in shapes if name not in arrays]
    problems += [f"{name} unknown" for name in arrays if name not in shapes]
    problems += [
        f"{name} is {arrays[name].shape}, expected {shape}"
        for name, shape in shapes.items()
        if name in arrays and tuple(arrays[name].shape) != shape
    ]
    problems += [f"{name} is not finite" for name, a in arrays.items() if not np.isfinite(a).all()]
    return problems
