"""`--json` and `--quiet`, which every verb has: what a command prints, and what it returns instead."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

_is_json: ContextVar[bool] = ContextVar("is_json", default=False)
_is_quiet: ContextVar[bool] = ContextVar("is_quiet", default=False)


def _remember(switch: ContextVar[bool]) -> Callable[[bool], None]:
    def remember(is_on: bool) -> None:
        switch.set(is_on)

    return remember


_Json = Annotated[
    bool,
    typer.Option(
        "--json", callback=_remember(_is_json), expose_value=False, rich_help_panel="Output",
        help="Print the results as JSON, and everything else on standard error.",
    ),
]  # fmt: skip
_Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", callback=_remember(_is_quiet), expose_value=False, rich_help_panel="Output",
        help="Print errors only, and what --json prints.",
    ),
]  # fmt: skip


class Verbs(TyperGroup):
    """A group whose commands have the shared options."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, with the shared options after its own."""
        command = super().get_command(ctx, cmd_name)
        if isinstance(command, TyperCommand):
            add_shared_options(command.params)
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what is wrong with its options is JSON, too, where `--json` is among them."""
        words = [*ctx.args, *getattr(ctx, "_protected_args", ())]
        _is_json.set("--json" in words)
        try:
            return super().invoke(ctx)
        except Exception as error:
            if message := getattr(error, "format_message", None):  # of Click; others are printed already
                print_error(message())
            raise


def add_shared_options(params: list[Any]) -> None:
    """Append `--json` and `--quiet` to the options of a command, unless they are there."""
    if not any("--json" in param.opts for param in params):
        params += _shared_options()


def wants_json() -> bool:
    """Whether `--json` was given."""
    return _is_json.get()


def printed(call: Callable[[], Any]) -> None:
    """Call the function of a verb as the shared options wish; what it returns is for `--json`."""
    with _elsewhere():
        result = call()
    if _is_json.get():
        print(json.dumps(_plain(result), indent=1, ensure_ascii=False, allow_nan=False))


def print_error(text: str) -> None:
    """Print an error as JSON on standard output, where `--json` was given."""
    if _is_json.get():
        print(json.dumps({"error": text}, ensure_ascii=False))


def _shared_options() -> list[Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_with_both)
    return list(typer.main.get_command(app).params)


def _with_both(as_json: _Json = False, is_quiet: _Quiet = False) -> None:
    """Carry the signature for Typer."""


@contextmanager
def _elsewhere() -> Iterator[None]:
    if _is_quiet.get():
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    elif _is_json.get():
        with redirect_stdout(sys.stderr):
            yield
    else:
        yield


def _plain(value: Any) -> Any:
    """The value with plain types only, as JSON has them: `null` for NaN and infinity, which it lacks."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
