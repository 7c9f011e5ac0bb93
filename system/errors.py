"""What a user gave cannot be used: one exception, and how a command ends on it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Callable
from unicodedata import category

from system.packages import need_packages
from system.terminal import set_up

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141  # as shells report it

# The disk's refusals that a user can do something about, and what; any other is a bug to be seen.
DISK_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "allow the access, or choose another place",
    errno.EPERM: "allow the access, or choose another place",
    errno.EFBIG: "choose a place that takes files of this size",
    errno.EIO: "check the disk, or choose another place",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "choose a place below a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "name what the link should lead to",
    errno.EINVAL: "choose another place",
}
LONGEST_MESSAGE = 8000  # characters; what a file holds may be in it


class InputError(ValueError):
    """A file, option or environment given by the user cannot be used.

    The message is for people: it names the file or the option, says what is wrong with it and
    what to do. Commands print it without a traceback and exit with code 2. What comes from files is
    made harmless for terminals, and the middle of what is too long is left out.

    Args:
        message: see above.
        kind: the problem in one word, for who says it otherwise, as the page does in Chinese.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(_shortened("".join(map(_printable, _shortened(message)))))
        self.kind = kind


def _printable(character: str) -> str:
    is_plain = character.isprintable() or character == "\n" or category(character) == "Zs"
    return character if is_plain else character.encode("unicode_escape").decode("ascii")


def _shortened(message: str) -> str:
    half = LONGEST_MESSAGE // 2
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[:half]} … {message[-half:]}"


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and exit: 0, its own code, 2 on bad input, 130 on Ctrl-C.

    A full disk, or one that may not be written to, counts as bad input, and so does a Python
    without the packages that are needed. A reader of the output that has seen enough, as ``head``,
    ends the command without a word. Libraries are quiet unless the command line has ``--verbose``.
    """
    need_packages()
    sys.argv[1:] = set_up(sys.argv[1:])
    try:
        code = main() or 0
        sys.stdout.flush()
        sys.exit(code)
    except InputError as error:
        _refuse(str(error))
    except BrokenPipeError:
        _forget_output()
        sys.exit(EXIT_BROKEN_PIPE)
    except OSError as error:
        if error.errno not in DISK_REMEDIES:
            raise
        _forget_output()
        where = f"{error.filename}: " if error.filename else ""
        _refuse(str(InputError(f"{where}{error.strerror}; {DISK_REMEDIES[error.errno]}")))
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(EXIT_INTERRUPTED)


def _forget_output() -> None:
    """Drop what could not be written to the standard output: Python would try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(message: str) -> None:
    _say(f"error: {message}")
    sys.exit(EXIT_BAD_INPUT)


def _say(words: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be closed
        print(words, file=sys.stderr)
