"""How a command ends: a sentence for a mistake, never a traceback that was not asked for."""

from __future__ import annotations

import functools
import inspect
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import typer
from typer.models import OptionInfo

from noiseproof.core.errors import NoiseproofError

wants_traceback: ContextVar[bool] = ContextVar("wants_traceback", default=False)
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with errors for users on standard error and the exit codes of a good citizen."""

    @functools.wraps(command)
    def run_guarded(*arguments: Any, **options: Any) -> Any:
        try:
            with _plain_warnings():
                return command(*arguments, **options)
        except NoiseproofError as error:
            if wants_traceback.get():
                raise
            typer.secho(_in_words_of(command, str(error)), fg="red", err=True)
            raise typer.Exit(EXIT_MISTAKE) from error
        except BaseException as error:
            if not _is_interrupt(error):
                raise
            typer.echo("interrupted; the same command goes on where it stopped", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None

    return run_guarded


def _in_words_of(command: Callable[..., Any], message: str) -> str:
    """The library names its arguments, `max_steps`; who types a command knows them as `--max-steps`."""
    options = {
        name
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if any(isinstance(each, OptionInfo) for each in getattr(parameter.annotation, "__metadata__", ()))
    }

    def spelt(match: re.Match[str]) -> str:
        name = match[1]
        return f"`--{name.replace('_', '-')}`" if name in options else match[0]

    return re.sub(r"`(\w+)`", spelt, message)


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: packages that are being imported turn it into errors of their own."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """A warning is a sentence for the user, without the line of code that it comes from."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"Note: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = usual


def command_line() -> str:
    """What the user typed, as the card of a run has it."""
    return shlex.join(["noiseproof", *sys.argv[1:]])
