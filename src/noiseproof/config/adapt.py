"""What every adaptation is told: which data, with which wrong labels, and where to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Any

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.backbones.text_towers import USUAL_MODEL
from noiseproof.config.deft import DeftSettings
from noiseproof.config.run import RunConfig, set_value
from noiseproof.config.values import checked, parse_overrides, parse_pairs
from noiseproof.core.checks import check_share
from noiseproof.core.errors import invalid
from noiseproof.noise.transition import read_transition


@dataclass(frozen=True)
class AdaptJob:
    """One adaptation to one data set.

    Attributes:
        train: data set of images.
        out: folder of everything that is written.
        test: data set to evaluate on; `None` holds out a part of `train` before anything else.
        ood: evaluation sets of other domains.
        label_noise: kind of noise to inject into the training labels, e.g. "symmetric", "asymmetric:cifar10".
        rate: of it, in [0, 1].
        noise_manifest: folder of noise that 'noiseproof corrupt' made for `train`, instead.
        label, image, clean_label, test_label, limit, on_error, shifts, test_fraction: as in `RunConfig`.
        seed: of everything that is drawn.
        command: what the user typed, for the card.
        quiet: no progress bars.
    """

    train: str
    out: Path | str
    _: KW_ONLY
    test: str | None = None
    ood: tuple[str, ...] = ()
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
    command: str = "noiseproof"
    quiet: bool = False


def data_config(job: AdaptJob) -> RunConfig:
    """The part that says which data.

    Raises:
        InvalidArgument: a kind of noise without a rate, or a rate without a kind.
    """
    names = (
        "train", "test", "ood", "out", "label", "image", "clean_label", "test_label", "limit", "on_error",
        "shifts", "test_fraction", "noise_manifest", "seed",
    )  # fmt: skip
    values = {name: getattr(job, name) for name in names if getattr(job, name) is not None}
    if job.label_noise is not None:
        if job.rate is None:
            raise invalid("rate", None, "a share in [0, 1] beside `label_noise`", "Next: --rate 0.2.")
        check_share(job.rate, "rate")
        values["corrupt"] = f"{job.label_noise}:{job.rate}"
    elif job.rate is not None:
        raise invalid("rate", job.rate, "nothing without `label_noise`", "Next: say which kind of noise.")
    return checked(RunConfig, values, [], file=None)


def given_settings(
    overrides: Iterable[str], options: Mapping[str, Any] | None, mistakes: list[str]
) -> dict[Any, Any]:
    """Settings from `--set name=value` and options; those that are `None` were not given."""
    values: dict[Any, Any] = {key: value for key, value in (options or {}).items() if value is not None}
    for path, value in parse_overrides(overrides, values, mistakes).items():
        set_value(values, path, value, mistakes)
    return values


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


PHASES_TWO = ("none", "heads", "full")


@dataclass(frozen=True, kw_only=True)
class DeftJob(AdaptJob):
    """One detection with prompts, and one adaptation to what was selected; class names have to be words.

    Attributes:
        model: image-text model: open_clip:ARCH/TAG, or a bundled one.
        settings: of phase 1.
        phase2: what is trained on the selected examples: "none", "heads" on features, or "full" fine-tuning.
        phase2_backbone: encoder of phase 2; by default the image tower of `model`, which "full" cannot train.
        phase2_settings: of "full".
    """

    model: str = USUAL_MODEL
    settings: DeftSettings = field(default_factory=DeftSettings)
    phase2: str = "none"
    phase2_backbone: str | None = None
    phase2_settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    command: str = "noiseproof.deft(...)"

    def __post_init__(self) -> None:
        if self.phase2 not in PHASES_TWO:
            raise invalid("phase2", self.phase2, ", ".join(PHASES_TWO))
        if self.phase2 == "full" and self.phase2_backbone is None:
            raise invalid(
                "phase2_backbone", None, "timm:NAME, timm:NAME@FILE, zoo:NAME or bundled:NAME if phase2=full",
                "Next: name an encoder to train, or take phase2=heads.",
            )  # fmt: skip

    def finetuning(self, out: Path | str) -> FinetuneJob:
        """Of phase 2, and of the same data."""
        values = {one.name: getattr(self, one.name) for one in fields(AdaptJob)} | {"out": out}
        return FinetuneJob(
            backbone=self.phase2_backbone or self.model, settings=self.phase2_settings, **values
        )


def resolve_deft_settings(
    overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> DeftSettings:
    """Settings from `--set name=value` and options; those that are `None` were not given.

    Raises:
        InvalidArgument: with one line per mistake.
    """
    mistakes: list[str] = []
    return checked(DeftSettings, given_settings(overrides, options, mistakes), mistakes, file=None)
