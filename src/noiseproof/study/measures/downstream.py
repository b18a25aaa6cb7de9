"""What labels are worth after detection: accuracy of a linear probe that learned from them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.records import LabelIssues
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.pipelines.heads import HeadVariant
from noiseproof.study.grid import study_heads
from noiseproof.study.measures.measure import Workbench
from noiseproof.study.recipe import StudyRecipe

Features = Float[np.ndarray, "n d"]


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
