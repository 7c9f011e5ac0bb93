"""Serve a page in the browser: depth of pictures, videos and a live camera."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from errors import InputError, run_command
from networks.model_zoo import named_model
from options import AppOptions, parse
from prediction.predictor import DepthPredictor

logger = logging.getLogger(__name__)

KEPT_SESSIONS = 256  # Gradio keeps what they hold
EXAMPLES = (Path(__file__).parent / "assets" / "test_image.jpg",)


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
    signal.signal(signal.SIGTERM, end)  # Paddle's own handler prints its stack
    try:
        serve(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end(*_: object) -> None:
    """End the process as Ctrl-C does, cleaning up."""
    raise KeyboardInterrupt


def serve(options: AppOptions, folder: Path) -> None:
    """Load the models, then serve the page."""
    try:
        from web.jobs import Jobs, Limits  # noqa: PLC0415
        from web.page import build_page, theme  # noqa: PLC0415 - Gradio is an extra
    except ImportError as error:
        raise InputError(
            f"app.py: needs {error.name}; pip install -r requirements-web.txt, with Python 3.10 or "
            "newer"
        ) from error
    limits = Limits(
        options.max_megapixels * 1_000_000,
        options.max_video_frames,
        options.max_video_seconds,
    )
    jobs = Jobs(load_models(options), folder, limits)
    page = build_page(jobs, EXAMPLES, options.max_waiting, options.max_running)
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            theme=theme(),
            max_file_size=f"{options.max_megabytes}mb",
            allowed_paths=[],
            share=False,
            ssr_mode=False,
            enable_monitoring=False,
            state_session_capacity=KEPT_SESSIONS,
            show_error=True,
            footer_links=["api"],
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise InputError(
            f"--port {options.port}: cannot be served ({error}); choose another --port"
        ) from error
    logger.info("open http://%s:%d in a browser; Ctrl-C ends it", options.host, options.port)
    page.block_thread()


def load_models(options: AppOptions) -> dict[str, DepthPredictor]:
    """The models that the page offers, by the names of folder and engine."""
    folders = list(options.load_weights_folder or ())
    folders += [named_model(name) for name in options.model_name or ()]
    models = {}
    for weights in folders:
        for engine in options.engine:
            logger.info("loading %s ...", weights)
            predictor = DepthPredictor.from_folder(
                weights, options.device, engine, options.precision, options.calibration
            )
            name = f"{weights.name} ({predictor.network.engine.name})"
            if name in models:
                name = f"{weights} ({predictor.network.engine.name})"
            models[name] = predictor
            logger.info("loaded %s", name)
    return models


if __name__ == "__main__":
    run_command(main)
