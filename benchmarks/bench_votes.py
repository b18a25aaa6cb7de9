"""Labels of public test sets that people voted on: our order and that of cleanlab, by the same probabilities.

Usage: python benchmarks/bench_votes.py --data DATA

DATA/label_errors has probabilities of a cross-validated model and the votes (Northcutt, Athalye & Mueller
2021, arXiv:2103.14749). A label with fewer than three of five votes counts as wrong. What was voted on was
chosen by confident learning, so this is no random sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

from noiseproof import find_label_issues

SETS = {"imdb_test": 100, "mnist_test": 15}  # and at how many labels precision is measured


def main(data: Path) -> None:
    print("| set | asked | wrong | order | average precision | precision at |\n|---|---:|---:|---|---:|---:|")
    for name, most in SETS.items():
        table = pq.read_table(data / f"label_errors/{name}.parquet")
        columns = sorted((column for column in table.column_names if column.isdigit()), key=int)
        probs = np.column_stack([table[column].to_numpy() for column in columns]).clip(0, 1)
        given, votes = table["given_label"].to_numpy(), table["votes_given"].to_numpy()
        orders = {"noiseproof": find_label_issues(None, given, probs=probs).suspicion}
        for method in ("self_confidence", "normalized_margin"):
            orders[f"cleanlab, {method}"] = 1 - get_label_quality_scores(given, probs, method=method)
        asked = votes >= 0
        is_wrong = votes[asked] < 3
        for order, suspicion in orders.items():
            first = np.argsort(-suspicion[asked], kind="stable")[:most]
            ap = average_precision_score(is_wrong, suspicion[asked])
            counts = f"{asked.sum():,} | {is_wrong.sum()}"
            print(f"| {name} | {counts} | {order} | {ap:.3f} | {is_wrong[first].mean():.3f} at {most} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    main(parser.parse_args().data)
