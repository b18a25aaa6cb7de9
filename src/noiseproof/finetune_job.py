"""What a fine-tuning is told: which data, which encoder, how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noiseproof.adapt.settings import FinetuneSettings
from noiseproof.config import RunConfig, checked, parse_overrides, set_value
from noiseproof.corruption import read_transition
from noiseproof.errors import invalid
from noiseproof.option_values import parse_pairs
from noiseproof.records import check_share


@dataclass(frozen=True)
class FinetuneJob:
    """One fine-tuning.

    Attributes:
        train: data set of images to learn from; a part of it is held out to select by.
        backbone: encoder to start from: timm:NAME, timm:NAME@FILE, zoo:NAME or bundled:NAME.
        out: folder of weights, card, results, log, checkpoint and noise manifest.
        test: data set to evaluate on; `None` holds out a part of `train` before anything else.
        ood: evaluation sets of other domains.
        settings: how.
        meta: data set of a few examples with checked labels, for Meta-Weight-Net (`settings.meta`, by default
            its defaults); `None` takes them from `train` where `settings.meta` is set.
        wise_ft: places between the weights before (0) and after (1) that are evaluated, too.
        label_noise: kind of noise to inject into the training labels, e.g. "symmetric", "asymmetric:cifar10".
        rate: of it, in [0, 1].
        noise_manifest: folder of noise that 'noiseproof corrupt' made for `train`, instead.
        label, image, clean_label, test_label, limit, on_error, shifts, test_fraction: as in `RunConfig`.
        seed: of splits, noise, fresh weights, order and augmentation.
        command: what the user typed, for the card.
        quiet: no progress bars.
    """

    train: str
    backbone: str
    out: Path | str
    test: str | None = None
    ood: tuple[str, ...] = ()
    settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    meta: str | None = None
    wise_ft: tuple[float, ...] = ()
    label_noise: str | None = None
    rate: float | None = None
    noise_manifest: Path | None = None
    label: str | None = None
    image: str | None = None
    clean_label: str | None = None
    test_label: str | None = None
    limit: int | None = None
    on_error: str | None = None
    shifts: tuple[str, ...] = ()
    test_fraction: float = 0.2
    seed: int = 0
    command: str = "noiseproof.finetune(...)"
    quiet: bool = False


def resolve_settings(
    overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> FinetuneSettings:
    """Settings from `--set name=value` and options; those that are `None` were not given.

    `loss_options.transition` may be a file, as in 'noiseproof run'.

    Raises:
        InvalidArgument: with one line per mistake.
    """
    mistakes: list[str] = []
    values: dict[Any, Any] = {key: value for key, value in (options or {}).items() if value is not None}
    for path, value in parse_overrides(overrides, values, mistakes).items():
        set_value(values, path, value, mistakes)
    if isinstance(values.get("loss_options"), list | tuple):
        values["loss_options"] = parse_pairs(values["loss_options"], "--loss-option", mistakes)
    of_loss = values.get("loss_options")
    if isinstance(of_loss, dict) and isinstance(of_loss.get("transition"), str):
        matrix = read_transition(Path(of_loss["transition"]))
        values["loss_options"] = of_loss | {"transition": matrix.tolist()}
    return checked(FinetuneSettings, values, mistakes, file=None)


def data_config(job: FinetuneJob) -> RunConfig:
    """The part of a fine-tuning that says which data.

    Raises:
        InvalidArgument: a kind of noise without a rate, or a rate without a kind.
    """
    names = (
        "train", "test", "ood", "out", "label", "image", "clean_label", "test_label", "limit", "on_error",
        "shifts", "test_fraction", "noise_manifest", "seed",
    )  # fmt: skip
    values = {name: getattr(job, name) for name in names if getattr(job, name) is not None}
    if job.label_noise is not None:
        check_share(job.rate, "rate")
        values["corrupt"] = f"{job.label_noise}:{job.rate}"
    elif job.rate is not None:
        raise invalid("rate", job.rate, "nothing without `label_noise`", "Next: say which kind of noise.")
    return checked(RunConfig, values, [], file=None)


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
