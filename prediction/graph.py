"""The depth network as one graph that other runtimes take, also in whole numbers of 8 bits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from datasets.conventions import disp_to_depth
from datasets.folders import is_hidden
from datasets.pictures import PICTURES, read_picture
from networks.kinds import DEPTH_ANYTHING, MONODEPTH, RESNET
from prediction.depth_map import network_input
from system.errors import InputError
from weight_files.model_info import ModelInfo

if TYPE_CHECKING:
    import onnx  # an extra

logger = logging.getLogger(__name__)

INPUT, OUTPUT = "images", "disparity"
# Paddle's files: what it computes, as versions from 3.0 on write it and as those before; numbers.
PROGRAMS, PARAMETERS = ("graph.json", "graph.pdmodel"), "graph.pdiparams"
OPSET = 13  # has what the networks need, and every runtime of the last years knows it
FEWEST, MOST = 8, 64  # pictures that 8 bits are fitted to
HELD_OUT = 4  # every fourth of them tells how far the depth moves
SMOOTHED_ON = 16  # of those pictures at most
LARGEST_INT8_CHANGE = 0.01  # see change_of
# What is computed in 8 bits, the fastest first, of which the first that keeps depth is taken.
IN_8_BITS = (("Conv",),)
IN_8_BITS_OF_TRANSFORMERS = (("Conv", "MatMul"), ("MatMul",), ("Conv",))


def program_of(folder: Path) -> Path:
    """The program in a folder that :func:`save_paddle` wrote, of whatever version of Paddle."""
    return next(path for name in PROGRAMS if (path := folder / name).exists())


def rename(graph: onnx.GraphProto, new: Mapping[str, str]) -> None:
    """Give tensors other names in all nodes, by their old ones."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = new.get(name, name)


