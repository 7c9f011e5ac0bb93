"""Convolutions and GELUs of compiled networks through oneDNN, on CPUs.

Paddle trains with its own convolutions on CPUs, which write out every window of the image
(im2col); oneDNN's take half their processor time. Paddle has oneDNN's forward and backward kernels
and lets no training reach them: the pass that places them also places operations whose gradients
come out wrong. Here the convolutions, GELUs, and what joins and sums maps, are taken from that
pass's result, after :mod:`training.cpu.depthwise` and :mod:`training.cpu.gradients`. This uses
parts of Paddle that may change between versions, so it is tried on a small network (:func:`check`)
before it is relied on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.inference
from paddle import Tensor, nn

from networks.linear import Linear
from system.paddle_versions import is_paddle_3
from training.cpu.depthwise import narrow_weight_gradients
from training.cpu.gradients import normalise_rows_as_batches, share_gradients_of_sums
from training.cpu.process import use_threads
from training.model_with_loss import TracedLayer

PLACED = {
    f"pd_op.{name}"
    for name in (
        *("conv2d", "conv2d_grad", "depthwise_conv2d", "depthwise_conv2d_grad"),
        # Paddle's own of these use one core.
        *("concat", "concat_grad", "add_n"),
        # A quarter of the time of Paddle's own.
        *("gelu", "gelu_grad"),
    )
}
FLAG = "FLAGS_use_mkldnn"
TOLERANCE = 1e-4  # of the largest value, between two ways of adding up float32


def place_operations(program: Any) -> int:
    """Put oneDNN's operations in the place of Paddle's in a program; how many."""
    pir = paddle.base.libpaddle.pir
    placed, _ = pir.clone_program(program)
    passes = paddle.pir.PassManager(3)
    passes.add_pass("onednn_placement_pass", {})
    passes.run(placed)
    # Listed beforehand, because the program changes below.
    pairs = list(zip(list(program.global_block().ops), list(placed.global_block().ops)))
    count = 0
    for ours, theirs in pairs:
        if ours.name() not in PLACED or theirs.name() == ours.name():
            continue
        mapping = pir.IrMapping()
        for source, target in zip(theirs.operands_source(), ours.operands_source()):
            mapping.add(source, target)
        pir.set_insertion_point(ours)
        made = theirs.clone(mapping, pir.CloneOptions(False, True, True))
        made.set_bool_attr("is_test", False)
        for before, after in zip(ours.results(), made.results()):
            before.replace_all_uses_with(after)
        program.global_block().remove_op(ours)
        count += 1
    return count


class _Kept:
    """What oneDNN's kernels keep from one run for the next: every input once more, in their layout.

    Paddle lets go of it when a program ends, which training's do not. It can be told to keep what
    belongs to the latest shape of input only, by way of Paddle Inference and for the whole thread:
    running a small model on another shape then makes it forget everything else.
    """

    def __init__(self, threads: int) -> None:
        spec = [paddle.static.InputSpec([None], "float32")]
        # With a parameter: Paddle 3.0 writes no file for none, and reads it nevertheless.
        model = paddle.jit.to_static(nn.PReLU(), input_spec=spec, full_graph=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            paddle.jit.save(model, str(path))
            files = (path.with_suffix(suffix) for suffix in (".json", ".pdiparams"))
            config = paddle.inference.Config(*map(str, files))
            config.disable_glog_info()
            config.enable_mkldnn()
            config.set_mkldnn_cache_capacity(1)
            self.predictor = paddle.inference.create_predictor(config)
        self.input = self.predictor.get_input_handle(self.predictor.get_input_names()[0])
        self.length, self.threads = 1, threads

    def forget(self) -> None:
        """Let go of it all, when the next kernel runs."""
        self.length = 3 - self.length
        self.input.copy_from_cpu(np.zeros(self.length, np.float32))
        self.predictor.run()
        use_threads(self.threads)  # it leaves one


def compile_with_onednn(layer: TracedLayer, threads: int) -> None:
    """Compile a layer in place, with oneDNN's convolutions, forward and backward.

    For where :func:`check` passes. Calls raise RuntimeError when there is nothing that
    oneDNN could take, and leave ``threads`` as the number of threads that an operation may use.
    """
    kept = _Kept(threads)
    function, seen = paddle.jit.to_static(layer, full_graph=True).forward, set()

    def forward(inputs: Any) -> Any:
        _, partial = function.get_concrete_program(inputs, is_train=layer.training)
        partial.training = layer.training
        runnable = partial.program
        if runnable not in seen:  # of these shapes, in training or in validation
            seen.add(runnable)
            if not place_operations(runnable.forward_program):
                raise RuntimeError("oneDNN's pass placed nothing")
            if layer.training:
                gradients = runnable.backward_program
                for shorten in (
                    narrow_weight_gradients,
                    share_gradients_of_sums,
                    normalise_rows_as_batches,
                ):
                    shorten(gradients)
                place_operations(gradients)
        kept.forget()
        outputs = function(inputs)
        first = next(part for part in paddle.utils.flatten(outputs) if isinstance(part, Tensor))
        if not first.stop_gradient:
            first.register_hook(lambda grad: kept.forget())  # before the gradients
        return outputs

    layer.forward = forward


class _Sample(TracedLayer):
    """A small network with what the real ones are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2D(3, 16, 3, padding=1, stride=2, bias_attr=False)
        self.norm = nn.BatchNorm2D(16)
        self.wide = nn.Conv2D(16, 16, 7, padding=3, groups=16)
        self.second = nn.Conv2D(32, 8, 3)
        self.row_norm, self.linear = nn.LayerNorm(8), Linear(8, 8)

    def compute(self, inputs: Tensor) -> dict[str, Tensor]:
        x = nn.functional.relu(self.norm(self.first(inputs)))
        x = paddle.concat([self.wide(x), nn.functional.gelu(2 * x - 1)], axis=1)
        rows = self.row_norm(self.second(x).transpose([0, 2, 3, 1]))
        return {"maps": self.linear(rows)}


