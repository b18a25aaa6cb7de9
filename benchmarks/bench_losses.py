"""Cost of a head step with each loss, in units of a step with cross-entropy.

Usage: python benchmarks/bench_losses.py [--dim 1280] [--batch 64] [--classes 10] [--steps 20] [--repeats 15]
           [--heads linear,mlp]

All losses take `--steps` steps in turn, `--repeats` times over, so that another program on the machine
disturbs all alike. A ratio is the median over the rounds of a loss's time by that of cross-entropy in the
same round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from noiseproof.heads.estimators import HEADS
from noiseproof.heads.fit import TrainingExamples, fit_specs
from noiseproof.losses.losses import TABLE, needs_transition


def epoch(kind: str, loss: str, examples: TrainingExamples, batch: int) -> Callable[[], object]:
    """The library's own loop over exactly one epoch."""
    k = examples.num_classes
    noise = {"transition": 0.8 * np.eye(k) + 0.2 / k} if needs_transition(loss) else None
    spec = HEADS[kind](epochs=1, batch_size=batch, loss=loss, loss_options=noise).spec()
    return lambda: fit_specs([spec], examples)


def rounds(runs: dict[str, Callable[[], object]], *, repeats: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds per step of each round, the losses taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if repeat:  # the first round warms up
                times[name].append((time.perf_counter() - begin) / steps * 1e3)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--heads", default="linear,mlp")
    args = parser.parse_args()
    n = args.batch * args.steps
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(args.classes, (n,), generator=generator)
    examples = TrainingExamples((torch.rand(n, args.dim, generator=generator),), labels, args.classes)
    kinds = args.heads.split(",")
    found = {}
    for kind in kinds:
        runs = {loss: epoch(kind, loss, examples, args.batch) for loss in TABLE}
        found[kind] = rounds(runs, repeats=args.repeats, steps=args.steps)
    print(f"d = {args.dim}, b = {args.batch}, k = {args.classes}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads\n")  # fmt: skip
    print("| loss | " + " | ".join(f"{kind}, ms | / cross-entropy" for kind in kinds) + " |")
    print("|---" * (1 + 2 * len(kinds)) + "|")
    for loss in TABLE:
        cells = []
        for kind in kinds:
            own, plain = found[kind][loss], found[kind]["cross_entropy"]
            ratio = statistics.median(a / b for a, b in zip(own, plain, strict=True))
            cells.append(f"{statistics.median(own):.2f} | {ratio:.3f}")
        print(f"| {loss} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