def double_by_resize(content: onnx.ModelProto) -> None:
    """Replace every doubling by repetition (reshape, expand, reshape) by a Resize.

    Paddle's oneDNN can only do the first, other runtimes are several times as fast with the second.
    """
    from onnx import helper, numpy_helper  # noqa: PLC0415

    graph = content.graph
    maker = {name: node for node in graph.node for name in node.output}
    scales = "double_scales"
    for expand in [node for node in graph.node if node.op_type == "Expand"]:
        users = [node for node in graph.node if expand.output[0] in node.input]
        around = [maker.get(expand.input[0]), *users]
        if [getattr(node, "op_type", "") for node in around] != ["Reshape", "Reshape"]:
            continue
        before, after = around
        resize = helper.make_node(
            "Resize",
            [before.input[0], "", scales],
            list(after.output),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        graph.node.insert(list(graph.node).index(after), resize)
        graph.node.remove(after)
    if any(scales in node.input for node in graph.node):
        factors = np.array([1, 1, 2, 2], np.float32)
        graph.initializer.append(numpy_helper.from_array(factors, scales))
    drop_unused(graph)


def scalars_by_squeeze(graph: onnx.GraphProto) -> None:
    """Replace every Reshape of one number to no dimension by a Squeeze.

    OpenVINO before 2026 takes the empty shape for a damaged one.
    """
    from onnx import numpy_helper  # noqa: PLC0415

    constants = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for node in graph.node:
        if node.op_type == "Reshape" and np.size(constants.get(node.input[1], 0)) == 0:
            node.op_type = "Squeeze"
            del node.input[1]
    drop_unused(graph)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes whose outputs nobody reads."""
    while True:
        read = {name for node in graph.node for name in node.input}
        read |= {output.name for output in graph.output}
        unused = [node for node in graph.node if not read & set(node.output)]
        if not unused:
            return
        for node in unused:
            graph.node.remove(node)


def fit_int8(
    source: Path,
    info: ModelInfo,
    calibration: Path | None,
    target: Path,
    open_onnx: Callable[[Path], Any],
    save_smoothed: Callable[[Sequence[np.ndarray], Path], None] | None = None,
) -> None:
    """Write an ONNX model in 8 bits, fitted to some pictures and compared on the others.

    Args:
        source: the model in float32.
        info: of the model.
        calibration: folder of pictures.
        target: file to write.
        open_onnx: opens either file as a :class:`prediction.engines.Engine`.
        save_smoothed: writes the same model with what :mod:`prediction.smoothing` changes for such
            pictures, where it is a transformer.

    Raises:
        InputError: there are no pictures or too few, or depth moves too far.
    """
    if calibration is None:
        raise InputError(
            "--precision int8: has to be fitted to pictures once; name a folder of some that "
            "are like yours with --calibration"
        )
    images = calibration_images(calibration, info)
    held_out = images[::HELD_OUT]
    seen = [image for index, image in enumerate(images) if index % HELD_OUT]
    exact = open_onnx(source)
    expected = [exact.disparity(image[None]) for image in held_out]
    with tempfile.TemporaryDirectory() as folder:
        if save_smoothed:
            source = Path(folder) / "smoothed.onnx"
            save_smoothed(seen[:: -(-len(seen) // SMOOTHED_ON)], source)
        for kinds in IN_8_BITS_OF_TRANSFORMERS if save_smoothed else IN_8_BITS:
            quantise(source, seen, target, info, kinds)
            moved = [open_onnx(target).disparity(image[None]) for image in held_out]
            change = float(np.mean([change_of(*pair, info) for pair in zip(expected, moved)]))
            logger.info(
                "int8 of %s moves depth by %.2f %% (%d pictures)",
                *(" and ".join(kinds), 100 * change, len(held_out)),
            )
            if change <= LARGEST_INT8_CHANGE:
                return
    raise InputError(
        f"--precision int8: moves depth by {change:.1%}, more than {LARGEST_INT8_CHANGE:.0%}; "
        "calibrate with more pictures that are like yours, or use bf16 or fp32"
    )


def calibration_images(folder: Path, info: ModelInfo) -> list[np.ndarray]:
    """Pictures of a folder, spread over all of them: [height, width, 3] as the model takes.

    Raises:
        InputError: there are too few, or one cannot be read.
    """
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES and not is_hidden(path.relative_to(folder))
    )
    if len(paths) < FEWEST:
        raise InputError(
            f"--calibration {folder}: holds {len(paths)} pictures ({', '.join(sorted(PICTURES))}); "
            f"at least {FEWEST} are needed"
        )
    places = np.linspace(0, len(paths) - 1, min(MOST, len(paths))).astype(int)
    return [network_input(info, read_picture(paths[place])) for place in places]


def quantise(
    source: Path,
    images: Sequence[np.ndarray],
    target: Path,
    info: ModelInfo,
    kinds: Sequence[str] = ("Conv",),
) -> None:
    """Write an ONNX model that computes in 8 bits, in ranges seen on images.

    Weights have a range per output channel. See :func:`kept_in_float` for what stays in float.

    Args:
        source: the model in float32.
        images: as the model is given them.
        target: file to write.
        info: of the model.
        kinds: of operations: convolutions, or linear layers and scores of attention as well.

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

    left = ({INPUT: image[None]} for image in images)
    of_resnets = info.kind == MONODEPTH and info.architecture.encoder == RESNET
    # What leaves a layer in float is added to and joined in float; ONNX Runtime then computes
    # convolutions in float, OpenVINO does not.
    options: dict[str, Any] = {}
    if info.kind in DEPTH_ANYTHING.values():
        options["OpTypesToExcludeOutputQuantization"] = ["Conv", "MatMul"]

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(left, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        # Of two activations OpenVINO multiplies in 8 bits what has its zero in the middle.
        middle = {"quant_type": quantization.QuantType.QInt8, "symmetric": True}
        if "MatMul" in kinds:
            options["TensorQuantOverrides"] = {n: [middle] for n in inputs_of_scores(prepared)}
        with ranges_as_soon_as_known():
            quantization.quantize_static(
                str(prepared),
                str(target),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                op_types_to_quantize=list(kinds),
                nodes_to_exclude=[] if of_resnets else kept_in_float(prepared),
                extra_options=options,
            )


@contextmanager
def ranges_as_soon_as_known() -> Iterator[None]:
    """Have ONNX Runtime take the range of an activation when it is there, not in the end.

    In the order that it takes by itself, all activations that 8 bits are fitted to are in memory
    together: of a vision transformer, 4 to 14 GB a picture. Its calibration has no argument for it.
    """
    import onnxruntime  # noqa: PLC0415 - an extra

    plain = onnxruntime.SessionOptions

    def options() -> Any:
        made = plain()
        made.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        return made

    onnxruntime.SessionOptions = options
    try:
        yield
    finally:
        onnxruntime.SessionOptions = plain


def kept_in_float(path: Path) -> list[str]:
    """The names of what stays in float of other networks than ResNets.

    Convolutions of trunks: depthwise, pointwise, and the first one. Of MiDaS they are a quarter of
    the work and most of what 8 bits lose. The others have weights [out, in / groups, 3, 3] of
    whole features. And products of matrices that are neither linear layers nor scores of
    attention: shares of attention are too small beside the largest for 8 bits.
    """
    import onnx  # noqa: PLC0415 - an extra

    graph = onnx.load(path).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    convolutions = {n.name: shapes[n.input[1]] for n in graph.node if n.op_type == "Conv"}
    kept = [n for n, shape in convolutions.items() if shape[2:] != (3, 3) or shape[1] <= 3]
    for product, reader in _products(graph):
        biases = shapes.keys() & reader.input
        linear = product.input[1] in shapes and reader.op_type == "Add" and biases
        if not linear and reader.op_type != "Softmax":
            kept.append(product.name)
    return kept


def inputs_of_scores(path: Path) -> list[str]:
    """The names of the queries and keys of all attention."""
    import onnx  # noqa: PLC0415 - an extra

    products = _products(onnx.load(path).graph)
    return [name for n, reader in products if reader.op_type == "Softmax" for name in n.input]


def _products(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """All products of matrices, each with the first node that reads it."""
    readers = {name: node for node in reversed(graph.node) for name in node.input}
    return [(n, readers[n.output[0]]) for n in graph.node if n.op_type == "MatMul"]


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
