"""The data sets of a run, each with its role and labels."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import BadData
from noiseproof.core.records import Dataset, LabelledDataset, NoisyLabels
from noiseproof.data.classes import MOST_FRACTIONAL_CLASSES
from noiseproof.evaluate.metrics import Outcomes, outcomes
from noiseproof.evaluate.protocol import evaluate_head, evaluate_regressor
from noiseproof.evaluate.results import ResultRow
from noiseproof.pipelines.inputs.cleaned_copies import LabelsBefore

_MOST_SKIPPED = 1000  # on a card
Role = Literal["train", "test", "ood"]


@dataclass(frozen=True, eq=False)
class DataPart:
    """One data set of a run, with its role.

    Attributes:
        role: what it is for.
        dataset: its examples and labels, with the class ids of the training set.
        whole: the data set whose features are extracted; larger than `dataset` where that was split off.
        rows: of `whole` that `dataset` has; `None` for all.
        noise: what was injected into the labels.
        has_true_labels: its labels, or the clean ones beside them, are known to be right.
        before: its labels before cleaning or before decisions of people, where it has such.
    """

    role: Role
    dataset: LabelledDataset
    whole: LabelledDataset
    rows: Int[np.ndarray, " n"] | None = None
    noise: NoisyLabels | None = None
    has_true_labels: bool = False
    before: LabelsBefore | None = None

    @property
    def name(self) -> str:
        """Name of the data set, unique in the run."""
        return self.dataset.name

    @property
    def domain(self) -> str:
        """Domain in results: "ood" outside that of the training set, else "id"."""
        return "ood" if self.role == "ood" else "id"

    @property
    def given_labels(self) -> np.ndarray:
        """Class ids, which may be wrong."""
        return self.dataset.given_labels

    @property
    def labels_to_learn(self) -> np.ndarray:
        """Class ids, or scores where heads predict these; both may be wrong."""
        return self.dataset.scores if self.dataset.has_scores else self.given_labels

    @property
    def best_labels(self) -> np.ndarray:
        """The truth where it is known, else the given labels, of cleaned data those before cleaning."""
        return self.dataset.best_labels if self.to_prefer is None else self.to_prefer.labels

    @property
    def to_prefer(self) -> LabelsBefore | None:
        """Labels before cleaning where the truth is not known, so that its own would flatter heads."""
        return None if self.has_true_labels else self.before

    @property
    def gone(self) -> tuple[str, ...]:
        """Names of labels before cleaning that are no class any more; no head predicts them."""
        return () if self.to_prefer is None else self.to_prefer.gone

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the ids in `best_labels`."""
        return (*self.dataset.class_names, *self.gone)

    def outcomes(self, probs: np.ndarray, labels: Int[np.ndarray, " rows"]) -> Outcomes:
        """Outcomes of probabilities over the classes of the data, with labels from `best_labels`."""
        return outcomes(np.pad(probs, ((0, 0), (0, len(self.gone)))), labels)

    @property
    def evaluations(self) -> list[tuple[str, str, np.ndarray]]:
        """Set name, domain and labels of each evaluation; on a cleaned copy the circular one comes last."""
        found = [(self.name, self.domain, self.best_labels)]
        if self.to_prefer is not None and np.any(self.best_labels != self.given_labels):
            found.append((self.to_prefer.name_of(self.name), "relabelled", self.given_labels))
        return found

    @property
    def with_held_out(self) -> LabelledDataset:
        """All of `whole` with the labels that `dataset` has, which may be corrupted; others as given."""
        if self.rows is None:
            return self.dataset
        given, clean = self.whole.given_labels.copy(), self.whole.clean_labels
        given[self.rows] = self.given_labels
        if self.noise is not None and clean is None:
            clean = self.whole.given_labels  # what the noise was injected into
        return dataclasses.replace(self.whole, name=self.name, given_labels=given, clean_labels=clean)

    @property
    def _kind_of_labels(self) -> str:
        if self.to_prefer is not None:
            return "before cleaning" if self.to_prefer.words is None else "before decisions"
        return "true" if self.has_true_labels else "given"

    def to_json(self) -> dict[str, Any]:
        """Its entry in `run.json`."""
        noise = self.noise and {
            "kind": self.noise.kind,
            "asked_rate": self.noise.asked_rate,
            "realised_rate": self.noise.realised_rate,
            "seed": self.noise.seed,
        }
        classes = [] if self.dataset.has_scores else list(self.dataset.class_names)
        return {
            "set": self.name,
            "role": self.role,
            "num_examples": len(self.dataset),
            "num_classes": len(classes),
            "num_skipped": self.whole.num_skipped,
            "skipped": [
                {"example_id": example_id, "reason": reason}
                for example_id, reason in itertools.islice(self.whole.skipped.items(), _MOST_SKIPPED)
            ],
            "fingerprint": self.dataset.fingerprint,
            "class_names": classes,
            "labels": self._kind_of_labels,
            "label_noise": noise,
        }


def evaluate_on(part: DataPart, head: Any, features: Any, labels: np.ndarray, **where: Any) -> ResultRow:
    """Evaluate a fitted head on a part, as a classifier or a regressor.

    Args:
        part: evaluation set.
        head: fitted.
        features: of the examples of the part.
        labels: class ids of the part; for a regressor its scores are used.
        where: name, seed, set_name and domain of the row.
    """
    if part.dataset.has_scores:
        return evaluate_regressor(head, features, part.dataset.scores, **where)
    return evaluate_head(head, features, labels, class_names=part.class_names, **where)


@dataclass(frozen=True, eq=False)
class DataParts:
    """Training and evaluation data of a run.

    Attributes:
        train: examples to learn from.
        tests: the in-domain test set first, then those of other domains.
        views: the examples of `train` in two augmented views, in the same order; empty with `views=1`.
    """

    train: DataPart
    tests: tuple[DataPart, ...]
    views: tuple[Dataset, ...]

    @property
    def all(self) -> tuple[DataPart, ...]:
        """The training part, then the others."""
        return (self.train, *self.tests)

    @property
    def has_scores(self) -> bool:
        """Whether heads predict scores (regression)."""
        return self.train.dataset.has_scores

    @property
    def note_on_scores(self) -> str | None:
        """A sentence for those who expected classes."""
        if not self.has_scores:
            return None
        scores = self.train.dataset.scores
        num_different = len(np.unique(scores))
        may_be_classes = num_different <= MOST_FRACTIONAL_CLASSES
        advice = " Where they are classes: --task classification." if may_be_classes else ""
        return (
            f"The labels of {self.train.name} are numbers from {scores.min():g} to {scores.max():g}, "
            f"{num_different} different ones, so heads learned to predict the number (regression), "
            f"and no labels were suspected.{advice}"
        )

    @property
    def test_key(self) -> list[list[Any]]:
        """Everything that results on the evaluation sets depend on, for the key of a stage."""
        return [[part.name, part.dataset.fingerprint, part.best_labels, *part.gone] for part in self.tests]

    def check_images(self) -> None:
        """Refuse data of another kind, since an encoder is trained on images.

        Raises:
            BadData: a part holds features or texts.
        """
        for part in self.all:
            if part.dataset.kind != "image":
                raise BadData(
                    f"{part.name!r} holds {part.dataset.kind}; allowed: images. Next: name another set."
                )

    @property
    def to_extract(self) -> list[Dataset]:
        """Every data set once, whatever it is used for."""
        wholes = [*(part.whole for part in self.all), *self.views]
        return list({dataset.fingerprint: dataset for dataset in wholes}.values())
