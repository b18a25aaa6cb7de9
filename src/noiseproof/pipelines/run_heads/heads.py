"""The heads of a run: names and options from the configuration, estimators from the table."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseproof.config.run import AUTO, RunConfig
from noiseproof.core.errors import InvalidArgument, NoiseproofError, invalid
from noiseproof.core.progress import progress
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.checksums import read_record, write_record
from noiseproof.core.storage.documents import START_AGAIN
from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.transition_estimate import DEFAULT_METHOD, estimate_transition
from noiseproof.heads.abstract import AbstractHead
from noiseproof.heads.estimators import HEADS
from noiseproof.heads.recipes import PROBE_LEARNING_RATE
from noiseproof.heads.regressors import REGRESSORS
from noiseproof.losses.losses import needs_transition
from noiseproof.noise.transition import read_transition
from noiseproof.pipelines.inputs.encoded import EncodedParts
from noiseproof.pipelines.outputs.stages import Stages

# With `recipe: default` no head of a run takes more steps, however large the data set, and the linear probe,
# whose steps cost next to nothing, no fewer, however small: else it would be far from done.
MAX_STEPS = 1000
MIN_STEPS = {"linear": 500}


_FOR_CLASSES = ("loss", "loss_options", "noise_tolerant")


@dataclass(frozen=True)
class HeadVariant:
    """One head of a run: its estimator, options and seeds.

    Attributes:
        name: in the results, unique in the run.
        kind: name in the table of heads.
        options: constructor arguments other than the seed.
        num_seeds: seeds are 0 .. num_seeds - 1.
        is_tolerance_open: whether `noise_tolerant` waits for what detection finds.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    num_seeds: int
    is_tolerance_open: bool = False
    predicts_scores: bool = False

    def build(self, seeds: Iterable[int] = (0,)) -> list[AbstractHead]:
        """An unfitted estimator per seed."""
        table: Mapping[str, type[AbstractHead]] = REGRESSORS if self.predicts_scores else HEADS
        return [table[self.kind](seed=seed, **self.options) for seed in seeds]

    def as_regressor(self) -> HeadVariant:
        """The head for scores.

        Raises:
            InvalidArgument: an option is for classes only.
        """
        own = {name: value for name, value in self.options.items() if name in _FOR_CLASSES}
        own = {name: value for name, value in own.items() if value not in (False, None, "cross_entropy", {})}
        for name, value in own.items():
            raise invalid(
                f"heads.{self.name}.{name}", value, "nothing where heads predict scores (regression)",
                "Losses and tolerance of wrong labels are for classes. Next: leave it out.",
            )  # fmt: skip
        options = {name: value for name, value in self.options.items() if name not in _FOR_CLASSES}
        return replace(self, options=options, is_tolerance_open=False, predicts_scores=True)

    @property
    def trains_seeds_apart(self) -> bool:
        """Whether each seed is a stage of its own: on a CPU, `heads.fit` trains MLPs one after the other."""
        return bool(self.build()[0].spec().architecture.hidden_layers) and not torch.cuda.is_available()

    @property
    def needs_two_views(self) -> bool:
        """Whether it compares two augmented views of each example.

        Raises:
            NoiseproofError: an option has a value that is not allowed.
        """
        terms = self.build()[0].spec().regularization
        return terms.is_cross_view and bool(terms.weight_mse)

    @property
    def needs_transition_matrix(self) -> bool:
        """Whether its loss needs the transition matrix of the noise and none is given."""
        training = self.build()[0].spec().training
        return needs_transition(training.loss) and dict(training.loss_options)["transition"] is None

    def with_transition(self, matrix: Any) -> HeadVariant:
        """The head with a transition matrix for its loss.

        Args:
            matrix: (k, k), as nested lists, so that it can be saved with the head.
        """
        own = {**(self.options.get("loss_options") or {}), "transition": matrix}
        return replace(self, options={**self.options, "loss_options": own})

    def file(self, seed: int) -> str:
        """File of the fitted head, relative to the run folder, without suffix."""
        return f"heads/{self.name}-seed{seed}"

    def to_json(self) -> dict[str, Any]:
        """Everything its result depends on besides the data and the seed."""
        task = {"task": "regression"} if self.predicts_scores else {}
        return {"kind": self.kind, "options": dict(self.options)} | task


