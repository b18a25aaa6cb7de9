"""Error handling of commands: a sentence for a mistake, a traceback only with --traceback."""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.models import ArgumentInfo, OptionInfo

from noiseproof.cli.output import print_error, printed
from noiseproof.core.errors import NoiseproofError, ServiceError, quoted, respelled, spelling
from noiseproof.core.storage.files import disk_full
from noiseproof.core.system_errors import as_sentence, check_text

wants_traceback: ContextVar[bool] = ContextVar("wants_traceback", default=False)
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130
_INTERRUPTED = "interrupted; the same command goes on where it stopped"


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command with arguments of its own in `ends_well`."""

    @functools.wraps(command)
    def run_guarded(*arguments: Any, **options: Any) -> None:
        with spelling(lambda name: _flag(command, name)), ends_well():
            check_unicode(options)
            printed(lambda: command(*arguments, **options))

    return run_guarded


def check_unicode(options: Mapping[str, Any]) -> None:
    """Raise `InvalidArgument` for a value of the command line that is not UTF-8."""
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, str | Path):
                check_text(str(one), quoted(name))


def _flag(command: Callable[..., Any], name: str) -> str:
    """An argument in Python as the user types it: `--option` or `PLACE`; other names stay as they are."""
    parameter = inspect.signature(command, eval_str=True).parameters.get(name)
    for each in () if parameter is None else getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(each, OptionInfo):
            return f"--{name.replace('_', '-')}"
        if isinstance(each, ArgumentInfo):
            return name.upper()
    return name


@contextmanager
def ends_well() -> Iterator[None]:
    """Print errors for users on standard error as sentences, and set exit codes."""
    try:
        with _plain_warnings():
            yield
            sys.stdout.flush()  # a full disk behind it is found now, not when Python has ended
    except NoiseproofError as error:
        if wants_traceback.get():
            raise
        _end_with(error)
    except BaseException as error:
        # Wherever the disk was full: a library that writes files of its own, an output that goes to a file.
        sentence = disk_full(error) or as_sentence(error)
        if sentence is not None and not wants_traceback.get():
            _end_with(sentence)
        if not _is_interrupt(error):
            if isinstance(error, Exception) and not isinstance(error, typer.Exit | typer.Abort):
                print_error(f"{type(error).__name__}: {error}")
            raise
        typer.echo(_INTERRUPTED, err=True)
        print_error(_INTERRUPTED)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _end_with(error: NoiseproofError) -> NoReturn:
    typer.secho(respelled(str(error)), fg="red", err=True)
    print_error(respelled(str(error)))
    if isinstance(error, ServiceError):
        typer.echo(f"To go on: {command_line()}", err=True)
    raise typer.Exit(EXIT_MISTAKE) from error


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error; packages wrap it in their own while they are imported."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print a warning as a sentence, without the line of code that it comes from."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"Note: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = usual


def say(line: str) -> None:
    """Print what is no result: on standard error."""
    typer.echo(line, err=True)


def command_line() -> str:
    """The command line as typed, for cards."""
    return shlex.join(["noiseproof", *sys.argv[1:]])
