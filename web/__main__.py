"""Serve a page in the browser: depth of pictures, videos and a live camera."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from options import AUTO, ENGINES, Conflicts, DeviceOptions, EngineOptions, Form, option, parse
from system.errors import InputError, run_command
from weight_files.published import DEPTH_MODELS

if TYPE_CHECKING:
    from prediction.predictor import DepthPredictor

logger = logging.getLogger(__name__)

HOST = Form("an address or host name", r"[\w.:-]+")


@dataclass(frozen=True)
class AppOptions(EngineOptions, DeviceOptions):
    """Serve a page in the browser: depth of pictures, videos and a live camera."""

    load_weights_folder: Optional[tuple[Path, ...]] = option(None, "weights folders to offer")
    model_name: Optional[tuple[str, ...]] = option(
        None, "published models to offer, fetched on their first use", choices=DEPTH_MODELS
    )
    engine: tuple[str, ...] = option(
        (AUTO,),
        "runtimes to offer for each model: auto is the fastest that is installed",
        choices=(AUTO, *ENGINES),
    )
    host: str = option(
        "127.0.0.1", "address to serve on; 0.0.0.0 lets other machines in", form=HOST
    )
    port: int = option(7860, "port to serve on", minimum=1, maximum=65535)
    max_waiting: int = option(64, "requests that may wait; more are turned away", minimum=1)
    max_running: int = option(2, "pictures in work at once", minimum=1)
    max_megapixels: int = option(40, "million pixels of a picture", minimum=1, maximum=100)
    max_megabytes: int = option(50, "megabytes of an upload", minimum=1)
    max_video_frames: int = option(3000, "frames of a video", minimum=1)
    max_video_seconds: float = option(600.0, "seconds that one video may take", above=0)

    def conflicts(self) -> Conflicts:
        """A page without a model."""
        if self.load_weights_folder is None and self.model_name is None:
            yield (
                "load_weights_folder",
                "is needed; give weights folders, or published models with --model_name, of "
                f"{', '.join(DEPTH_MODELS)}",
            )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; serves until Ctrl-C.

    Raises:
        InputError: a model cannot be loaded, the port is taken, or Gradio is not installed.
    """
    options = parse(AppOptions, argv)
    folder = Path(tempfile.mkdtemp(prefix="depth-page-"))
    # Gradio reads these when it is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    signal.signal(signal.SIGTERM, end)
    try:
        try:  # Gradio is an extra
            from web.page import build_page, serve
        except ImportError as error:
            raise InputError(
                f"python -m web: needs {error.name}; pip install -r requirements-web.txt, with "
                "Python 3.10 or newer"
            ) from error
        signal.signal(signal.SIGTERM, end)  # Paddle's own handler prints its stack
        from web.jobs import Jobs, Limits

        pixels = options.max_megapixels * 1_000_000
        limits = Limits(pixels, options.max_video_frames, options.max_video_seconds)
        jobs = Jobs(load_models(options), folder, limits)
        page = build_page(jobs, options.max_waiting, options.max_running)
        serve(page, options.host, options.port, options.max_megabytes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_models(options: AppOptions) -> dict[str, DepthPredictor]:
    """The models that the page offers, by the names of folder and engine."""
    from prediction.predictor import DepthPredictor
    from weight_files.download import named_model

    folders = list(options.load_weights_folder or ())
    folders += [named_model(name) for name in options.model_name or ()]
    models = {}
    for weights in folders:
        for engine in options.engine:
            logger.info("loading %s ...", weights)
            predictor = DepthPredictor.from_folder(
                weights, options.device, engine, options.precision, options.calibration
            )
            engine_name = predictor.network.engine.name
            name = f"{weights.name} ({engine_name})"
            if name in models:
                name = f"{weights} ({engine_name})"
            models[name] = predictor
            logger.info("loaded %s", name)
    return models


def end(*_: object) -> None:
    """End the process as Ctrl-C does, cleaning up."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    run_command(main)
