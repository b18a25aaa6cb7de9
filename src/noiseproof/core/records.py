"""Frozen records that travel between rooms. Each checks itself, so no room checks another's work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from noiseproof.core.checks import check_label_range, check_share, check_unique_ids, check_unique_names
from noiseproof.core.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["image", "text", "features"]
_NUM_SHOWN = 10  # rows of tables for people


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples that are decoded when read, with their labels.

    Attributes:
        name: as the user wrote it.
        kind: what `examples[i]` is: an RGB `PIL.Image`, a `str`, or a row of features.
        examples: n of them, lazy; safe to read from several threads.
        ids: stable and unique; the same example has the same id in every run.
        given_labels: class ids in [0, k), may be wrong; `None` without labels.
        class_names: k names, each once.
        fingerprint: SHA-256 over the contents and ids of the examples, never over labels.
        clean_labels: true labels, where they are known (benchmarks, injected noise).
        is_cropped: images are random crops, so an encoder must not crop them again.
        skipped: examples left out because they or their labels could not be read: id -> reason.
        notes: what was passed over when the data set was opened, and hints at its labels; sentences.
        has_scores: labels are numbers to predict (regression); `class_names` are then the numbers that occur.
    """

    name: str
    kind: Kind
    examples: Sequence[Any]
    ids: np.ndarray
    given_labels: Int[np.ndarray, " n"] | None
    class_names: tuple[str, ...]
    fingerprint: str
    clean_labels: Int[np.ndarray, " n"] | None = None
    is_cropped: bool = False
    skipped: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    has_scores: bool = False

    def __post_init__(self) -> None:
        if len(self.examples) == 0:
            raise BadData(f"The data set {self.name!r} is empty. Next: check the path and the filters.")
        _check_length(self.name, "ids", self.ids, len(self))
        check_unique_ids(self.ids, self.name)
        check_unique_names(self.class_names, f"The data set {self.name!r}")
        for labels in (self.given_labels, self.clean_labels):
            if labels is not None:
                _check_length(self.name, "labels", labels, len(self))
                check_label_range(labels, len(self.class_names), self.name)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def num_skipped(self) -> int:
        """Number of examples left out."""
        return len(self.skipped)


@dataclass(frozen=True, eq=False)
class LabelledDataset(Dataset):
    """A data set in which every example has a given label; all that `open_dataset` opens are of this type."""

    given_labels: Int[np.ndarray, " n"]

    @property
    def best_labels(self) -> Int[np.ndarray, " n"]:
        """The true labels where they are known, else the given ones."""
        return self.given_labels if self.clean_labels is None else self.clean_labels

    @property
    def given_names(self) -> list[str]:
        """Names of the given labels."""
        return [self.class_names[label] for label in self.given_labels.tolist()]

    @property
    def scores(self) -> Float[np.ndarray, " n"]:
        """The labels as the numbers that they are, where `has_scores`."""
        return np.array([float(name) for name in self.class_names])[self.given_labels]


AnyDataset = TypeVar("AnyDataset", bound=Dataset)  # what comes back is of the type that went in


@dataclass(frozen=True, eq=False)
class NoisyLabels:
    """Labels after noise was injected, with the truth.

    Attributes:
        given: labels to train on.
        clean: labels before.
        flipped: where the two differ.
        kind: name of the noise.
        asked_rate: requested rate, in [0, 1].
        transition: row-stochastic `T[i, j] = P(given = j | clean = i)` as realised (NaN-free: a class
            without examples keeps the identity row).
        seed: of the draw.
        example_entropy_nats: mean entropy of the distribution a wrong label was drawn from, given the
            example; `None` for kinds that do not depend on the example.
    """

    given: Int[np.ndarray, " n"]
    clean: Int[np.ndarray, " n"]
    flipped: Bool[np.ndarray, " n"]
    kind: str
    asked_rate: float
    transition: Float[np.ndarray, "k k"]
    seed: int
    example_entropy_nats: float | None = None

    def __post_init__(self) -> None:
        for name in ("given", "flipped"):
            _check_length(self.kind, name, getattr(self, name), len(self.clean))
        check_share(self.asked_rate, "asked_rate")

    @property
    def realised_rate(self) -> float:
        """Fraction of labels that changed, in [0, 1]."""
        return float(self.flipped.mean()) if len(self.flipped) else 0.0


