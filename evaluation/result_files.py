"""Names of results: every command has its own files, and the same command replaces its own.

A name says what differs from the usual way of measuring. What it does not say, such as two folders
of one name, is told apart by ``inputs``, which results carry: a file of other inputs is kept, and
the new one gets a name with a checksum of its own.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from system.command_line import Options, options_of
from system.files import read_json

logger = logging.getLogger(__name__)

INPUTS = "inputs"  # the key of a result that says what decided it
# Options that say how and where work is done, not what its result is.
WITHOUT_EFFECT = {
    *("task", "batch_size", "num_workers", "device", "eval_out_dir", "output"),
    *("save_pred_disps", "no_eval", "allow_missing"),  # names say what is a part
}
# Those that a name says, with the value behind the word where it is no flag.
WORDS = {
    "post_process": "post_process",
    "disable_median_scaling": "unscaled",
    "pred_depth_scale_factor": "times",
    "eval_max_depth": "below",
    "png": "png",
    "model_name": "",
    "precision": "",
}


def inputs_of(options: Options, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What decides the result of a command, ready for JSON: paths, and options that were changed.

    Args:
        options: of the command.
        without: names of options that do not tell one result from another.
    """
    values = {}
    for name, option in options_of(type(options)).items():
        value = getattr(options, name)
        if name in WITHOUT_EFFECT or name in without or value is None:
            continue
        if option.kind is Path:
            several = value if option.several else (value,)
            values[name] = " ".join(path.expanduser().resolve().as_posix() for path in several)
        elif value != option.default:
            values[name] = list(value) if option.several else value
    # A list of frames is given by its name, or by its folder.
    split = values.get("eval_split")
    if split is not None and Path(split).is_dir():
        values["eval_split"] = Path(split).resolve().as_posix()
    return values


def words_of(options: Options, without: tuple[str, ...] = ()) -> str:
    """What a name says of the options that were changed, such as ``_post_process_bf16``.

    The arguments are those of :func:`inputs_of`.
    """
    known = options_of(type(options))
    said = []
    for name, word in WORDS.items():
        value = getattr(options, name, None)
        if name in known and name not in without and value not in (None, known[name].default):
            said.append(word if value is True else f"{word}{value}")
    return "".join(f"_{word}" for word in said)


def own_name(folder: Path, name: str, inputs: Mapping[str, Any]) -> str:
    """``name``, or one with a checksum where ``folder/name.json`` is of other inputs.

    Args:
        folder: that results are written to.
        name: of them, without an ending.
        inputs: see :func:`inputs_of`; to be written into the JSON file as :data:`INPUTS`.
    """
    others = _inputs_in(folder / f"{name}.json")
    if others is None or others == inputs:
        return name
    differing = sorted(k for k in {*others, *inputs} if others.get(k) != inputs.get(k))
    text = json.dumps(inputs, sort_keys=True)
    own = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    logger.warning(
        "%s: is of another %s and is kept; this result is %s.json",
        *(folder / f"{name}.json", ", ".join(differing), own),
    )
    return own


def _inputs_in(path: Path) -> dict[str, Any] | None:
    """What a result says that decided it; None where there is none that says so."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    inputs = found.get(INPUTS) if isinstance(found, dict) else None
    return inputs if isinstance(inputs, dict) else None
