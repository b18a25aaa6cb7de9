"""Entries of the axes of a study, as a recipe writes them: encoders, data sets, noises, detectors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from noiseproof.core.errors import invalid
from noiseproof.evaluate.metrics import SCORE_METRICS
from noiseproof.noise.spec import CAPTIONS, Noise


def _as_noise(value: Any) -> Any:
    """Noise as a recipe writes it: "none", or a `Noise` with a rate, by which tables are sorted."""
    noise = Noise.parse(value) if isinstance(value, str) and value != "none" else value
    if isinstance(noise, Noise) and (noise.rate is None or noise.kind == CAPTIONS):
        raise invalid("noise", str(noise), "noise of labels with a rate, such as symmetric:0.2, in a study")
    return None if noise == "none" else noise


Noises = tuple[Annotated[Noise | None, BeforeValidator(_as_noise)], ...]


class Encoder(BaseModel, extra="forbid", frozen=True):
    """One encoder of the grid: frozen for heads, initial weights for tunings.

    Attributes:
        name: of the backbone, as in `run --backbone`.
        repeats: encoders made in the same way with other seeds. Seed i of the study then uses number i, of
            which `name` is number 0, so that intervals tell the luck of pre-training, too.
        label: what tables and figures call it; by default the name.
        family: encoders of one kind that differ in their noise only; a column or panel each.
        noise: rate of wrong labels or captions in its pre-training, in [0, 1]; `None` where unknown.
        accuracy: what its pre-training reached on held-out data, in [0, 1]; for the zoo its card has it.
        layer: which output; `None` is its default.
        init: "random" takes only the architecture, with weights of the study's seed; for tunings.
    """

    name: str
    repeats: tuple[str, ...] = ()
    label: str | None = None
    family: str = "encoder"
    noise: float | None = Field(default=None, ge=0, le=1)
    accuracy: float | None = Field(default=None, ge=0, le=1)
    layer: str | None = None
    init: Literal["pretrained", "random"] = "pretrained"

    @model_validator(mode="before")
    @classmethod
    def _as_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def title(self) -> str:
        """Name in tables and figures."""
        return self.label or self.name

    @property
    def key(self) -> str:
        """Name in tables of results, unique in a study."""
        return self.names[0] if self.layer is None else f"{self.names[0]} {self.layer}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all backbones that count as this encoder, as the results have them."""
        prefix = "random:" if self.init == "random" else ""
        return tuple(f"{prefix}{name}" for name in (self.name, *self.repeats))

    def name_for(self, seed: int) -> str:
        """The backbone that a seed of the study uses."""
        return self.names[seed if self.repeats else 0]

    def backbone_for(self, seed: int) -> str:
        """The backbone that a seed of the study uses, as `open_backbone` knows it."""
        return self.repeats[seed - 1] if self.repeats and seed else self.name


class StudyTask(BaseModel, extra="forbid", frozen=True):
    """One downstream data set: what heads learn from and what they are tested on.

    Attributes:
        train: data set to train on.
        test: held-out set of the same domain; `None` splits `train`.
        ood: evaluation sets of other domains.
        shifts: changes of the test images that make further out-of-domain sets.
        metric: which metric counts for this set; a correlation makes the task a regression.
        label, image, text, clean_label, test_label: columns, as in `run`.
        limit: at most this many examples of each set, drawn by class; that of the study holds as well.
        test_fraction: size of the held-out part when there is no `test`.
        noise: of this task, in place of that of the study.
    """

    train: str
    test: str | None = None
    ood: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()
    metric: Literal["accuracy", "mean_per_class_accuracy", "matthews", "macro_f1", "pearson", "spearman"] = (
        "accuracy"
    )
    label: str | None = None
    image: str | None = None
    text: str | None = None
    clean_label: str | None = None
    test_label: str | None = None
    limit: int | None = Field(default=None, ge=1)
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    noise: Noises | None = Field(default=None, min_length=1)

    @property
    def predicts_scores(self) -> bool:
        """Whether heads predict scores, by the metric."""
        return self.metric in SCORE_METRICS

    @property
    def specs(self) -> list[str]:
        """All data sets of the task."""
        return [spec for spec in (self.train, self.test, *self.ood) if spec is not None]


class DetectorChoice(BaseModel, extra="forbid", frozen=True):
    """One detector of the grid.

    Attributes:
        method: as in `find_label_issues`, or that of `measures.peers`; by default the name it goes by.
        options: of the method.
    """

    method: str
    options: dict[str, Any] = Field(default={})


def _as_choices(value: Any) -> Any:
    """Detectors, whose method is by default the name they go by."""
    if not isinstance(value, dict):
        return value
    return {
        name: {"method": name} | (options or {}) if isinstance(options, dict | None) else options
        for name, options in value.items()
    }


Detectors = Annotated[dict[str, DetectorChoice], BeforeValidator(_as_choices)]
