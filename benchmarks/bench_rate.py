"""How many labels are wrong and which ones to flag, against the truth.

Usage: python benchmarks/bench_rate.py --data DATA [--method auto] [--sets cifar-choose,...] [--seeds 3]
       [--only people]

`--method cleanlab:C` is cleanlab on the probabilities of logistic regression in five folds.

DATA has cifar10/train.parquet, annotators/cifar10_second_half.parquet and pacs/. Settings of `auto` were
chosen on images 25,000 to 49,999 of CIFAR-10 (cifar-choose) and with seed 0 on the PACS sets; images 0 to
24,999 (cifar-report) chose nothing. Encoder: `bundled:efficientnet-lite0`. Best F1: of any threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, precision_recall_curve

from noiseproof import corrupt_labels, extract, find_label_issues, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.study.measures.peers import cleanlab_issues

HALVES = {"cifar-choose": 25_000, "cifar-report": 0}
PACS = ("photo", "art_painting", "sketch")
NOISES = [
    f"{kind}:{rate}" for kind in ("symmetric", "instance", "pair") for rate in (0.05, 0.1, 0.2, 0.3, 0.4)
]
NUM_ROWS = 10_000
PEOPLE = ("aggregate", "person")
Problem = tuple[str, np.ndarray, np.ndarray, np.ndarray]


def features_of(file: Path, store: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of all rows."""
    dataset = open_dataset(str(file), label="label")
    stored = extract(dataset, open_backbone("bundled:efficientnet-lite0"), store=store)
    return np.asarray(stored.features[:], np.float32), np.asarray(dataset.given_labels)


def with_noise(name: str, x: np.ndarray, clean: np.ndarray, seed: int) -> Iterator[Problem]:
    yield f"{name}, right labels", x, clean, clean
    for noise in NOISES:
        kind, rate = noise.split(":")
        extra = {"features": x} if kind == "instance" else {}
        k = int(clean.max()) + 1
        noisy = corrupt_labels(clean, kind=kind, rate=float(rate), num_classes=k, seed=seed, **extra)
        yield f"{name}, {noise}", x, noisy.given, clean


def problems(name: str, args: argparse.Namespace, seed: int) -> Iterator[Problem]:
    """Name, features, given and true labels."""
    if name in PACS:
        yield from with_noise(name, *features_of(args.data / f"pacs/{name}.parquet", args.cache), seed)
        return
    file, first = args.data / "cifar10/train.parquet", HALVES[name]
    x, clean = features_of(file, args.cache)
    rows = first + np.sort(np.random.default_rng(seed).choice(25_000, NUM_ROWS, replace=False))
    columns = {"aggregate": "human_label_aggregate", "first person": "human_label_random1"}
    table = pq.read_table(file, columns=list(columns.values()))
    for label, column in columns.items():
        yield f"{name}, {label}", x[rows], table[column].to_numpy()[rows], clean[rows]
    if first:
        given = pq.read_table(args.data / "annotators/cifar10_second_half.parquet")["label"].to_numpy()
        for place, label in ((1, "second person"), (2, "third person")):
            yield f"{name}, {label}", x[rows], given.reshape(-1, 3)[rows - first, place], clean[rows]
    yield from with_noise(name, x[rows], clean[rows], seed)


def row(method: str, x: np.ndarray, given: np.ndarray, clean: np.ndarray) -> list[float]:
    """True rate, estimate, its range, whether it holds the truth, flagged, F1, best F1, ECE, AP."""
    is_wrong = given != clean
    if method.startswith("cleanlab:"):
        names = tuple(map(str, range(int(clean.max()) + 1)))
        issues = cleanlab_issues(x, given, names, C=float(method.partition(":")[2]))
    else:
        issues = find_label_issues(x, given, method=method)
    found = detection_metrics(issues, clean)
    best = precision = np.nan
    if is_wrong.any():
        precisions, recalls, _ = precision_recall_curve(is_wrong, issues.suspicion)
        best = float((2 * precisions * recalls / np.maximum(precisions + recalls, 1e-12)).max())
        precision = float(average_precision_score(is_wrong, issues.suspicion))
    low, high = (np.nan if end is None else end for end in (issues.noise_rate_low, issues.noise_rate_high))
    f1 = np.nan if found.f1 is None or not is_wrong.any() else found.f1
    return [
        is_wrong.mean(), issues.noise_rate, low, high, float(low <= is_wrong.mean() <= high),
        issues.is_issue.mean(), f1, best, found.calibration_error, precision,
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--sets", default=",".join((*HALVES, *PACS)))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["people"])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/noiseproof/features")
    args = parser.parse_args()
    print("| labels | wrong | estimate | low | high | held | flagged | F1 | best F1 | ECE | AP |")
    print("|---" * 11 + "|")
    for name in args.sets.split(","):
        rows: dict[str, list[list[float]]] = {}
        for seed in range(args.seeds):
            for label, *problem in problems(name, args, seed):
                if args.only == "people" and not label.endswith(PEOPLE):
                    continue
                rows.setdefault(label, []).append(row(args.method, *problem))
        for label, found in rows.items():
            print(
                f"| {label} | " + " | ".join(f"{value:.3f}" for value in np.mean(found, 0)) + " |", flush=True
            )


if __name__ == "__main__":
    main()