def _gradients(layer: nn.Layer, images: Tensor) -> list[np.ndarray]:
    loss = layer(images)["maps"].square().sum()
    loss.backward()
    learnt = [parameter for parameter in layer.parameters() if not parameter.stop_gradient]
    found = [loss.numpy(), *(parameter.grad.numpy() for parameter in learnt)]
    layer.clear_gradients()
    return found


def _register_dialect() -> None:
    """Make oneDNN's operations known, which running anything with Paddle's flag does.

    Anything that oneDNN does not have: Paddle would put oneDNN's operation in its place and then
    look up the type of its output in the one that it has freed.
    """
    before = paddle.get_flags(FLAG)
    try:
        paddle.set_flags({FLAG: True})
        program = paddle.jit.to_static(nn.LogSigmoid(), full_graph=True)
        with paddle.no_grad():
            program(paddle.ones([1]))
    finally:
        paddle.set_flags(before)


def check() -> None:
    """Compute a small network's loss and gradients as without oneDNN, on the CPU.

    Raises:
        Exception: of any kind, where that fails or comes out otherwise.
    """
    if not paddle.base.core.is_compiled_with_mkldnn() or not is_paddle_3():
        raise RuntimeError(f"Paddle {paddle.__version__} has none for training")
    state = paddle.get_rng_state()
    try:
        with paddle.enable_grad():
            sample = _Sample()
            images = paddle.to_tensor(np.random.default_rng(0).random((2, 3, 16, 20), np.float32))
            expected = _gradients(sample, images)
            _register_dialect()
            compile_with_onednn(sample, threads=1)
            for _ in range(2):
                found = _gradients(sample, images)
        for a, b in zip(found, expected):
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * np.abs(b).max())
    finally:
        paddle.set_rng_state(state)
