"""What a user gave cannot be used: one exception, and how a command ends on it."""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
from typing import Callable

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

# The disk's refusals that a user can do something about, and what; any other is a bug to be seen.
DISK_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "allow the access, or choose another place",
}


class InputError(ValueError):
    """A file, option or environment given by the user cannot be used.

    The message is for people: it names the file or the option, says what is wrong with it and
    what to do. Commands print it without a traceback and exit with code 2.
    """


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and exit: 0, its own code, 2 on bad input, 130 on Ctrl-C.

    A full disk, or one that may not be written to, counts as bad input.
    """
    # force: importing Paddle's companions may have set up a format of their own.
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    try:
        sys.exit(main() or 0)
    except InputError as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno not in DISK_REMEDIES:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _refuse(f"{where}{error.strerror}; {DISK_REMEDIES[error.errno]}")
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(EXIT_INTERRUPTED)


def _refuse(message: str) -> None:
    _say(f"error: {message}")
    sys.exit(EXIT_BAD_INPUT)


def _say(words: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be closed
        print(words, file=sys.stderr)
