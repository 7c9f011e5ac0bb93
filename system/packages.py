"""Whether this Python has what the project stands on: a message instead of a traceback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Without which no command runs, by the names that they are imported by.
NEEDED = ("numpy", "PIL", "cv2", "tqdm", "paddle")


def missing_packages(needed: Sequence[str] = NEEDED, root: Path = ROOT) -> str | None:
    """What is not installed for this Python and what to do, in words; None if all is there.

    Args:
        needed: names of modules.
        root: of the project, where ``make venv`` installs them into ``.venv``.
    """
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    remedy = "make venv, then source .venv/bin/activate"
    for script, command in (
        ("bin/activate", "source {}"),
        ("Scripts/activate", "{}"),  # of Windows
    ):
        if (root / ".venv" / script).is_file():
            remedy = command.format(root / ".venv" / script)
    return (
        f"this Python, {sys.executable}, has no {', '.join(missing)}; {remedy}; or install what "
        f"is needed: {sys.executable} -m pip install -r {root / 'requirements.txt'}"
    )


def need_packages() -> None:
    """End a command that cannot run in this Python, with exit code 2 and a message."""
    if words := missing_packages():
        print(f"error: {words}", file=sys.stderr)
        sys.exit(2)
