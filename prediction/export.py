"""Models for other runtimes as files of their own, each proven against Paddle on real pictures."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from errors import InputError
from networks.model_info import INFO_FILE, MIDAS_SMALL, MONODEPTH, ModelInfo
from networks.weights import load_depth_model, read_info
from prediction import any_size
from prediction.engines.onnx_runtime import OnnxRuntimeEngine, onnx_file
from prediction.engines.openvino import OpenVinoEngine
from prediction.engines.paddle_eager import PaddleEngine
from prediction.engines.paddle_inference import PaddleInferenceEngine
from prediction.families import family_of
from prediction.graph import INPUT, OPSET, OUTPUT, PARAMETERS, PROGRAM, save_paddle
from prediction.quantise import int8_file

logger = logging.getLogger(__name__)

PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "int8"),
    "paddle": ("fp32",),
}
LARGEST_DISPARITY_CHANGE = 1e-3  # in float32
LARGEST_DEPTH_CHANGE = 0.01  # mean of |change of depth| / depth, in other precisions
VERSION = 1


@dataclass(frozen=True)
class Export:
    """What is to be exported.

    Attributes:
        format: a key of :data:`PRECISIONS`.
        precision: one of those of the format.
        any_size: whether pictures of any size go in, instead of the training size.
    """

    format: str
    precision: str = "fp32"
    any_size: bool = False

    def check(self, kind: str = MONODEPTH) -> None:
        """Raise InputError for what a format, or a kind of model, cannot do."""
        if self.any_size and kind == MIDAS_SMALL:
            raise InputError(
                "--any_size: MiDaS is given another size for every shape of picture; leave it out "
                "and resize before, to multiples of 32"
            )
        if self.precision not in PRECISIONS[self.format]:
            raise InputError(
                f"--precision {self.precision}: is not for --format {self.format}, which takes "
                f"{', '.join(PRECISIONS[self.format])}"
            )
        if self.any_size and self.format == "paddle":
            raise InputError(
                "--any_size: Paddle's programs cannot resize as Pillow does; leave it out and "
                "resize before, or use --format onnx or openvino"
            )


@dataclass(frozen=True)
class Deviation:
    """How far an exported model is from the eager one, over some pictures.

    Attributes:
        disparity: largest difference of sigmoid disparity, or share of MiDaS's largest value.
        depth: mean of |difference of depth| / depth, or share of MiDaS's largest value.
    """

    disparity: float
    depth: float

    def acceptable(self, precision: str) -> bool:
        """Whether an export of that precision may be used."""
        if precision == "fp32":
            return self.disparity <= LARGEST_DISPARITY_CHANGE
        return self.depth <= LARGEST_DEPTH_CHANGE


def metadata(info: ModelInfo, export: Export) -> dict[str, str]:
    """What an exported model says of itself."""
    if info.kind == MIDAS_SMALL:
        return midas_metadata(info, export)
    near, far = 1 / info.min_depth, 1 / info.max_depth
    fields: dict[str, Any] = {
        "model": info.name,
        "version": VERSION,
        "precision": export.precision,
        "input": f"{INPUT}: RGB uint8 [batch, height, width, 3]"
        + (" of any size" if export.any_size else f", {info.height} x {info.width}"),
        "output": f"{OUTPUT}: float32 [batch, height, width] in [0, 1], near is large",
        "depth": f"1 / ({far:.9g} + {near - far:.9g} * {OUTPUT})",
        "unit": "model units, relative",
        "network_size": f"{info.width}x{info.height}",
    }
    if not info.shift_known:
        fields["depth"] = "1 / (scale * disparity + shift), both unknown"
        fields["unit"] = "relative inverse depth"
    elif info.metric:
        fields["depth"] = f"{info.metres_per_unit:.9g} / ({far:.9g} + {near - far:.9g} * {OUTPUT})"
        fields["unit"] = "metres"
    if export.format == "onnx":
        fields["opset"] = any_size.OPSET if export.any_size else OPSET
    return {key: str(value) for key, value in fields.items()}


def midas_metadata(info: ModelInfo, export: Export) -> dict[str, str]:
    """The same of MiDaS."""
    return {
        "model": info.name,
        "version": str(VERSION),
        "precision": export.precision,
        "input": f"{INPUT}: RGB uint8 [batch, height, width, 3], multiples of 32",
        "output": f"{OUTPUT}: float32 [batch, height, width], near is large",
        "depth": "1 / (scale * disparity + shift), both unknown",
        "unit": "relative inverse depth",
        "network_size": f"{info.width}x{info.height}",
        "opset": str(OPSET),
    }


def export_model(
    weights: Path,
    target: Path,
    export: Export,
    pictures: Sequence[np.ndarray],
    calibration: Path | None = None,
) -> Deviation:
    """Write a model for another runtime, and compare it there with the eager one.

    Args:
        weights: the weights folder.
        target: file to write (``onnx``), or folder (``openvino``, ``paddle``).
        export: the format.
        pictures: RGB uint8 [H, W, 3], to compare on.
        calibration: folder of pictures that ``int8`` is fitted to, if it has not been yet.

    Raises:
        InputError: it cannot be made, or deviates too much; then nothing is written.
    """
    info = read_info(weights)
    export.check(info.kind)
    if target.exists():
        raise InputError(f"{target}: is there already; remove it, or choose another --output")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / target.name
        WRITERS[export.format](weights, made, export, metadata(info, export), calibration)
        deviation = compare(open_export(made, export, info), weights, export, pictures)
        logger.info(
            "largest difference of disparity %.2g, of depth %.2g %% in the mean, on %d pictures",
            deviation.disparity,
            100 * deviation.depth,
            len(pictures),
        )
        if not deviation.acceptable(export.precision):
            raise InputError(
                f"{target}: not written; {export.format} in {export.precision} moves disparity by "
                f"up to {deviation.disparity:.2g} and depth by {deviation.depth:.2%}; allowed are "
                f"{LARGEST_DISPARITY_CHANGE:g} in fp32, else {LARGEST_DEPTH_CHANGE:.0%} of depth"
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, target)
        except OSError as error:
            raise InputError(
                f"{target}: cannot be written ({error}); choose another --output"
            ) from error
    return deviation


def _write_onnx(
    weights: Path, made: Path, export: Export, about: Mapping[str, str], calibration: Path | None
) -> None:
    import onnx  # noqa: PLC0415 - extras

    info = read_info(weights)
    int8 = export.precision == "int8"
    content = onnx.load(int8_file(weights, info, calibration) if int8 else onnx_file(weights))
    if export.precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

        content = convert_float_to_float16(content, keep_io_types=True)
    if export.any_size:
        content = any_size.onnx_of_any_size(content, info.height, info.width)
    for key, value in about.items():
        content.metadata_props.add(key=key, value=value)
    onnx.save(content, made)


def _write_openvino(
    weights: Path, made: Path, export: Export, about: Mapping[str, str], calibration: Path | None
) -> None:
    import openvino  # noqa: PLC0415 - an extra

    info = read_info(weights)
    int8 = export.precision == "int8"
    source = int8_file(weights, info, calibration) if int8 else onnx_file(weights)
    model = openvino.Core().read_model(source)
    if export.any_size:
        model = any_size.openvino_of_any_size(model, info.height, info.width)
    for key, value in about.items():
        model.set_rt_info(value, ["depth", key])
    made.mkdir()
    openvino.save_model(model, made / "model.xml", compress_to_fp16=export.precision == "fp16")


def _write_paddle(
    weights: Path, made: Path, _export: Export, about: Mapping[str, str], _none: Path | None
) -> None:
    made.mkdir()
    model, info = load_depth_model(weights)
    save_paddle(model, info, made)
    (made / "export.json").write_text(json.dumps(dict(about), indent=2) + "\n")
    (made / INFO_FILE).write_text(info.to_json())


WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino, "paddle": _write_paddle}


def open_export(
    made: Path, export: Export, info: ModelInfo
) -> OnnxRuntimeEngine | OpenVinoEngine | PaddleInferenceEngine:
    """An exported model in its runtime."""
    if export.format == "onnx":
        return OnnxRuntimeEngine(made)
    if export.format == "openvino":
        return OpenVinoEngine(made / "model.xml")
    onednn = info.kind == MONODEPTH
    return PaddleInferenceEngine(made / PROGRAM, made / PARAMETERS, "cpu", onednn)


def compare(
    engine: Any, weights: Path, export: Export, pictures: Sequence[np.ndarray]
) -> Deviation:
    """The deviation of an exported model from the eager one."""
    info = read_info(weights)
    eager, family = PaddleEngine.open(weights, "cpu"), family_of(info)
    disparity, depth = [], []
    for picture in pictures:
        size = family.input_size(info, picture.shape[1::-1], None)
        if export.any_size:
            resized = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
            small = np.asarray(resized)
        else:
            small = family.shrink(picture, size)
        expected = eager.disparity(small[None])[0]
        if export.any_size:
            expected = cv2.resize(expected, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        got = engine.disparity((picture if export.any_size else small)[None])[0]
        exact, moved = (family.disparity(info, each) for each in (expected, got))
        scale = 1.0 if info.kind == MONODEPTH else max(float(expected.max()), 1e-6)
        disparity.append(np.abs(got - expected).max() / scale)
        # Depth of MiDaS has no meaning before it is aligned: then it is its inverse that counts.
        change = np.abs(exact - moved) / (moved if info.kind == MONODEPTH else scale)
        depth.append(np.mean(change))
    return Deviation(float(max(disparity)), float(np.mean(depth)))
