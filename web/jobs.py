"""What the page does with pictures and videos, within its limits; nothing of Gradio."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.camera_file import camera_of_angle
from datasets.video_file import Video
from errors import InputError
from prediction.depth_map import METRES, RELATIVE, RELATIVE_INVERSE, DepthMap
from prediction.engines.choice import Engine
from prediction.points import back_project, encode_glb, encode_ply
from prediction.predictor import DepthPredictor, Predictor
from prediction.reading import limit_side, read_picture
from prediction.video import Range, VideoFormat, predict_video
from prediction.visualise import COLORMAP, COLORMAPS, colorize, disparity_range
from web.results import Result, Results
from web.words import say

LIVE_SIDE = 640  # longest side of what a live camera shows
MOST_KEPT = 256
UNIT_WORDS = {METRES: "metres", RELATIVE: "relative", RELATIVE_INVERSE: "inverse"}


@dataclass(frozen=True)
class Limits:
    """What the page takes at most.

    Attributes:
        pixels: of a picture.
        frames: of a video.
        seconds: that one video may take.
    """

    pixels: int = 40_000_000
    frames: int = 3000
    seconds: float = 600


class Refusal(Exception):
    """Something that cannot be done, in the user's language."""


@dataclass(frozen=True)
class Shown:
    """A prediction as it is shown.

    Attributes:
        token: by which it is asked about later.
        picture: file of the picture.
        depth: file of its depth in colours.
        far: metres of the darkest colour, None without a unit.
        near: metres of the brightest colour, likewise.
        description: of model, engine, size and unit.
    """

    token: str
    picture: Path
    depth: Path
    far: float | None
    near: float | None
    description: dict[str, object]


class LockedEngine:
    """An engine that several threads may ask: one at a time."""

    def __init__(self, engine: Engine) -> None:
        self.name, self._engine, self._lock = engine.name, engine, threading.Lock()

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """See :class:`prediction.engines.choice.Engine`."""
        with self._lock:
            return self._engine.disparity(images)


