"""The depth network in 8-bit whole numbers, fitted to pictures of the user's."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.kitti import read_image
from errors import InputError
from layers import disp_to_depth
from networks.model_info import ModelInfo
from prediction.engines.onnx_runtime import FILE, OnnxRuntimeEngine, onnx_file
from prediction.exported import exported
from prediction.graph import INPUT

logger = logging.getLogger(__name__)

KIND = "int8"
SUFFIXES = {".jpg", ".jpeg", ".png"}
FEWEST, MOST = 8, 64  # pictures
HELD_OUT = 4  # every fourth picture tells how far the depth moves
LARGEST_CHANGE = 0.01  # mean of |change of depth| / depth


def int8_file(folder: Path, info: ModelInfo, calibration: Path | None) -> Path:
    """The depth network of a weights folder as ONNX in 8 bits, made anew from ``calibration``.

    Without ``calibration``, the one that was made before.

    Raises:
        InputError: there is none yet, there are too few pictures, or depth moves too far.
    """

    def build(new: Path) -> None:
        if calibration is None:
            raise InputError(
                "--precision int8: has to be fitted to pictures once; name a folder of some that "
                "are like yours with --calibration"
            )
        images = calibration_images(calibration, info)
        held_out = images[::HELD_OUT]
        fitted = [image for i, image in enumerate(images) if i % HELD_OUT]
        whole = onnx_file(folder)
        quantise(whole, fitted, new / FILE)
        change = depth_change(whole, new / FILE, held_out, info)
        logger.info("int8 moves depth by %.2f %% (%d pictures)", 100 * change, len(held_out))
        if not change <= LARGEST_CHANGE:
            raise InputError(
                f"--precision int8: moves depth by {change:.1%}, more than {LARGEST_CHANGE:.0%}; "
                "calibrate with more pictures that are like yours, or use bf16 or fp32"
            )

    return exported(folder, KIND, build, anew=calibration is not None) / FILE


def calibration_images(folder: Path, info: ModelInfo) -> list[np.ndarray]:
    """Pictures of a folder, spread over all of them: [height, width, 3] uint8 of the model's size.

    Raises:
        InputError: there are too few, or one cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(paths) < FEWEST:
        raise InputError(
            f"--calibration {folder}: holds {len(paths)} pictures ({', '.join(sorted(SUFFIXES))}); "
            f"at least {FEWEST} are needed"
        )
    places = np.linspace(0, len(paths) - 1, min(MOST, len(paths))).astype(int)
    size = (info.width, info.height)
    return [
        np.asarray(Image.fromarray(read_image(paths[i])).resize(size, Image.Resampling.LANCZOS))
        for i in places
    ]


def quantise(source: Path, images: Sequence[np.ndarray], target: Path) -> None:
    """Write an ONNX model whose convolutions compute in 8 bits, in ranges seen on images.

    Weights have a range per output channel.

    Raises:
        InputError: what it needs is not installed.
    """
    try:
        from onnxruntime import quantization  # noqa: PLC0415 - extras
        from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"--precision int8: needs {error.name}; pip install -r requirements-engines.txt"
        ) from error

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[np.ndarray] = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            return None if image is None else {INPUT: image[None]}

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(target),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )


def depth_change(
    whole: Path, quantised: Path, images: Sequence[np.ndarray], info: ModelInfo
) -> float:
    """Mean over images of the mean |change of depth| / depth between two ONNX models."""
    engines = [OnnxRuntimeEngine(path) for path in (whole, quantised)]
    changes = []
    for image in images:
        exact, moved = (
            disp_to_depth(engine.disparity(image[None]), info.min_depth, info.max_depth)[1]
            for engine in engines
        )
        changes.append(np.mean(np.abs(moved - exact) / exact))
    return float(np.mean(changes))
