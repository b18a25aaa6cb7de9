"""Does the bounded schedule of `noiseproof run` cost accuracy against the papers' 30 epochs of batch 64?

Usage: python benchmarks/bench_schedule.py --train D --test D [--test D ...] [--label COLUMN]
           [--heads linear,mlp,nmtune] [--max-steps 500,1000,2000] [--seeds 3] [--papers-seeds 3]
           [--holdout 0.1] [--rows FILE] [--threads 1]

Features are extracted once into the store that `noiseproof run` uses. One line per fitted head is added to
FILE as JSON as soon as it is known, and a row that is there is not computed again; then comes a table
with 95 % intervals over seeds. Every schedule trains with the same seeds; differences are paired by seed.

With --holdout the heads learn from the rest of the training set and are judged on that part of it: how a
schedule is chosen without looking at a test set.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseproof import extract, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.storage.files import append_lines
from noiseproof.data.classes import align_labels
from noiseproof.data.splits import stratified_split
from noiseproof.evaluate.protocol import interval
from noiseproof.heads.estimators import HEADS
from noiseproof.heads.fit import num_steps


def features_and_labels(args: argparse.Namespace) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Of the training set, then of each test set."""
    backbone = open_backbone(args.backbone)
    sets, class_names = [], ()
    for path in [args.train, *args.test]:
        dataset = open_dataset(path, label=args.label)
        dataset = align_labels(dataset, class_names) if class_names else dataset
        class_names = dataset.class_names
        stored = extract(dataset, backbone, store=args.cache)
        sets.append((Path(path).stem, np.asarray(stored.features), dataset.given_labels))
    return sets


def without_tests(sets: list[Any], share: float) -> list[Any]:
    """The training set in two parts, in place of the test sets."""
    (name, features, labels), *_ = sets
    kept, held_out = stratified_split(labels, test_fraction=share, seed=0)
    return [(name, features[kept], labels[kept]), ("held out", features[held_out], labels[held_out])]


def fitted(name: str, max_steps: int | None, seed: int, sets: list[Any]) -> dict[str, Any]:
    """Accuracy of one head on every test set, and what it took."""
    head = HEADS[name](seed=seed, max_steps=max_steps)
    (_, features, labels), *tests = sets
    begin = time.perf_counter()
    head.fit(features, labels)
    wall_s = time.perf_counter() - begin
    accuracy = {test: round(100 * head.score(x, y), 3) for test, x, y in tests}
    steps = num_steps([head.spec()], len(labels))
    return {
        "head": name,
        "max_steps": max_steps,
        "seed": seed,
        "steps": steps,
        "wall_s": round(wall_s, 1),
    } | accuracy


def table(rows: list[dict[str, Any]], tests: list[str]) -> str:
    """Mean and half-width over seeds of each schedule, and the paired difference to the papers'."""
    lines = ["| head | schedule | steps | " + " | ".join(f"{t}, % | difference" for t in tests) + " |"]
    lines.append("|---" * (3 + 2 * len(tests)) + "|")
    for head, bound in dict.fromkeys((row["head"], row["max_steps"]) for row in rows):
        mine = [row for row in rows if (row["head"], row["max_steps"]) == (head, bound)]
        base = {row["seed"]: row for row in rows if row["head"] == head and row["max_steps"] is None}
        cells = []
        for test in tests:
            cells.append(_mean([row[test] for row in mine]))
            paired = [row[test] - base[row["seed"]][test] for row in mine if row["seed"] in base]
            cells.append(_mean(paired) if bound and paired else "")
        name = "papers'" if bound is None else f"at most {bound}"
        lines.append(f"| {head} | {name} | {mine[0]['steps']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    found = interval(values)
    return f"{found.mean:.2f}" + ("" if found.half_width is None else f" ± {found.half_width:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", action="append", required=True)
    parser.add_argument("--label")
    parser.add_argument("--backbone", default="bundled:efficientnet-lite0")
    parser.add_argument("--heads", default="linear,mlp,nmtune")
    parser.add_argument("--max-steps", default="500,1000,2000")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--papers-seeds", type=int, help="of the papers' schedule; as --seeds by default")
    parser.add_argument("--holdout", type=float, help="share of the training set to judge by")
    parser.add_argument("--rows", type=Path, help="where rows are kept")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 is its own default")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/noiseproof/features")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    sets = features_and_labels(args)
    sets = without_tests(sets, args.holdout) if args.holdout else sets
    bounds = [None, *(int(bound) for bound in args.max_steps.split(",") if bound)]
    is_there = args.rows is not None and args.rows.exists()
    rows = [json.loads(line) for line in args.rows.read_text().splitlines()] if is_there else []
    known = {(row["head"], row["max_steps"], row["seed"]) for row in rows}
    for bound in reversed(bounds):  # the papers' schedule last: it takes longest
        num_seeds = args.seeds if bound or args.papers_seeds is None else args.papers_seeds
        for head, seed in itertools.product(args.heads.split(","), range(num_seeds)):
            if (head, bound, seed) not in known:
                rows.append(fitted(head, bound, seed, sets))
                print(json.dumps(rows[-1]), flush=True)
                if args.rows:
                    append_lines(args.rows, [json.dumps(rows[-1])])
    rows.sort(
        key=lambda row: (
            args.heads.split(",").index(row["head"]),
            bounds.index(row["max_steps"]),
            row["seed"],
        )
    )
    print("\n" + table(rows, [name for name, _, _ in sets[1:]]))


if __name__ == "__main__":
    main()
