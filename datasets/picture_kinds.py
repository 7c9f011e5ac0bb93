"""Kinds of picture that need more than Pillow, or are not read at all: what to do about each.

HEIC is what iPhones write. pillow-heif reads it (``requirements-heic.txt``); Pillow itself reads
AVIF from version 11.3 on.
"""

from __future__ import annotations

import contextlib
import importlib.util

# Endings of pictures that are not read: raw ones of cameras, and what few programs write.
_ENDINGS = (
    ".3fr .apng .arw .cr2 .cr3 .dng .eps .erf .exr .hdr .icns .ico .j2k .jp2 .jpx .jxl .jxr .mrw "
    ".nef .nrw .orf .pbm .pcx .pdf .pef .pfm .pgm .pnm .ppm .psd .raf .raw .rw2 .sr2 .srw .svg "
    ".tga .x3f .xcf"
)
UNREAD = frozenset(_ENDINGS.split())
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
CONVERT = "convert it to JPEG or PNG"


def register_heif() -> None:
    """Let Pillow read HEIC, where pillow-heif is installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        return
    with contextlib.suppress(ImportError):  # one whose library does not load is as good as none
        import pillow_heif  # noqa: PLC0415 - an extra

        pillow_heif.register_heif_opener()


def unread_kind(head: bytes) -> str | None:
    """What a file is that Pillow does not know, by its first 12 bytes, and what to do about it."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        return f"it is HEIC: pip install -r requirements-heic.txt, or {CONVERT}"
    if head[4:8] == b"ftyp" and head[8:12] in AVIF_BRANDS:
        return f"it is AVIF, which this Pillow does not read: pip install -U pillow, or {CONVERT}"
    if head[4:8] == b"ftyp":
        return "it is a video, or a raw picture of a camera"
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return f"it is JPEG XL: {CONVERT}"
    return None
