"""Time and memory of `find_label_issues` with many classes, on clouds of which 5 % have a wrong label.

Usage: python benchmarks/bench_many_classes.py EXAMPLES DIM CLASSES [SPREAD]

SPREAD is the distance of the class means in units of the noise (default 1).
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from sklearn.metrics import average_precision_score

from noiseproof import find_label_issues


def main(num_examples: int, dim: int, num_classes: int, spread: float) -> None:
    rng = np.random.default_rng(0)
    means = spread * rng.standard_normal((num_classes, dim), dtype=np.float32)
    true = rng.integers(0, num_classes, num_examples)
    features = means[true] + rng.standard_normal((num_examples, dim), dtype=np.float32)
    given = np.where(rng.random(num_examples) < 0.05, rng.integers(0, num_classes, num_examples), true)
    is_wrong = given != true
    begin = time.perf_counter(), time.process_time()
    found = find_label_issues(features, given)
    wall_s, cpu_s = time.perf_counter() - begin[0], time.process_time() - begin[1]
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    hits = int((found.is_issue & is_wrong).sum())
    ap, false = average_precision_score(is_wrong, found.suspicion), int(found.is_issue.sum()) - hits
    print(
        f"{wall_s:.1f} s, {cpu_s:.1f} CPU s, {peak_gib:.2f} GiB; {hits} of {is_wrong.sum()} wrong labels and "
        f"{false} right ones flagged; average precision {ap:.3f}; rate {found.noise_rate:.1%} "
        f"(true {is_wrong.mean():.1%})"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), float(sys.argv[4]) if len(sys.argv) > 4 else 1.0)
