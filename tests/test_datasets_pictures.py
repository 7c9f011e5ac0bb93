"""Pictures: every way of decoding gives the same pixels, and what cannot be read is named."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, features

from datasets import pictures
from datasets.frames import FrameFiles
from datasets.pictures import BAND, picture_size, read_picture
from system.errors import InputError

SIZE = (50, 30)  # width, height
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def picture():
    """RGB with structure at several sizes, different in each colour."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    waves = [np.sin(x / p + y / q) for p, q in ((3, 9), (7, 4), (11, 20))]
    return np.uint8(127 + 100 * np.stack(waves, axis=2))


def saved(picture, path, mode="RGB", **more):
    Image.fromarray(picture).convert(mode).save(path, **more)
    return path


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


class Simplejpeg:
    """The interface of simplejpeg, where it is not installed."""

    @staticmethod
    def decode_jpeg(content, colours, buffer=None):
        assert colours == "RGB"
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        if buffer is None:
            return pixels
        buffer[:] = pixels
        return buffer


@pytest.fixture(params=["simplejpeg", "opencv"])
def jpeg_decoder(request, monkeypatch):
    """What reads JPEGs: the wheel, or what takes its place where there is none."""
    wheel = (pictures.simplejpeg or Simplejpeg) if request.param == "simplejpeg" else None
    monkeypatch.setattr(pictures, "simplejpeg", wheel)
    return request.param


def decode_as_kornia_rs(content, size, colours):
    """The interface of kornia_rs, where it is not installed."""
    assert colours == "rgb"
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert pixels.shape[:2] == size
    return pixels


@pytest.fixture(params=["kornia_rs", "opencv"])
def png_decoder(request, monkeypatch):
    """What reads PNGs of colours: the wheel, or what takes its place where there is none."""
    wheel = (pictures.png_decoder() or decode_as_kornia_rs) if request.param != "opencv" else None
    monkeypatch.setattr(pictures, "png_decoder", lambda: wheel)
    return request.param


@pytest.fixture
def decoders(jpeg_decoder, png_decoder, monkeypatch):
    """Names of the decoders in the order of their use."""
    used = []
    decode, upright = cv2.imdecode, pictures.upright_rgb
    decode_png = pictures.png_decoder()
    if decode_png is not None:

        def counted_png(*args):
            used.append("kornia_rs")
            return decode_png(*args)

        monkeypatch.setattr(pictures, "png_decoder", lambda: counted_png)
    if pictures.simplejpeg is not None:
        wheel = pictures.simplejpeg.decode_jpeg
        counted = SimpleNamespace(
            decode_jpeg=lambda *a, **k: used.append("simplejpeg") or wheel(*a, **k)
        )
        monkeypatch.setattr(pictures, "simplejpeg", counted)
    monkeypatch.setattr(cv2, "imdecode", lambda *args: used.append("opencv") or decode(*args))
    monkeypatch.setattr(
        pictures, "upright_rgb", lambda *args: used.append("pillow") or upright(*args)
    )
    return used


@pytest.mark.parametrize(
    ("suffix", "mode", "more"),
    [
        ("jpg", "RGB", {"quality": 92, "subsampling": 0}),
        ("jpg", "RGB", {"quality": 70, "subsampling": 2, "progressive": True}),
        ("jpg", "RGB", {"keep_rgb": True}),
        ("jpg", "RGB", {"exif": turned(1)}),
        ("jpg", "L", {}),
        ("png", "RGB", {}),
        ("png", "L", {}),
    ],
)
def test_plain_files_are_read_fast_and_as_pillow_reads_them(
    suffix, mode, more, picture, tmp_path, decoders, jpeg_decoder, png_decoder
):
    path = saved(picture, tmp_path / f"a.{suffix}", mode, **more)
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(read_picture(path), expected)
    png = png_decoder if mode == "RGB" else "opencv"
    assert decoders == [jpeg_decoder if suffix == "jpg" else png]
    np.testing.assert_array_equal(read_picture(path, reuse=True), expected)


def test_only_who_asks_for_it_gets_memory_that_is_written_over(picture, tmp_path, jpeg_decoder):
    first, second = (tmp_path / name for name in ("a.jpg", "b.jpg"))
    saved(picture, first), saved(picture[::-1], second)
    kept, again, passing = read_picture(first), read_picture(first), read_picture(first, reuse=True)
    read_picture(second, reuse=True)
    np.testing.assert_array_equal(kept, again)
    assert (passing == read_picture(second)).all() == (jpeg_decoder == "simplejpeg")


