"""Training steps: NMTune against the plain MLP, ours against the published formulation; stacking of seeds.

Usage: python benchmarks/bench_heads.py [--dim 1280] [--batch 64] [--classes 7] [--steps 20] [--repeats 7]

Every formulation takes `--steps` steps in turn, `--repeats` times over, so that another program on the
machine disturbs all alike. Medians and ratios are printed as a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from noiseproof import LinearProbe, MLPProbe, NMTune
from noiseproof.heads.abstract import AbstractHead
from noiseproof.heads.fit import TrainingExamples, fit_specs
from published import PublishedHead, published_step


def ours(head: AbstractHead, examples: TrainingExamples, *, seeds: int = 1) -> Callable[[], object]:
    """The library's own loop over exactly one epoch."""
    specs = [head.set_params(seed=seed).spec() for seed in range(seeds)]
    return lambda: fit_specs(specs, examples)


def published(examples: TrainingExamples, batch: int, *, weight: float) -> Callable[[], object]:
    """As published: one step per batch."""
    features, labels = examples.views[0], examples.given_labels
    head = PublishedHead(features.shape[1], examples.num_classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=1e-4)

    def epoch() -> None:
        for rows in torch.randperm(len(labels)).split(batch):
            published_step(head, optimizer, features[rows], labels[rows], weight=weight)

    return epoch


def medians(runs: dict[str, Callable[[], object]], *, repeats: int, steps: int) -> dict[str, float]:
    """Milliseconds per step, the formulations taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if repeat:  # the first round warms up
                times[name].append((time.perf_counter() - begin) / steps * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    n = args.batch * args.steps
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(n, args.dim, generator=generator)
    labels = torch.randint(args.classes, (n,), generator=generator)
    examples = TrainingExamples((features,), labels, args.classes)
    options = {"epochs": 1, "batch_size": args.batch}
    found = medians(
        {
            "MLP, ours": ours(MLPProbe(**options), examples),
            "NMTune, ours": ours(NMTune(**options), examples),
            "MLP, published": published(examples, args.batch, weight=0.0),
            "NMTune, published": published(examples, args.batch, weight=0.01),
            "linear, ours": ours(LinearProbe(**options), examples),
            "linear x 3 seeds, ours": ours(LinearProbe(**options), examples, seeds=3),
        },
        repeats=args.repeats,
        steps=args.steps,
    )
    print(f"d = {args.dim}, b = {args.batch}, k = {args.classes}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads\n")  # fmt: skip
    print("| step | ms |\n|---|---|")
    for name, ms in found.items():
        print(f"| {name} | {ms:.2f} |")
    print("\n| ratio | |\n|---|---|")
    for a, b in (
        ("NMTune, ours", "MLP, ours"),
        ("NMTune, published", "NMTune, ours"),
        ("MLP, published", "MLP, ours"),
        ("linear x 3 seeds, ours", "linear, ours"),
    ):
        print(f"| {a} / {b} | {found[a] / found[b]:.2f} |")


if __name__ == "__main__":
    main()
