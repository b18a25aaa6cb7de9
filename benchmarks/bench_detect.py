"""Leave-one-out label issues against the peer: 5-fold logistic regression ranked by cleanlab.

Usage: python benchmarks/bench_detect.py [--data cifar10/train.parquet] [--limit 10000]
           [--labels human_label_random1,human_label_aggregate] [--clean label]

The peer runs with scikit-learn's default C and with stronger shrinkage. All rank the same features of
`bundled:efficientnet-lite0`. Without --data only the synthetic size of the design is timed (20,000 x 768,
100 classes).
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from noiseproof import extract, find_label_issues, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.study.measures.peers import cleanlab_issues, import_cleanlab


def compare(
    name: str, features: np.ndarray, given: np.ndarray, clean: np.ndarray, class_names: tuple[str, ...]
) -> list[str]:
    """A row per method."""
    is_wrong = given != clean
    rows = []
    methods = {"noiseproof": functools.partial(find_label_issues, class_names=class_names)} | {
        f"cleanlab, 5-fold, C = {c:g}": functools.partial(cleanlab_issues, class_names=class_names, C=c)
        for c in (1.0, 0.01)
    }
    import_cleanlab()
    for method, detect in methods.items():
        begin = time.perf_counter()
        issues = detect(features, given)
        wall_s = time.perf_counter() - begin
        suspicion, is_issue = issues.suspicion, issues.is_issue
        figures = (
            average_precision_score(is_wrong, suspicion),
            roc_auc_score(is_wrong, suspicion),
            is_wrong[is_issue].mean(),
            is_issue[is_wrong].mean(),
        )
        cells = " | ".join(f"{figure:.3f}" for figure in figures)
        rows.append(f"| {name} | {is_wrong.mean():.3f} | {method} | {cells} | {wall_s:.1f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--labels", default="human_label_random1,human_label_aggregate")
    parser.add_argument("--clean", default="label")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/noiseproof/features")
    args = parser.parse_args()
    if args.data:
        print(
            "| labels | wrong | method | average precision | AUROC | precision, issues | recall, issues | s |"
        )
        print("|---" * 8 + "|")
        for column in args.labels.split(","):
            dataset = open_dataset(args.data, label=column, clean_label=args.clean, limit=args.limit)
            stored = extract(dataset, open_backbone("bundled:efficientnet-lite0"), store=args.cache)
            features = np.asarray(stored.features)
            labels = (dataset.given_labels, dataset.clean_labels, dataset.class_names)
            print("\n".join(compare(column, features, *labels)), flush=True)
    rng = np.random.default_rng(0)
    labels = rng.integers(100, size=20_000)
    features = rng.standard_normal((20_000, 768), dtype=np.float32)
    features[np.arange(20_000), labels] += 3
    begin = time.perf_counter()
    find_label_issues(features, labels)
    print(f"\n20,000 x 768, 100 classes: {time.perf_counter() - begin:.2f} s")


if __name__ == "__main__":
    main()
