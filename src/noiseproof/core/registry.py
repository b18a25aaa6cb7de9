"""Name -> builder, with "did you mean" and the known names."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from noiseproof.core.errors import UnknownName, shown

_MAX_COMPARED = 100  # characters; the comparison takes their square


def unknown_name(kind: str, name: str, known: Iterable[str], next_step: str = "") -> UnknownName:
    """The one wording for a name that is in no table."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:_MAX_COMPARED], names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UnknownName(f"Unknown {kind} {shown(name)}.{hint} Known: {', '.join(names)}. {next_step}".rstrip())


def nearest(name: str, known: Sequence[str], usual: Iterable[str] = ()) -> list[str]:
    """The known names near this one, where there are too many to list; without any, the usual ones."""
    return difflib.get_close_matches(name[:_MAX_COMPARED], known, n=8, cutoff=0.4) or list(usual)


class Registry:
    """A table of names; a builder is imported when it is loaded, so the table itself costs nothing.

    Args:
        kind: noun for the names, in messages ("backbone", "head").
        builders: name -> `"package.module:attribute"`.
    """

    def __init__(self, kind: str, builders: Mapping[str, str]) -> None:
        self.kind = kind
        self._builders = dict(builders)

    @property
    def names(self) -> tuple[str, ...]:
        """The known names, in the order of the table."""
        return tuple(self._builders)

    def load(self, name: str) -> Any:
        """The builder of this name.

        Raises:
            UnknownName: with the nearest known name.
        """
        if name not in self._builders:
            raise unknown_name(self.kind, name, self._builders)
        module, attribute = self._builders[name].split(":")
        return getattr(importlib.import_module(module), attribute)
