"""Detectors: run them on the training sets, and compare their result with the true labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.shared_space import SHARED_SPACE, USUAL_MODEL, shares_space
from noiseproof.backbones.text_towers import PromptTower, open_prompt_tower
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import invalid
from noiseproof.core.files import digest
from noiseproof.core.records import LabelIssues
from noiseproof.core.registry import unknown_name
from noiseproof.detect.detectors import (
    AUTO,
    DETECTORS,
    checked_options,
    describe_needs,
    has_inputs,
    is_random,
)
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.pipelines.heads import HeadVariant, head_variants
from noiseproof.study.grid import SCHEMA, Place
from noiseproof.study.measures.material import TrainingData
from noiseproof.study.measures.measure import AbstractMeasure, PendingRow, Workbench
from noiseproof.study.measures.peers import PEERS
from noiseproof.study.recipe import DetectorChoice, StudyRecipe
from noiseproof.study.rows import DetectionRow

Features = Float[np.ndarray, "n d"]


class DetectorMeasure(AbstractMeasure):
    """Every detector of the recipe on every training set, whole or at the largest share."""

    title = "{noise}, {detector}"

    def places(self) -> Iterator[Place]:
        """All places; where nothing is drawn, seed 0 stands for all seeds."""
        r = self.grid.recipe
        for data in self.grid.trainings() if r.detectors else ():
            if data.share == max(r.shares):
                for name, choice in r.detectors.items():
                    if data.seed == 0 or self._is_drawn(data, choice):
                        yield replace(data, detector=name)

    def _is_drawn(self, data: Place, choice: DetectorChoice) -> bool:
        """Whether another seed may give another row."""
        r = self.grid.recipe
        has_draws = data.noise is not None or data.share < 1 or r.downstream or bool(data.encoder.repeats)
        return has_draws or is_random(choice.method, choice.options)

    def request_key(self, place: Place) -> str:
        """Hash of the detector, its data and, with `downstream`, the probe and its test set."""
        choice = self._choice(place)
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "detection": [choice.method, choice.options],
            **place.coordinates(),
            "noise": None if place.noise is None else place.noise.to_json(),
            **self.grid.data_request(place.task),
        }
        if self.grid.recipe.downstream:
            tested = replace(place, evaluation=self.grid.evaluations(place.task)[0])
            content["downstream"] = [probe_of(self.grid.recipe).to_json(), self.grid.set_request(tested)]
        return digest(content)[:32]

    def result_key(self, place: Place, bench: Workbench) -> str:
        """Hash of the request, features, given and true labels, and the probe's test set."""
        data, test = bench.data(place), bench.task.test
        content = {
            "schema": SCHEMA,
            "asked": self.request_key(place),
            "train": [bench.train_key, data.key, digest(_true_labels(data, bench))],
        }
        if self.grid.recipe.downstream:
            content["test"] = [bench.features.part_key(test), test.best_labels]
        return digest(content)[:32]

    def row(self, pending: PendingRow, bench: Workbench) -> DetectionRow:
        """Run a detector.

        Raises:
            NoiseproofError: an input it needs is missing, or it cannot be run on these examples.
        """
        place, data = pending.place, bench.data(pending.place)
        features = bench.train_features[data.rows]
        detect = bench.tool(DetectorRunner).prepared(self._choice(place))
        begin, begin_cpu = time.perf_counter(), time.process_time()
        issues = detect(features, data.given_labels, seed=place.seed)
        wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
        true_labels, accuracies = _true_labels(data, bench), {}
        if self.grid.recipe.downstream:
            accuracies = bench.tool(Downstream).accuracies(features, issues, seed=place.seed, key=data.key)
        return pending.row(
            DetectionRow,
            method=issues.method,
            num_examples=len(true_labels),
            realised_rate=float((data.given_labels != true_labels).mean()),
            metrics=detection_metrics(issues, true_labels),
            wall_s=wall_s,
            cpu_s=cpu_s,
            notes=list(issues.notes),
            **accuracies,
        )

    def _choice(self, place: Place) -> DetectorChoice:
        return self.grid.recipe.detectors[str(place.detector)]


