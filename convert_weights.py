"""Convert weights between this project's folders and files of PyTorch and Paddle."""

from __future__ import annotations

from collections.abc import Sequence

from errors import InputError, run_command
from networks.conversion import convert_file, convert_folder
from options import ConvertOptions, parse


def main(argv: Sequence[str] | None = None) -> None:
    """Convert as the command line says."""
    options = parse(ConvertOptions, argv)
    if options.dst.exists():
        raise InputError(f"{options.dst}: is there already; name another place, or remove it")
    if options.src.is_dir():
        facts = {"height": options.height, "width": options.width}
        facts["trained_on"] = options.trained_on
        given = {name: value for name, value in facts.items() if value is not None}
        convert_folder(options.src, options.dst, options.to, given)
    else:
        convert_file(options.src, options.dst, options.to)
    print(f"wrote {options.dst}")


if __name__ == "__main__":
    run_command(main)