@dataclass(frozen=True, eq=False)
class NoisyCaptions:
    """Captions after some were swapped among their rows, with the truth.

    Attributes:
        given: n captions to train on; as a multiset the same as `clean`.
        clean: captions before.
        swapped: rows that have the caption of another row. Where captions repeat, its text may be the same.
        sources: `given[i] == clean[sources[i]]`; a permutation without fixed points on the swapped rows.
        asked_rate: requested rate, in [0, 1].
        seed: of the draw.
    """

    kind: ClassVar[str] = "captions"
    transition: ClassVar[None] = None
    example_entropy_nats: ClassVar[None] = None
    given: np.ndarray
    clean: np.ndarray
    swapped: Bool[np.ndarray, " n"]
    sources: Int[np.ndarray, " n"]
    asked_rate: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("given", "swapped", "sources"):
            _check_length("captions", name, getattr(self, name), len(self.clean))
        check_share(self.asked_rate, "asked_rate")

    @property
    def realised_rate(self) -> float:
        """Fraction of rows with the caption of another row, in [0, 1]."""
        return float(self.swapped.mean()) if len(self.swapped) else 0.0

    @property
    def num_same_text(self) -> int:
        """Swapped rows whose new caption reads the same; 0 unless one text fills more than half of them."""
        return int((self.given == self.clean)[self.swapped].sum())


