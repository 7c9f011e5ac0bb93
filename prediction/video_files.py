"""Writing videos: H.264 in mp4, or VP8 in webm, with the sound of the source, through PyAV."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Callable, Union

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from datasets.footage.video import decoded_frames, open_video, reason_of
from prediction.visualise import Shades, colours_of
from system.errors import InputError
from system.files import written_whole

logger = logging.getLogger(__name__)

Frame = Union[np.ndarray, Shades]  # RGB uint8 [H, W, 3], or in the colours of one colormap


@dataclass(frozen=True)
class Container:
    """What a kind of file holds.

    Attributes:
        kept: codecs of sound that are copied as they are.
        sound: that other sound is encoded in.
        tick: seconds, of which times are multiples.
        options: of the file.
        quality: options of the pictures' codec.
    """

    kept: frozenset[str]
    sound: str
    tick: Fraction
    options: dict[str, str]
    quality: dict[str, str]


# Browsers play all of this. Players begin before they have a whole mp4: its table comes first.
CONTAINERS = {
    "mp4": Container(
        frozenset({"aac", "mp3", "opus", "flac"}),
        "aac",
        Fraction(1, 90_000),
        {"movflags": "+faststart", "fflags": "+bitexact"},
        # Looking ahead, x264 does not always write the same. Frames that refer to later ones, and
        # weights of brightness, take a fifth more time for a twelfth of the bytes. Colours of
        # depth are smooth: searching parts of pixels, and blocks of 4x4, only takes time.
        {
            "crf": "18",
            "preset": "superfast",
            "x264-params": "rc-lookahead=0:bframes=0:weightp=0:me=dia:subme=0:partitions=i8x8",
        },
    ),
    "webm": Container(
        frozenset({"opus", "vorbis"}),
        "libopus",
        Fraction(1, 1000),
        {"fflags": "+bitexact"},
        {"crf": "8", "deadline": "good", "cpu-used": "4"},
    ),
}
CODECS = {"mp4": "libx264", "webm": "libvpx"}  # of the pictures, by FFmpeg's names
BITS_PER_PIXEL, FEWEST_BITS, MOST_BITS = 0.3, 1_000_000, 100_000_000  # of VP8, in a second
SOUND_RATE = 48_000  # of what is encoded
EARLY = Fraction(1, 10)  # seconds; sound that begins earlier than the pictures is cut
TRIAL = 3  # frames


def write_video(
    target: Path,
    frames: Iterable[tuple[Fraction, Frame]],
    rate: float,
    container: str,
    sound_of: Path | None = None,
    finish: Callable[[int], None] | None = None,
) -> int:
    """Write frames, each with the seconds at which it is shown, as a video.

    Odd sizes lose their last row or column: codecs take even ones.

    Args:
        target: file to write, whole or not at all.
        frames: seconds, which rise, and pictures, all of one size.
        rate: frames per second, about.
        container: one of :data:`CONTAINERS`.
        sound_of: file whose sound is written, too, if it has any.
        finish: is told how many frames there are, before the file takes its place.

    Returns:
        How many frames there were.

    Raises:
        InputError: the codec is missing, does not take such frames, or the folder or disk cannot
            be written to.
    """
    try:
        av.codec.Codec(CODECS[container], "w")
    except ValueError as error:
        raise _refusal(target, container, "its codec is not in this PyAV") from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as temporary, _plain_errors():
            count = _write(temporary, frames, rate, container, sound_of)
            if finish is not None:
                finish(count)
            return count
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(
                f"{target}: cannot be written ({reason_of(error)}); make room on the disk, or "
                "choose another folder with --output"
            ) from error
        raise _refusal(target, container, reason_of(error)) from error


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise what the system refuses as Python does: the errors of PyAV take no other file name."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror) from error
        raise


def try_to_write(target: Path, frame: Frame, rate: float, container: str) -> None:
    """Find out, before long work, whether frames like one can be written as a video.

    Raises:
        InputError: see :func:`write_video`.
    """
    if target.is_dir():
        raise InputError(f"{target}: is a folder; remove it, or choose another --output")
    trial = target.with_name(f".{target.name}.trial")
    try:
        write_video(trial, ((n / Fraction(rate), frame) for n in range(TRIAL)), rate, container)
    except InputError as error:
        raise InputError(str(error).replace(str(trial), str(target))) from error.__cause__
    finally:
        with suppress(OSError):
            trial.unlink()


def _refusal(target: Path, container: str, why: str) -> InputError:
    others = " or ".join(sorted(CONTAINERS.keys() - {container}))
    return InputError(
        f"{target}: cannot be written as {container} ({why}); try --video_format {others}, or "
        "smaller frames with --max_side"
    )


def _write(
    path: Path,
    frames: Iterable[tuple[Fraction, Frame]],
    rate: float,
    container: str,
    sound_of: Path | None,
) -> int:
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{path}: there is no frame to write")
    start, (width, height) = first[0], _even_size(first[1])
    kind, count, last = CONTAINERS[container], 0, -1
    with ExitStack() as stack:
        output = av.open(
            str(path.absolute()), "w", format=container, container_options=kind.options
        )
        stack.enter_context(output)
        stream = _picture_stream(output, CODECS[container], (width, height), rate, kind)
        sound = _sound_into(output, sound_of, kind, start, stack)
        upcoming = next(sound, None)
        for seconds, frame in chain([first], frames):
            count += 1
            picture = _encodable(frame)
            last = max(round((seconds - start) / kind.tick), last + 1)
            picture.pts, picture.time_base = last, kind.tick
            output.mux(stream.encode(picture))
            while upcoming is not None and upcoming[0] <= seconds - start:
                output.mux(upcoming[1])
                upcoming = next(sound, None)
        output.mux(stream.encode())
        for _, packet in chain([upcoming] if upcoming else [], sound):
            output.mux(packet)
    return count


def _even_size(frame: Frame) -> tuple[int, int]:
    """Width and height of a frame without its odd column and row."""
    pixels = frame.levels if isinstance(frame, Shades) else frame
    return pixels.shape[1] // 2 * 2, pixels.shape[0] // 2 * 2


def _encodable(frame: Frame) -> av.VideoFrame:
    """A frame for a codec; of shades already in its own colours, in a third of the time."""
    width, height = _even_size(frame)
    if not isinstance(frame, Shades):
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]))
    levels = frame.levels[:height, :width]
    luma, *chroma = _luma_and_chroma(frame.colormap)
    half = (width // 2, height // 2)
    planes = np.empty((height + height // 2, width), np.uint8)
    cv2.LUT(levels, luma, dst=planes[:height])
    for plane, table in zip(planes[height:].reshape(2, *half[::-1]), chroma):
        cv2.resize(cv2.LUT(levels, table), half, dst=plane, interpolation=cv2.INTER_AREA)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


@cache
def _luma_and_chroma(colormap: str) -> np.ndarray:
    """Y, U and V of the levels of a colormap, as FFmpeg makes them of RGB: uint8 [3, 256]."""
    colours = np.ascontiguousarray(colours_of(colormap).reshape(1, 256, 3))
    in_yuv = av.VideoFrame.from_ndarray(colours).reformat(format="yuv444p").to_ndarray()
    return np.ascontiguousarray(in_yuv.reshape(3, 256))


def _picture_stream(
    output: OutputContainer, codec: str, size: tuple[int, int], rate: float, kind: Container
) -> VideoStream:
    """A stream of pictures; its codec is opened, so that what it refuses is known."""
    steady = Fraction(rate).limit_denominator(100_000)
    stream = output.add_stream(codec, rate=steady, options=kind.quality)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    # A frame for each thread: parts of one have threads wait for each other, and take more bytes.
    stream.thread_type = "FRAME"
    stream.codec_context.time_base = kind.tick
    # H.264 needs no rate beside its quality, VP8 an upper limit.
    pixels = size[0] * size[1] * rate
    usual = int(min(max(BITS_PER_PIXEL * pixels, FEWEST_BITS), MOST_BITS))
    stream.bit_rate = 0 if codec.endswith("264") else usual
    stream.codec_context.open()
    return stream


def _sound_into(
    output: OutputContainer, source: Path | None, kind: Container, start: Fraction, stack: ExitStack
) -> Iterator[tuple[Fraction, Packet]]:
    """Packets of a file's sound for another file, with the seconds at which they are heard.

    Sound that cannot be read is said, and left out: the pictures are worth more.

    Args:
        output: the other file, which gets a stream.
        source: the file; None for no sound.
        kind: of the other file.
        start: seconds in the file that are the first ones of the other one.
        stack: closes the file.
    """
    if source is None:
        return iter(())
    try:
        container = stack.enter_context(open_video(source))
        given = next((s for s in container.streams.audio if s.codec_context is not None), None)
        if given is None:
            return iter(())
        if given.codec_context.codec.canonical_name in kind.kept:
            stream = output.add_stream_from_template(given)
            packets = _copied(container.demux(given), stream, start)
        else:
            layout = "mono" if given.codec_context.channels == 1 else "stereo"
            stream = output.add_stream(kind.sound, rate=SOUND_RATE, layout=layout)
            packets = _encoded(decoded_frames(container, given), stream, start)
        return _as_far_as_it_goes(packets, source)
    except (av.FFmpegError, ValueError) as error:
        _say_no_sound(source, error)
        return iter(())


def _copied(
    packets: Iterable[Packet], stream: AudioStream, start: Fraction
) -> Iterator[tuple[Fraction, Packet]]:
    for packet in packets:
        if packet.dts is None or packet.pts is None:  # the end of the file
            continue
        shift = round(start / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = stream
        if packet.pts * packet.time_base >= -EARLY:
            yield packet.pts * packet.time_base, packet


def _encoded(
    frames: Iterable[AudioFrame], stream: AudioStream, start: Fraction
) -> Iterator[tuple[Fraction, Packet]]:
    for frame in chain(frames, [None]):
        if frame is not None:
            frame.pts = (frame.pts or 0) - round(start / frame.time_base)
            if frame.pts < 0:
                continue
        for packet in stream.encode(frame):
            yield packet.pts * packet.time_base, packet


def _as_far_as_it_goes(
    packets: Iterator[tuple[Fraction, Packet]], source: Path
) -> Iterator[tuple[Fraction, Packet]]:
    try:
        yield from packets
    except (av.FFmpegError, ValueError) as error:
        _say_no_sound(source, error)


def _say_no_sound(source: Path, error: Exception) -> None:
    words = "%s: its sound, or the rest of it, cannot be kept (%s)"
    logger.warning(words, source, reason_of(error))
