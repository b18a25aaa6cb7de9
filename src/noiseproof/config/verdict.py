"""Configuration of `noiseproof verdict`."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from noiseproof.config.base import option
from noiseproof.config.data import DATA, ENCODER, RUN, CacheConfig
from noiseproof.core.checks import check_share
from noiseproof.core.errors import invalid


class VerdictConfig(CacheConfig):
    """Everything `noiseproof verdict` takes; the command's options have the same names."""

    train: str = option(panel=DATA, help="Data set on which encoders are compared.")
    backbone: str = option(panel=ENCODER, help="Encoder to judge.")
    references: dict[str, float] | None = option(
        None, panel=ENCODER, help="Encoder of known noise, BACKBONE=RATE; may be repeated.",
        shown_default="the supervised encoders of the zoo",
    )  # fmt: skip
    layer: str | None = option(
        None, panel=ENCODER, help="Layer of the encoder to judge.", shown_default="its usual one"
    )
    label: str | None = option(None, panel=DATA, help="Column of the labels.", shown_default="found by name")
    image: str | None = option(None, panel=DATA, help="Column of the images.", shown_default="found by name")
    limit: int | None = option(
        None, ge=1, panel=DATA, help="Use at most this many examples, drawn by class.", shown_default="all"
    )
    max_width: float = option(
        0.3, ge=0, le=1, panel=RUN, help="Widest interval that is still an answer, in [0, 1]."
    )
    seed: int = option(0, ge=0, panel=RUN, help="Seed of the bootstrap and of --limit.")

    @field_validator("references", mode="before")
    @classmethod
    def _name_and_rate(cls, value: Any) -> Any:
        return parse_references(value) if isinstance(value, list | tuple) else value


def parse_references(texts: list[str] | tuple[str, ...]) -> dict[str, float]:
    """Rates by encoder, from texts such as `zoo:resnet8-noise20=0.2`.

    Raises:
        InvalidArgument: no rate, one outside [0, 1], or a name that occurs twice.
    """
    rates: dict[str, float] = {}
    for text in texts:
        name, equals, rate = text.rpartition("=")
        try:
            value = float(rate)
        except ValueError:
            equals, value = "", 0.0
        if not equals or not name:
            raise invalid("references", text, "BACKBONE=RATE, such as zoo:resnet8-noise20=0.2")
        check_share(value, f"reference {name}")
        if name in rates:
            raise invalid("references", text, "every encoder once")
        rates[name] = value
    return rates
