"""Configuration of data, noise, encoder and evaluation sets, shared by the verbs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, field_validator, model_validator

from noiseproof.backbones.services.address import check_address
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.config.base import Config, one_or_many, option, split_at_commas
from noiseproof.core.errors import InvalidArgument, invalid
from noiseproof.core.system_errors import expanded
from noiseproof.noise.spec import Noise

_DEFAULT_ENCODERS = "bundled:efficientnet-lite0 for images, bundled:minilm-l6 for texts"
DATA, NOISE, ENCODER, RUN = "Data", "Label noise to inject", "Encoder", "Run"


def default_cache() -> Path:
    """The feature store of this user: $NOISEPROOF_CACHE, else a folder in the home folder."""
    return expanded(Path(os.environ.get("NOISEPROOF_CACHE") or "~/.cache/noiseproof/features"))


def a_folder(path: Path) -> Path:
    """The path with the home folder in place of `~`; refused where a file is in its way."""
    path = expanded(path)
    # Unlike `Path.exists`, this never raises, whatever the permissions on the way.
    nearest = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
    if os.path.lexists(nearest) and not nearest.is_dir():
        kind = "a file" if nearest.exists() else "a symbolic link that leads to no file or folder"
        raise ValueError(f"a folder, while {str(nearest)!r} is {kind}")
    return path


Folder = Annotated[Path, AfterValidator(a_folder)]
Names = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
NamesWithCommas = Annotated[tuple[str, ...], BeforeValidator(split_at_commas)]


class CacheConfig(Config):
    """The store of features."""

    cache: Folder = option(
        panel=ENCODER, help="Feature store, shared by all runs.", default_factory=default_cache,
        shown_default="$NOISEPROOF_CACHE or ~/.cache/noiseproof/features",
    )  # fmt: skip


class DataConfig(Config):
    """One data set and the output folder."""

    train: str = option(
        panel=DATA,
        help="Data set: a folder of class folders, a .csv, .tsv, .jsonl, .parquet, .npz or .npy file, "
        "torchvision:NAME/split, hf:NAME/split, sklearn:digits or suite:NAME/split; see 'noiseproof ls "
        "datasets'.",
    )
    out: Folder = option(panel=RUN, help="Output folder; the same command again goes on where it stopped.")
    label: str | None = option(None, panel=DATA, help="Column of the labels.", shown_default="found by name")
    image: str | None = option(
        None, panel=DATA, help="Column of images or of their paths.", shown_default="found by name"
    )
    text: str | None = option(
        None, panel=DATA, help="Column of texts; FIRST,SECOND for pairs of texts.",
        shown_default="found by name",
    )  # fmt: skip
    clean_label: str | None = option(
        None,
        panel=DATA,
        help="Column of the true labels, where they are known: for evaluation, never for training.",
        shown_default="none",
    )
    limit: int | None = option(
        None, ge=1, panel=DATA, help="Use at most this many examples of each data set, drawn by class.",
        shown_default="all",
    )  # fmt: skip
    on_error: Literal["raise", "skip"] = option(
        "raise", panel=DATA, help="An unreadable example stops the command, or is left out and named."
    )
    missing_label: Literal["raise", "skip"] = option(
        "raise", panel=DATA, help="An example without a label stops the command, or is left out and named."
    )
    seed: int = option(0, ge=0, panel=RUN, help="Seed of everything that is drawn at random.")

    @model_validator(mode="after")
    def _true_labels_are_other_labels(self) -> DataConfig:
        if self.clean_label is not None and self.clean_label == self.label:
            raise InvalidArgument(
                f"`clean_label` is {self.label!r}, as `label` is; allowed: another column, since labels "
                "compared with themselves are all right. Next: leave it out where the true labels are not "
                "known."
            )
        return self


class NoisyDataConfig(DataConfig):
    """A data set with optional label noise to inject."""

    noise: Noise | None = option(
        None, panel=NOISE, shown_default="none",
        help="KIND:RATE such as symmetric:0.2, asymmetric:MAP:RATE (MAP: cifar10, cifar100, mnist, "
        "fashion-mnist or a YAML file), asymmetric:MATRIX.npy, or real:COLUMN; see 'noiseproof ls noise'.",
    )  # fmt: skip
    noise_manifest: Path | None = option(
        None, panel=NOISE, shown_default="none",
        help="Folder that 'noiseproof corrupt' wrote for this data set, instead of --noise.",
    )  # fmt: skip

    @field_validator("noise_manifest")
    @classmethod
    def _noise_from_one_source(cls, value: Path | None, info: Any) -> Path | None:
        if value is not None and info.data.get("noise") is not None:
            raise ValueError("either `noise` or `noise_manifest`")
        return value

    @property
    def has_noise(self) -> bool:
        """Whether noise takes the place of given labels."""
        return self.noise is not None or self.noise_manifest is not None

    @model_validator(mode="after")
    def _one_truth(self) -> NoisyDataConfig:
        if self.noise is not None and self.noise.kind == "real":
            return self  # compares two columns
        name = "noise" if self.noise is not None else "noise_manifest"
        if getattr(self, name) is not None and self.clean_label is not None:
            raise InvalidArgument(
                f"`{name}` and `clean_label` are both given; allowed: one of them, since noise on top of "
                "wrong labels has no one truth to measure against. Next: for noise on the true labels, name "
                "their column with `label` and leave `clean_label` out."
            )
        return self


class EngineConfig(CacheConfig, ServiceSettings):
    """What runs a frozen encoder, and the store of its features."""

    panels = {ServiceSettings: ENCODER}  # noqa: RUF012  a ClassVar of the base

    engine: Literal["auto", "torch", "onnxruntime"] = option(
        "auto", panel=ENCODER, help="What runs the encoder."
    )
    batch_size: int = option(64, ge=1, panel=ENCODER, help="Examples per call of the encoder.")


class ExtractionConfig(EngineConfig):
    """How a frozen encoder is run."""

    layer: str | None = option(
        None, panel=ENCODER, help="Output of the encoder to use.", shown_default="its usual one"
    )
    max_tokens: int | None = option(
        None, ge=8, panel=ENCODER, help="Tokens of a text that a text encoder reads; the rest is cut off.",
        shown_default="all that the encoder can read",
    )  # fmt: skip
    precision: Literal["float32", "bfloat16"] = option(
        "float32", panel=ENCODER, help="Arithmetic of the encoder."
    )
    dtype: Literal["float32", "float16"] = option(
        "float32", panel=ENCODER, help="Type of the stored features."
    )

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the encoders; none where the default one is taken."""
        names: tuple[str, ...] = one_or_many(getattr(self, "backbone", None))
        return names


