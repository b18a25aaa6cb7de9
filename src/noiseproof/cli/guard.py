"""How a command ends: a sentence for a mistake, never a traceback that was not asked for."""

from __future__ import annotations

import functools
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import typer

from noiseproof.errors import NoiseproofError

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
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(EXIT_MISTAKE) from error
        except KeyboardInterrupt:
            typer.echo("interrupted; the same command goes on where it stopped", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None

    return run_guarded


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
