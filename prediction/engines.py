"""Runtimes that a depth network runs in, behind one call: images in, disparity out."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np

from networks.kinds import DEPTH_ANYTHING, MONODEPTH
from options import AUTO
from prediction import graph
from prediction.compiled import asked_at_once, keep_compiled, opened_compiled, place_of
from prediction.depth_map import FAMILIES
from prediction.engine_choice import CUDA, automatic_engine, check_engine, number_of
from prediction.kept_exports import INT8, exported, while_there
from system.device import (
    choose_device,
    computes_in,
    device_in_words,
    device_to_be,
    has_nvidia_driver,
    sees_gpu,
    set_exactness,
)
from system.errors import InputError
from weight_files.folder import OpenedModel

logger = logging.getLogger(__name__)

MOST_SHAPES = 8  # of images that OpenVINO keeps a model compiled for
MOST_AT_ONCE = 8  # images, each on a core of its own
MOST_TWICE = 200 << 20  # bytes of a model that is compiled for one image, and for many
ONNX_FILE = "depth.onnx"


@dataclass(frozen=True)
class Engine:
    """Something that runs the depth network.

    Attributes:
        name: one of :data:`options.ENGINES`.
        disparity: from RGB images [B, H, W, 3], levels of 0 to 255 of any type, to the network's
            output [B, H, W] float32.
        device: where it runs, ``cpu`` or ``gpu:N``.
        at_once: threads that may ask it at a time.
        many: the same in the way that suits many images; None where there is no other.
    """

    name: str
    disparity: Callable[[np.ndarray], np.ndarray]
    device: str = "cpu"
    at_once: int = 1
    many: Engine | None = None


def paddle_engine(opened: OpenedModel, device: str | None, precision: str = "fp32") -> Engine:
    """Paddle itself, on any device: the networks as they are trained, nothing compiled.

    Raises:
        InputError: there is no such device, or it does not compute in bfloat16.
    """
    import paddle  # noqa: PLC0415 - no other engine needs it once its model is there

    from prediction.paddle_graph import DisparityGraph  # noqa: PLC0415

    found, half = choose_device(device), precision == "bf16"
    if half and not computes_in("bfloat16"):
        raise InputError(
            "--precision bf16: this GPU does not compute in bfloat16, which takes compute "
            "capability 8.0; leave it out"
        )
    network = DisparityGraph(opened.depth_network())

    def disparity(images: np.ndarray) -> np.ndarray:
        half_or_not = paddle.amp.auto_cast(dtype="bfloat16") if half else nullcontext()
        with paddle.no_grad(), half_or_not:
            return network(paddle.to_tensor(images)).numpy()

    return Engine("paddle", disparity, found)


def paddle_inference_engine(saved: Path, device: str, kind: str) -> Engine:
    """Paddle's own runtime for finished models, by ``save_paddle``; on CPUs with oneDNN."""
    from paddle import inference  # noqa: PLC0415 - takes a moment, and no other engine needs it

    config = inference.Config(str(graph.program_of(saved)), str(saved / graph.PARAMETERS))
    config.disable_glog_info()
    if device.startswith("gpu"):
        megabytes = 256
        config.enable_use_gpu(megabytes, number_of(device))
    else:
        config.disable_gpu()
        if kind == MONODEPTH:
            config.enable_mkldnn()
        else:  # oneDNN in Paddle 3.3 cannot enlarge bilinearly, as MiDaS does
            config.disable_mkldnn()
        config.set_cpu_math_library_num_threads(os.cpu_count() or 1)
    predictor = inference.create_predictor(config)
    given = predictor.get_input_handle(graph.INPUT)
    output = predictor.get_output_handle(predictor.get_output_names()[0])

    def disparity(images: np.ndarray) -> np.ndarray:
        given.copy_from_cpu(np.ascontiguousarray(images, FAMILIES[kind].pixels))
        predictor.run()
        return output.copy_to_cpu()

    return Engine("paddle-inference", disparity, device)


