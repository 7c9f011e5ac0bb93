"""Paddle's own runtime for finished models; on CPUs with oneDNN."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from networks.device import choose_device
from networks.model_info import MONODEPTH
from networks.weights import load_depth_model, read_info
from prediction.exported import exported
from prediction.graph import INPUT, PARAMETERS, PROGRAM, save_paddle


class PaddleInferenceEngine:
    """A saved program, optimised for the device."""

    name = "paddle-inference"

    def __init__(self, program: Path, parameters: Path, device: str, onednn: bool = True) -> None:
        from paddle import inference  # noqa: PLC0415 - takes a moment, and no other engine needs it

        config = inference.Config(str(program), str(parameters))
        config.disable_glog_info()
        if device.startswith("gpu"):
            megabytes, index = 256, int(device.partition(":")[2] or 0)
            config.enable_use_gpu(megabytes, index)
        else:
            config.disable_gpu()
            if onednn:
                config.enable_mkldnn()
            else:
                config.disable_mkldnn()
            config.set_cpu_math_library_num_threads(os.cpu_count() or 1)
        self._predictor = inference.create_predictor(config)
        self._input = self._predictor.get_input_handle(INPUT)
        self._output = self._predictor.get_output_handle(self._predictor.get_output_names()[0])

    @classmethod
    def open(cls, folder: Path, device: str | None) -> PaddleInferenceEngine:
        """Load a weights folder, saving its program first where that is not there."""
        found = choose_device(device)
        saved = exported(folder, "paddle", lambda new: save_paddle(*load_depth_model(folder), new))
        # oneDNN in Paddle 3.3 cannot enlarge bilinearly, as MiDaS does.
        onednn = read_info(folder).kind == MONODEPTH
        return cls(saved / PROGRAM, saved / PARAMETERS, found, onednn)

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """Sigmoid disparity [B, H, W] float32 of RGB images [B, H, W, 3] uint8."""
        self._input.copy_from_cpu(np.ascontiguousarray(images))
        self._predictor.run()
        return self._output.copy_to_cpu()
