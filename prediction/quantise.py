"""The depth network in 8-bit whole numbers, fitted to pictures of the user's."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datasets.kitti import read_image
from errors import InputError
from layers import disp_to_depth
from networks.model_info import MONODEPTH, ModelInfo
from prediction.engines.onnx_runtime import FILE, OnnxRuntimeEngine, onnx_file
from prediction.exported import exported
from prediction.families import family_of
from prediction.graph import INPUT

logger = logging.getLogger(__name__)

KIND = "int8"
SUFFIXES = {".jpg", ".jpeg", ".png"}
FEWEST, MOST = 8, 64  # pictures
HELD_OUT = 4  # every fourth picture tells how far the depth moves
LARGEST_CHANGE = 0.01  # see change_of


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
        quantise(whole, fitted, new / FILE, info)
        change = depth_change(whole, new / FILE, held_out, info)
        logger.info("int8 moves depth by %.2f %% (%d pictures)", 100 * change, len(held_out))
        if not change <= LARGEST_CHANGE:
            raise InputError(
                f"--precision int8: moves depth by {change:.1%}, more than {LARGEST_CHANGE:.0%}; "
                "calibrate with more pictures that are like yours, or use bf16 or fp32"
            )

    return exported(folder, KIND, build, anew=calibration is not None) / FILE


def calibration_images(folder: Path, info: ModelInfo) -> list[np.ndarray]:
    """Pictures of a folder, spread over all of them: [height, width, 3] uint8 as the model takes.

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
    family = family_of(info)
    pictures = (read_image(paths[i]) for i in places)
    return [
        family.shrink(picture, family.input_size(info, picture.shape[1::-1], None))
        for picture in pictures
    ]


def quantise(source: Path, images: Sequence[np.ndarray], target: Path, info: ModelInfo) -> None:
    """Write an ONNX model whose convolutions compute in 8 bits, in ranges seen on images.

    Weights have a range per output channel. See :func:`kept_in_float` for MiDaS.

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
            nodes_to_exclude=[] if info.kind == MONODEPTH else kept_in_float(prepared),
        )


def kept_in_float(path: Path) -> list[str]:
    """The names of the convolutions of MiDaS's trunk: depthwise, pointwise, and the first one.

    They are a quarter of the work and most of what 8 bits lose.
    """
    import onnx  # noqa: PLC0415 - an extra

    graph = onnx.load(path).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    return [node.name for node in convolutions if not _is_dense(shapes[node.input[1]])]


def _is_dense(shape: tuple[int, ...]) -> bool:
    """Whether weights [out, in / groups, k, k] are of a 3x3 convolution of whole features."""
    return shape[2:] == (3, 3) and shape[1] > 3


def depth_change(
    whole: Path, quantised: Path, images: Sequence[np.ndarray], info: ModelInfo
) -> float:
    """Mean over images of how far depth moves between two ONNX models, see :func:`change_of`."""
    engines = [OnnxRuntimeEngine(path) for path in (whole, quantised)]
    changes = []
    for image in images:
        exact, moved = (engine.disparity(image[None]) for engine in engines)
        changes.append(change_of(exact, moved, info))
    return float(np.mean(changes))


def change_of(exact: np.ndarray, moved: np.ndarray, info: ModelInfo) -> float:
    """Mean |change of depth| / depth between two outputs of a network.

    Depth of MiDaS has no meaning before it is aligned: of its inverse depth, the mean |change| that
    no scale and shift explain, as a share of the largest value.
    """
    if info.kind != MONODEPTH:
        columns = np.stack([moved.ravel(), np.ones(moved.size)], axis=1).astype(np.float64)
        fit, *_ = np.linalg.lstsq(columns, exact.ravel().astype(np.float64), rcond=None)
        left = np.abs(columns @ fit - exact.ravel())
        return float(np.mean(left) / max(float(exact.max()), 1e-6))
    depth, other = (
        disp_to_depth(each, info.min_depth, info.max_depth)[1] for each in (exact, moved)
    )
    return float(np.mean(np.abs(other - depth) / depth))
