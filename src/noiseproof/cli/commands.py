"""Commands whose options are the fields of a configuration."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from noiseproof.cli.guard import check_unicode, ends_well
from noiseproof.cli.ls import names_in
from noiseproof.cli.output import add_shared_options, printed
from noiseproof.core.errors import InvalidArgument, spelling

_FILE, _SET, _ARGUMENT = "config", "set", "data"


def add_command(
    app: typer.Typer,
    name: str,
    function: Callable[..., Any],
    *,
    config: str,
    epilog: str,
    arguments: tuple[str, ...] = (),
    **fixed: Any,
) -> None:
    """Add a verb whose options are generated from its configuration.

    Args:
        app: gets the command.
        name: of the command.
        function: takes the configuration; its docstring is the help text.
        config: class of the configuration, "module:Class"; imported when the command runs, not before.
        epilog: examples.
        arguments: fields that are given by their place; by default the data set, which is also `--train`.
        fixed: fields that the command itself decides; they are no options.
    """
    own = {"function": staticmethod(function), "config": config, "fixed": fixed, "arguments": arguments}
    command = app.command(
        name, cls=type("Command", (ConfigCommand,), own), help=function.__doc__, epilog=epilog
    )
    command(lambda: None)  # `ConfigCommand.invoke` calls the function


class ConfigCommand(TyperCommand):
    """A command with an option for each field of a configuration."""

    function: ClassVar[Callable[..., Any]]
    config: ClassVar[str]
    fixed: ClassVar[dict[str, Any]]
    arguments: ClassVar[tuple[str, ...]]
    _is_complete = False

    def get_params(self, ctx: Any) -> Any:
        """Options, made from the fields at first use."""
        if not self._is_complete:
            self.params = _parameters(self._model(), self.fixed, self.arguments)
            add_shared_options(self.params)
            self._is_complete = True
        return super().get_params(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse; an option of an earlier version is refused with its new name."""
        with ends_well():
            _refuse_renamed(args, {flag for one in self.get_params(ctx) for flag in one.opts})
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Load the configuration from file and options, and run the verb."""
        from noiseproof.config.values import load_config

        given = {name: value for name, value in ctx.params.items() if value not in (None, (), [])}
        file, overrides = given.pop(_FILE, None), given.pop(_SET, ())
        model = self._model()
        is_data_placed = _ARGUMENT in given or not (file or given.keys() & {"train"})
        with spelling(lambda name: self._spell(name, is_data_placed=is_data_placed)), ends_well():
            check_unicode(ctx.params)
            if not self.arguments:
                _take_data(given)
            given = {name: _read(model, name, value) for name, value in given.items()}
            config = load_config(model, file, overrides=overrides, options=given | self.fixed)
            printed(lambda: self.function(config))

    def _spell(self, name: str, *, is_data_placed: bool) -> str:
        """An argument as the user types it; the data set is DATA, or `--train` where that was typed."""
        if not self.arguments and (name == _ARGUMENT or (name == "train" and is_data_placed)):
            return _DATA_PLACE
        return name.upper() if name in self.arguments else _flag(self._model(), name)

    def _model(self) -> Any:
        module, name = self.config.split(":")
        return getattr(importlib.import_module(module), name)


def _parameters(model: Any, fixed: dict[str, Any], arguments: tuple[str, ...]) -> list[Any]:
    """Typer's parameters for the fields of a model, through Typer's own reading of a signature."""
    placed = {name: _placed(model, name) for name in arguments} or {_ARGUMENT: _DATA}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in placed.items()
    ]
    options = model.model_fields.keys() - fixed.keys() - set(arguments)
    panels = {name: _panel(model, name) for name in model.model_fields if name in options}
    annotations = {
        name: _annotation(model, name, model.model_fields[name], panel)
        for name, panel in sorted(panels.items(), key=lambda item: _position(item[1]))
        if panel is not None
    }
    for name, annotation in {**annotations, _FILE: _CONFIG_FILE, _SET: _OVERRIDES}.items():
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )

    def command(**options: Any) -> None:
        """Carry the signature for Typer."""

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return list(typer.main.get_command(app).params)


_DATA_PLACE = "DATA"
_DATA = Annotated[
    str | None, typer.Argument(metavar=_DATA_PLACE, show_default=False, help="Data set; the same as --train.")
]
_CONFIG_FILE = Annotated[
    Path | None,
    typer.Option(
        "--config", rich_help_panel="Run", help="YAML file with any of these options; the command line wins."
    ),
]
_OVERRIDES = Annotated[
    list[str] | None,
    typer.Option(
        "--set", rich_help_panel="Run", metavar="NAME=VALUE",
        help="Any value by its name, such as limit=100 or a nested a.b=1; may be repeated.",
    ),
]  # fmt: skip


def _placed(model: Any, name: str) -> Any:
    """A field that is given by its place alone; what is absent is named by the configuration."""
    field = model.model_fields[name]
    is_repeated = _is_repeated(_kind(field.annotation))
    info = typer.Argument(
        metavar=name.upper() + ("..." if is_repeated else ""), show_default=False, help=field.description
    )
    return Annotated[list[str] | None if is_repeated else str | None, info]


def _position(panel: str | None) -> int:
    """Panels that all verbs share come first or last in `--help`, the verb's own between them."""
    first, last = ("Data", "Label noise to inject"), ("Encoder", "Run")
    order = [*first, "", *last]
    return order.index(panel) if panel in order else len(first)


