"""Detectors: run them on the training sets, and compare with the true labels; what labels are worth then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.image_text.text_towers import PromptTower, open_prompt_tower
from noiseproof.core.records import LabelIssues
from noiseproof.core.storage.files import digest
from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.detectors import AUTO, DETECTORS, has_inputs, is_random
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.pipelines.run_heads.heads import HeadVariant
from noiseproof.study.axes import DetectorChoice
from noiseproof.study.grid import Place, study_heads
from noiseproof.study.measures.material import TrainingData
from noiseproof.study.measures.measure import AbstractMeasure, RowRequest, Workbench
from noiseproof.study.measures.peers import CLEANLAB, cleanlab_issues, import_cleanlab
from noiseproof.study.recipe import StudyRecipe
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

    def request(self, place: Place) -> dict[str, Any]:
        """The detector, its data and, with `downstream`, the probe and its test set."""
        choice = self._choice(place)
        content = {
            "detection": [choice.method, choice.options],
            **self.grid.training_request(place),
        }
        if self.grid.recipe.downstream:
            tested = replace(place, evaluation=self.grid.evaluations(place.task)[0])
            content["downstream"] = [probe_of(self.grid.recipe).to_json(), self.grid.set_request(tested)]
        return content

    def decided_by(self, place: Place, bench: Workbench) -> dict[str, Any]:
        """Algorithm, features, given and true labels, and the probe's test set."""
        data, test = bench.data(place), bench.task.test
        content: dict[str, Any] = {
            "algorithm": ALGORITHM,
            "train": [bench.train_key, data.key, digest(_true_labels(data, bench))],
        }
        if self.grid.recipe.downstream:
            content["test"] = [bench.features.part_key(test), test.best_labels]
        return content

    def row(self, request: RowRequest, bench: Workbench) -> DetectionRow:
        """Run a detector.

        Raises:
            NoiseproofError: an input it needs is missing, or it cannot be run on these examples.
        """
        place, data = request.place, bench.data(request.place)
        features = bench.train_features[data.rows]
        detect = _prepared(self._choice(place), bench)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        issues = detect(features, data.given_labels, seed=place.seed)
        wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
        true_labels, accuracies = _true_labels(data, bench), {}
        if self.grid.recipe.downstream:
            accuracies = bench.tool(Downstream).accuracies(features, issues, seed=place.seed, key=data.key)
        return request.row(
            DetectionRow,
            method=issues.method,
            num_examples=len(true_labels),
            realised_rate=float((data.given_labels != true_labels).mean()),
            **detection_metrics(issues, true_labels).to_json(),
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


def _prepared(choice: DetectorChoice, bench: Workbench) -> Callable[..., LabelIssues]:
    """(features, labels, seed=) -> record; imports and text towers are loaded before any clock runs."""
    method, options, names = choice.method, choice.options, _class_names(bench)
    if method == CLEANLAB:
        import_cleanlab()
        return lambda features, labels, *, seed: cleanlab_issues(features, labels, names, **options)
    for name in DETECTORS.names:
        DETECTORS.load(name)
    is_complete = method == AUTO or has_inputs(("features",), method, options)
    tower = None if is_complete else bench.tool(_text_tower)
    return partial(
        find_label_issues, method=method, method_options=options, class_names=names, text_tower=tower
    )


def _text_tower(bench: Workbench) -> PromptTower:
    return open_prompt_tower(bench.features.backbone.name, _class_names(bench))


def _class_names(bench: Workbench) -> tuple[str, ...]:
    return tuple(bench.task.parts.train.dataset.class_names)


def probe_of(recipe: StudyRecipe) -> HeadVariant:
    """The linear probe of a study, as one of its heads would be."""
    (probe,) = study_heads(recipe, {"probe": {"kind": "linear"}})
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
            domain="id", class_names=self._part.class_names,
        )  # fmt: skip
        return row.metrics["accuracy"]
