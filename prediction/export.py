"""Models for other runtimes as files of their own, each proven against Paddle on real pictures.

Those that take pictures of any size bring them to the network's size by a triangle filter that
widens with the reduction (Pillow's ``BILINEAR``), and disparity back to theirs bilinearly.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import cv2
import numpy as np
from PIL import Image

from networks.kinds import FOR_DEPTH, KINDS, MONODEPTH
from prediction import engines
from prediction.depth_map import FAMILIES, network_input
from prediction.graph import INPUT, OPSET, OUTPUT, rename
from prediction.half_onnx import in_half
from prediction.kept_exports import while_there
from prediction.paddle_graph import save_paddle
from system.disk import told_as_input
from system.errors import InputError
from system.files import (
    folder_written_whole,
    make_writable_folder,
    write_json,
    written_whole,
)
from weight_files.folder import OpenedModel, open_model
from weight_files.model_info import INFO_FILE, ModelInfo

if TYPE_CHECKING:  # extras
    import onnx
    import openvino

logger = logging.getLogger(__name__)

PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "int8"),
    "paddle": ("fp32",),
}
LARGEST_DISPARITY_CHANGE = 1e-3  # in float32
LARGEST_DEPTH_CHANGE = 0.01  # mean of |change of depth| / depth, in other precisions
ANY_SIZE_OPSET = 18  # the first with a filter that widens
VERSION = 2


@dataclass(frozen=True)
class Export:
    """What is to be exported.

    Attributes:
        format: a key of :data:`PRECISIONS`.
        precision: one of those of the format.
        any_size: whether pictures of any size go in, instead of the training size.
        calibration: folder of pictures that ``int8`` is fitted to, if it has not been yet.
    """

    format: str
    precision: str = "fp32"
    any_size: bool = False
    calibration: Path | None = None

    def check(self, kind: str = MONODEPTH) -> None:
        """Raise InputError for what a format, or a kind of model, cannot do."""
        if self.any_size and kind != MONODEPTH:
            raise InputError(
                f"--any_size: a {kind} is given another size for every shape of picture; leave it "
                f"out and resize before, to multiples of {KINDS[kind].multiple}"
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


def metadata(info: ModelInfo, export: Export) -> dict[str, str]:
    """What an exported model says of itself."""
    own_size = KINDS[info.kind].side is None
    near, far = 1 / info.min_depth, 1 / info.max_depth
    inverse_depth = f"({far:.9g} + {near - far:.9g} * {OUTPUT})"
    if not info.shift_known:
        depth, unit = f"1 / (scale * {OUTPUT} + shift), both unknown", "relative inverse depth"
    elif info.kind != MONODEPTH:  # whose output is inverse metres as it is
        depth, unit = f"1 / {OUTPUT}", "metres"
    elif info.metric:
        depth, unit = f"{info.metres_per_unit:.9g} / {inverse_depth}", "metres"
    else:
        depth, unit = f"1 / {inverse_depth}", "model units, relative"
    multiples = f", multiples of {KINDS[info.kind].multiple}"
    size = f", {info.height} x {info.width}" if own_size else multiples
    values = " in [0, 1]" if own_size else ""
    pixels = f"{np.dtype(FAMILIES[info.kind].pixels)} 0 to 255,"
    fields: dict[str, Any] = {
        "model": info.name,
        "version": VERSION,
        "precision": export.precision,
        "input": f"{INPUT}: RGB {pixels} [batch, height, width, 3]"
        + (" of any size" if export.any_size else size),
        "output": f"{OUTPUT}: float32 [batch, height, width]{values}, near is large",
        "depth": depth,
        "unit": unit,
        "network_size": f"{info.width}x{info.height}",
    }
    if export.format == "onnx" or not own_size:
        fields["opset"] = ANY_SIZE_OPSET if export.any_size else OPSET
    return {key: str(value) for key, value in fields.items()}


def export_model(
    weights: Path, target: Path, export: Export, pictures: Sequence[np.ndarray]
) -> None:
    """Write a model for another runtime, and compare it there with the eager one.

    Args:
        weights: the weights folder.
        target: file to write (``onnx``), or folder (``openvino``, ``paddle``).
        export: the format.
        pictures: RGB uint8 [H, W, 3], to compare on.

    Raises:
        InputError: it cannot be made, or deviates too much; then nothing is written.
    """
    opened = open_model(weights, FOR_DEPTH)
    export.check(opened.info.kind)
    if target.exists():
        raise InputError(f"{target}: is there already; remove it, or choose another --output")
    remedy = "make room on the disk, or choose another --output"
    make_writable_folder(target.parent, remedy)
    writer = WRITERS[export.format]
    whole = written_whole if writer is _write_onnx else folder_written_whole
    with told_as_input(target, remedy), whole(target) as made:
        disparity, depth = compare(writer(opened, made, export), opened, export, pictures)
        logger.info(
            "largest difference of disparity %.2g, of depth %.2g %% in the mean, on %d pictures",
            disparity,
            100 * depth,
            len(pictures),
        )
        if not acceptable(export.precision, disparity, depth):
            raise InputError(
                f"{target}: not written; {export.format} in {export.precision} moves disparity by "
                f"up to {disparity:.2g} and depth by {depth:.2%}; allowed are "
                f"{LARGEST_DISPARITY_CHANGE:g} in fp32, else {LARGEST_DEPTH_CHANGE:.0%} of depth"
            )


def acceptable(precision: str, disparity: float, depth: float) -> bool:
    """Whether an export of a precision may deviate by so much, see :func:`compare`."""
    if precision == "fp32":
        return disparity <= LARGEST_DISPARITY_CHANGE
    return depth <= LARGEST_DEPTH_CHANGE


def _onnx_file(opened: OpenedModel, export: Export) -> Callable[[bool], Path]:
    return lambda lasting: engines.onnx_file(opened, export.precision, export.calibration, lasting)


def _write_onnx(opened: OpenedModel, made: Path, export: Export) -> engines.Engine:
    import onnx  # noqa: PLC0415 - extras

    info = opened.info
    content = while_there(_onnx_file(opened, export), onnx.load)
    if export.precision == "fp16":
        content = in_half(content)
    if export.any_size:
        content = onnx_of_any_size(content, info.height, info.width)
    for key, value in metadata(info, export).items():
        content.metadata_props.add(key=key, value=value)
    onnx.save(content, made)
    return engines.onnxruntime_engine(made)


def _write_openvino(opened: OpenedModel, made: Path, export: Export) -> engines.Engine:
    import openvino  # noqa: PLC0415 - an extra

    info = opened.info
    model = while_there(_onnx_file(opened, export), openvino.Core().read_model)
    if export.any_size:
        model = openvino_of_any_size(model, info.height, info.width)
    for key, value in metadata(info, export).items():
        model.set_rt_info(value, ["depth", key])
    written = made / "model.xml"
    try:
        openvino.save_model(model, written, compress_to_fp16=export.precision == "fp16")
        openvino.Core().read_model(written)  # of a full disk, 2025.3 says nothing before
    except RuntimeError as error:  # it does not say more of the disk
        raise OSError(errno.EIO, str(error), str(made)) from error
    return engines.openvino_engine(written)


def _write_paddle(opened: OpenedModel, made: Path, export: Export) -> engines.Engine:
    save_paddle(opened.depth_network(), opened.info, made)
    write_json(made / "export.json", metadata(opened.info, export))
    (made / INFO_FILE).write_text(opened.info.to_json())
    return engines.paddle_inference_engine(made, "cpu", opened.info.kind)


WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino, "paddle": _write_paddle}


def compare(
    engine: engines.Engine, opened: OpenedModel, export: Export, pictures: Sequence[np.ndarray]
) -> tuple[float, float]:
    """How far an exported model is from the eager one, over some pictures.

    Returns:
        The largest difference of sigmoid disparity, and the mean of |difference of depth| / depth;
        both are shares of the largest value for MiDaS.
    """
    info = opened.info
    eager, family = engines.paddle_engine(opened, "cpu"), FAMILIES[info.kind]
    disparity, depth = [], []
    for picture in pictures:
        if export.any_size:
            size = family.input_size(info, picture.shape[1::-1], None)
            resized = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
            expected = eager.disparity(np.asarray(resized)[None])[0]
            expected = cv2.resize(expected, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            given = picture
        else:
            given = network_input(info, picture)
            expected = eager.disparity(given[None])[0]
        got = engine.disparity(given[None])[0]
        exact, moved = (family.disparity(info, each) for each in (expected, got))
        scale = 1.0 if info.kind == MONODEPTH else max(float(expected.max()), 1e-6)
        disparity.append(np.abs(got - expected).max() / scale)
        # Depth of MiDaS has no meaning before it is aligned: then it is its inverse that counts.
        change = np.abs(exact - moved) / (moved if info.kind == MONODEPTH else scale)
        depth.append(np.mean(change))
    return float(max(disparity)), float(np.mean(depth))


def onnx_of_any_size(content: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """An ONNX model of images [B, height, width, 3] for pictures [B, H, W, 3]."""
    import onnx  # noqa: PLC0415
    from onnx import TensorProto, helper, numpy_helper, version_converter  # noqa: PLC0415

    content = version_converter.convert_version(content, ANY_SIZE_OPSET)
    graph = content.graph
    rename(graph, {INPUT: "resized", OUTPUT: "network_disparity"})

    def constant(name: str, *values: int) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    linear = {"mode": "linear", "axes": [2, 3], "coordinate_transformation_mode": "half_pixel"}
    before = [
        node("Cast", [INPUT], "pixels", to=TensorProto.FLOAT),
        node("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2]),
        node("Resize", ["planes", "", "", "network_size"], "small", antialias=1, **linear),
        node("Round", ["small"], "rounded"),
        node("Cast", ["rounded"], "small_pixels", to=TensorProto.UINT8),
        node("Transpose", ["small_pixels"], "resized", perm=[0, 2, 3, 1]),
    ]
    after = [
        node("Shape", [INPUT], "shape"),
        node("Slice", ["shape", "one", "three"], "picture_size"),
        node("Unsqueeze", ["network_disparity", "one"], "disparity_plane"),
        node("Resize", ["disparity_plane", "", "", "picture_size"], "large_plane", **linear),
        node("Squeeze", ["large_plane", "one"], OUTPUT),
    ]
    constants = [constant("network_size", height, width), constant("one", 1), constant("three", 3)]
    shape = ["batch", "height", "width"]
    whole = helper.make_graph(
        [*before, *graph.node, *after],
        "depth",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
        [*graph.initializer, *constants],
    )
    opsets = [helper.make_opsetid("", ANY_SIZE_OPSET)]
    result = helper.make_model(whole, opset_imports=opsets, ir_version=content.ir_version)
    onnx.checker.check_model(result)
    return result


def openvino_of_any_size(model: openvino.Model, height: int, width: int) -> openvino.Model:
    """An OpenVINO model of images [B, height, width, 3] for pictures [B, H, W, 3]."""
    import openvino  # noqa: PLC0415
    from openvino import opset15 as ops  # noqa: PLC0415

    def whole(*values: int) -> openvino.Node:
        return ops.constant(np.array(values, np.int64))

    def resize(planes: openvino.Node, size: openvino.Node, mode: str) -> openvino.Node:
        return ops.interpolate(
            planes,
            size,
            mode=mode,
            shape_calculation_mode="sizes",
            coordinate_transformation_mode="half_pixel",
            axes=whole(2, 3),
        )

    picture = ops.parameter([-1, -1, -1, 3], np.uint8, name=INPUT)
    planes = ops.transpose(ops.convert(picture, "f32"), whole(0, 3, 1, 2))
    small = ops.round(resize(planes, whole(height, width), "bilinear_pillow"), "half_to_even")
    pixels = ops.transpose(ops.convert(small, "u8"), whole(0, 2, 3, 1))
    old = model.get_parameters()[0]
    for target in list(old.output(0).get_target_inputs()):
        target.replace_source_output(pixels.output(0))
    disparity = model.get_results()[0].input_value(0)
    size = ops.gather(ops.shape_of(picture), whole(1, 2), whole(0))
    plane = ops.unsqueeze(disparity, whole(1))
    large = ops.squeeze(resize(plane, size, "linear_onnx"), whole(1))
    result = ops.result(large)
    result.output(0).set_names({OUTPUT})
    picture.output(0).set_names({INPUT})
    return openvino.Model([result], [picture], "depth")
