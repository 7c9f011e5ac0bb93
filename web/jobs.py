"""What the page does with pictures and videos, within its limits; nothing of Gradio."""

from __future__ import annotations

import math
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.camera import camera_of_angle
from datasets.footage.video import Video
from datasets.pictures import picture_size, read_picture
from options import COLORMAPS
from prediction.depth_map import METRES, RELATIVE, RELATIVE_INVERSE, DepthMap, limit_side
from prediction.engines import Engine
from prediction.points import back_project, encode_glb, encode_ply
from prediction.predictor import DepthPredictor
from prediction.video import Range, VideoFormat, predict_video
from prediction.visualise import COLORMAP, colorize, colorize_disparity, disparity_range
from system.errors import InputError
from web.words import say

LIVE_SIDE = 640  # longest side of what a live camera shows
MOST_KEPT = 256
UNIT_WORDS = {METRES: "metres", RELATIVE: "relative", RELATIVE_INVERSE: "inverse"}


@dataclass(frozen=True)
class Limits:
    """What the page takes at most."""

    pixels: int = 40_000_000  # of a picture
    frames: int = 3000  # of a video
    seconds: float = 600  # that one video may take


class Refusal(Exception):
    """Something that cannot be done, in the user's language; see :func:`web.words.say`."""

    def __init__(self, language: str, key: str, **values: object) -> None:
        super().__init__(say(language, key, **values))


def _refusal(language: str, key: str, error: InputError, path: Path) -> Refusal:
    """What is wrong with an upload, by its name: the visitor knows no path of the server's."""
    return Refusal(language, key, detail=str(error).replace(str(path), path.name))


@dataclass(frozen=True)
class Shown:
    """A prediction as it is shown."""

    picture: Path
    depth: Path  # in colours
    far: float | None  # metres of the darkest colour, None without a unit
    near: float | None  # of the brightest one, likewise
    description: dict[str, object]  # of model, engine, size, unit; its token asks about it later


def limited(predictor: DepthPredictor, seconds: float = math.inf) -> DepthPredictor:
    """A predictor that threads ask one at a time, and that gives up after some seconds.

    Raises:
        TimeoutError: from it, when its time is over.
    """
    engine, lock, end = predictor.network.engine, threading.Lock(), time.monotonic() + seconds

    def disparity(images: np.ndarray) -> np.ndarray:
        if time.monotonic() > end:
            raise TimeoutError
        with lock:
            return engine.disparity(images)

    network = replace(predictor.network, engine=Engine(engine.name, disparity))
    return replace(predictor, network=network)


@dataclass(frozen=True)
class Result:
    """A prediction: a folder with ``picture.jpg`` and ``disparity.npy``, the network's output."""

    folder: Path
    shape: tuple[int, int]  # of the picture, (height, width)
    model: str


