"""What Paddle says of its devices on a machine with GPUs, for tests on one without."""

from __future__ import annotations

import os

import paddle
import pytest

from system import device as module

OWN_GPU = "FLAGS_selected_gpus"  # by which the launcher says which one is a process's own


class FakeGpus:
    """Paddle with some GPUs, which computes nothing on them.

    Attributes:
        device: the one that was chosen.
        flags: of Paddle, as they were set.
        switches: of TF32, as they were set.
        done: what was asked for, in its order.
    """

    known = ("FLAGS_cudnn_deterministic", module.TF32_OF_CONVOLUTIONS, module.TF32_OF_MATRICES)

    def __init__(self, patch: pytest.MonkeyPatch, count: int = 2, cuda: bool = True) -> None:
        self.device, self.flags, self.switches, self.done = "cpu", {}, {}, []
        monitored = {
            "is_compiled_with_cuda": lambda: cuda,
            "get_device": lambda: self.device,
        }
        for name, function in monitored.items():
            patch.setattr(paddle.device, name, function)
        patch.setattr(paddle.device.cuda, "device_count", lambda: count)
        patch.setattr(paddle.device.cuda, "get_device_name", lambda number: f"Fake {number}")
        patch.setattr(paddle, "set_device", self._set_device)
        patch.setattr(paddle, "set_flags", self._set_flags)
        for name in ("cublas", "cudnn"):
            switch = f"set_{name}_switch"
            patch.setattr(paddle.base.core, switch, self._switch(name), raising=False)
        patch.setattr(module, "has_no_gpu", lambda: not cuda)
        patch.setattr(module, "has_nvidia_driver", lambda: count > 0)
        patch.setenv(module.TF32_VARIABLE, os.environ.get(module.TF32_VARIABLE, "1"))
        patch.delenv("PADDLE_LOCAL_SIZE", raising=False)

    def _set_device(self, device: str) -> None:
        self.done.append("device")
        own = os.environ.get(OWN_GPU, "0")
        self.device = f"gpu:{own}" if device == "gpu" else device

    def _set_flags(self, flags: dict) -> None:
        self.done.append("flags")
        if not flags.keys() <= set(self.known):
            raise ValueError(f"flag {flags} not found")
        self.flags.update(flags)

    def _switch(self, name: str):
        return lambda active: self.switches.update({name: active})
