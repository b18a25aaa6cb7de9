"""The grid of a study: which heads to train, and on which sets each is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.config.run import RunConfig
from noiseproof.config.values import checked
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.files import digest
from noiseproof.noise.spec import Noise
from noiseproof.pipelines.heads import Variant, variants
from noiseproof.study.recipe import Encoder, Recipe

Of = Literal["heads", "tunings"]
STEPS = ("best", "last")  # of a tuning: by held-out labels as given, and the end
SCHEMA = 1  # raised when the same cell would come out differently


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
        """As in the results."""
        return "id" if self.role == "test" else "ood"


@dataclass(frozen=True)
class Fit:
    """A head or an encoder to train: one place of the grid.

    Attributes:
        encoder: whose features a head gets, or where a tuning starts.
        task: name of the data set it learns.
        share: part of the training set, in (0, 1].
        noise: injected into the labels.
        head: name of the head or tuning in the recipe.
        setting: name in the recipe; of a tuning which step, one of `STEPS`.
        seed: of everything that is drawn.
    """

    encoder: Encoder
    task: str
    share: float
    noise: Noise | None
    head: str
    setting: str
    seed: int

    @property
    def backbone(self) -> str:
        """Name of the one that this seed uses."""
        return self.encoder.name_for(self.seed)

    def coordinates(self) -> dict[str, Any]:
        """Where it is in the grid, as the results say it."""
        return {
            "backbone": self.backbone,
            "layer": self.encoder.layer,
            "task": self.task,
            "share": self.share,
            "noise_kind": None if self.noise is None else self.noise.kind,
            "noise_rate": 0.0 if self.noise is None else self.noise.rate or 0.0,
            "head": self.head,
            "setting": self.setting,
            "seed": self.seed,
        }


def noise_name(noise: Noise | None) -> str:
    """Of the noise in the labels, as tables have it."""
    return "none" if noise is None else f"{noise.kind}:{noise.rate:g}"


class Grid:
    """All places of a study in the order they are computed.

    Args:
        recipe: of the study.

    Raises:
        InvalidArgument: heads, settings or options that do not exist, all of them at once.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._variants = _variants(recipe) if recipe.heads else {}
        self._tunings = {
            (name, init): _tuning(name, options, init)
            for name, options in recipe.tunings.items()
            for init in {one.init for one in recipe.backbones}
        }

    def variant(self, fit: Fit) -> Variant:
        """The head of a place, with its options."""
        return self._variants[fit.head, fit.setting]

    def tuning(self, fit: Fit) -> FinetuneSettings | None:
        """How the encoder of a place is tuned; `None` for heads."""
        return self._tunings.get((fit.head, fit.encoder.init))

    def evaluations(self, task: str) -> list[Evaluation]:
        """The sets of a task, in the order in which `open_parts` makes them."""
        found = self.recipe.tasks[task]
        return [
            Evaluation("test", found.test),
            *(Evaluation("shift", kind) for kind in found.shifts),
            *(Evaluation("ood", spec) for spec in found.ood),
        ]

    @property
    def backbones(self) -> Iterator[tuple[Encoder, str]]:
        """Every backbone of the study, and the encoder that it counts as."""
        for encoder in self.recipe.backbones:
            for name in dict.fromkeys(encoder.name_for(seed) for seed in range(self.recipe.seeds)):
                yield encoder, name

    def fits(
        self, *, encoder: Encoder | None = None, backbone: str | None = None, task: str | None = None,
        of: Of | None = None,
    ) -> Iterator[Fit]:  # fmt: skip
        """All places; of one encoder, of its backbone of that name, of a task, or of heads only, if named."""
        for fit in self._fits(encoder, task):
            if backbone in (None, fit.backbone) and of in (None, self._kind(fit)):
                yield fit

    def training(self, fit: Fit) -> str:
        """Equal for places that one training serves: the steps of a tuning."""
        place = fit.coordinates()
        return digest(place | {"setting": None} if self._kind(fit) == "tunings" else place)

    def _kind(self, fit: Fit) -> Of:
        return "tunings" if fit.head in self.recipe.tunings else "heads"

    def _fits(self, encoder: Encoder | None, task: str | None) -> Iterator[Fit]:
        r = self.recipe
        for one in r.backbones if encoder is None else (encoder,):
            for name in r.tasks if task is None else (task,):
                for share in r.shares:
                    for noise in r.noises_of(name):
                        for seed in range(r.seeds):
                            for head in r.heads:
                                for setting in r.settings:
                                    yield Fit(one, name, share, noise, head, setting, seed)
                            for tuning in r.tunings:
                                for step in STEPS:
                                    yield Fit(one, name, share, noise, tuning, step, seed)

    @cached_property
    def num_cells(self) -> int:
        """Heads x evaluation sets."""
        return sum(
            len(self.evaluations(task)) * sum(1 for _ in self.fits(task=task)) for task in self.recipe.tasks
        )

    def asked(self, fit: Fit, evaluation: Evaluation) -> str:
        """What the recipe says about one result, as a hash: it finds rows without any data at hand.

        Where the data set lies does not count, so the folder of `--data` may be another one.
        """
        tuning = self.tuning(fit)
        # Settings that came to be later leave old results valid, as long as they are not used.
        options = (
            self.variant(fit).to_json() if tuning is None
            else {"tuning": tuning.model_dump(mode="json", exclude_defaults=True)}
        )  # fmt: skip
        return digest(
            {
                "schema": SCHEMA,
                **fit.coordinates(),
                "noise": None if fit.noise is None else fit.noise.to_json(),
                "set": self.asked_of_set(fit.task, evaluation),
                "options": options,
                "has_spectrum": self.recipe.has_head_spectra,
                **self.asked_of_data(fit.task),
            }
        )[:32]

    def asked_spectrum(self, backbone: str, layer: str | None, task: str, evaluation: Evaluation) -> str:
        """The same of the spectrum of the features of a set."""
        return digest(
            {
                "schema": SCHEMA,
                "spectrum of": [backbone, layer, task, *self.asked_of_set(task, evaluation)],
                **self.asked_of_data(task),
            }
        )[:32]

    def all_asked(self) -> Iterator[str]:
        """The hashes of the whole grid, spectra included."""
        for encoder, name in self.backbones if self.recipe.heads else ():
            for task in self.recipe.tasks:
                for evaluation in self.evaluations(task):
                    yield self.asked_spectrum(name, encoder.layer, task, evaluation)
        for fit in self.fits():
            for evaluation in self.evaluations(fit.task):
                yield self.asked(fit, evaluation)

    def asked_of_set(self, task: str, evaluation: Evaluation) -> list[str | None]:
        """What the recipe says about an evaluation set."""
        # A shift is one of the test set.
        of = self.recipe.tasks[task].test if evaluation.role == "shift" else None
        return [evaluation.role, evaluation.spec, of]

    def asked_of_data(self, task: str) -> dict[str, Any]:
        """What the recipe says about the examples of a task and their features."""
        r = self.recipe
        data = r.tasks[task].model_dump(
            mode="json", exclude={"test", "ood", "shifts", "metric", "label_noise"}
        )
        # Without a test set of its own the training part is smaller.
        data |= {"is_split": r.tasks[task].test is None, "limit": r.limit_of(task)}
        return {"data": data, "split_seed": r.split_seed, "views": r.views, "encoder": [r.precision, r.dtype]}


def _tuning(name: str, options: Mapping[str, Any], init: str) -> FinetuneSettings:
    try:
        return checked(FinetuneSettings, dict(options) | {"init": init}, [], file=None)
    except InvalidArgument as error:
        raise InvalidArgument(f"`tunings.{name}`: {error}") from error


def _variants(recipe: Recipe) -> dict[tuple[str, str], Variant]:
    """(head, setting) -> head with its options."""
    heads = {
        f"{head}+{setting}": {"kind": head, **options, **own}
        for head, options in recipe.heads.items()
        for setting, own in recipe.settings.items()
    }
    config = RunConfig(
        train="", out=Path(), heads=heads, seeds=recipe.seeds, recipe=recipe.recipe, views=recipe.views,
        max_steps=recipe.max_steps,
    )  # fmt: skip
    found = iter(variants(config))
    return {(head, setting): next(found) for head in recipe.heads for setting in recipe.settings}


def in_domain(grid: Grid, task: str) -> Evaluation:
    """The evaluation in domain, which every task has."""
    return grid.evaluations(task)[0]