@dataclass(frozen=True, eq=False)
class SpectrumCard:
    """Singular values of a feature matrix and statistics of them.

    Attributes:
        num_examples: n, rows of the matrix.
        dim: d, columns.
        singular_values: min(n, d) of them, descending, in the units of the features.
        entropy_nats: SVE, in [0, ln min(n, d)].
        largest_ratio: LSVR = -ln(s_1 / sum s), >= 0; larger = less dominated by one direction.
        effective_rank: exp(SVE), in [1, min(n, d)].
        is_centred: whether the mean row was subtracted first.
    """

    num_examples: int
    dim: int
    singular_values: Float[np.ndarray, " r"] = field(repr=False)
    entropy_nats: float
    largest_ratio: float
    effective_rank: float
    is_centred: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `spectrum.json`."""
        return asdict(self) | {"singular_values": [float(s) for s in self.singular_values]}


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """Result of a detector for every label; the same record for every detector.

    Attributes:
        ids: example ids.
        given_labels: the user's labels.
        suggested_labels: the class that the detector prefers; the given one where it agrees.
        suspicion: in [0, 1], higher = more likely wrong.
        is_issue: the detector's own decision.
        method: name of the detector.
        joint: expected number of examples by true class (row) and given class (column), sums to n.
        classes: k labels as they were given, in the order of the joint.
        probs: out-of-sample class probabilities the scores were made from, where there are any.
        class_names: k names, where the labels are class ids; tables then show the names.
        notes: what the user should know of this result, sentences.
        noise_rate_low: lowest plausible share of wrong labels; `None` if the detector has no range.
        noise_rate_high: highest plausible share.
    """

    ids: np.ndarray
    given_labels: np.ndarray
    suggested_labels: np.ndarray
    suspicion: Float[np.ndarray, " n"]
    is_issue: Bool[np.ndarray, " n"]
    method: str
    joint: Float[np.ndarray, "k k"]
    classes: np.ndarray
    probs: Float[np.ndarray, "n k"] | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    noise_rate_low: float | None = None
    noise_rate_high: float | None = None

    def __post_init__(self) -> None:
        n = len(self.suspicion)
        for name in ("ids", "given_labels", "suggested_labels", "is_issue"):
            _check_length(self.method, name, getattr(self, name), n)
        if not ((self.suspicion >= 0) & (self.suspicion <= 1)).all():
            raise BadData(f"Detector {self.method!r} gave a suspicion outside [0, 1]; this is a bug in it.")

    @property
    def noise_rate(self) -> float:
        """Share of wrong labels, in [0, 1].

        An estimate where a detector has probabilities of true labels; what it flags where it only decides.
        """
        return float(1 - np.trace(self.joint) / self.joint.sum())

    @property
    def transition(self) -> Float[np.ndarray, "k k"]:
        """Estimated `T[i, j] = P(given = j | true = i)`; the identity for a class that no example is of."""
        return rows_as_shares(self.joint)

    def __repr__(self) -> str:
        return f"LabelIssues({self._headline()}, method {self.method!r})"

    def _repr_html_(self) -> str:
        """The most suspicious labels, for notebooks."""
        worst = self.to_frame().nlargest(_NUM_SHOWN, "suspicion").drop(columns="is_issue")
        return f"<p>{self._headline()} ({self.method})</p>{worst.to_html(index=False)}"

    def _headline(self) -> str:
        num = int(self.is_issue.sum())
        return f"{num:,} of {len(self.is_issue):,} labels look{'s' * (num == 1)} wrong"

    def summary(self) -> str:
        """Lines for people: how many labels look wrong, of which classes, and the notes."""
        lines = [f"{self._headline()} (method {self.method}, share of wrong labels {self.noise_rate:.1%})"]
        if self.noise_rate_low is not None and self.noise_rate_high is not None:
            lines[0] = lines[0][:-1] + f", between {self.noise_rate_low:.1%} and {self.noise_rate_high:.1%})"
        table = self.class_table().nlargest(_NUM_SHOWN, "num_issues")
        table = table[table["num_issues"] > 0]
        if len(table):
            lines.append(table.to_string(index=False, float_format="{:.3f}".format))
        return "\n".join([*lines, *self.notes])

    def class_table(self) -> pd.DataFrame:
        """A row per given label.

        Columns: given_label, num_examples, num_issues, noise_rate (estimated share that is wrong) and
        mostly_is (the class that most of the wrong ones are of; empty where none is wrong).
        """
        import pandas as pd

        k, names = len(self.classes), self.named(self.classes)
        of_label = pd.Index(self.classes).get_indexer(self.given_labels)
        rates, mostly_is = np.zeros(k), np.full(k, "", dtype=object)
        for j in range(k):
            wrong = self.joint[:, j].copy()
            wrong[j] = 0.0
            if wrong.sum() > 0:
                rates[j] = wrong.sum() / self.joint[:, j].sum()
                mostly_is[j] = str(names[wrong.argmax()])
        return pd.DataFrame(
            {
                "given_label": names,
                "num_examples": np.bincount(of_label, minlength=k),
                "num_issues": np.bincount(of_label[self.is_issue], minlength=k),
                "noise_rate": rates,
                "mostly_is": mostly_is,
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per example: example_id, given_label, suggested_label, suspicion, is_issue."""
        import pandas as pd

        return pd.DataFrame(
            {
                "example_id": self.ids,
                "given_label": self.named(self.given_labels),
                "suggested_label": self.named(self.suggested_labels),
                "suspicion": self.suspicion,
                "is_issue": self.is_issue,
            }
        )

    def named(self, labels: np.ndarray) -> np.ndarray:
        """Labels as people know them: names of classes in place of class ids."""
        return np.array(self.class_names, dtype=object)[labels] if self.class_names else labels


def rows_as_shares(counts: Real[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Rows scaled to sum to 1; a row of zeros becomes the row of the identity."""
    sums = counts.sum(axis=1, keepdims=True)
    return np.where(sums > 0, counts / np.where(sums > 0, sums, 1.0), np.eye(len(counts)))


def rows_by_id(
    wanted: Sequence[Any] | np.ndarray, known: Sequence[Any] | np.ndarray
) -> tuple[Int[np.ndarray, " m"], list[str]]:
    """Find examples by their ids in another list, which has each id once.

    Returns:
        Row of each wanted id that is known, in the order of `wanted`; and the wanted ids that are not known.
    """
    places = {str(example_id): row for row, example_id in enumerate(known)}
    names = [str(example_id) for example_id in wanted]
    rows = np.array([places[name] for name in names if name in places], np.int64)
    return rows, [name for name in names if name not in places]


def _check_length(owner: str, name: str, values: np.ndarray, n: int) -> None:
    if len(values) != n:
        raise BadData(f"{owner!r}: `{name}` has {len(values)} rows, the examples {n}; they must agree.")