class Results:
    """The ``most`` last predictions, in a folder; older ones are removed from the disk."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._kept: OrderedDict[str, Result] = OrderedDict()
        self._lock = threading.Lock()

    def new_folder(self) -> tuple[str, Path]:
        """A token that cannot be guessed, and the folder that belongs to it."""
        token = secrets.token_urlsafe(16)
        folder = self.folder / token
        folder.mkdir(parents=True)
        return token, folder

    def keep(self, token: str, result: Result) -> None:
        """Remember a result, and forget the oldest ones."""
        with self._lock:
            self._kept[token] = result
            old = [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self.most)]
        for each in old:
            shutil.rmtree(each.folder, ignore_errors=True)

    def find(self, token: str | None) -> Result | None:
        """The result of a token, None when it is not kept (any more)."""
        with self._lock:
            return self._kept.get(token or "")


class Jobs:
    """The page's work: each of its jobs raises a Refusal where it cannot do what is asked.

    Args:
        models: by name; each is loaded already.
        folder: of its own, for all that it writes.
        limits: what it takes.
    """

    def __init__(
        self, models: Mapping[str, DepthPredictor], folder: Path, limits: Limits = Limits()
    ) -> None:
        self.models = {name: limited(model) for name, model in models.items()}
        self.limits = limits
        self.folder = folder.resolve()
        self.results = Results(folder / "results", MOST_KEPT)

    def picture(self, path: str | None, model: str, colormap: str, language: str) -> Shown:
        """Predict a picture file that was uploaded into the page's own folder."""
        if not path or not Path(path).resolve().is_relative_to(self.folder):
            raise Refusal(language, "no_picture")
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
        return Shown(folder / "picture.jpg", folder / "depth.jpg", far, near, description)

    def _read(self, path: Path, language: str) -> np.ndarray:
        try:
            width, height = picture_size(path)
            if width * height > self.limits.pixels:
                limit = f"{self.limits.pixels / 1e6:g}"
                raise Refusal(language, "too_large", width=width, height=height, limit=limit)
            return read_picture(path)
        except InputError as error:
            raise _refusal(language, "unreadable", error, path) from error

    def _model(self, name: str | None) -> tuple[str, DepthPredictor]:
        """The model of a name, or the first one."""
        name = name if name in self.models else next(iter(self.models))
        return name, self.models[name]

    def depth_of(self, token: str | None, language: str) -> tuple[Result, DepthMap]:
        """A prediction, if it is still kept."""
        result = self.results.find(token)
        if result is None or not result.folder.is_dir():
            raise Refusal(language, "gone")
        sigmoid = np.load(result.folder / "disparity.npy", allow_pickle=False).astype(np.float32)
        return result, self._model(result.model)[1].depth_map(sigmoid, result.shape)

    def point(
        self,
        token: str | None,
        x: int,
        y: int,
        previous: tuple[int, int] | None,
        degrees: float,
        language: str,
    ) -> str:
        """The depth at a point, and its distance from the one before, in words."""
        _, depth_map = self.depth_of(token, language)
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
        """The mesh to look at, and all files to download, of a kept prediction."""
        result, depth_map = self.depth_of(token, language)
        folder = result.folder
        picture = read_picture(folder / "picture.jpg")
        camera = camera_of_angle(result.shape[::-1], degrees, f"{degrees:g} degrees across")
        points = back_project(depth_map.depth, camera.K)
        unit = "metres" if depth_map.metric else "relative"
        colors = colorize_disparity(depth_map.disparity, colormap)
        Image.fromarray(colors).save(folder / "depth.png")
        np.save(folder / "depth.npy", depth_map.depth)
        (folder / "points.ply").write_bytes(
            encode_ply(points, picture, f"{unit}; camera assumed to see {camera.source}")
        )
        (folder / "mesh.glb").write_bytes(encode_glb(points, picture))
        names = ("depth.png", "depth.npy", "points.ply", "mesh.glb")
        return folder / "mesh.glb", [folder / name for name in names]

    def video(self, path: str | None, model: str, colormap: str, side: bool, language: str) -> Path:
        """The depth of a video file, as a video that browsers play."""
        if not path:
            raise Refusal(language, "no_video", detail="—")
        try:
            frames = Video(Path(path)).count
        except InputError as error:
            raise _refusal(language, "no_video", error, Path(path)) from error
        if frames > self.limits.frames:
            raise Refusal(language, "too_long", frames=frames, limit=self.limits.frames)
        model, predictor = self._model(model)
        token, folder = self.results.new_folder()
        timed = limited(predictor, self.limits.seconds)
        form = VideoFormat("webm", colormap, side, max_side=1280)
        try:
            predict_video(timed, Path(path), folder / "depth.webm", form, 4, {"model": model})
        except TimeoutError as error:
            raise Refusal(language, "too_slow", limit=f"{self.limits.seconds:g}") from error
        except InputError as error:
            raise _refusal(language, "no_video", error, Path(path)) from error
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
