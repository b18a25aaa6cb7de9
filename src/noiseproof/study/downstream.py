"""What is gained by finding wrong labels: a linear probe on all, on the selected, on relabelled examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from noiseproof.config import RunConfig
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.parts import Part
from noiseproof.records import LabelIssues
from noiseproof.study.recipe import Recipe
from noiseproof.variants import Variant, variants

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
