"""Detectors as rows of a study: which are asked for, where they stand in the grid, and how one is computed.

Kept beside the cells, only where a recipe names detectors; the rows and addresses of heads do not change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.text_towers import (
    SHARED_SPACE,
    USUAL_MODEL,
    PromptTower,
    open_prompt_tower,
    shares_space,
)
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import invalid
from noiseproof.core.files import digest
from noiseproof.core.records import LabelIssues
from noiseproof.core.registry import unknown_name
from noiseproof.detect.detectors import DETECTORS, checked_options, describe_needs, has_inputs, is_random
from noiseproof.detect.find_issues import AUTO, find_label_issues
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.noise.spec import Noise
from noiseproof.pipelines.heads import Variant, variants
from noiseproof.pipelines.inputs import Part
from noiseproof.study.grid import SCHEMA, Grid, in_domain
from noiseproof.study.measures.material import Encoded, OpenTask, TrainingData
from noiseproof.study.measures.peers import PEERS
from noiseproof.study.recipe import Encoder, Recipe
from noiseproof.study.recipe_parts import DetectorChoice
from noiseproof.study.rows import DetectionRow


@dataclass(frozen=True)
class Detection:
    """A detector to run: one place of the grid.

    Attributes:
        encoder: whose features it looks at.
        task: name of the data set.
        noise: injected into the labels of its training part.
        detector: its name in the recipe.
        seed: of everything that is drawn.
    """

    encoder: Encoder
    task: str
    noise: Noise | None
    detector: str
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
            "noise_kind": None if self.noise is None else self.noise.kind,
            "noise_rate": 0.0 if self.noise is None else self.noise.rate or 0.0,
            "detector": self.detector,
            "seed": self.seed,
        }


def detections(
    grid: Grid, *, encoder: Encoder | None = None, backbone: str | None = None, task: str | None = None
) -> Iterator[Detection]:
    """All places, those of one draw side by side; of one encoder, its backbone of that name, or one task.

    Where nothing is drawn, all seeds would say the same: the first stands for them.
    """
    r = grid.recipe
    for one in r.backbones if encoder is None else (encoder,):
        for name in r.tasks if task is None else (task,):
            for noise in r.noises_of(name):
                for seed in range(r.seeds):
                    for detector, choice in r.detectors.items():
                        place = Detection(one, name, noise, detector, seed)
                        is_asked = seed == 0 or _is_drawn(r, one, noise, choice)
                        if is_asked and backbone in (None, place.backbone):
                            yield place


def _is_drawn(recipe: Recipe, encoder: Encoder, noise: Noise | None, choice: DetectorChoice) -> bool:
    """Whether another seed may say something else."""
    has_draws = noise is not None or max(recipe.shares) < 1 or recipe.downstream or bool(encoder.repeats)
    return has_draws or is_random(choice.method, choice.options)


def asked_detection(grid: Grid, place: Detection) -> str:
    """What the recipe says about one detection, as a hash."""
    choice = grid.recipe.detectors[place.detector]
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "detection": [choice.method, choice.options],
        **place.coordinates(),
        "noise": None if place.noise is None else place.noise.to_json(),
        "share": max(grid.recipe.shares),
        **grid.asked_of_data(place.task),
    }
    if grid.recipe.downstream:
        probe = probe_of(grid.recipe).to_json()
        content["downstream"] = [probe, grid.asked_of_set(place.task, in_domain(grid, place.task))]
    return digest(content)[:32]


def asked_detections(
    grid: Grid, *, encoder: Encoder | None = None, backbone: str | None = None, task: str | None = None
) -> Iterator[str]:
    """The hashes of all detections; of one encoder, of its backbone of that name, and task only, if named."""
    for place in detections(grid, encoder=encoder, backbone=backbone, task=task):
        yield asked_detection(grid, place)


def at_hand(recipe: Recipe) -> tuple[str, ...]:
    """What detectors find beside the given labels, whatever the encoder."""
    is_shared = all(shares_space(name, one.layer) for one in recipe.backbones for name in one.names)
    return ("features", "text_tower") if is_shared else ("features",)


def check_choice(name: str, choice: DetectorChoice, at_hand: Collection[str]) -> None:
    """Raise unless there is such a method, it has these options, and what it needs is at hand.

    Raises:
        UnknownName, InvalidArgument: see `find_label_issues`.
    """
    known = (AUTO, *DETECTORS.names, *PEERS)
    if choice.method not in known:
        raise unknown_name("detector", choice.method, known)
    if choice.method in PEERS:
        PEERS[choice.method].checked(choice.method, choice.options)
    elif choice.method != AUTO:
        options = checked_options(choice.method, choice.options)
        _check_needs(name, choice.method, options, at_hand)
    elif choice.options:
        raise invalid(f"detectors.{name}.options", choice.options, "none with method 'auto'")


def _check_needs(name: str, method: str, options: Mapping[str, Any], at_hand: Collection[str]) -> None:
    if not has_inputs(at_hand, method, options):
        raise invalid(
            f"detectors.{name}.method", method, "a detector that looks at features only",
            f"It needs {describe_needs(method)}, and not every encoder of the recipe is an image-text model "
            f"with `layer: {SHARED_SPACE}`. Next: only such, e.g. {USUAL_MODEL}.",
        )  # fmt: skip


class Arena:
    """Everything that detectors of one encoder and task have in common.

    Args:
        grid: of the study.
        encoded: features by the encoder.
        task: its data sets.
        name: of the task.
    """

    def __init__(self, grid: Grid, encoded: Encoded, task: OpenTask, name: str) -> None:
        self._grid, self._encoded, self._task = grid, encoded, task
        self._test = task.tests[in_domain(grid, name)]
        self._train_key = digest(encoded.part_key(task.parts.train))

    def data(self, place: Detection) -> TrainingData:
        """What a detector looks at."""
        share = max(self._grid.recipe.shares)
        return self._task.training_data(share=share, noise=place.noise, seed=place.seed)

    def address(self, place: Detection, data: TrainingData) -> str:
        """Hash of everything that decides a row."""
        content = {
            "schema": SCHEMA,
            "asked": asked_detection(self._grid, place),
            "train": [self._train_key, data.key, digest(self._true_labels(data))],
        }
        if self._grid.recipe.downstream:
            content["test"] = [self._encoded.part_key(self._test), self._test.best_labels]
        return digest(content)[:32]

    def row(self, place: Detection, data: TrainingData) -> DetectionRow:
        """Run a detector, and compare what it finds with the truth.

        Raises:
            NoiseproofError: it lacks what it needs, or cannot be run on these examples.
        """
        choice = self._grid.recipe.detectors[place.detector]
        features = self._train_features[data.rows]
        detect = self._prepared(choice)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        issues = detect(features, data.given_labels, self._class_names, place.seed)
        wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
        true_labels = self._true_labels(data)
        return DetectionRow(
            cell=self.address(place, data),
            asked=asked_detection(self._grid, place),
            share=max(self._grid.recipe.shares),
            **place.coordinates(),
            method=issues.method,
            num_examples=len(true_labels),
            realised_rate=float((data.given_labels != true_labels).mean()),
            metrics=detection_metrics(issues, true_labels),
            wall_s=wall_s,
            cpu_s=cpu_s,
            notes=list(issues.notes),
            **self._accuracies(features, issues, place.seed, data.key),
        )

    def _prepared(self, choice: DetectorChoice) -> Callable[..., LabelIssues]:
        """(features, labels, class names, seed) -> record; imports and towers come before any clock."""
        method, options = choice.method, choice.options
        if method in PEERS:
            peer = PEERS[method]
            peer.prepare()
            return lambda features, labels, names, seed: peer.detect(features, labels, names, **options)
        for name in DETECTORS.names:
            DETECTORS.load(name)
        is_complete = method == AUTO or has_inputs(("features",), method, options)
        tower = None if is_complete else self._text_tower
        return lambda features, labels, names, seed: find_label_issues(
            features,
            labels,
            method=method,
            method_options=options,
            class_names=names,
            text_tower=tower,
            seed=seed,
        )

    def _accuracies(
        self, features: Float[np.ndarray, "n d"], issues: LabelIssues, seed: int, key: str
    ) -> dict[str, Any]:
        if not self._grid.recipe.downstream:
            return {}
        return self._downstream.accuracies(features, issues, seed=seed, key=key)

    def _true_labels(self, data: TrainingData) -> Int[np.ndarray, " n"]:
        """Before the noise; without noise those of the column of true labels, if there is one."""
        return self._task.parts.train.best_labels[data.rows] if data.noise is None else data.noise.clean

    @property
    def _class_names(self) -> tuple[str, ...]:
        return tuple(self._task.parts.train.dataset.class_names)

    @cached_property
    def _text_tower(self) -> PromptTower:
        return open_prompt_tower(self._encoded.backbone.name, self._class_names)

    @cached_property
    def _train_features(self) -> Float[np.ndarray, "n d"]:
        return np.asarray(self._encoded.features(self._task.parts.train))

    @cached_property
    def _downstream(self) -> Downstream:
        features = np.asarray(self._encoded.features(self._test))
        return Downstream(probe_of(self._grid.recipe), features, self._test)


Features = Float[np.ndarray, "n d"]
Labels = Int[np.ndarray, " n"]


def probe_of(recipe: Recipe) -> Variant:
    """The linear probe of a study, as one of its heads would be."""
    config = RunConfig(
        train="", out=Path(), heads={"probe": {"kind": "linear"}}, seeds=recipe.seeds, recipe=recipe.recipe,
        max_steps=recipe.max_steps,
    )  # fmt: skip
    (probe,) = variants(config)
    return probe


class Downstream:
    """Accuracy on one test set; what was learned from the same labels is kept.

    Args:
        probe: to train.
        features: of the test set.
        part: the test set; its true labels count, where they are known.
    """

    def __init__(self, probe: Variant, features: Features, part: Part) -> None:
        self._probe, self._features, self._part = probe, features, part
        self._known: dict[tuple[str, int], float | None] = {}

    def accuracies(
        self, features: Features, issues: LabelIssues, *, seed: int, key: str
    ) -> dict[str, float | None]:
        """By column of the row.

        Args:
            features: of the training set.
            issues: what a detector thinks of its labels, which are class ids.
            seed: of the probe.
            key: of examples and labels.
        """
        given, keep = issues.given_labels, ~issues.is_issue
        if (key, seed) not in self._known:
            self._known[key, seed] = self.accuracy(features, given, seed=seed)
        return {
            "accuracy_all": self._known[key, seed],
            "accuracy_selected": self.accuracy(features[keep], given[keep], seed=seed),
            "accuracy_relabelled": self.accuracy(
                features, np.where(keep, given, issues.suggested_labels), seed=seed
            ),
        }

    def accuracy(self, features: Features, labels: Labels, *, seed: int) -> float | None:
        """Of a probe on these examples; `None` where they are of fewer than two classes."""
        if len(np.unique(labels)) < 2:
            return None
        (head,) = self._probe.build([seed])
        head.fit(features, labels)
        row = evaluate_head(
            head, self._features, self._part.best_labels, name="probe", seed=seed, set_name=self._part.name,
            domain="id", class_names=self._part.dataset.class_names,
        )  # fmt: skip
        return row.metrics["accuracy"]