class TimedEngine:
    """An engine that gives up, with TimeoutError, when its time is over."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self.name, self._engine = engine.name, engine
        self._end = time.monotonic() + seconds

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """See :class:`prediction.engines.choice.Engine`."""
        if time.monotonic() > self._end:
            raise TimeoutError
        return self._engine.disparity(images)


def with_engine(predictor: DepthPredictor, engine: Engine) -> DepthPredictor:
    """The same predictor with another engine."""
    return DepthPredictor(Predictor(engine, predictor.info), predictor.alignment, predictor.side)


class Jobs:
    """The page's work.

    Args:
        models: by name; each is loaded already.
        folder: of its own, for all that it writes.
        limits: what it takes.
    """

    def __init__(
        self, models: Mapping[str, DepthPredictor], folder: Path, limits: Limits = Limits()
    ) -> None:
        self.models = {
            name: with_engine(model, LockedEngine(model.network.engine))
            for name, model in models.items()
        }
        self.limits = limits
        self.folder = folder.resolve()
        self.results = Results(folder / "results", MOST_KEPT)

    def picture(self, path: str | None, model: str, colormap: str, language: str) -> Shown:
        """Predict a picture file that was uploaded into the page's own folder.

        Raises:
            Refusal: it cannot be read, is too large, or not the page's.
        """
        if not path or not Path(path).resolve().is_relative_to(self.folder):
            raise Refusal(say(language, "no_picture"))
        model, predictor = self._model(model)
        colormap = colormap if colormap in COLORMAPS else COLORMAP
        picture = self._read(Path(path), language)
        sigmoid = predictor.network.disparity(predictor.network_input(picture)[None])[0]
        depth_map = predictor.depth_map(sigmoid, picture.shape[:2])
        low, high = disparity_range(depth_map.disparity)
        token, folder = self.results.new_folder()
        np.save(folder / "disparity.npy", sigmoid.astype(np.float16))
        Image.fromarray(picture).save(folder / "picture.jpg", quality=92)
        colors = colorize(depth_map.disparity, low, high, colormap)
        Image.fromarray(colors).save(folder / "depth.jpg", quality=92)
        self.results.keep(token, Result(folder, picture.shape[:2], model))
        description = {
            "token": token,
            "model": model,
            "colormap": colormap,
            "engine": predictor.network.engine.name,
            "unit": depth_map.unit,
            "width": picture.shape[1],
            "height": picture.shape[0],
        }
        far = near = None
        if depth_map.metric:
            ends = replace(depth_map, disparity=np.array([[low, high]], np.float32))
            far, near = ends.depth[0].tolist()
        files = (folder / "picture.jpg", folder / "depth.jpg")
        return Shown(token, *files, far, near, description)

    def _read(self, path: Path, language: str) -> np.ndarray:
        try:
            with Image.open(path) as file:
                width, height = file.size
        except Image.DecompressionBombError:
            width = height = math.inf
        except (OSError, ValueError, SyntaxError):
            width = height = 0  # reading will say what is wrong
        if width * height > self.limits.pixels:
            limit = f"{self.limits.pixels / 1e6:g}"
            raise Refusal(say(language, "too_large", width=width, height=height, limit=limit))
        try:
            return read_picture(path)
        except InputError as error:
            detail = str(error).replace(str(path), path.name)
            raise Refusal(say(language, "unreadable", detail=detail)) from error

    def _model(self, name: str | None) -> tuple[str, DepthPredictor]:
        """The model of a name, or the first one."""
        name = name if name in self.models else next(iter(self.models))
        return name, self.models[name]

    def depth_of(self, token: str | None, language: str) -> tuple[Result, DepthMap]:
        """A kept prediction.

        Raises:
            Refusal: it is not kept.
        """
        result = self.results.find(token)
        if result is None or not result.folder.is_dir():
            raise Refusal(say(language, "gone"))
        return result, self._model(result.model)[1].depth_map(result.sigmoid, result.shape)

    def point(
        self,
        token: str | None,
        x: int,
        y: int,
        previous: tuple[int, int] | None,
        degrees: float,
        language: str,
    ) -> str:
        """The depth at a point, and its distance from the one before, in words.

        Raises:
            Refusal: the prediction is not kept.
        """
        (_, depth_map) = self.depth_of(token, language)
        height, width = depth_map.disparity.shape
        x, y = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
        depth = depth_map.depth
        unit = say(language, UNIT_WORDS[depth_map.unit])
        inverse = depth_map.unit == RELATIVE_INVERSE
        value = float((depth_map.disparity if inverse else depth)[y, x])
        words = f"{value:.4g} {unit}" if math.isfinite(value) else say(language, "infinite")
        text = say(language, "point", x=x, y=y, depth=words)
        if previous is None:
            return text
        if not depth_map.metric:
            return f"{text}\n{say(language, 'no_distance')}"
        camera = camera_of_angle((width, height), degrees, f"{degrees:g}°")
        points = back_project(depth, camera.K)
        before = points[min(previous[1], height - 1), min(previous[0], width - 1)]
        apart = float(np.linalg.norm(points[y, x] - before))
        distance = f"{apart:.4g} {say(language, 'metres')}"
        if not math.isfinite(apart):
            distance = say(language, "infinite")
        return f"{text}\n{say(language, 'distance', distance=distance, camera=camera.source)}"

    def files(
        self, token: str | None, degrees: float, colormap: str, language: str
    ) -> tuple[Path, list[Path]]:
        """The mesh to look at, and all files to download, of a kept prediction.

        Raises:
            Refusal: it is not kept.
        """
        result, depth_map = self.depth_of(token, language)
        folder = result.folder
        with Image.open(folder / "picture.jpg") as file:
            picture = np.asarray(file.convert("RGB"))
        camera = camera_of_angle(result.shape[::-1], degrees, f"{degrees:g} degrees across")
        points = back_project(depth_map.depth, camera.K)
        unit = "metres" if depth_map.metric else "relative"
        low, high = disparity_range(depth_map.disparity)
        colors = colorize(depth_map.disparity, low, high, colormap)
        Image.fromarray(colors).save(folder / "depth.png")
        np.save(folder / "depth.npy", depth_map.depth)
        (folder / "points.ply").write_bytes(
            encode_ply(points, picture, f"{unit}; camera assumed to see {camera.source}")
        )
        (folder / "mesh.glb").write_bytes(encode_glb(points, picture))
        names = ("depth.png", "depth.npy", "points.ply", "mesh.glb")
        return folder / "mesh.glb", [folder / name for name in names]

    def video(self, path: str | None, model: str, colormap: str, side: bool, language: str) -> Path:
        """The depth of a video file, as a video that browsers play.

        Raises:
            Refusal: it cannot be read, is too long, or takes too long.
        """
        if not path:
            raise Refusal(say(language, "no_video", detail="—"))
        try:
            frames = Video(Path(path)).count
        except InputError as error:
            detail = str(error).replace(str(path), Path(path).name)
            raise Refusal(say(language, "no_video", detail=detail)) from error
        if frames > self.limits.frames:
            raise Refusal(say(language, "too_long", frames=frames, limit=self.limits.frames))
        model, predictor = self._model(model)
        token, folder = self.results.new_folder()
        timed = with_engine(predictor, TimedEngine(predictor.network.engine, self.limits.seconds))
        form = VideoFormat("webm", colormap, side, max_side=1280)
        try:
            about = {"model": model}
            predict_video(timed, Path(path), folder / "depth.webm", form, 4, about)
        except TimeoutError as error:
            limit = f"{self.limits.seconds:g}"
            raise Refusal(say(language, "too_slow", limit=limit)) from error
        except InputError as error:
            raise Refusal(say(language, "no_video", detail=str(error))) from error
        self.results.keep(token, Result(folder, (0, 0), model))
        return folder / "depth.webm"

    def live(
        self, frame: np.ndarray | None, shown: Range | None, model: str, colormap: str
    ) -> tuple[np.ndarray | None, Range]:
        """The depth of a camera's frame in colours, in a range that follows slowly."""
        shown = shown or Range()
        if frame is None:
            return None, shown
        picture = limit_side(np.ascontiguousarray(frame[..., :3]), LIVE_SIDE)
        depth_map = self._model(model)[1](picture)
        return shown.picture(picture, depth_map, VideoFormat(colormap=colormap)), shown
