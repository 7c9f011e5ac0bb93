"""Serve a page in the browser: depth of pictures, videos and a live camera."""

from __future__ import annotations

import gc
import inspect
import itertools
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import urlsplit

from options import AUTO, ENGINES, Conflicts, DeviceOptions, EngineOptions, Form, option, parse
from system.errors import InputError, run_command
from web.memory import give_back_memory
from weight_files.published import DEPTH_ANYTHING_SMALL, DEPTH_MODELS

if TYPE_CHECKING:
    from prediction.predictor import DepthPredictor
    from web.jobs import Limits
    from web.protection import Hosts

logger = logging.getLogger(__name__)

HOST = Form("an address or host name", r"[\w.:-]+")
PREFIX = Form(
    "a path such as /depth, or an address such as https://a.org/depth",
    r"(https?://[\w.:\[\]-]+)?(/[\w.~-]+)*/?",
)


@dataclass(frozen=True)
class AppOptions(EngineOptions, DeviceOptions):
    """Serve a page in the browser: depth of pictures, videos and a live camera."""

    load_weights_folder: Optional[tuple[Path, ...]] = option(None, "weights folders to offer")
    model_name: Optional[tuple[str, ...]] = option(
        None,
        "published models to offer, fetched on their first use (without any model: "
        f"{DEPTH_ANYTHING_SMALL})",
        choices=DEPTH_MODELS,
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
    allowed_hosts: Optional[tuple[str, ...]] = option(
        None, "further names that the page is asked for by, as behind a proxy", form=HOST
    )
    root_path: str = option(
        "", "prefix of the page behind a proxy: /depth, or https://a.org/depth", form=PREFIX
    )
    max_waiting: int = option(64, "requests that may wait; more are turned away", minimum=1)
    max_running: int = option(2, "pictures in work at once", minimum=1)
    max_megapixels: int = option(40, "million pixels of a picture", minimum=1, maximum=100)
    max_megabytes: int = option(50, "megabytes of an upload", minimum=1)
    max_kept_megabytes: int = option(
        2000, "megabytes that results and uploads may take on the disk together", minimum=1
    )
    max_video_frames: int = option(3000, "frames of a video", minimum=1)
    max_video_seconds: float = option(600.0, "seconds that one video may take", above=0)

    def conflicts(self) -> Conflicts:
        """Room on the disk that holds too little."""
        if self.max_kept_megabytes < 5 * self.max_megabytes:
            yield (
                "max_kept_megabytes",
                f"{self.max_kept_megabytes}: holds no two uploads and their results; it must be "
                f"at least 5 times --max_megabytes, {5 * self.max_megabytes}",
            )

    def limits(self) -> Limits:
        """What the page takes at most."""
        from web.jobs import Limits

        half = self.max_kept_megabytes * 1_000_000 // 2
        pixels = self.max_megapixels * 1_000_000
        return Limits(pixels, self.max_video_frames, self.max_video_seconds, half, half)

    def hosts(self) -> Hosts:
        """The names of the page."""
        from web.protection import Hosts

        proxy = urlsplit(self.root_path).hostname
        return Hosts(self.host, (*(self.allowed_hosts or ()), *([proxy] if proxy else ())))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; serves until Ctrl-C.

    Raises:
        InputError: a model cannot be loaded, the port is taken, or Gradio is not installed.
    """
    options = parse(AppOptions, argv)
    give_back_memory()
    # What is loaded and built stays: looking for garbage in it takes a sixth of the start.
    gc.disable()
    folder = Path(tempfile.mkdtemp(prefix="depth-page-"))
    # Gradio reads these when it is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # It would sum up the times of all calls after each of them, for a view that is not served.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = (
        "1000"
    )
    os.environ["HF_HUB_OFFLINE"] = "1"
    signal.signal(signal.SIGTERM, end)
    try:
        try:  # Gradio is an extra
            with without_stubs():
                from web.page import application, build_page, keep_tidy
            from web.protection import Protection
            from web.server import listening, server
        except ImportError as error:
            raise InputError(
                f"python -m web: needs {error.name}; pip install -r requirements-web.txt, with "
                "Python 3.10 or newer"
            ) from error
        signal.signal(signal.SIGTERM, end)  # Paddle's own handler prints its stack
        from web.jobs import Jobs

        jobs = Jobs(load_models(options), folder, options.limits())
        page = build_page(jobs, options.max_waiting, options.max_running, options.max_megabytes)
        app = application(page, options.max_megabytes, options.root_path)
        jobs.uploads.spare()
        hosts, prefix = options.hosts(), urlsplit(options.root_path).path
        taken = listening(options.host, options.port)
        keep_tidy(jobs)
        logger.info("open http://%s:%d in a browser; Ctrl-C ends it", options.host, options.port)
        functions = {function.api_name for function in page.fns.values()}
        protected = Protection(app, hosts, jobs.uploads, options.max_megabytes, functions, prefix)
        gc.freeze()
        gc.enable()
        server(protected).run(sockets=[taken])
    finally:
        gc.enable()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def without_stubs() -> Iterator[None]:
    """Have Gradio, while it is imported, write no type stubs beside its own source.

    It parses that for each component, in a third of the time that its import takes; a component
    without a file is left out.
    """
    file_of = inspect.getfile

    def unless_gradio(thing: Any) -> str:
        if str(getattr(thing, "__module__", "")).startswith("gradio."):
            raise OSError("its file is not looked for")
        return file_of(thing)

    inspect.getfile = unless_gradio
    try:
        yield
    finally:
        inspect.getfile = file_of


def load_models(options: AppOptions) -> dict[str, DepthPredictor]:
    """The models that the page offers, by the names that visitors see."""
    from prediction.predictor import DepthPredictor
    from weight_files.download import named_model

    folders = list(options.load_weights_folder or ())
    names = options.model_name or (() if folders else (DEPTH_ANYTHING_SMALL,))
    folders += [named_model(name) for name in names]
    models = {}
    for weights in folders:
        for engine in options.engine:
            logger.info("loading %s ...", weights)
            predictor = DepthPredictor.from_folder(
                weights, options.device, engine, options.precision, options.calibration
            )
            engine_name = predictor.network.engine.name if len(options.engine) > 1 else ""
            name = new_name(predictor.info.name, weights, engine_name, models)
            models[name] = predictor
            logger.info("loaded %s", list(models)[-1])
    return models


def new_name(name: str, weights: Path, engine: str, taken: Collection[str]) -> str:
    """What visitors see of a model: its own name, and what else tells it from the others.

    Args:
        name: that ``model.json`` says, or "".
        weights: folder of the model.
        engine: that runs it; "" when there is no choice.
        taken: names of the others.
    """
    own = name or weights.name
    folders = (weights.name, f"{weights.parent.name}/{weights.name}")
    further = (f"{own}, {folder}" for folder in folders if folder != own)
    numbered = (f"{own} {number}" for number in itertools.count(2))
    ending = f" ({engine})" if engine else ""
    candidates = (f"{each}{ending}" for each in itertools.chain([own], further, numbered))
    return next(each for each in candidates if each not in taken)


def end(*_: object) -> None:
    """End the process as Ctrl-C does, cleaning up."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    run_command(main)
