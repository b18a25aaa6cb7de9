"""Wrong labels of iris, whose classes differ in the lengths of the features, too.

Usage: python benchmarks/bench_lengths.py

16 of 150 labels are wrong, 5 seeds; once with a constant column beside the four. The other method is a
logistic regression in five folds that flags what it predicts otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from noiseproof import find_label_issues

Flags = Callable[[np.ndarray, np.ndarray], np.ndarray]


def regression(x: np.ndarray, given: np.ndarray) -> np.ndarray:
    return cross_val_predict(LogisticRegression(max_iter=500), x, given, cv=5) != given


def main() -> None:
    features, labels = load_iris(return_X_y=True)
    with_constant = np.column_stack([features, np.full(len(features), 5.0)])
    methods: dict[str, Flags] = {
        "auto": lambda x, given: find_label_issues(x, given).is_issue,
        "logistic regression": regression,
    }
    print("| features | method | wrong labels flagged | right labels flagged |\n|---|---|---:|---:|")
    for kind, x in (("as they are", features), ("and a column of 5s", with_constant)):
        for name, flags in methods.items():
            counts = []
            for seed in range(5):
                rng = np.random.default_rng(seed)
                given = labels.copy()
                rows = rng.choice(len(given), 16, replace=False)
                given[rows] = (given[rows] + rng.integers(1, 3, 16)) % 3
                flagged, is_wrong = flags(x, given), given != labels
                counts.append([(flagged & is_wrong).sum(), (flagged & ~is_wrong).sum()])
            hits, false = np.mean(counts, axis=0)
            print(f"| {kind} | {name} | {hits:.1f} | {false:.1f} |")


if __name__ == "__main__":
    main()
