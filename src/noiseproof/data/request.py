"""The request for a data set that every opener receives."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from noiseproof.core.errors import invalid
from noiseproof.core.registry import unknown_name

OnError = Literal["raise", "skip"]
MissingLabel = Literal["raise", "skip"]
COLUMNS = ("label", "image", "text", "clean_label")  # options that name one
Task = Literal["auto", "classification", "regression"]


def folder_and_split(address: str, splits: Collection[str], *, title: str, prefix: str) -> tuple[Path, str]:
    """The two parts of an address `FOLDER/SPLIT`.

    Raises:
        UnknownName: no such split.
    """
    folder, _, split = address.rpartition("/")
    if split not in splits:
        raise unknown_name(f"split of {title}", split, splits, f"Write {prefix}:FOLDER/SPLIT.")
    return Path(folder), split


@dataclass(frozen=True)
class Request:
    """Arguments of `open_dataset`, except for `limit`, which is applied to every data set alike.

    Attributes:
        hidden_label: the number that stands for a missing label in a table.
    """

    name: str
    label: str | None = None
    image: str | None = None
    text: str | None = None
    clean_label: str | None = None
    on_error: OnError = "raise"
    seed: int = 0
    missing_label: MissingLabel = "raise"
    may_lack_classes: bool = False
    may_lack_examples: bool = False
    task: Task = "classification"
    hidden_label: int | None = None

    def refuse_columns(self, *options: str, because: str = "comes with its own labels") -> None:
        """Raise for an option that would otherwise be ignored in silence.

        Args:
            options: names of the attributes that have no meaning here; by default those of all columns.
            because: reason in the message, a clause.

        Raises:
            InvalidArgument: if one of them was given.
        """
        for option in options or COLUMNS:
            value = getattr(self, option)
            if value is not None:
                raise invalid(option, value, "nothing", f"{self.name!r} {because}; leave `{option}` out.")
