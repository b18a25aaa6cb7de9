"""`Noise`: which labels or captions to make wrong, as one string in every verb, recipe and configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from noiseproof.core.checks import check_share
from noiseproof.core.errors import InvalidArgument, invalid
from noiseproof.core.registry import unknown_name
from noiseproof.noise.kinds import KINDS

CAPTIONS = "captions"
NOISE_KINDS = (*KINDS.names, CAPTIONS)
FORMS = "KIND:RATE, asymmetric:MAP:RATE, asymmetric:MATRIX.npy, real:COLUMN or captions:RATE"


@dataclass(frozen=True)
class Noise:
    """Noise to inject into labels or captions; `str` gives the text that `parse` reads.

    Attributes:
        kind: one of `NOISE_KINDS`.
        rate: share of the examples, in [0, 1]; `None` for a matrix and for kind "real".
        class_map: of kind "asymmetric": a name of `CLASS_MAPS`, a YAML file of class -> class, or a .npy file
            with a row-stochastic matrix, which has the rates in it.
        column: of kind "real": the column of the labels to learn from; the data set's labels are the truth.
    """

    kind: str
    rate: float | None = None
    class_map: str | None = None
    column: str | None = None

    @classmethod
    def parse(cls, text: str) -> Noise:
        """Read `symmetric:0.2`, `asymmetric:cifar10:0.4`, `real:worker_1` or `captions:0.1`.

        Raises:
            UnknownName: no such kind of noise.
            InvalidArgument: another form, or a rate outside [0, 1].
        """
        kind, _, rest = text.partition(":")
        if kind not in NOISE_KINDS:
            raise unknown_name("kind of noise", kind, NOISE_KINDS, f"Allowed: {FORMS}.")
        if not rest:
            raise _malformed(text)
        if kind == "real":
            return cls(kind, column=rest)
        if kind != "asymmetric":
            return cls(kind, _rate(rest, text))
        if rest.endswith(".npy"):
            return cls(kind, class_map=rest)
        class_map, colon, rate = rest.rpartition(":")
        if not colon or not class_map:
            raise _malformed(text)
        if class_map.endswith(".npy"):
            raise invalid("noise", text, f"asymmetric:{class_map}", "The matrix has its own rates.")
        return cls(kind, _rate(rate, text), class_map)

    def __str__(self) -> str:
        rate = None if self.rate is None else _text(self.rate)
        return ":".join(part for part in (self.kind, self.class_map, self.column, rate) if part is not None)

    def to_json(self) -> dict[str, Any]:
        """Its parts as plain values, for keys of results."""
        values = {"kind": self.kind, "rate": self.rate, "class_map": self.class_map}
        return values if self.column is None else values | {"column": self.column}

    @property
    def title(self) -> str:
        """For tables and figures: `symmetric 20 %`, `asymmetric (cifar10) 40 %`, `real (worker_1)`."""
        detail = self.class_map or self.column
        name = self.kind if detail is None else f"{self.kind} ({Path(detail).name})"
        return name if self.rate is None else f"{name} {100 * self.rate:g} %"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A field of this type takes the text or a `Noise`, and is saved as the text."""
        return core_schema.no_info_plain_validator_function(
            _validated, serialization=core_schema.to_string_ser_schema()
        )


def _validated(value: Any) -> Noise:
    if isinstance(value, Noise):
        return value
    if not isinstance(value, str):
        raise invalid("noise", value, FORMS, "For example symmetric:0.2.")
    return Noise.parse(value)


def _rate(rate: str, text: str) -> float:
    try:
        value = float(rate)
    except ValueError:
        raise _malformed(text) from None
    check_share(value, "noise")
    return value


def _text(rate: float) -> str:
    """A rate in as few digits as name it exactly."""
    short = f"{rate:g}"
    return short if float(short) == rate else repr(float(rate))


def _malformed(text: str) -> InvalidArgument:
    return invalid("noise", text, FORMS, "For example symmetric:0.2.")
