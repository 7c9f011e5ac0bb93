"""Options of reproducing results and converting weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from errors import InputError
from option_fields import Options, option
from options.common import DEVICE, SIZE_MULTIPLE


@dataclass(frozen=True)
class ReproduceOptions(Options):
    """Reproduce a row of the published table."""

    row: Optional[str] = option(None, "name of the row; --list shows them")
    list: bool = option(False, "list the rows and end")
    data_path: Optional[Path] = option(None, "folder of the KITTI raw data")
    published: bool = option(False, "evaluate the published weights instead of training")
    out: Path = option(Path("runs/reproduce"), "folder for all that is made; stages go on in it")
    seed: int = option(0, "decides every random draw", minimum=0, maximum=2**32 - 1)
    num_workers: int = option(4, "processes that load the data", minimum=0)
    device: Optional[str] = option(None, "where it runs", form=DEVICE)

    def check(self) -> None:
        """Refuse to run without a row."""
        if self.row is None and not self.list:
            raise InputError("--row: is needed; --list shows the rows")


@dataclass(frozen=True)
class ConvertOptions(Options):
    """Convert weights between this project, PyTorch and Paddle."""

    src: Path = option(None, "weights folder, or one file of weights", positional=True)
    dst: Path = option(None, "folder or file to write; must not be there yet", positional=True)
    to: str = option(
        None,
        "format to write: safetensors, the published PyTorch one, or Paddle's",
        choices=("safetensors", "torch", "paddle"),
        required=True,
    )
    height: Optional[int] = option(
        None, "height of the network's input, where SRC does not say", multiple_of=SIZE_MULTIPLE
    )
    width: Optional[int] = option(
        None, "width of the network's input, where SRC does not say", multiple_of=SIZE_MULTIPLE
    )
    trained_on: Optional[str] = option(
        None, "where SRC does not say: M video, S stereo pairs, MS both", choices=("M", "S", "MS")
    )
