"""Estimated transition matrices against the injected truth.

Usage: python benchmarks/bench_transition.py [--data cifar10/train.parquet] [--label label]
           [--backbone zoo:resnet8-noise0] [--limit 10000] [--seeds 3] [--heads]

Without --data on scikit-learn's digits as they are. Errors are the mean absolute difference of the entries of
T, and the total variation of a row (half the sum of its absolute differences), mean over the rows; over
seeds, mean and standard deviation. With --heads also the accuracy, on held-out clean labels, of a linear
probe with the loss `forward` and each matrix, with the true one, and with plain cross-entropy.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from noiseproof import LinearProbe, corrupt_labels, estimate_transition, extract, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.data.splits import stratified_split
from noiseproof.detect.transition_estimate import METHODS

NOISES = (
    ("none", 0.0), ("symmetric", 0.2), ("symmetric", 0.5), ("symmetric", 0.8), ("pair", 0.3), ("pair", 0.45),
    ("asymmetric", 0.4),
)  # fmt: skip
CIFAR10_MAP = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}  # of class ids, for any ten classes


def noisy(clean: np.ndarray, kind: str, rate: float, seed: int):
    """Labels with known noise."""
    kind, rate = ("symmetric", 0.0) if kind == "none" else (kind, rate)
    more = {"class_map": CIFAR10_MAP} if kind == "asymmetric" else {}
    return corrupt_labels(clean, kind=kind, rate=rate, num_classes=10, seed=seed, **more)


def load(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Features and clean labels."""
    if args.data is None:
        from sklearn.datasets import load_digits

        return load_digits(return_X_y=True)
    dataset = open_dataset(args.data, label=args.label, limit=args.limit)
    stored = extract(dataset, open_backbone(args.backbone), store=args.cache)
    return np.asarray(stored.features, dtype=np.float32), dataset.given_labels


def accuracy(features, given, clean, rows, test, seed: int, matrix) -> float:
    """Of a linear probe on held-out clean labels; `None` trains it plainly."""
    loss = {} if matrix is None else {"loss": "forward", "loss_options": {"transition": matrix}}
    scale = features[rows].std()  # digits are pixels from 0 to 16
    head = LinearProbe(epochs=10, min_steps=500, max_steps=1000, seed=seed, **loss)
    return head.fit(features[rows] / scale, given).score(features[test] / scale, clean[test])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--label", default="label")
    parser.add_argument("--backbone", default="zoo:resnet8-noise0")
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--heads", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/noiseproof/features")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    features, clean = load(args)
    rows, test = stratified_split(clean, test_fraction=0.2, seed=0, class_names=[str(i) for i in range(10)])
    print("| noise | method | absolute error | total variation | rate: true | estimated | s |"
          + (" accuracy: forward | cross-entropy | forward, true T |" if args.heads else ""))  # fmt: skip
    print("|---" * (10 if args.heads else 7) + "|")
    for kind, rate in NOISES:
        noises = [noisy(clean[rows], kind, rate, seed) for seed in range(args.seeds)]
        for method in METHODS:
            figures = []
            for seed, noise in enumerate(noises):
                begin = time.perf_counter()
                found = estimate_transition(features[rows], noise.given, method=method, seed=seed)
                wall_s = time.perf_counter() - begin
                gap = np.abs(found.matrix - noise.transition)
                figures.append([gap.mean(), gap.sum(1).mean() / 2, noise.realised_rate, found.rate, wall_s])
                if args.heads:
                    matrices = (found.matrix, None, noise.transition)
                    for matrix in matrices:
                        figures[-1].append(accuracy(features, noise.given, clean, rows, test, seed, matrix))
            mean, spread = np.mean(figures, axis=0), np.std(figures, axis=0)
            cells = [f"{mean[0]:.4f} ± {spread[0]:.4f}", f"{mean[1]:.3f}", f"{mean[2]:.3f}", f"{mean[3]:.3f}",
                     f"{mean[4]:.1f}", *(f"{value:.3f}" for value in mean[5:])]  # fmt: skip
            print(f"| {kind} {rate:g} | {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