def onnxruntime_engine(path: Path, device: str | None = "cpu") -> Engine:
    """An ONNX model in ONNX Runtime, on the CPU or by CUDA.

    Args:
        path: of the model.
        device: as of :func:`system.device.choose_device`; None takes CUDA where there is a GPU.

    Raises:
        InputError: this ONNX Runtime does not run on that device.
    """
    import onnxruntime  # noqa: PLC0415 - an extra

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    expects_gpu = device.startswith("gpu") if device else has_nvidia_driver() or sees_gpu()
    providers: list[Any] = ["CPUExecutionProvider"]
    if expects_gpu and CUDA in onnxruntime.get_available_providers():
        set_exactness(tf32=False, deterministic=False)
        providers.insert(0, (CUDA, {"device_id": number_of(device or "gpu")}))
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    # Where CUDA cannot be started, it has gone on without.
    on_gpu = session.get_providers()[0] == CUDA
    if expects_gpu and not on_gpu:
        problem = (
            "this ONNX Runtime does not run on the GPU; pip install onnxruntime-gpu in its place, "
            "of a version for the CUDA and cuDNN that there are"
        )
        if device:
            raise InputError(f"--device {device}: {problem}, or use --engine paddle")
        logger.warning("predicting on the CPU: %s", problem)
    found = f"gpu:{number_of(device or 'gpu')}" if on_gpu else "cpu"
    pixels = np.float32 if session.get_inputs()[0].type == "tensor(float)" else np.uint8

    def disparity(images: np.ndarray) -> np.ndarray:
        return session.run(None, {graph.INPUT: np.ascontiguousarray(images, pixels)})[0]

    return Engine("onnxruntime", disparity, found)


def openvino_engine(
    path: Path, precision: str = "fp32", size: tuple[int, int] | None = None
) -> Engine:
    """An ONNX model in OpenVINO, compiled for this CPU: in float32, bfloat16 or 8 bits.

    Of several images it does one after the other: on CPUs that takes less time than all in one
    batch. Of many, each core has one of its own and waits for no other core, in a seventh less
    processor time. For that, the model is in memory twice, so it is not done with large ones.

    Args:
        path: of the model.
        precision: of what is computed.
        size: (height, width) of the images, to compile it for at once.
    """
    import openvino  # noqa: PLC0415 - an extra

    core = openvino.Core()
    refusal = InputError(
        "--precision bf16: this CPU does not compute in bfloat16; use --precision fp32"
    )
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise refusal
    # What is not in 8 bits is in float32.
    kind = "bf16" if precision == "bf16" else "f32"
    one = {"INFERENCE_PRECISION_HINT": kind, "PERFORMANCE_HINT": "LATENCY"}
    at_once, compiling = min(MOST_AT_ONCE, os.cpu_count() or 1), threading.Lock()
    several = {"INFERENCE_PRECISION_HINT": kind, "NUM_STREAMS": str(at_once)}
    model = functools.cache(lambda: core.read_model(path))

    @functools.lru_cache(MOST_SHAPES)
    def outputs_for(many: bool, *shape: int) -> Callable[[np.ndarray], np.ndarray]:
        """The model compiled for images of one shape, which is a tenth faster than for any."""
        nonlocal may_keep
        hints = several if many else one
        place = place_of(core, path, shape, hints) if may_keep and not many else None
        may_keep = may_keep and many  # of many sizes, the first one alone
        compiled = opened_compiled(core, place, hints) if place else None
        if compiled is None:
            fixed = model().clone()
            fixed.reshape((1, *shape))
            try:
                compiled = core.compile_model(fixed, "CPU", hints)
            except RuntimeError as error:
                if precision == "bf16":  # the processor does, and was told to do without
                    raise refusal from error
                raise
            if place:
                keep_compiled(compiled, place)
        return asked_at_once(compiled, at_once if many else 1)

    may_keep = True

    def disparity(images: np.ndarray, many: bool = False) -> np.ndarray:
        with compiling:
            outputs = outputs_for(many, *images.shape[1:])
        return outputs(images)

    if size is not None:
        outputs_for(False, *size, 3)
    shares = at_once > 1 and path.stat().st_size <= MOST_TWICE
    asked = functools.partial(disparity, many=True)
    many = Engine("openvino", asked, at_once=at_once) if shares else None
    return Engine("openvino", disparity, many=many)