def head_variants(config: RunConfig) -> list[HeadVariant]:
    """The heads that a configuration names.

    Raises:
        InvalidArgument: unknown heads and options, all of them at once.
    """
    mistakes: dict[str, list[str]] = {}  # what is wrong -> with which heads
    built = []
    for name, options in config.heads.items():
        kind = options.get("kind", name)
        if kind not in HEADS:
            mistakes.setdefault(str(unknown_name("head", kind, HEADS)), []).append(name)
            continue
        allowed = _options_of(kind)
        own = {option: value for option, value in options.items() if option != "kind"}
        unknown = [unknown_name("option", option, allowed) for option in own if option not in allowed]
        for error in unknown:
            mistakes.setdefault(str(error), []).append(name)
        if not unknown:
            shared = _shared(config, kind, own, allowed) | ({"min_steps": 1} if "epochs" in own else {})
            try:
                options = shared | own | _loss(config, own)
            except NoiseproofError as error:
                mistakes.setdefault(str(error), []).append(name)
                continue
            is_open = options.get("noise_tolerant") == AUTO
            options = {key: value for key, value in options.items() if not is_open or key != "noise_tolerant"}
            variant = HeadVariant(name, kind, options, config.seeds or 1, is_open)
            for mistake in _mistakes_of(variant, config):
                mistakes.setdefault(mistake, []).append(name)
            built.append(variant)
    if mistakes:
        raise InvalidArgument(
            "\n".join(_describe_mistake(mistake, names, config) for mistake, names in mistakes.items())
        )
    return built


def _describe_mistake(mistake: str, names: Sequence[str], config: RunConfig) -> str:
    """One mistake of several heads; heads are not named where all have it, such as the loss of the run."""
    is_shared = len(names) > 1 and len(names) == len(config.heads)
    return mistake if is_shared else f"{', '.join(f'`heads.{name}`' for name in names)}: {mistake}"


def _mistakes_of(variant: HeadVariant, config: RunConfig) -> list[str]:
    try:
        if variant.needs_two_views and config.views < 2:
            return [f"`views` is {config.views}; this head compares views. Next: --views 2."]
    except (NoiseproofError, TypeError) as error:
        return [str(error)]
    return []


def _loss(config: RunConfig, own: Mapping[str, Any]) -> dict[str, Any]:
    """Loss and loss options of a head; with a loss of its own, those of the run are ignored."""
    name, options = own.get("loss", config.loss), own.get("loss_options") or {}
    if "loss" not in own and isinstance(options, Mapping):
        options = {**config.loss_options, **options}
    if isinstance(options, Mapping) and isinstance(options.get("transition"), str):
        options = {**options, "transition": read_transition(Path(options["transition"])).tolist()}
    values = {"loss": name, "loss_options": options}
    return {key: value for key, value in values.items() if value not in (None, {})}


def _options_of(kind: str) -> list[str]:
    return [name for name in inspect.signature(HEADS[kind]).parameters if name != "seed"]


def _shared(config: RunConfig, kind: str, own: Mapping[str, Any], allowed: list[str]) -> dict[str, Any]:
    """Options of the run, for heads that have such options."""
    least, most = (MIN_STEPS.get(kind, 1), MAX_STEPS) if config.recipe == "default" else (1, None)
    shared: dict[str, Any] = {
        "recipe": config.recipe,
        "min_steps": least,
        "max_steps": config.max_steps or most,
    }
    if kind == "linear" and own.get("recipe", config.recipe) == "paper":
        # Named here, so that it is part of the key: rows of studies made with 0.01 must not count as these.
        shared["learning_rate"] = PROBE_LEARNING_RATE["paper"]
    return {name: value for name, value in shared.items() if name in allowed}


TRANSITION = "transition.json"


def with_estimated_transition(
    heads: list[HeadVariant], stages: Stages, encoded: EncodedParts
) -> tuple[list[HeadVariant], list[str]]:
    """Give heads whose loss needs a transition matrix an estimate, which is a stage of the run.

    Returns:
        The heads, and notes for readers of the results.
    """
    needing = [head.name for head in heads if head.needs_transition_matrix]
    if not needing:
        return heads, []
    train = encoded.parts.train

    def make(folder: Path) -> list[str]:
        with progress("Transition matrix", total=len(train.dataset), unit="label") as bar:
            estimate = estimate_transition(np.asarray(encoded.features(train)), train.given_labels)
            bar.update(len(train.dataset))
        class_names = [train.dataset.class_names[number] for number in estimate.classes]
        write_record(
            folder / TRANSITION,
            estimate.to_json()
            | {"classes": class_names, "doubt": replace(estimate, classes=np.array(class_names)).doubt},
        )
        return [TRANSITION]

    method = [DEFAULT_METHOD, ALGORITHM]
    depends_on = [encoded.key(train), train.given_labels, method]
    stages.once("transition", depends_on=depends_on, make=make)
    estimate = read_record(stages.path(TRANSITION), next_step=START_AGAIN)
    note = (
        f"The loss of {', '.join(needing)} uses a transition matrix that was estimated from the training "
        f"features ({estimate['method']}; share of wrong labels {estimate['rate']:.3f}): {TRANSITION}."
    )
    notes = [each for each in (note, estimate.get("doubt")) if each]
    matrix = estimate["matrix"]
    return [head.with_transition(matrix) if head.needs_transition_matrix else head for head in heads], notes
