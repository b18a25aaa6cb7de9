"""What a fine-tuning is told: which data, which encoder, how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noiseproof.adapt.settings import FinetuneSettings
from noiseproof.config import checked
from noiseproof.corruption import read_transition
from noiseproof.errors import invalid
from noiseproof.finetuning.adapt_job import AdaptJob, given_settings
from noiseproof.option_values import parse_pairs
from noiseproof.records import check_share


@dataclass(frozen=True, kw_only=True)
class FinetuneJob(AdaptJob):
    """One fine-tuning; a part of `train` is held out to select by.

    Attributes:
        backbone: encoder to start from: timm:NAME, timm:NAME@FILE, zoo:NAME or bundled:NAME.
        settings: how.
        meta: data set of a few examples with checked labels, for Meta-Weight-Net (`settings.meta`, by default
            its defaults); `None` takes them from `train` where `settings.meta` is set.
        wise_ft: places between the weights before (0) and after (1) that are evaluated, too.
    """

    backbone: str
    settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    meta: str | None = None
    wise_ft: tuple[float, ...] = ()
    command: str = "noiseproof.finetune(...)"


def resolve_settings(
    overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> FinetuneSettings:
    """Settings from `--set name=value` and options; those that are `None` were not given.

    `loss_options.transition` may be a file, as in 'noiseproof run'.

    Raises:
        InvalidArgument: with one line per mistake.
    """
    mistakes: list[str] = []
    values = given_settings(overrides, options, mistakes)
    if isinstance(values.get("loss_options"), list | tuple):
        values["loss_options"] = parse_pairs(values["loss_options"], "--loss-option", mistakes)
    of_loss = values.get("loss_options")
    if isinstance(of_loss, dict) and isinstance(of_loss.get("transition"), str):
        matrix = read_transition(Path(of_loss["transition"]))
        values["loss_options"] = of_loss | {"transition": matrix.tolist()}
    return checked(FinetuneSettings, values, mistakes, file=None)


def alphas(text: str) -> tuple[float, ...]:
    """Places on the line of WiSE-FT as the command line has them: numbers in [0, 1] with commas between.

    Raises:
        InvalidArgument: something else.
    """
    try:
        values = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise invalid("wise_ft", text, "numbers in [0, 1] with commas between, e.g. 0,0.5,1") from error
    for value in values:
        check_share(value, "wise_ft")
    return values
