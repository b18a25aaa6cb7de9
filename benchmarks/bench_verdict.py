"""How often the verdict on pre-training noise is right: each known encoder by all others.

Usage: python benchmarks/bench_verdict.py --data D [--data D ...] [--reference BACKBONE=RATE ...] [--limit N]

Without --reference the encoders are those of the zoo (--family supervised or image-text). Right: the known
rate lies in the interval. Those at the ends of the range have to be extrapolated and are counted apart.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from noiseproof import open_dataset
from noiseproof.config import default_cache
from noiseproof.diagnose.verdict import Reference, Verdict, leave_one_out
from noiseproof.verdicts import parse_references, sentence, signatures, zoo_rates

Row = tuple[str, Reference, Verdict, bool]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--reference", action="append")
    parser.add_argument("--family", default="supervised")
    parser.add_argument("--label")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--max-width", type=float, default=0.3)
    parser.add_argument("--cache", type=Path, default=default_cache())
    args = parser.parse_args()
    references = parse_references(args.reference) if args.reference else zoo_rates(args.family)
    rows: list[Row] = []
    for name in args.data:
        begin = time.perf_counter()
        dataset = open_dataset(name, label=args.label, limit=args.limit)
        known = signatures(dataset, references, store=args.cache, num_draws=args.draws)
        ends = {known[0].rate, known[-1].rate}
        found = leave_one_out(known, max_width=args.max_width)
        rows += [(name, one, answer, one.rate in ends) for one, answer in found]
        print(f"{name}: {len(dataset)} examples, {time.perf_counter() - begin:.0f} s\n")
        print_statistics(known)
    print_verdicts(rows)
    print_summary(rows)


def print_statistics(known: list[Reference]) -> None:
    print("| encoder | noise | SVE | LSVR | centred SVE | centred LSVR |\n|---|---|---|---|---|---|")
    for one in known:
        values = " | ".join(f"{value:.4f}" for value in one.signature.whole)
        print(f"| {one.name} | {100 * one.rate:g} % | {values} |")
    print()


def print_verdicts(rows: list[Row]) -> None:
    print("| data | left out | noise | right | verdict |\n|---|---|---|---|---|")
    for name, one, answer, is_end in rows:
        right = "-" if not answer.can_tell else "yes" if is_right(one, answer) else "no"
        end = " (end)" if is_end else ""
        print(
            f"| {Path(name).name} | {one.name}{end} | {100 * one.rate:g} % | {right} | {sentence(answer)} |"
        )
    print()


def print_summary(rows: list[Row]) -> None:
    print("| which | told | right of those told | mean absolute error, % of noise | cannot tell |")
    print("|---|---|---|---|---|")
    for title, chosen in (
        ("inside the range", [row for row in rows if not row[3]]),
        ("at its ends", [row for row in rows if row[3]]),
    ):
        told = [(one, answer) for _, one, answer, _ in chosen if answer.can_tell]
        right = sum(is_right(one, answer) for one, answer in told)
        errors = [abs(answer.rate - one.rate) for one, answer in told if answer.rate is not None]
        error = f"{100 * np.mean(errors):.1f}" if errors else "-"
        print(f"| {title} | {len(told)} of {len(chosen)} | {right} | {error} | {len(chosen) - len(told)} |")


def is_right(one: Reference, answer: Verdict) -> bool:
    return answer.low is not None and answer.high is not None and answer.low <= one.rate <= answer.high


if __name__ == "__main__":
    main()
