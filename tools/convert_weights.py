"""Convert weights between this project's folders and files of PyTorch and Paddle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from networks.kinds import KINDS, MONODEPTH
from options import SIZE_MULTIPLE, Conflicts, Options, option, parse
from system.errors import InputError, run_command

OFFICIAL_KINDS = tuple(kind for kind in KINDS if kind != MONODEPTH)


@dataclass(frozen=True)
class ConvertOptions(Options):
    """Convert weights between this project, PyTorch and Paddle."""

    src: Path = option(None, "weights folder, or one file of weights", positional=True)
    dst: Path = option(None, "folder or file to write; must not be there yet", positional=True)
    to: str = option(
        None,
        "format to write: safetensors, the published PyTorch one, or Paddle's",
        choices=("safetensors", "torch", "paddle"),
    )
    height: Optional[int] = option(
        None, "height of the network's input, where SRC does not say", multiple_of=SIZE_MULTIPLE
    )
    width: Optional[int] = option(
        None, "width of the network's input, where SRC does not say", multiple_of=SIZE_MULTIPLE
    )
    kind: Optional[str] = option(
        None,
        "SRC is the official file of this network, of which a weights folder is made",
        choices=OFFICIAL_KINDS,
    )
    trained_on: Optional[str] = option(
        None, "where SRC does not say: M video, S stereo pairs, MS both", choices=("M", "S", "MS")
    )

    def conflicts(self) -> Conflicts:
        """An official file becomes a weights folder, which says the size itself."""
        if self.kind is None:
            return
        if self.to != "safetensors":
            yield "to", f"{self.given('kind')} makes a weights folder, of safetensors"
        for name in ("height", "width", "trained_on"):
            if getattr(self, name) is not None:
                yield name, f"is known of {self.given('kind')}; leave it out"


def main(argv: Sequence[str] | None = None) -> None:
    """Convert as the command line says."""
    options = parse(ConvertOptions, argv)
    if options.dst.exists():
        raise InputError(f"{options.dst}: is there already; name another place, or remove it")
    # What is refused imports no Paddle.
    from weight_files.conversion import convert_file, convert_folder, convert_official

    if options.kind is not None:
        convert_official(options.src, options.dst, options.dst.name, options.kind)
    elif options.src.is_dir():
        facts = {name: getattr(options, name) for name in ("height", "width", "trained_on")}
        given = {name: value for name, value in facts.items() if value is not None}
        convert_folder(options.src, options.dst, options.to, given)
    else:
        convert_file(options.src, options.dst, options.to)
    print(f"wrote {options.dst}")


if __name__ == "__main__":
    run_command(main)
