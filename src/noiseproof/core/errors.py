"""One exception family. Each class is also the builtin type a caller would expect to catch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_spelling: ContextVar[Callable[[str], str]] = ContextVar("spelling of arguments", default=str)


MAX_MESSAGE = 1000  # characters of a line
_MOST = MAX_MESSAGE - 20  # as made: the command line spells arguments longer
_MAX_LINES = 40
_TAIL = 350  # of a message that is cut; the next step is at its end


class NoiseproofError(Exception):
    """Anything noiseproof raises for a user: what is wrong, the value, what is allowed, the next step.

    A line of more than `MAX_MESSAGE` characters, as a damaged file can make it, is cut in the middle; of many
    mistakes, a line each, the first are named.
    """

    def __init__(self, message: object = "") -> None:
        lines = [shortened(line) for line in str(message).split("\n")]
        more = [f"... and {len(lines) - _MAX_LINES} more lines"] if len(lines) > _MAX_LINES else []
        super().__init__("\n".join([*lines[:_MAX_LINES], *more]))


class InvalidArgument(NoiseproofError, ValueError):
    """An argument has a value that is not allowed."""


class UnknownName(NoiseproofError, ValueError):
    """An unknown name; the message lists the known ones."""


class BadData(NoiseproofError, ValueError):
    """The user's data cannot be used as it is; the message names the row or file."""


class MissingFile(NoiseproofError, FileNotFoundError):
    """A path that should exist does not."""


class MissingExtra(NoiseproofError, ImportError):
    """An optional package is not installed; the message has the pip command."""


class DamagedFile(NoiseproofError, OSError):
    """A file that noiseproof wrote has changed since: truncated, altered or of another run."""


class OtherSchema(DamagedFile):
    """A file was written with a layout that this version of noiseproof does not read."""


class NoSpaceLeft(NoiseproofError, OSError):
    """The disk is full; nothing half-written was left behind."""


class CannotWrite(NoiseproofError, OSError):
    """The file or folder cannot be made or written to."""


class CheckpointMismatch(NoiseproofError, ValueError):
    """Weights do not fit the model; missing and unexpected keys are listed."""


class ServiceError(NoiseproofError, ConnectionError):
    """A service on the network refused, failed too often, or changed."""


@contextmanager
def spelling(spell: Callable[[str], str]) -> Iterator[None]:
    """Let messages inside this context name arguments in the user's spelling.

    Args:
        spell: name of an argument in Python -> as the user writes it, such as `--max-steps`.
    """
    token = _spelling.set(spell)
    try:
        yield
    finally:
        _spelling.reset(token)


def quoted(argument: str) -> str:
    """The name of an argument as the user writes it, in backticks."""
    return f"`{_spelling.get()(argument)}`"


def respelled(message: str) -> str:
    """A message in which every name in backticks is as the user writes it."""
    return re.sub(r"`(\w+)`", lambda found: quoted(found[1]), message)


def invalid(argument: str, value: object, allowed: str, next_step: str = "") -> InvalidArgument:
    """The one wording for a bad argument.

    Args:
        argument: its name as the user writes it.
        value: the user's value.
        allowed: what is accepted, starting with a noun.
        next_step: advice, a sentence.
    """
    return InvalidArgument(f"{quoted(argument)} is {shown(value)}; allowed: {allowed}. {next_step}".rstrip())


def shown(value: object) -> str:
    """A value as in Python code, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return shortened(text, most=200, tail=50)


def shortened(text: str, *, most: int = _MOST, tail: int = _TAIL) -> str:
    """A text of at most this many characters; what is cut is in the middle."""
    cut = " [...] "
    return text if len(text) <= most else text[: most - tail - len(cut)] + cut + text[-tail:]


def first_line(error: BaseException) -> str:
    """First line of an error of a library, without a full stop; its type where it has no message."""
    line = str(error).strip().partition("\n")[0].rstrip(".")
    return shortened(line or type(error).__name__, most=300, tail=100)


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtra:
    """The one wording for an optional package that is absent.

    Args:
        package: name of the missing package.
        extra: the extra of noiseproof that installs it.
        purpose: the feature that needs it, a noun.
    """
    return MissingExtra(
        f"{purpose} needs the package `{package}`, which is not installed. "
        f"Next: pip install 'noiseproof[{extra}]'."
    )
