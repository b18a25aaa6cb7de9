"""How often the verdict on pre-training noise is right: each known encoder by all others, and unseen ones.

Usage: python benchmarks/bench_verdict.py --data D [--data D ...] [--reference BACKBONE=RATE ...]
           [--unseen BACKBONE=RATE ...] [--limit N]

Without --reference the known encoders are the supervised ones of the zoo; each is left out in turn. --unseen
names encoders that are judged by all of them. Right: the true rate lies in the interval. A known encoder at
an end of the range lies beyond the others and is counted apart; that of 0 % is right by construction.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from noiseproof import open_dataset
from noiseproof.config.data import default_cache
from noiseproof.config.verdict import parse_references
from noiseproof.diagnose.verdict import Reference, Verdict, verdict
from noiseproof.pipelines.verdict import sentence, signatures, zoo_rates

INSIDE, ENDS, UNSEEN = "left out, inside the range", "left out, at its ends", "unseen"
Row = tuple[str, Reference, Verdict, str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--reference", action="append")
    parser.add_argument("--unseen", action="append", default=[])
    parser.add_argument("--label")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--max-width", type=float, default=0.3)
    parser.add_argument("--cache", type=Path, default=default_cache())
    args = parser.parse_args()
    references = parse_references(args.reference) if args.reference else zoo_rates()
    rows: list[Row] = []
    for name in args.data:
        begin = time.perf_counter()
        dataset = open_dataset(name, label=args.label, limit=args.limit)
        known = signatures(dataset, references, store=args.cache, num_draws=args.draws)
        ends = {known[0].rate, known[-1].rate}
        for one in known:
            others = [each for each in known if each is not one]
            answer = verdict(one.signature, others, max_width=args.max_width)
            rows.append((name, one, answer, ENDS if one.rate in ends else INSIDE))
        unseen = signatures(dataset, parse_references(args.unseen), store=args.cache, num_draws=args.draws)
        rows += [
            (name, one, verdict(one.signature, known, max_width=args.max_width), UNSEEN) for one in unseen
        ]
        print(f"{name}: {len(dataset)} examples, {time.perf_counter() - begin:.0f} s\n")
        print_statistics([*known, *unseen])
    print_verdicts(rows)
    print_summary(rows)


def print_statistics(known: list[Reference]) -> None:
    print("| encoder | noise | SVE, nats | LSVR |\n|---|---|---|---|")
    for one in known:
        values = f"{one.signature.entropy_nats:.4f} | {one.signature.largest_ratio:.4f}"
        print(f"| {one.name} | {100 * one.rate:g} % | {values} |")
    print()


def print_verdicts(rows: list[Row]) -> None:
    print("| data | which | encoder | noise | right | verdict |\n|---|---|---|---|---|---|")
    for name, one, answer, which in rows:
        right = "-" if answer.rate is None else "yes" if is_right(one, answer) else "no"
        print(
            f"| {Path(name).name} | {which} | {one.name} | {100 * one.rate:g} % | {right} | "
            f"{sentence(answer)} |"
        )
    print()


def print_summary(rows: list[Row]) -> None:
    print("| which | told | right of those told | mean absolute error, % of noise | cannot tell |")
    print("|---|---|---|---|---|")
    for title in (INSIDE, ENDS, UNSEEN):
        chosen = [row for row in rows if row[3] == title]
        told = [(one, answer) for _, one, answer, _ in chosen if answer.rate is not None]
        right = sum(is_right(one, answer) for one, answer in told)
        errors = [abs(answer.rate - one.rate) for one, answer in told if answer.rate is not None]
        error = f"{100 * np.mean(errors):.1f}" if errors else "-"
        print(f"| {title} | {len(told)} of {len(chosen)} | {right} | {error} | {len(chosen) - len(told)} |")


def is_right(one: Reference, answer: Verdict) -> bool:
    return answer.low is not None and answer.high is not None and answer.low <= one.rate <= answer.high


if __name__ == "__main__":
    main()