def open_engine(
    opened: OpenedModel,
    name: str,
    precision: str,
    device: str | None,
    calibration: Path | None = None,
) -> Engine:
    """The depth network of a model in an engine; ``calibration`` are pictures to fit int8 to.

    What was chosen is logged.

    Raises:
        InputError: the engine is not installed, does not have the precision, or the weights or
            device cannot be used.
    """
    if name == AUTO:
        device = device_to_be(device)
        name = automatic_engine(device, precision)
    check_engine(name, precision, device)
    engine = _opened_engine(opened, name, precision, device, calibration)
    where = device_in_words(engine.device)
    logger.info("depth network: %s in %s on %s", engine.name, precision, where)
    return engine


def _opened_engine(
    opened: OpenedModel, name: str, precision: str, device: str | None, calibration: Path | None
) -> Engine:
    if name == "paddle":
        return paddle_engine(opened, device, precision)
    if name == "paddle-inference":
        from prediction.paddle_graph import save_paddle  # noqa: PLC0415 - loads Paddle

        found, info = choose_device(device), opened.info

        def save(new: Path) -> None:
            save_paddle(opened.depth_network(), info, new)

        return while_there(
            lambda lasting: exported(opened, "paddle", save, lasting=lasting),
            lambda program: paddle_inference_engine(program, found, info.kind),
        )
    info = opened.info
    own_size = (info.height, info.width) if info.kind == MONODEPTH else None
    return while_there(
        lambda lasting: onnx_file(opened, precision, calibration, lasting),
        lambda path: (
            openvino_engine(path, precision, own_size)
            if name == "openvino"
            else onnxruntime_engine(path, device)
        ),
    )


def onnx_file(
    opened: OpenedModel,
    precision: str = "fp32",
    calibration: Path | None = None,
    lasting: bool = False,
) -> Path:
    """The depth network of a model as ONNX, made where it is not there.

    Args:
        opened: the model.
        precision: ``int8`` for whole numbers of 8 bits; any other is for the engine.
        calibration: folder of pictures that ``int8`` is fitted to anew; without it, the model that
            was made before.
        lasting: see :func:`exported`.

    Raises:
        InputError: what makes it is not installed; see also
            :func:`prediction.graph.fit_int8`.
    """
    int8, info = precision == INT8, opened.info

    def smoothed(images: Sequence[np.ndarray], path: Path) -> None:
        from prediction.paddle_graph import save_onnx  # noqa: PLC0415 - loads Paddle
        from prediction.smoothing import smooth  # noqa: PLC0415

        network = opened.depth_network()
        smooth(network, images)
        save_onnx(network, info, path)

    save_smoothed = smoothed if info.kind in DEPTH_ANYTHING.values() else None

    def build(new: Path) -> None:
        if int8:
            target = new / ONNX_FILE
            while_there(
                lambda lasting: onnx_file(opened, lasting=lasting),
                lambda path: graph.fit_int8(
                    path, info, calibration, target, onnxruntime_engine, save_smoothed
                ),
            )
        else:
            from prediction.paddle_graph import save_onnx  # noqa: PLC0415 - loads Paddle

            save_onnx(opened.depth_network(), info, new / ONNX_FILE)

    anew = int8 and calibration is not None
    return exported(opened, INT8 if int8 else "onnx", build, anew, lasting) / ONNX_FILE
