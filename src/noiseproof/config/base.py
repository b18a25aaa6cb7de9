"""Base of all configurations: frozen pydantic models whose fields define the command-line options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

M = TypeVar("M", bound=BaseModel)


class Config(BaseModel):
    """Configuration of a verb; the command line is generated from its fields.

    A field with a panel, or one of a class that `panels` names, is an option of the command; every field can
    be set by `--config` and `--set`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    panels: ClassVar[dict[type[BaseModel], str]] = {}

    @classmethod
    def merge(cls, from_file: Mapping[Any, Any], from_options: Mapping[str, Any]) -> dict[Any, Any]:
        """Combine the values of a file with those of the command line, which win."""
        return {**from_file, **from_options}

    @classmethod
    def check_path(cls, values: Mapping[Any, Any], path: tuple[str, ...]) -> str | None:
        """Error message for a path of `--set`, or `None`; called before the value is set."""
        del values, path
        return None

    def settings_of(self, model: type[M]) -> M:
        """The fields of this configuration that are settings of one part, for that part."""
        return model(**{name: getattr(self, name) for name in model.model_fields})


def option(
    default: Any = ..., *, help: str, panel: str, shown_default: str | None = None, **constraints: Any
) -> Any:
    """A field that is an option of the command line.

    Args:
        default: its value where no source gives one; required without it.
        help: one sentence.
        panel: group in `--help`.
        shown_default: what `--help` shows for a default of `None`.
        constraints: of `pydantic.Field`, such as `ge=0`; `default_factory` takes the place of `default`.
    """
    extra: dict[str, Any] = {"panel": panel, "shown_default": shown_default}
    if "default_factory" in constraints:
        return Field(description=help, json_schema_extra=extra, **constraints)
    return Field(default, description=help, json_schema_extra=extra, **constraints)


def one_or_many(value: Any) -> Any:
    """One text or path, or none, as a tuple; several as they are."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | Path) else value


def split_at_commas(value: Any) -> Any:
    """Texts with commas in them, or one such text, as a tuple of names; anything else as it is."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())
