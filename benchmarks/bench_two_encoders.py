"""Wrong labels of people found with one encoder, and with two side by side.

Usage: python benchmarks/bench_two_encoders.py --data DATA --cache CACHE

5,000 random images among the first 25,000 of DATA/cifar10/train.parquet, which chose nothing. The extra
`lite2` has the second encoder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, f1_score

from noiseproof import extract, find_label_issues, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.unit_length import unit_length
from noiseproof.data.splits import subset

ENCODERS = ("bundled:efficientnet-lite0", "bundled:efficientnet-lite2")
LABELS = ("human_label_random1", "human_label_aggregate")


def main(data: Path, cache: Path) -> None:
    file = data / "cifar10/train.parquet"
    rows = np.sort(np.random.default_rng(0).choice(25_000, 5_000, replace=False))
    dataset = subset(open_dataset(str(file), label="label"), rows)
    features = {
        name: np.asarray(extract(dataset, open_backbone(name), store=cache).features) for name in ENCODERS
    }
    features["both"] = np.hstack([unit_length(x) for x in features.values()])
    table = pq.read_table(file, columns=list(LABELS))
    print("| labels | encoder | average precision | F1 | rate | true rate |\n|---|---|---:|---:|---:|---:|")
    for column in LABELS:
        given = table[column].to_numpy()[rows]
        is_wrong = given != dataset.given_labels
        for name, x in features.items():
            found = find_label_issues(x, given)
            ap, f1 = average_precision_score(is_wrong, found.suspicion), f1_score(is_wrong, found.is_issue)
            rates = f"{found.noise_rate:.3f} | {is_wrong.mean():.3f}"
            print(f"| {column} | {name} | {ap:.3f} | {f1:.3f} | {rates} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    main(options.data, options.cache)
