"""The process of one check: ``python -m tools.device.child FUNCTION TOLD ROWS``.

``FUNCTION`` is ``module:function``, ``TOLD`` a JSON object of what it is told, and ``ROWS`` the
file that takes its rows, a line each as they come, so that a crash loses none of those before it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Callable

from system.errors import InputError, run_command
from tools.device.rows import Row, Settings

REFUSAL = "refusal"  # in the place of a row: what the user gave cannot be used


def function_of(reference: str) -> Callable[..., Iterable[Row]]:
    """The function that ``module:function`` names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def main() -> None:
    """Run the check."""
    reference, told, path = sys.argv[1:]
    told = json.loads(told)
    settings = Settings(told["device"], Path(told["folder"]), told["small"])
    with Path(path).open("w", encoding="utf-8") as rows:
        try:
            for row in function_of(reference)(settings, **told["arguments"]):
                print(json.dumps(row.as_json(), default=str), file=rows, flush=True)
        except InputError as error:
            print(json.dumps({REFUSAL: str(error)}), file=rows, flush=True)


if __name__ == "__main__":
    run_command(main)
