"""Instance-dependent noise against its published formulation.

Usage: python benchmarks/bench_noise.py [--rows 50000] [--dim 3072] [--classes 100] [--published-rows 2000]

The published formulation (Xia et al. 2020, arXiv:2006.07836, Algorithm 2; written here from its description)
draws W (k, d, k) at once and takes one product and one draw per example. Its products and draws are run on
`--published-rows` examples and scaled up; its W is drawn whole, as its memory is what it is about.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np
from scipy import special, stats

from noiseproof import corrupt_labels


def published(inputs: np.ndarray, labels: np.ndarray, *, rate: float, k: int, rows: int) -> float:
    """Seconds for all examples, the part per example measured on the first `rows`."""
    begin = time.perf_counter()
    rng = np.random.default_rng(0)
    low, high = -rate / 0.1, (1 - rate) / 0.1
    flip_rates = stats.truncnorm(low, high, loc=rate, scale=0.1).rvs(len(labels), random_state=rng)
    weights = rng.standard_normal((k, inputs.shape[1], k))
    once_s = time.perf_counter() - begin
    begin = time.perf_counter()
    for i in range(rows):
        logits = inputs[i].astype(np.float64) @ weights[labels[i]]
        logits[labels[i]] = -np.inf
        probs = flip_rates[i] * special.softmax(logits)
        probs[labels[i]] = 1 - flip_rates[i]
        rng.choice(k, p=probs / probs.sum())
    return once_s + (time.perf_counter() - begin) * len(labels) / rows


def peak_mib(work) -> float:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=3072)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.4)
    parser.add_argument("--published-rows", type=int, default=2000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (args.rows, args.dim), np.uint8)
    labels = rng.integers(0, args.classes, args.rows)

    def ours(kind: str):
        return corrupt_labels(
            labels, kind=kind, rate=args.rate, num_classes=args.classes, seed=0, features=inputs
        )

    def theirs(rows: int = 1) -> float:
        return published(inputs, labels, rate=args.rate, k=args.classes, rows=rows)

    published_s = theirs(args.published_rows)
    print(
        f"n = {args.rows}, d = {args.dim}, k = {args.classes}, rate {args.rate}; inputs of 0-255 as bytes\n"
    )
    print(
        "| what | seconds | published / this | peak MiB beyond the inputs | realised rate | entropy, nats |"
    )
    print("|---|---|---|---|---|---|")
    print(f"| published formulation | {published_s:.1f} | 1.0 | {peak_mib(theirs):.0f} | - | - |")
    for kind in ("instance_ptd", "instance"):
        begin = time.perf_counter()
        noisy = ours(kind)
        wall_s = time.perf_counter() - begin
        peak = peak_mib(lambda kind=kind: ours(kind))
        print(
            f"| {kind} | {wall_s:.1f} | {published_s / wall_s:.1f} | {peak:.0f} "
            f"| {noisy.realised_rate:.4f} | {noisy.example_entropy_nats:.4f} |"
        )


if __name__ == "__main__":
    main()