def _true_labels(data: TrainingData, bench: Workbench) -> Int[np.ndarray, " n"]:
    """Labels before the noise; without noise the column of true labels, where it exists."""
    return bench.task.parts.train.best_labels[data.rows] if data.noise is None else data.noise.clean


class DetectorRunner:
    """Runs detectors of the package and of others on one encoder and task.

    Args:
        bench: the encoder and task.
    """

    def __init__(self, bench: Workbench) -> None:
        self._backbone = bench.features.backbone.name
        self._class_names = tuple(bench.task.parts.train.dataset.class_names)

    def prepared(self, choice: DetectorChoice) -> Callable[..., LabelIssues]:
        """(features, labels, seed=) -> record; imports and text towers are loaded before any clock runs."""
        method, options, names = choice.method, choice.options, self._class_names
        if method in PEERS:
            peer = PEERS[method]
            peer.prepare()
            return lambda features, labels, *, seed: peer.detect(features, labels, names, **options)
        for name in DETECTORS.names:
            DETECTORS.load(name)
        is_complete = method == AUTO or has_inputs(("features",), method, options)
        tower = None if is_complete else self._text_tower
        return partial(
            find_label_issues, method=method, method_options=options, class_names=names, text_tower=tower
        )

    @cached_property
    def _text_tower(self) -> PromptTower:
        return open_prompt_tower(self._backbone, self._class_names)


def probe_of(recipe: StudyRecipe) -> HeadVariant:
    """The linear probe of a study, as one of its heads would be."""
    config = RunConfig(
        train="", out=Path(), heads={"probe": {"kind": "linear"}}, seeds=recipe.seeds, recipe=recipe.recipe,
        max_steps=recipe.max_steps,
    )  # fmt: skip
    (probe,) = head_variants(config)
    return probe


class Downstream:
    """Accuracy of a linear probe on the test set; what was learned from the same labels is kept.

    Args:
        bench: encoder and task. True labels of the test set count, where they are known.
    """

    def __init__(self, bench: Workbench) -> None:
        self._probe, self._part = probe_of(bench.grid.recipe), bench.task.test
        self._features = np.asarray(bench.features.matrix(self._part))
        self._known: dict[tuple[str, int], float | None] = {}

    def accuracies(
        self, features: Features, issues: LabelIssues, *, seed: int, key: str
    ) -> dict[str, float | None]:
        """Accuracies by column of the row.

        Args:
            features: of the training set.
            issues: a detector's result on its labels, which are class ids.
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

    def accuracy(self, features: Features, labels: Int[np.ndarray, " n"], *, seed: int) -> float | None:
        """Accuracy of a probe of these examples; `None` where they are of fewer than two classes."""
        if len(np.unique(labels)) < 2:
            return None
        (head,) = self._probe.build([seed])
        head.fit(features, labels)
        row = evaluate_head(
            head, self._features, self._part.best_labels, name="probe", seed=seed, set_name=self._part.name,
            domain="id", class_names=self._part.dataset.class_names,
        )  # fmt: skip
        return row.metrics["accuracy"]


def inputs_of(recipe: StudyRecipe) -> tuple[str, ...]:
    """Inputs that every encoder of a recipe gives detectors, beside the given labels."""
    is_shared = all(shares_space(name, one.layer) for one in recipe.backbones for name in one.names)
    return ("features", "text_tower") if is_shared else ("features",)


def check_choice(name: str, choice: DetectorChoice, inputs: Collection[str]) -> None:
    """Raise unless the method exists, has these options, and gets the inputs it needs.

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
        _check_needs(name, choice.method, options, inputs)
    elif choice.options:
        raise invalid(f"detectors.{name}.options", choice.options, "none with method 'auto'")


def _check_needs(name: str, method: str, options: Mapping[str, Any], inputs: Collection[str]) -> None:
    if not has_inputs(inputs, method, options):
        raise invalid(
            f"detectors.{name}.method", method, "a detector that looks at features only",
            f"It needs {describe_needs(method)}, and not every encoder of the recipe is an image-text model "
            f"with `layer: {SHARED_SPACE}`. Next: only such, e.g. {USUAL_MODEL}.",
        )  # fmt: skip