def _annotation(model: Any, name: str, field: Any, panel: str) -> Any:
    """Every option is taken as text, so that the configuration finds all mistakes at once."""
    kind = _kind(field.annotation)
    default = _shown_default(field)
    text = field.description if default is None else f"{field.description} Default: {default}."
    info = typer.Option(
        *_flags(model, name, kind), help=text, rich_help_panel=panel, show_default=False,
        metavar=None if kind is bool else _metavar(kind), autocompletion=_completion(name, kind),
    )  # fmt: skip
    if kind is bool:
        return Annotated[bool | None, info]
    return Annotated[list[str] | None if _is_repeated(kind) else str | None, info]


_TABLES = {"method": "detectors", "loss": "losses", "backbone": "backbones", "noise": "noise"}


def _completion(name: str, kind: Any) -> Callable[[str], list[str]] | None:
    """What the shell completes a value with: one of a few values, or a name that 'noiseproof ls' lists."""
    if get_origin(kind) is Literal:
        return lambda incomplete: [str(each) for each in get_args(kind) if str(each).startswith(incomplete)]
    return names_in(_TABLES[name]) if name in _TABLES else None


def _panel(model: Any, name: str) -> str | None:
    """Group of a field in `--help`; `None` for a field that is set by `--config` and `--set` only."""
    extra = model.model_fields[name].json_schema_extra or {}
    if "panel" in extra:
        return str(extra["panel"])
    if _is_nested(_kind(model.model_fields[name].annotation)):
        return None
    owners = (title for owner, title in model.panels.items() if name in owner.model_fields)
    return next(owners, None)


def _kind(annotation: Any) -> Any:
    """The type behind an optional one."""
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _is_nested(kind: Any) -> bool:
    return hasattr(kind, "model_fields")


def _is_repeated(kind: Any) -> bool:
    return get_origin(kind) is tuple or (get_origin(kind) is dict and not _is_table_of_tables(kind))


def _is_table_of_tables(kind: Any) -> bool:
    return get_origin(get_args(kind)[1]) is dict


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"[{'|'.join(map(str, get_args(kind)))}]"
    if get_origin(kind) is dict:
        return "NAMES" if _is_table_of_tables(kind) else "NAME=VALUE"
    if get_origin(kind) is tuple:
        return _metavar(get_args(kind)[0])
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def _shown_default(field: Any) -> str | None:
    """Default in `--help`; `None` for a required field."""
    extra = field.json_schema_extra or {}
    if extra.get("shown_default") is not None:
        return str(extra["shown_default"])
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return "none"
    return str(value)


def _flag(model: Any, name: str) -> str:
    """Option as typed for a field; other names stay as they are."""
    if name in (_FILE, _SET):
        return f"--{name}"
    if name not in model.model_fields or _panel(model, name) is None:
        return name
    return _flags(model, name, _kind(model.model_fields[name].annotation))[0].partition("/")[0]


def _flags(model: Any, name: str, kind: Any) -> tuple[str, ...]:
    """`loss_options` is the repeated `--loss-option`; `use_flip` is `--flip/--no-flip`."""
    if kind is bool:
        plain = name.removeprefix("use_").removeprefix("as_").removeprefix("is_").replace("_", "-")
        return (f"--{plain}/--no-{plain}",) if model.model_fields[name].default else (f"--{plain}",)
    if get_origin(kind) is dict and _is_repeated(kind):
        name = name.removesuffix("s")
    return (f"--{name.replace('_', '-')}",)


def _read(model: Any, name: str, value: Any) -> Any:
    """A number or one of a few values from its text; anything else is left to the configuration."""
    kind = _kind(model.model_fields[name].annotation)
    if not isinstance(value, str) or (kind not in (int, float) and get_origin(kind) is not Literal):
        return value
    if get_origin(kind) is Literal:
        return next((choice for choice in get_args(kind) if str(choice) == value), value)
    try:
        return kind(value)
    except ValueError:
        return value


def _take_data(given: dict[str, Any]) -> None:
    """The data set is the argument or `--train`; both may be given if they agree."""
    data = given.pop(_ARGUMENT, None)
    if data is not None and given.setdefault("train", data) != data:
        raise InvalidArgument(
            f"The data set is {data!r} and --train is {given['train']!r}; give one of them."
        )


def _refuse_renamed(args: Sequence[str], known: set[str]) -> None:
    from noiseproof.config.values import RENAMED

    for arg in args:
        flag = arg.partition("=")[0]
        name = flag.removeprefix("--").replace("-", "_")
        if arg.startswith("--") and flag not in known and name in RENAMED:
            now, _, example = RENAMED[name].partition(", such as ")
            hint = f", such as --{example.replace('=', ' ', 1)}" if example else ""
            raise InvalidArgument(f"`{flag}` is now `--{now.replace('_', '-')}`{hint}.")
