"""What the page does with pictures and videos, within its limits; nothing of Gradio.

Whatever a visitor's program sends comes in here: each argument may be of any kind.
"""

from __future__ import annotations

import binascii
import logging
import math
import re
import secrets
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.exif import camera_of_exif
from datasets.pictures import picture_size, read_picture
from networks.kinds import KINDS
from options import COLORMAPS
from prediction.depth_map import METRES, DepthMap, limit_side, squeezed
from prediction.predictor import DepthPredictor
from prediction.video import Range, VideoFormat, predict_video
from prediction.visualise import colorize
from system.errors import InputError
from system.files import read_json
from web.kept import Result, Results, Turns, Uploads, remove
from web.maps import FILES, PictureDepth, values_at, write_files
from web.mesh import is_empty
from web.points import (
    ANGLES,
    chosen_camera,
    depth_in_words,
    distances_in_words,
    pair_of,
    pixel_of,
)
from web.refusals import Refusal, millions, reason, resources
from web.watch import (
    Stopped,
    TooLong,
    TooSlow,
    Watch,
    Watched,
    check_length,
    one_at_a_time,
    outline,
)
from web.words import Sentence, say

logger = logging.getLogger(__name__)

LIVE_SIDE = 640  # longest side of what a live camera shows
LIVE_BYTES = 300_000  # that a picture of it takes on the disk, at most
VIDEO_SIDE = 1280
SHORT = 0.9  # of the frames that a video says it has, which may be an estimate
MOST_MARKS = 20  # in a picture
LONGEST_NAME = 60  # of the files that are made of a picture


@dataclass(frozen=True)
class Limits:
    """What the page takes at most."""

    pixels: int = 40_000_000  # of a picture, and of all that are in work at once
    frames: int = 3000  # of a video
    seconds: float = 600  # that one video may take
    result_bytes: int = 1 << 30  # of results that are kept
    upload_bytes: int = 1 << 30  # of uploads that are kept or on their way


@dataclass(frozen=True)
class Prediction(Result):
    """A kept prediction of a picture.

    Attributes:
        name: of the picture, that names of files start with.
        description: what is said of it, see :class:`Shown`.
    """

    name: str = "picture"
    description: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """A prediction as it is shown.

    Attributes:
        picture: file of it.
        depth: the same in colours.
        far: metres of the darkest colour; None without a unit, or beyond all measure.
        near: of the brightest one, likewise.
        description: name, model, engine, size, unit, seconds, and the camera's angle of view where
            the picture says it; its token asks about it later.
    """

    picture: Path
    depth: Path
    far: float | None
    near: float | None
    description: dict[str, object]


