"""What every adaptation is told: which data, with which wrong labels, and where to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from noiseproof.config import RunConfig, checked, parse_overrides, set_value
from noiseproof.errors import invalid
from noiseproof.records import check_share


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
