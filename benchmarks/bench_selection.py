"""Do the trainers for wrong labels beat the plain head they train? Test accuracy under injected noise.

Usage: python benchmarks/bench_selection.py --train D --test D [--label COLUMN] [--backbone B] [--n 5000]
           [--heads linear,mlp] [--noise symmetric:0.2,...] [--seeds 3] [--trainers all] [--rows FILE]

Every trainer has its default options: nothing is chosen by looking at clean labels or at the test set, and
the accuracy is that of the last step. "clean" rows also have `--clean` examples with right labels, which are
in no training set of the others. One JSON line per fit goes to FILE, and what is there is not computed again;
then comes a table with 95 % intervals over seeds, with differences to the plain head paired by seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseproof import (
    CoTeaching,
    DivideMix,
    LinearProbe,
    MetaWeightNet,
    MLPProbe,
    corrupt_labels,
    extract,
    open_dataset,
)
from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.storage.files import append_lines
from noiseproof.evaluate.protocol import interval
from noiseproof.heads.abstract import AbstractHead

NOISE = "symmetric:0,symmetric:0.2,symmetric:0.4,symmetric:0.6,symmetric:0.8,pair:0.45"


@dataclass(frozen=True)
class Data:
    """Features and clean labels of training, checked and test examples."""

    train: tuple[np.ndarray, np.ndarray]
    clean: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def plain(head: AbstractHead, data: Data, given: np.ndarray) -> Any:
    return head.fit(data.train[0], given)


def plain_with_clean(head: AbstractHead, data: Data, given: np.ndarray) -> Any:
    return head.fit(np.concatenate([data.train[0], data.clean[0]]), np.concatenate([given, data.clean[1]]))


def clean_alone(head: AbstractHead, data: Data, given: np.ndarray) -> Any:
    return head.fit(*data.clean)


def meta_weight(head: AbstractHead, data: Data, given: np.ndarray) -> Any:
    model = MetaWeightNet(head)
    return model.fit(data.train[0], given, meta_features=data.clean[0], meta_labels=data.clean[1])


TRAINERS: dict[str, Callable[[AbstractHead, Data, np.ndarray], Any]] = {
    "plain": plain,
    "co-teaching": lambda head, data, given: CoTeaching(head).fit(data.train[0], given),
    "DivideMix": lambda head, data, given: DivideMix(head).fit(data.train[0], given),
    "clean: alone": clean_alone,
    "clean: plain with them": plain_with_clean,
    "clean: Meta-Weight-Net": meta_weight,
}


def head_of(name: str, seed: int, dim: int) -> AbstractHead:
    """As `noiseproof run` has it, but for the MLP's hidden width of 128."""
    if name == "linear":
        return LinearProbe(seed=seed, max_steps=1000)
    return MLPProbe(seed=seed, max_steps=1000, hidden_ratio=128 / dim)


def read(args: argparse.Namespace) -> Data:
    backbone, parts = open_backbone(args.backbone), []
    for path, limit in ((args.train, args.limit or args.n + args.clean), (args.test, args.num_test)):
        dataset = open_dataset(path, label=args.label, limit=limit, seed=0)
        stored = extract(dataset, backbone, store=args.cache)
        parts.append((np.asarray(stored.features), dataset.given_labels))
    (features, labels), test = parts
    n, m = args.n, args.n + args.clean
    return Data((features[:n], labels[:n]), (features[n:m], labels[n:m]), test)


def fitted(key: dict[str, Any], data: Data) -> dict[str, Any]:
    """Test accuracy in percent of one trainer."""
    kind, rate = key["noise"].split(":")
    num_classes = int(data.test[1].max()) + 1
    noisy = corrupt_labels(
        data.train[1], kind=kind, rate=float(rate), num_classes=num_classes, seed=key["seed"]
    )
    begin = time.process_time()
    model = TRAINERS[key["trainer"]](
        head_of(key["head"], key["seed"], data.train[0].shape[1]), data, noisy.given
    )
    cpu_s = time.process_time() - begin
    return key | {"accuracy": round(100 * model.score(*data.test), 3), "cpu_s": round(cpu_s, 2)}


def table(rows: list[dict[str, Any]], noises: list[str]) -> str:
    """A line per head and trainer, a column per noise."""
    lines = ["| head | trainer | " + " | ".join(noises) + " | CPU, s |", "|---" * (3 + len(noises)) + "|"]
    for head, trainer in dict.fromkeys((row["head"], row["trainer"]) for row in rows):
        mine = [row for row in rows if (row["head"], row["trainer"]) == (head, trainer)]
        base = {(r["noise"], r["seed"]): r for r in rows if (r["head"], r["trainer"]) == (head, "plain")}
        cells = []
        for noise in noises:
            values = {row["seed"]: row["accuracy"] for row in mine if row["noise"] == noise}
            pairs = [v - base[noise, seed]["accuracy"] for seed, v in values.items() if (noise, seed) in base]
            cells.append(_mean(list(values.values())))
            if trainer != "plain" and pairs:
                cells[-1] += f" ({'+' if np.mean(pairs) >= 0 else ''}{_mean(pairs)})"
        seconds = np.median([row["cpu_s"] for row in mine])
        lines.append(f"| {head} | {trainer} | " + " | ".join(cells) + f" | {seconds:.1f} |")
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    found = interval(values)
    return f"{found.mean:.1f}" + ("" if found.half_width is None else f" ± {found.half_width:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--label")
    parser.add_argument("--backbone", default="zoo:resnet8-simclr")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--clean", type=int, default=500, help="examples with right labels, beside the n")
    parser.add_argument("--limit", type=int, help="training images to extract; n + clean by default")
    parser.add_argument("--num-test", type=int, default=4000)
    parser.add_argument("--heads", default="linear,mlp")
    parser.add_argument("--trainers", default=",".join(TRAINERS))
    parser.add_argument("--noise", default=NOISE)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=Path, required=True, help="where rows are kept")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/noiseproof/features")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in args.rows.read_text().splitlines()] if args.rows.exists() else []
    noises, data = args.noise.split(","), read(args)
    wanted = itertools.product(range(args.seeds), args.heads.split(","), noises, args.trainers.split(","))
    for seed, head, noise, trainer in wanted:
        key = {"head": head, "trainer": trainer, "noise": noise, "seed": seed}
        if not any(key.items() <= row.items() for row in rows):
            rows.append(fitted(key, data))
            append_lines(args.rows, [json.dumps(rows[-1])])
    print(f"{args.backbone}, {args.n} examples, seeds 0-{args.seeds - 1}\n\n" + table(rows, noises))


if __name__ == "__main__":
    main()