class EncoderConfig(ExtractionConfig):
    """A frozen encoder and the store of its features."""

    backbone: str | None = option(
        None, panel=ENCODER, shown_default=_DEFAULT_ENCODERS,
        help="Frozen encoder, such as timm:resnet50, hf:roberta-base or api:MODEL@URL; features: for a "
        "matrix you have.",
    )  # fmt: skip

    @field_validator("backbone")
    @classmethod
    def _service_is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            check_address(value)
        return value


class EncodersConfig(ExtractionConfig):
    """One frozen encoder, or several whose features stand side by side."""

    backbone: Names = option(
        (), panel=ENCODER, shown_default=_DEFAULT_ENCODERS,
        help="Frozen encoder, such as timm:resnet50, hf:roberta-base or api:MODEL@URL; features: for a "
        "matrix you have. May be repeated: the features then stand side by side, each at unit length.",
    )  # fmt: skip

    @field_validator("backbone")
    @classmethod
    def _each_encoder_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            check_address(name)  # of a service
        if len(set(value)) < len(value):
            raise ValueError("each encoder once")
        return value


class PlanConfig(Config):
    """Only count what an embedding service would be asked for."""

    plan: bool = option(
        False, panel=ENCODER,
        help="Only print how many requests and tokens an embedding service would be asked for.",
    )  # fmt: skip
    price: float | None = option(
        None, ge=0, panel=ENCODER, help="Price of a million tokens, for --plan.", shown_default="none"
    )

    @model_validator(mode="after")
    def _a_plan_is_of_a_service(self) -> PlanConfig:
        names: tuple[str, ...] = getattr(self, "backbones", ())
        if self.plan and not any(name.startswith("api:") for name in names):
            raise invalid("plan", True, "an embedding service as `backbone`, such as api:MODEL@URL")
        if self.price is not None and not self.plan:
            raise invalid("price", self.price, "a price beside `plan`", "Next: --plan.")
        return self


class IssueFilesConfig(Config):
    """The files of suspect labels."""

    raw_cells: bool = option(
        False, panel=RUN,
        help="Write texts into label_issues.csv as they are, also those that a spreadsheet runs: =1+1.",
    )  # fmt: skip


class DecisionsConfig(Config):
    """Decisions of people about labels."""

    decisions: Annotated[tuple[Path, ...], BeforeValidator(one_or_many)] = option(
        (), panel="Decisions",
        help="File of decisions: decisions.csv of the review page, an edited label_issues.csv, or an export "
        "of Label Studio, FiftyOne, cleanlab or Argilla; may be repeated.",
        shown_default="decisions.csv and decisions.jsonl in the folder",
    )  # fmt: skip
    allow_new_class: bool = option(
        False, panel="Decisions", help="Decisions may give labels that are no class of the data yet."
    )


class EvaluationConfig(NoisyDataConfig):
    """Data to learn from, a test set of the same domain, and evaluation sets of others."""

    test: str | None = option(
        None, panel=DATA, help="Test set of the same domain.", shown_default="a part of the data is held out"
    )
    ood: Names = option(
        (), panel=DATA, help="Data set of another domain to evaluate on; may be repeated.",
        shown_default="none",
    )  # fmt: skip
    test_label: str | None = option(
        None, panel=DATA, help="Label column of --test and --ood; 'auto' finds it.",
        shown_default="--clean-label, else --label",
    )  # fmt: skip
    test_fraction: float = option(
        0.2, gt=0, lt=1, panel=DATA, help="Share that is held out where there is no --test."
    )
    shifts: NamesWithCommas = option(
        (), panel=DATA, shown_default="none",
        help="Changes of the test images that make more out-of-domain sets, such as blur,noise,fog-3; see "
        "'noiseproof ls shifts'.",
    )  # fmt: skip
