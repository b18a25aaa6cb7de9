"""Small sets on which detectors that see directions only, or no copies, flag the wrong labels.

Usage: python benchmarks/bench_small_sets.py

Five seeds each: how many of the wrong labels are flagged, and how many of the right ones. The other method is
a logistic regression in five folds that flags what it predicts otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noiseproof import find_label_issues

Set = tuple[np.ndarray, np.ndarray, np.ndarray]  # features, right labels, given labels


def swapped(rng: np.random.Generator, labels: np.ndarray, num_wrong: int) -> np.ndarray:
    """Labels of which some are moved to another class."""
    given, k = labels.copy(), int(labels.max()) + 1
    rows = rng.choice(len(given), num_wrong, replace=False)
    given[rows] = (given[rows] + rng.integers(1, k, num_wrong)) % k
    return given


def clouds(rng: np.random.Generator, centers: list[list[int]], spread: float, *, num_wrong: int) -> Set:
    """320 points around three centres."""
    seed = int(rng.integers(99))
    x, labels = make_blobs([110, 105, 105], centers=centers, cluster_std=spread, random_state=seed)
    return x, labels, swapped(rng, labels, num_wrong)


def ages(rng: np.random.Generator) -> Set:
    """One column, around 1 and around 5."""
    labels = np.repeat([0, 1], 160)
    x = np.where(labels == 0, 1.0, 5.0)[:, None] + 0.3 * rng.standard_normal((320, 1))
    return x, labels, swapped(rng, labels, 32)


def on_a_line(rng: np.random.Generator) -> Set:
    """Clouds at (1, 1), (3, 3), (6, 6)."""
    return clouds(rng, [[1, 1], [3, 3], [6, 6]], 0.3, num_wrong=32)


def at_the_origin(rng: np.random.Generator, num_wrong: int = 32) -> Set:
    """Three clouds, one of them at the origin."""
    return clouds(rng, [[0, 0], [4, 0], [0, 4]], 0.5, num_wrong=num_wrong)


def iris(rng: np.random.Generator, *, constant: bool = False) -> Set:
    """Lengths and widths as they are, or with a column of fives."""
    x, labels = load_iris(return_X_y=True)
    x = np.column_stack([x, np.full(len(x), 5.0)]) if constant else x
    return x, labels, swapped(rng, labels, 16)


def copies(rng: np.random.Generator, times: int) -> Set:
    """Each of ten examples is there once with its label and some times with one other label."""
    labels = np.repeat(np.arange(4), 100)
    x = 5 * np.eye(4, 16)[labels] + rng.standard_normal((400, 16))
    rows = np.repeat(rng.choice(400, 10, replace=False), times)
    return (
        np.concatenate([x, x[rows]]),
        np.concatenate([labels, labels[rows]]),
        np.concatenate([labels, (labels[rows] + 1) % 4]),
    )


def clean(load: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Callable[[np.random.Generator], Set]:
    """A set of scikit-learn, standardised, with the labels that it has."""

    def make(rng: np.random.Generator) -> Set:
        x, labels = load(return_X_y=True)
        return StandardScaler().fit_transform(x), labels, labels

    return make


SETS: dict[str, Callable[[np.random.Generator], Set]] = {
    "one column": ages,
    "three clouds on a line": on_a_line,
    "a cloud at the origin": at_the_origin,
    "the same, no label wrong": lambda rng: at_the_origin(rng, 0),
    "iris": iris,
    "iris and a column of fives": lambda rng: iris(rng, constant=True),
    "ten examples, two wrong copies each": lambda rng: copies(rng, 2),
    "ten examples, five wrong copies each": lambda rng: copies(rng, 5),
    "wine, no label wrong": clean(load_wine),
    "breast cancer, no label wrong": clean(load_breast_cancer),
    "iris, no label wrong": clean(load_iris),
}
METHODS = ("auto", "neighbours", "confident_learning", "aum", "mixture")


def flags(method: str, x: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Flags of a detector, or of the other method."""
    if method != "logistic regression":
        return find_label_issues(x, given, method=method, seed=0).is_issue
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return cross_val_predict(model, x, given, cv=5) != given


def main() -> None:
    """Print a row per set: flagged of the wrong / flagged of the right labels, means over the seeds."""
    methods = (*METHODS, "logistic regression")
    print("| set | wrong / right | " + " | ".join(methods) + " |")
    print("|---|" + "---:|" * (len(methods) + 1))
    for name, make in SETS.items():
        drawn = [make(np.random.default_rng(seed)) for seed in range(5)]
        cells = []
        for method in methods:
            found = [(flags(method, x, given), given != right) for x, right, given in drawn]
            hits, false = (np.mean([(f & (w if of else ~w)).sum() for f, w in found]) for of in (1, 0))
            cells.append(f"{hits:.1f} / {false:.1f}")
        wrong = (drawn[0][2] != drawn[0][1]).sum()
        print(f"| {name} | {wrong} / {len(drawn[0][1]) - wrong} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