@dataclass(frozen=True)
class ShownVideo:
    """The depth of a video: its file, and the ends of its colours as of :class:`Shown`.

    Attributes:
        short: what to say where it has fewer frames than its source said.
    """

    video: Path
    far: float | None
    near: float | None
    unit: str
    colormap: str
    short: Sentence | None = None


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
        self.models = {name: one_at_a_time(model) for name, model in models.items()}
        self.limits = limits
        self.folder = folder.resolve()
        self.results = Results(self.folder / "results", most_bytes=limits.result_bytes)
        self.uploads = Uploads(self.folder, limits.upload_bytes, frozenset({"results"}))
        self.turns = Turns(limits.pixels)

    def picture(
        self,
        path: object,
        model: object,
        colormap: object,
        language: object,
        keep_aspect: object = False,
    ) -> Shown:
        """Predict a picture file that was uploaded into the page's own folder.

        Args:
            path: of the file.
            model, colormap: names; those that are not known are the first ones.
            language: of what is said.
            keep_aspect: pad a picture that the model would squeeze.
        """
        model, predictor = self._model(model, language)
        colormap = _listed(colormap, COLORMAPS, "colormap", language)
        with self._uploaded(path, "no_picture", "unreadable", language) as file:
            pixels = self._pixels(file, language)
            with self.turns.of(pixels), self.results.making() as (token, folder):
                started = time.monotonic()
                depth = _predicted(predictor, file, folder, colormap, keep_aspect)
                far, near = map(_finite, depth.ends() if depth.metric else (None, None))
                description = {
                    "token": token,
                    "name": _plain_name(file),
                    "model": model,
                    "colormap": colormap,
                    "engine": predictor.network.engine.name,
                    "unit": depth.unit,
                    "width": depth.shape[1],
                    "height": depth.shape[0],
                    "squeezed": _is_squeezed(predictor, depth.shape[::-1]),
                    "keep_aspect": depth.predictor.keep_aspect,
                    "far": far,
                    "near": near,
                    "angle": _seen_angle(file),
                    "seconds": round(time.monotonic() - started, 3),
                }
                name = str(description["name"])
                result = Prediction(folder, depth.shape, model, name=name, description=description)
                self.results.keep(token, result)
        return Shown(folder / "picture.jpg", folder / "depth.jpg", far, near, description)

    def described(self, token: object, language: object) -> Mapping[str, object]:
        """The description of a kept prediction."""
        with self._kept(token, language) as (result, _):
            return result.description

    def point(
        self,
        token: object,
        x: object,
        y: object,
        previous: tuple[int, int] | None,
        degrees: object,
        language: object,
    ) -> str:
        """The depth at a point, and its distance from the one before, in words."""
        with self._kept(token, language) as (result, sigmoid):
            predictor = self._predictor(result)
        size = result.shape[::-1]
        pixels = [pixel_of(x, y, size, language)]
        if previous is not None:
            pixels.append(pixel_of(*previous, size, language))
        depth_map = values_at(predictor, sigmoid, result.shape, pixels)
        words = depth_in_words(depth_map, 0, language)
        text = say(language, "point", x=pixels[0][0], y=pixels[0][1], depth=words)
        if previous is None:
            return text
        if not depth_map.metric:
            return f"{text}\n{say(language, 'no_distance')}"
        camera = chosen_camera(size, degrees, "°", language)
        distance = distances_in_words(camera, pixels, depth_map.depth[0], language)[0]
        return f"{text}\n{say(language, 'distance', distance=distance, camera=camera.source)}"

    def marks(
        self, token: object, points: Sequence[object], degrees: object, language: object
    ) -> list[tuple[int, int, str]]:
        """Points with the depth there in words, from the second on also how far they are apart.

        Args:
            token: of the prediction.
            points: pairs of x and y, :data:`MOST_MARKS` of them at most; the last ones are taken.
            degrees: that the camera sees across.
            language: of the words.
        """
        with self._kept(token, language) as (result, sigmoid):
            predictor = self._predictor(result)
        size = result.shape[::-1]
        pixels = [pixel_of(*pair_of(point), size, language) for point in points[-MOST_MARKS:]]
        if not pixels:
            return []
        depth_map = values_at(predictor, sigmoid, result.shape, pixels)
        words = [depth_in_words(depth_map, number, language) for number in range(len(pixels))]
        if depth_map.metric and len(pixels) > 1:
            camera = chosen_camera(size, degrees, "°", language)
            for number, far in enumerate(
                distances_in_words(camera, pixels, depth_map.depth[0], language), 2
            ):
                told = {"depth": words[number - 1], "distance": far, "other": number - 1}
                words[number - 1] = say(language, "apart", **told)
        return [(x, y, text) for (x, y), text in zip(pixels, words)]

    def file(
        self, token: object, kind: str, degrees: object, colormap: object, language: object
    ) -> Path:
        """One file of a kept prediction, of a kind of :data:`web.maps.FILES`."""
        path = self._files(token, (kind,), degrees, colormap, language)[kind]
        if kind == "mesh" and is_empty(path):
            raise Refusal(language, "no_mesh")
        return path

    def files(
        self, token: object, degrees: object, colormap: object, language: object
    ) -> tuple[Path | None, list[Path]]:
        """The mesh to look at, if there is any, and all files of a kept prediction."""
        paths = self._files(token, tuple(FILES), degrees, colormap, language)
        if is_empty(paths["mesh"]):
            del paths["mesh"]
        return paths.get("mesh"), list(paths.values())

    def _files(
        self,
        token: object,
        kinds: tuple[str, ...],
        degrees: object,
        colormap: object,
        language: object,
    ) -> dict[str, Path]:
        """Files of a kept prediction; earlier ones of the same kinds are removed."""
        colormap = _listed(colormap, COLORMAPS, "colormap", language)
        with self._kept(token, language) as (result, sigmoid):
            camera = chosen_camera(result.shape[::-1], degrees, " degrees across", language)
            start = f"files-{'-'.join(kinds)}-"
            before = list(result.folder.glob(f"{start}*"))
            folder = result.folder / f"{start}{secrets.token_hex(8)}"
            try:
                folder.mkdir()
                with self.turns.of(result.shape[0] * result.shape[1]):
                    predictor, picture = self._predictor(result), result.folder / "picture.jpg"
                    name = result.name
                    return write_files(
                        folder, name, picture, predictor, sigmoid, camera, colormap, kinds
                    )
            except BaseException:
                before = [folder]
                raise
            finally:
                for each in before:
                    remove(each)

    def video(
        self,
        path: object,
        model: object,
        colormap: object,
        side: object,
        language: object,
        watch: Watch | None = None,
        keep_aspect: object = False,
    ) -> ShownVideo:
        """The depth of a video file, as a video that browsers play; its watch may stop it."""
        model, predictor = self._model(model, language)
        colormap = _listed(colormap, COLORMAPS, "colormap", language)
        limits, form = self.limits, VideoFormat("webm", colormap, bool(side), max_side=VIDEO_SIDE)
        with self._uploaded(path, "no_upload", "no_video", language) as file:
            size, expected = outline(file)
            self._check_pixels(*size, language)
            watch = watch or self.watch()
            timed = replace(_padding(predictor, size, keep_aspect), watch=watch)
            try:
                check_length(file, limits.frames, limits.seconds)
                with self.results.making() as (token, folder):
                    predict_video(timed, file, folder / "depth.webm", form, 4, {"model": model})
                    self.results.keep(token, Result(folder, (0, 0), model))
            except Stopped as error:
                raise Refusal(language, "stopped") from error
            except TooSlow as error:
                raise Refusal(language, "too_slow", limit=f"{limits.seconds:g}") from error
            except TooLong as error:
                raise Refusal(language, "too_long", frames=error, limit=limits.frames) from error
        about = read_json(folder / "depth.json")
        far, near = self.ends(model, *about["disparity_range"])
        short, frames = None, about["frames"]
        if frames < SHORT * expected:
            short = Sentence("short", {"frames": frames, "expected": expected})
        return ShownVideo(folder / "depth.webm", far, near, predictor.unit, colormap, short)

    def watch(self) -> Watch:
        """What bounds the work of one video, from now on."""
        return Watch(self.limits.seconds, self.limits.frames)

    def ends(self, model: object, low: float, high: float) -> tuple[float | None, float | None]:
        """Metres of the disparities of the darkest and brightest colour, as of :class:`Shown`."""
        predictor = self._model(model, None)[1]
        if predictor.unit != METRES:
            return None, None
        fit = predictor.depth_map(np.zeros((1, 1), np.float32), (1, 1)).inverse_depth
        depth = DepthMap(np.array([[low, high]], np.float32), METRES, fit).depth
        return _finite(depth[0, 0]), _finite(depth[0, 1])

    def live(
        self,
        frame: np.ndarray | None,
        shown: Range | None,
        model: object,
        colormap: object,
        keep_aspect: object = False,
    ) -> tuple[np.ndarray | None, Range]:
        """The depth of a camera's frame in colours, in a range that follows slowly."""
        shown = shown or Range()
        if frame is None:
            return None, shown
        colormap = _listed(colormap, COLORMAPS, "colormap", None)
        picture = limit_side(np.ascontiguousarray(frame[..., :3]), LIVE_SIDE)
        predictor = self._model(model, None)[1]
        depth_map = _padding(predictor, picture.shape[1::-1], keep_aspect)(picture)
        coming = self.uploads.reserve(LIVE_BYTES)  # what is shown is on the disk, too
        if coming is not None:
            self.uploads.release(coming, LIVE_BYTES)
        return colorize(depth_map.disparity, *shown.of(depth_map), colormap), shown

    def sent_frame(self, url: object) -> np.ndarray | None:
        """The picture in a ``data:`` URL, as browsers send what their camera sees."""
        if not isinstance(url, str) or not url.startswith("data:image/"):
            return None
        path = self.folder / f"frame-{secrets.token_hex(8)}"
        try:
            path.write_bytes(b64decode(url.partition(",")[2], validate=True))
            with self.turns.of(self._pixels(path, None)):
                return read_picture(path)
        except (binascii.Error, InputError):
            return None
        finally:
            remove(path)

    def tidy(self) -> None:
        """Remove what was kept long enough."""
        self.results.tidy()
        self.uploads.tidy()

    @contextmanager
    def _uploaded(self, path: object, missing: str, wrong: str, language: object) -> Iterator[Path]:
        """A visitor's file, which stays while it is used; of an InputError ``wrong`` tells."""
        try:
            file = Path(path).resolve() if path and isinstance(path, str) else self.folder
        except (OSError, ValueError):  # no path at all, such as one with NUL
            file = self.folder
        if not self.uploads.holds(file):
            raise Refusal(language, missing)
        with self.uploads.using(file):
            if not file.is_file():
                raise Refusal(language, "no_upload")
            try:
                with resources(language):
                    yield file
            except InputError as error:
                logger.info("refused: %s", error)
                why = reason(error, file, self.folder, self.limits.pixels)
                raise Refusal(language, wrong, name=file.name, why=why) from error

    def _pixels(self, file: Path, language: object) -> int:
        """The pixels of a picture, if they are not too many."""
        width, height = picture_size(file)
        self._check_pixels(width, height, language)
        return width * height

    def _check_pixels(self, width: int, height: int, language: object) -> None:
        if width * height > self.limits.pixels:
            limit = millions(self.limits.pixels)
            raise Refusal(language, "too_large", width=width, height=height, limit=limit)

    def _model(self, name: object, language: object) -> tuple[str, Watched]:
        """The model of a name, or the first one."""
        name = _listed(name, tuple(self.models), "model", language)
        return name, self.models[name]

    def _predictor(self, result: Prediction) -> DepthPredictor:
        """What made a kept prediction."""
        model, about = self.models[result.model], result.description
        return replace(model, keep_aspect=about["keep_aspect"])

    def fixed_shape(self, model: object, language: object) -> str | None:
        """The size that a model brings all pictures to, in words; None for one that takes any."""
        info = self._model(model, language)[1].info
        return None if KINDS[info.kind].side else f"{info.width} x {info.height}"

    @contextmanager
    def _kept(self, token: object, language: object) -> Iterator[tuple[Prediction, np.ndarray]]:
        """A prediction that is still kept, and its network's output; it stays while it is used."""
        result = self.results.find(token)
        if result is None:
            raise Refusal(language, "gone")
        with self.results.using(token):
            try:
                with resources(language):
                    sigmoid = np.load(result.folder / "disparity.npy", allow_pickle=False)
                    yield result, sigmoid.astype(np.float32)
            except (FileNotFoundError, InputError) as error:
                raise Refusal(language, "gone") from error