def test_a_jpeg_damaged_inside_is_what_the_other_decoders_make_of_it(
    tmp_path, monkeypatch, decoders
):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(noise, tmp_path / "a.jpg")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    pixels = read_picture(path)
    monkeypatch.setattr(pictures, "simplejpeg", None)
    np.testing.assert_array_equal(read_picture(path), pixels)


def test_a_png_damaged_inside_is_refused(picture, tmp_path, png_decoder):
    path = saved(picture, tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: cannot be read as a picture")):
        read_picture(path)


def png_with(picture, part, late):
    """A PNG with a further part in front of its pixels, or behind them."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    content = file.getvalue()
    whole = struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
    place = len(content) - 12 if late else 33
    return content[:place] + whole + content[place:]


def test_an_orientation_is_obeyed_wherever_it_stands(picture, tmp_path):
    upright = saved(picture, tmp_path / "a.png")
    saved(np.rot90(picture), tmp_path / "b.png", exif=turned(6))
    for late in (False, True):
        part = b"eXIf" + turned(6).tobytes()[6:]
        (tmp_path / f"{late}.png").write_bytes(png_with(np.rot90(picture), part, late))
    for name in ("b.png", "False.png", "True.png"):
        np.testing.assert_array_equal(read_picture(tmp_path / name), read_picture(upright))
        assert picture_size(tmp_path / name) == SIZE
    path = saved(np.rot90(picture), tmp_path / "c.jpg", exif=turned(6))
    assert read_picture(path).shape == picture.shape
    assert picture_size(path) == SIZE


@pytest.mark.parametrize("factor", [256, 257])
def test_16_bits_give_the_pixels_of_8(factor, picture, tmp_path):
    """To the network of a run, too, whose frames come through the same reader."""
    grey = picture[..., 0]
    Image.fromarray(grey).save(tmp_path / "8.png")
    wide = grey.astype(np.uint16) * factor
    for name in ("16.png", "16.tif"):
        Image.fromarray(wide).save(tmp_path / name)
    cv2.imwrite(str(tmp_path / "colour.png"), np.repeat(wide[..., None], 3, axis=2))
    expected = read_picture(tmp_path / "8.png")
    frames = FrameFiles(12, 20)
    for name in ("16.png", "16.tif", "colour.png"):
        np.testing.assert_array_equal(read_picture(tmp_path / name), expected)
        np.testing.assert_array_equal(
            frames.read(tmp_path / name, SIZE), frames.read(tmp_path / "8.png", SIZE)
        )


def test_transparent_grey_of_16_bits_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 300, 65535]], np.uint16))
    image.save(tmp_path / "a.png", transparency=300)
    assert read_picture(tmp_path / "a.png")[0, :, 0].tolist() == [0, 255, 255]


def test_transparency_is_white_in_frames_too(tmp_path):
    Image.new("RGBA", SIZE, (9, 9, 9, 0)).save(tmp_path / "a.png")
    assert (FrameFiles(12, 20).read(tmp_path / "a.png", SIZE) == 255).all()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_what_follows_a_picture_does_not_matter(
    suffix, picture, tmp_path, decoders, jpeg_decoder, png_decoder
):
    path = saved(picture, tmp_path / f"a.{suffix}")
    expected = read_picture(path)
    path.write_bytes(path.read_bytes() + b"more")
    np.testing.assert_array_equal(read_picture(path), expected)
    assert decoders == [jpeg_decoder if suffix == "jpg" else png_decoder, "pillow"]


@pytest.mark.parametrize("values", [[0, 0.5, 1], [0, 9, 256], [-1, 9, 255], [0, np.nan, 9]])
def test_fractions_of_an_unclear_range_are_refused(values, tmp_path):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: .*floating-point.*save it with 8 or 16 bits"):
        read_picture(tmp_path / "a.tif")


def test_fractions_of_0_to_255_are_read(tmp_path):
    Image.fromarray(np.array([[0, 1.9, 255]], np.float32)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 1, 255]
    Image.fromarray(np.zeros((1, 2), np.float32)).save(tmp_path / "b.tif")
    assert not read_picture(tmp_path / "b.tif").any()


def test_fractions_that_arithmetic_left_below_whole_numbers_are_these(tmp_path):
    levels = np.arange(256, dtype=np.float32)[None]
    Image.fromarray(levels / 255 * 255).save(tmp_path / "a.tif")
    Image.fromarray(np.maximum(levels - 1e-4, 0)).save(tmp_path / "b.tif")
    for name in "ab":
        assert (read_picture(tmp_path / f"{name}.tif")[0, :, 0] == levels[0]).all()


def png_of(values, bits, colour, key=None):
    """A PNG of samples [h, w] or [h, w, C] of some bits, and of a colour that is transparent."""
    lines = values.reshape(len(values), -1)
    digits = ["".join(f"{int(each):0{bits}b}" for each in line) for line in lines]
    rows = [
        int(d.ljust(-(-len(d) // 8) * 8, "0"), 2).to_bytes(-(-len(d) // 8), "big") for d in digits
    ]
    header = struct.pack(">IIBBBBB", values.shape[1], len(values), bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header)]
    if key is not None:
        parts.append((b"tRNS", struct.pack(f">{len(key)}H", *key)))
    parts += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    checked = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(checked)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits_goes_from_black_to_white(bits, tmp_path):
    levels = np.arange(2**bits)[None]
    path = tmp_path / "a.png"
    for key in (None, (1,)):
        path.write_bytes(png_of(levels, bits, 0, key))
        expected = levels[0] * (255 // (2**bits - 1))
        if key:
            expected[1] = 255  # transparent: white
        np.testing.assert_array_equal(read_picture(path)[0, :, 0], expected)


@pytest.mark.parametrize(("bits", "factor"), [(8, 1), (16, 256), (16, 257)])
def test_a_transparent_colour_is_white(bits, factor, tmp_path):
    colours = np.array([[[9, 60, 7], [10, 60, 7], [0, 0, 0]]])
    key = tuple(int(level) for level in colours[0, 0] * factor)
    (tmp_path / "a.png").write_bytes(png_of(colours * factor, bits, 2, key))
    assert read_picture(tmp_path / "a.png")[0].tolist() == [[255] * 3, [10, 60, 7], [0] * 3]


NOT_CLEAR = {
    "signed": ({258: (16,), 339: (2,)}, np.array([[0, 300, 32767]], np.int16)),
    "signed bytes": ({258: (8,), 339: (2,)}, np.array([[0, 100, -100]], np.int8)),
    "32 bits": ({258: (32,)}, np.array([[0, 300, 65535]], np.uint32)),
    "32 bits, signed": ({258: (32,), 339: (2,)}, np.array([[0, 300, 65535]], np.int32)),
    "12 bits": ({258: (12,)}, np.array([[0, 255, 16, 9, 8, 7]], np.uint8)),
    "white is 0": ({258: (16,), 262: 0}, np.array([[0, 300, 65535]], np.uint16)),
    "fractions, white is 0": ({258: (32,), 262: 0, 339: (3,)}, np.array([[0, 99]], np.float32)),
    "planes": (
        {258: (16,) * 3, 262: 2, 277: 3, 284: 2},
        np.array([[0, 300], [500, 65535], [9, 9]], np.uint16),
    ),
    "doubles": ({258: (64,), 339: (3,)}, np.array([[0, 100, 255]], np.float64)),
    "halves": ({258: (16,), 339: (3,)}, np.array([[0, 100, 255]], np.float16)),
    "colours of fractions": (
        {258: (32,) * 3, 262: 2, 277: 3, 339: (3,) * 3},
        np.array([[0, 100, 255]], np.float32),
    ),
}


def tiff_of(tags, pixels):
    """An uncompressed TIFF of a row of pixels."""
    data = pixels.tobytes()
    per_pixel = sum(tags[258]) if tags.get(284) != 2 else tags[258][0]
    width = (len(pixels[0].tobytes()) if tags.get(284) == 2 else len(data)) * 8 // per_pixel
    tags = {256: width, 257: 1, 259: 1, 262: 1, 273: (0,), 277: 1, 278: 1, 279: (0,), **tags}
    strips = len(pixels) if tags.get(284) == 2 else 1
    tags[279] = (len(data) // strips,) * strips
    behind = 8 + 2 + 12 * len(tags) + 4
    more, entries = b"", b""
    tags[273] = tuple(behind + 200 + i * len(data) // strips for i in range(strips))
    for tag in sorted(tags):
        values = tags[tag] if isinstance(tags[tag], tuple) else (tags[tag],)
        kind, code = ("I", 4) if tag in (273, 279) else ("H", 3)
        packed = struct.pack(f"<{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed, more = struct.pack("<I", behind + len(more)), more + packed
        entries += struct.pack("<HHI", tag, code, len(values)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head + more.ljust(200, b"\0") + data


def test_a_plain_tiff_made_here_is_read(tmp_path):
    """What is refused below is so for its numbers, not for how it was made."""
    for tags, pixels in (
        ({258: (16,)}, np.array([[0, 300, 65535]], np.uint16)),
        ({258: (8,), 262: 0}, np.array([[255, 254, 0]], np.uint8)),
        ({258: (32,), 339: (3,)}, np.array([[0, 1, 255]], np.float32)),
    ):
        (tmp_path / "a.tif").write_bytes(tiff_of(tags, pixels))
        assert read_picture(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 1, 255]
    planes = np.array([[0, 1], [2, 3], [4, 5]], np.uint8)
    tags = {258: (8,) * 3, 262: 2, 277: 3, 284: 2}
    (tmp_path / "a.tif").write_bytes(tiff_of(tags, planes))
    assert read_picture(tmp_path / "a.tif")[0].tolist() == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize("numbers", NOT_CLEAR)
def test_numbers_of_which_white_is_not_clear_are_refused(numbers, tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff_of(*NOT_CLEAR[numbers]))
    with pytest.raises(InputError, match=r"a\.tif: cannot be read as a picture .*(bits|save it)"):
        read_picture(tmp_path / "a.tif")


def test_an_image_of_whole_numbers_of_32_bits_is_refused():
    with pytest.raises(ValueError, match="32 bits"):
        pictures.upright_rgb(Image.fromarray(np.array([[0, 255]], np.int32)))


@pytest.mark.parametrize("white", [255, 1023, 4095])
@pytest.mark.parametrize("colour", [False, True])
def test_16_bits_that_hold_fewer_are_refused_for_they_would_be_black(white, colour, tmp_path):
    values = np.linspace(0, white, 30).astype(np.uint16).reshape(5, 6)
    if colour:
        values = np.repeat(values[..., None], 3, axis=2)
    for name in ("a.png", "a.tif"):
        cv2.imwrite(str(tmp_path / name), values)
        with pytest.raises(InputError, match=rf"no number above {white}, where white is 65535"):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("factor", [256, 257])
def test_a_dark_picture_of_16_bits_is_no_such(factor, tmp_path):
    for levels in ([[0, 1, 3]], [[0, 0, 0]]):
        values = np.uint16(levels) * np.uint16(factor)
        for name, pixels in (("a.png", values), ("b.png", np.repeat(values[..., None], 3, 2))):
            cv2.imwrite(str(tmp_path / name), pixels)
            assert read_picture(tmp_path / name)[..., 0].tolist() == levels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("suffix", "mode"), [("tif", "RGB"), ("tif", "P"), ("webp", "RGB")])
def test_the_size_of_a_turned_picture_is_that_of_its_pixels(
    orientation, suffix, mode, picture, tmp_path
):
    path = saved(picture, tmp_path / f"a.{suffix}", mode, exif=turned(orientation))
    height, width = read_picture(path).shape[:2]
    assert picture_size(path) == (width, height)
    assert (width, height) == (SIZE if orientation < 5 else SIZE[::-1])


@pytest.mark.parametrize("kind", ["EPS", "PPM", "PCX", "TGA", "JPEG2000", "PDF", "ICO"])
def test_other_kinds_are_not_asked(kind, picture, tmp_path):
    """Pillow reads some of them by other programs."""
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        Image.fromarray(picture).save(file, kind)
    for read in (read_picture, picture_size):
        with pytest.raises(InputError, match=r"a\.png: .*of another kind than JPEG, PNG"):
            read(path)


def test_avif_is_read_and_turned_as_other_kinds_are(picture, tmp_path):
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = saved(np.rot90(picture), tmp_path / "a.avif", exif=turned(6), quality=95)
    assert picture_size(path) == SIZE
    assert np.abs(read_picture(path).astype(float) - picture).mean() < 8


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("share", [0, 0.3, 0.98])
def test_a_truncated_picture_is_refused(suffix, share, picture, tmp_path):
    path = saved(picture, tmp_path / f"a.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"a\.\w+: cannot be read as a picture"):
        read_picture(path)


def test_no_file_a_folder_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png: no such image"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(InputError, match="it is a folder"):
        read_picture(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        for read in (read_picture, picture_size):
            with pytest.raises(InputError, match=r"pipe\.png: .*no regular file"):
                read(tmp_path / "pipe.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK", "L", "1"])
def test_tall_pictures_are_converted_in_bands_as_in_one_piece(mode, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2 * BAND + 7, 5, 4), np.uint8)
    picture = Image.fromarray(noise, "CMYK") if mode == "CMYK" else Image.fromarray(noise)
    settings = {}
    if mode == "P":
        picture, settings = picture.convert("RGB").quantize(9), {"transparency": 2}
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path, **settings)
    with Image.open(path) as file:
        whole = file.convert("RGBA")
    whole = Image.alpha_composite(Image.new("RGBA", whole.size, (255,) * 4), whole)
    np.testing.assert_array_equal(read_picture(path), np.asarray(whole)[..., :3])
