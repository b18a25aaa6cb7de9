"""The grid of a study: its axes and its places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.config.run import RunConfig
from noiseproof.config.values import validate
from noiseproof.core.errors import InvalidArgument
from noiseproof.noise.spec import Noise
from noiseproof.pipelines.run_heads.heads import HeadVariant, head_variants
from noiseproof.study.axes import Encoder
from noiseproof.study.recipe import StudyRecipe

STEPS = ("best", "last")  # of a tuning: the step that held-out given labels select, and the last one


@dataclass(frozen=True)
class Evaluation:
    """A set that heads of one task are evaluated on.

    Attributes:
        role: "test" is in domain; "ood" and "shift" are not.
        spec: the data set as the recipe writes it, or the kind of shift; `None` is the held-out part.
    """

    role: str
    spec: str | None

    @property
    def domain(self) -> str:
        """Domain as the rows name it."""
        return "id" if self.role == "test" else "ood"


@dataclass(frozen=True)
class Place:
    """One place of the grid. Axes that a measure does not have are `None`.

    Attributes:
        encoder: whose features are used, or where a tuning starts.
        task: name of the data set.
        seed: seeds everything that is drawn, and selects the encoder's repeat.
        share: part of the training set, in (0, 1].
        noise: injected into the training labels.
        head: name of the head or tuning in the recipe.
        setting: name in the recipe; the step of a tuning, one of `STEPS`.
        detector: name of the detector in the recipe.
        evaluation: the set that is evaluated or drawn.
    """

    encoder: Encoder
    task: str
    seed: int
    share: float = 1.0
    noise: Noise | None = None
    head: str | None = None
    setting: str | None = None
    detector: str | None = None
    evaluation: Evaluation | None = None

    @property
    def backbone(self) -> str:
        """Name of the encoder's repeat that this seed uses."""
        return self.encoder.name_for(self.seed)

    @property
    def evaluated(self) -> Evaluation:
        """The evaluation set of a place that has one."""
        assert self.evaluation is not None
        return self.evaluation

    @property
    def noise_name(self) -> str:
        """Noise as tables write it."""
        return "none" if self.noise is None else f"{self.noise.kind}:{self.noise.rate:g}"

    def coordinates(self) -> dict[str, Any]:
        """The place as columns of a row."""
        where: dict[str, Any] = {
            "backbone": self.backbone,
            "layer": self.encoder.layer,
            "task": self.task,
            "share": self.share,
            "noise_kind": None if self.noise is None else self.noise.kind,
            "noise_rate": 0.0 if self.noise is None else self.noise.rate or 0.0,
            "seed": self.seed,
        }
        if self.detector is not None:
            return where | {"detector": self.detector}
        return where if self.head is None else where | {"head": self.head, "setting": self.setting}

    @property
    def training(self) -> tuple[Any, ...]:
        """Equal for the evaluation sets of one training, and for its curvature."""
        return tuple(self.coordinates().values())


class Grid:
    """The axes of a study, with the options of its heads and tunings resolved.

    Args:
        recipe: of the study.

    Raises:
        InvalidArgument: heads, settings or options that do not exist, all of them at once.
    """

    def __init__(self, recipe: StudyRecipe) -> None:
        self.recipe = recipe
        self._variants = _variants(recipe) if recipe.heads else {}
        self._tunings = {
            (name, init): _tuning(name, options, init)
            for name, options in recipe.tunings.items()
            for init in {one.init for one in recipe.backbones}
        }

    def variant(self, place: Place) -> HeadVariant:
        """The head of a place, with its options."""
        variant = self._variants[place.head or "", place.setting or ""]
        return variant.as_regressor() if self.recipe.tasks[place.task].predicts_scores else variant

    def tuning(self, place: Place) -> FinetuneSettings:
        """The fine-tuning settings of a place."""
        return self._tunings[place.head or "", place.encoder.init]

    def evaluations(self, task: str) -> list[Evaluation]:
        """The sets of a task, in the order in which `open_parts` makes them; the first is in domain."""
        found = self.recipe.tasks[task]
        return [
            Evaluation("test", found.test),
            *(Evaluation("shift", kind) for kind in found.shifts),
            *(Evaluation("ood", spec) for spec in found.ood),
        ]

    def repeats(self) -> Iterator[tuple[Encoder, int]]:
        """Every backbone of the study: its encoder, and the first seed that uses it."""
        for encoder in self.recipe.backbones:
            names = [encoder.name_for(seed) for seed in range(self.recipe.seeds)]
            yield from ((encoder, names.index(name)) for name in dict.fromkeys(names))

    def trainings(self) -> Iterator[Place]:
        """Places of the training data: encoder, task, share, noise and seed."""
        r = self.recipe
        for encoder in r.backbones:
            for task in r.tasks:
                for share in r.shares:
                    for noise in r.noises_of(task):
                        for seed in range(r.seeds):
                            yield Place(encoder, task, seed, share, noise)

    def set_request(self, place: Place) -> list[str | None]:
        """Entries of the recipe that select the evaluation set of a place."""
        one = place.evaluated
        # A shift changes the test set, so that set counts, too.
        return [one.role, one.spec, self.recipe.tasks[place.task].test if one.role == "shift" else None]

    def training_request(self, place: Place) -> dict[str, Any]:
        """Entries of the recipe that decide what is trained or run at a place."""
        noise = None if place.noise is None else place.noise.to_json()
        return {**place.coordinates(), "noise": noise, **self.data_request(place.task)}

    def data_request(self, task: str) -> dict[str, Any]:
        """Entries of the recipe that decide the examples of a task and their features.

        The folder of `--data` does not count, so the data may move.
        """
        r = self.recipe
        data = r.tasks[task].model_dump(mode="json", exclude={"test", "ood", "shifts", "metric", "noise"})
        data["class_map"] = None  # a key of version 0.1, whose results stay valid
        # Without a test set of its own the training part is smaller.
        data |= {"is_split": r.tasks[task].test is None, "limit": r.limit_of(task)}
        return {"data": data, "split_seed": r.split_seed, "views": r.views, "encoder": [r.precision, r.dtype]}


def study_heads(recipe: StudyRecipe, heads: dict[str, dict[str, Any]]) -> list[HeadVariant]:
    """Heads by name and options, as in `run`, with the schedule of a study."""
    config = RunConfig(
        train="", out=Path(), heads=heads, seeds=recipe.seeds, recipe=recipe.recipe, views=recipe.views,
        max_steps=recipe.max_steps,
    )  # fmt: skip
    return head_variants(config)


def _tuning(name: str, options: Mapping[str, Any], init: str) -> FinetuneSettings:
    try:
        return validate(FinetuneSettings, dict(options) | {"init": init}, [], file=None)
    except InvalidArgument as error:
        raise InvalidArgument(f"`tunings.{name}`: {error}") from error


def _variants(recipe: StudyRecipe) -> dict[tuple[str, str], HeadVariant]:
    """(head, setting) -> head with its options."""
    heads = {
        f"{head}+{setting}": {"kind": head, **options, **own}
        for head, options in recipe.heads.items()
        for setting, own in recipe.settings.items()
    }
    found = iter(study_heads(recipe, heads))
    return {(head, setting): next(found) for head in recipe.heads for setting in recipe.settings}
