"""The request for a data set that every opener receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from noiseproof.core.errors import invalid

OnError = Literal["raise", "skip"]


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
    """

    name: str
    label: str | None = None
    image: str | None = None
    text: str | None = None
    clean_label: str | None = None
    on_error: OnError = "raise"
    seed: int = 0

    def refuse_columns(self, *options: str, because: str) -> None:
        """Raise for an option that would otherwise be ignored in silence.

        Args:
            options: names of the attributes that mean nothing here.
            because: reason in the message, a clause.

        Raises:
            InvalidArgument: if one of them was given.
        """
        for option in options:
            value = getattr(self, option)
            if value is not None:
                raise invalid(option, value, "nothing", f"{self.name!r} {because}; leave `{option}` out.")
