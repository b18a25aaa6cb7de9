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
        name: the data set as the user wrote it.
        label: column of the given labels, where the user named one.
        image: column of the images or of their paths.
        text: column of the texts.
        clean_label: column of the true labels.
        on_error: what to do with an example that cannot be read.
        seed: of what is drawn at random.
        missing_label: what to do with an example without a label.
        hidden_label: the number that stands for a missing label in a table.
        may_lack_classes: class folders may be empty, as in an evaluation set.
        may_lack_examples: a table may have labels only, where nothing reads the examples.
        task: what the labels are: classes, or scores for "regression"; "auto" takes numbers with fractions as
            scores.
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
