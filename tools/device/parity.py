"""The figures of the published implementation on this device, and how far half precision is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np

from system import cpu_math

# Before Paddle is loaded, as in tests/parity.py: CPUs are compared with the slowest instructions.
os.environ.setdefault(cpu_math.VARIABLE, cpu_math.DEFAULT)

import paddle

from networks.monodepth import Prediction
from system.device import choose_device
from system.errors import InputError
from tools.device.rows import NOT_HERE, OFF, REPORT, Row, Settings, judged
from tools.stages import ROOT
from training.optimisation import DTYPES, check_precision
from training.self_supervised import Networks

# Beside this folder in a clone, and not in an installed package.
GOLDEN = ROOT / "tests" / "data" / "monodepth2_seed0_96x64.npz"
# Largest change of a disparity in (0, 1), of networks whose weights are random: theirs are larger
# than those of trained ones.
FARTHEST = {"bf16": 0.1, "fp16": 0.02, "tf32": 0.02}
NAMED = 3  # figures that are off, which the table names


def check_parity(settings: Settings) -> Iterator[Row]:
    """A row of all figures in float32, and one for each half precision."""
    choose_device(settings.device)
    if not GOLDEN.is_file():
        why = f"{GOLDEN} is not there; run this in a clone of the project, with its tests"
        yield Row("parity", NOT_HERE, why)
        return
    with np.load(GOLDEN, allow_pickle=False) as file:
        arrays = dict(file)
    yield parity_row(arrays)
    for precision in DTYPES:
        yield half_row(arrays, precision)


def check_tf32(settings: Settings) -> Iterator[Row]:
    """How far the disparities are with ``--tf32``, which a process has from its start."""
    try:
        choose_device(settings.device, tf32=True)
    except InputError as error:
        yield Row("parity, tf32", NOT_HERE, str(error))
        return
    if GOLDEN.is_file():
        with np.load(GOLDEN, allow_pickle=False) as file:
            yield change_row("tf32", disparity_change(dict(file), "fp32"))


def parity_row(arrays: Mapping[str, np.ndarray]) -> Row:
    """All figures that ``python -m tests.parity`` compares."""
    from tests.parity_monodepth2 import check_monodepth2

    figures = list(check_monodepth2(arrays))
    off = [figure for figure in figures if not figure.ok]
    held = [figure for figure in figures if figure.tolerance]
    # What of its tolerance the worst of those takes that are well.
    used = max((f.deviation / f.tolerance for f in held if f.ok), default=0.0)
    words = f"{len(figures)} figures of the published implementation, {len(off)} off"
    if off:
        names = [f"{f.name} by {f.deviation:.2g}" for f in off[:NAMED]]
        words += f": {'; '.join(names)}{' ...' if len(off) > NAMED else ''}"
    else:
        words += f"; the worst takes {used:.0%} of its tolerance"
    return judged(
        "parity, float32",
        not off,
        words,
        "training gives other weights than the published code does: if `float32 in ...` is off "
        f"too, TF32 is why; else {REPORT}",
        off=[str(figure) for figure in off],
        count=len(figures),
    )


def half_row(arrays: Mapping[str, np.ndarray], precision: str) -> Row:
    """How far the disparities are that networks predict in half precision."""
    name = f"parity, {precision}"
    try:
        check_precision(precision)
    except InputError as error:
        return Row(name, NOT_HERE, str(error))
    return change_row(precision, disparity_change(arrays, precision))


def change_row(precision: str, moved: float) -> Row:
    """Whether disparities moved by no more than a precision explains."""
    name = f"parity, {precision}"
    within = f"a disparity moves by up to {moved:.1e} (it is between 0 and 1)"
    if moved <= FARTHEST[precision]:
        return judged(name, True, within, change=moved)
    remedy = f"train in fp32, without --tf32, and {REPORT}"
    return Row(name, OFF, within, remedy, {"change": moved})


def disparity_change(arrays: Mapping[str, np.ndarray], precision: str) -> float:
    """Largest change of any disparity from the published implementation's in float32."""
    from tests.parity_monodepth2 import MONO, GoldenBatch, derived_model

    batch, model = GoldenBatch(arrays), derived_model(MONO, int(arrays["seed"]))
    networks = Networks(model, precision)
    networks.eval()
    with paddle.no_grad():
        predicted = networks({"target": batch.target, "sources": batch.sources(MONO)})
    changes = []
    for scale, disp in zip(MONO.scales, Prediction.from_dict(predicted).disps):
        change = np.abs(disp.numpy() - arrays[f"nets/eval/disp_{scale}"]).max()
        changes.append(float(change) if np.isfinite(change) else float("inf"))
    return max(changes)