def _predicted(
    predictor: DepthPredictor, file: Path, folder: Path, colormap: str, keep_aspect: object
) -> PictureDepth:
    """Predict a picture; its copy, the network's output and the colours are in ``folder`` then."""
    picture = read_picture(file)
    shape = picture.shape[:2]
    predictor = _padding(predictor, shape[::-1], keep_aspect)
    given = predictor.network_input(picture)
    Image.fromarray(picture).save(folder / "picture.jpg", quality=92)
    del picture  # the largest thing here
    sigmoid = predictor.network.disparity(given[None])[0]
    np.save(folder / "disparity.npy", sigmoid.astype(np.float16))
    depth = PictureDepth(predictor, sigmoid, shape)
    Image.fromarray(depth.last_colors(colormap)).save(folder / "depth.jpg", quality=92)
    return depth


def _is_squeezed(predictor: DepthPredictor, size: tuple[int, int]) -> bool:
    """Whether a picture of (width, height) is of another shape than the model's only one."""
    return squeezed(predictor.info, size) is not None


def _padding(
    predictor: DepthPredictor, size: tuple[int, int], keep_aspect: object
) -> DepthPredictor:
    """A predictor that pads pictures of (width, height) if that is wanted and changes anything."""
    return replace(predictor, keep_aspect=keep_aspect is True and _is_squeezed(predictor, size))


def _listed(value: object, names: Sequence[str], what: str, language: object) -> str:
    """A name of a list, the first one for a name that is not in it."""
    if value is not None and not isinstance(value, str):
        raise Refusal(language, "no_name", name=Sentence(what))
    return value if value in names else names[0]


def _plain_name(file: Path) -> str:
    """What a picture is called, without what file names cannot have everywhere."""
    return re.sub(r"[^\w-]+", "_", file.stem)[:LONGEST_NAME].strip("_") or "picture"


def _seen_angle(file: Path) -> float | None:
    """The angle of view that a picture says, as far as it can be chosen here."""
    camera, (low, high) = camera_of_exif(file), ANGLES
    if camera is None:
        return None
    angle = 2 * math.degrees(math.atan(camera.image_size[0] / 2 / camera.K[0, 0]))
    return min(max(round(angle), low), high)


def _finite(value: float | None) -> float | None:
    """A number, None for one that JSON has no word for."""
    return float(value) if value is not None and math.isfinite(value) else None
