"""What a few checked labels tell of the others, and which labels are worth checking first.

Usage: python benchmarks/bench_review.py --data DATA [--only rate|order] [--seeds 5] [--draws 2000]

DATA has cifar10/train.parquet; 12,000 of its images with labels of people (CIFAR-10N). Encoder:
`bundled:efficientnet-lite0`, suspicion of `auto`. Whoever checks a label is taken to know the truth.

`rate`: draws of `--rate-sample` and uniform ones: error of the estimated share of wrong labels, and how often
its 95 % interval holds the truth; then the estimate from the most suspicious labels alone, on halves.
`order`: wrong labels found, and accuracy of a ridge head on 2,000 other images with true labels, after the
first N of 4,000 labels by an order were corrected.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from noiseproof import extract, find_label_issues, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.detect.reviewed_rate import draw_probabilities, rate_from_drawn, recalibrate

NUM_ROWS, NUM_LEARNT, NUM_TEST, NUM_CLASSES = 12_000, 4000, 2000, 10
LABELS = {"aggregate": "human_label_aggregate", "first person": "human_label_random1"}
RIDGE = 100.0  # of unit rows times sqrt(d)
BUDGETS = (100, 200, 400)


def load(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Features, true labels, and labels of people by name."""
    file = args.data / "cifar10/train.parquet"
    dataset = open_dataset(str(file), label="label", limit=NUM_ROWS, seed=0)
    whole = open_dataset(str(file), label="label")  # other benchmarks have its features in the store
    stored = extract(whole, open_backbone("bundled:efficientnet-lite0"), store=args.cache)
    rows = np.array([int(str(each).rpartition("/")[2]) for each in dataset.ids])
    table = pq.read_table(file, columns=list(LABELS.values()))
    given = {name: table[column].to_numpy()[rows] for name, column in LABELS.items()}
    return np.asarray(stored.features.rows(rows)[:], np.float32), np.asarray(dataset.given_labels), given


def rates(x: np.ndarray, clean: np.ndarray, given: dict[str, np.ndarray], args: argparse.Namespace) -> None:
    print("| labels | wrong % | draws | error (RMSE), points | held the truth % | uniform: error | held |")
    print("|---|---|---|---|---|---|---|")
    for name, labels in given.items():
        is_wrong = labels != clean
        suspicion = find_label_issues(x, labels).suspicion
        for size in (100, 500):
            cells = []
            for q in (draw_probabilities(suspicion), np.full(len(labels), 1 / len(labels))):
                rng, found = np.random.default_rng(0), []
                for _ in range(args.draws):
                    rows = rng.choice(len(labels), size, p=q)
                    found.append(
                        rate_from_drawn(
                            suspicion[rows], q[rows], is_wrong[rows], num=len(labels), mean=suspicion.mean()
                        )
                    )
                errors = np.array([one.value for one in found]) - is_wrong.mean()
                held = np.mean([one.low <= is_wrong.mean() <= one.high for one in found])
                cells += [f"{100 * np.sqrt((errors**2).mean()):.2f}", f"{100 * held:.1f}"]
            print(
                f"| {name} | {100 * is_wrong.mean():.1f} | {size} | " + " | ".join(cells) + " |", flush=True
            )
    print("\n| labels | most suspicious | estimate % | low | high | wrong % | next 100: expected | found |")
    print("|---|---|---|---|---|---|---|---|")
    for name, labels in given.items():
        for half in range(2):
            rows = np.random.default_rng(0).permutation(len(labels)).reshape(2, -1)[half]
            is_wrong = (labels != clean)[rows]
            suspicion = find_label_issues(x[rows], labels[rows]).suspicion
            order = np.argsort(-suspicion, kind="stable")
            for num in (50, 100, 200, 500, 1000):
                first, rest = order[:num], order[num:]
                fitted = recalibrate(suspicion[first], is_wrong[first], suspicion[rest])
                rate, some = fitted.rate(), fitted.expected_wrong(np.arange(100))
                print(
                    f"| {name}, half {half} | {num} | {100 * rate.value:.1f} | {100 * rate.low:.1f} | "
                    f"{100 * rate.high:.1f} | {100 * is_wrong.mean():.1f} | {some.value:.0f} ({some.low:.0f} "
                    f"to {some.high:.0f}) | {is_wrong[rest[:100]].sum()} |",
                    flush=True,
                )


def gains(hat: np.ndarray, given: np.ndarray, suggested: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Fall of the squared error to the probable labels if each label became the suggested one."""
    one_hot = np.eye(NUM_CLASSES)
    change = one_hot[suggested] - one_hot[given]
    residual = hat @ one_hot[given] - probs
    return -(2 * ((hat.T @ residual) * change).sum(1) + (hat**2).sum(0) * (change**2).sum(1))


def orders(x: np.ndarray, clean: np.ndarray, given: dict[str, np.ndarray], args: argparse.Namespace) -> None:
    print("| labels | order | " + " | ".join(f"found of {n} | points" for n in BUDGETS) + " |")
    print("|---" * (2 + 2 * len(BUDGETS)) + "|")
    x = x / np.linalg.norm(x, axis=1, keepdims=True) * np.sqrt(x.shape[1])
    for name, labels in given.items():
        results: dict[str, list[list[float]]] = {}
        for seed in range(args.seeds):
            rows = np.random.default_rng(seed).permutation(len(labels))
            learnt, test = rows[:NUM_LEARNT], rows[NUM_LEARNT : NUM_LEARNT + NUM_TEST]
            issues = find_label_issues(x[learnt], labels[learnt])
            mean = x[learnt].mean(0)
            own, other = (np.c_[part - mean, np.ones(len(part))] for part in (x[learnt], x[test]))
            inverse = np.linalg.inv(own.T @ own + RIDGE * np.eye(own.shape[1]))
            weigh = inverse @ own.T
            hat = own @ weigh
            second = _second_class(issues.probs, labels[learnt])
            value = issues.suspicion * np.maximum(gains(hat, labels[learnt], second, issues.probs), 0)
            scores = {
                "suspicion": issues.suspicion,
                "suspicion x gain of the head": value,
                "suspicion x leverage": issues.suspicion * np.diag(hat),
                "uncertainty s (1 - s)": issues.suspicion * (1 - issues.suspicion),
                "random": np.random.default_rng(seed).random(NUM_LEARNT),
            }
            for order, score in scores.items():
                cells = _cells(score, labels[learnt], clean[learnt], other @ weigh, clean[test])
                results.setdefault(order, []).append(cells)
        for order, cells in results.items():
            mean, spread = np.mean(cells, 0), np.std(cells, 0, ddof=1)
            pairs = enumerate(zip(mean, spread, strict=True))
            shown = [f"{a:+.2f} ± {b:.2f}" if k % 2 else f"{a:.1f} ± {b:.1f}" for k, (a, b) in pairs]
            print(f"| {name} | {order} | " + " | ".join(shown) + " |", flush=True)


def _second_class(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    others = probs.copy()
    others[np.arange(len(given)), given] = -1
    return others.argmax(1)


def _cells(
    score: np.ndarray,
    given: np.ndarray,
    clean: np.ndarray,
    predict: np.ndarray,
    truth: np.ndarray,
) -> list[float]:
    """Wrong labels found and points of accuracy gained, for each budget."""
    one_hot, first = np.eye(NUM_CLASSES), np.argsort(-score, kind="stable")
    before = ((predict @ one_hot[given]).argmax(1) == truth).mean()
    cells = []
    for budget in BUDGETS:
        labels = given.copy()
        labels[first[:budget]] = clean[first[:budget]]
        after = ((predict @ one_hot[labels]).argmax(1) == truth).mean()
        cells += [float((labels != given).sum()), 100 * float(after - before)]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=["rate", "order"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/noiseproof/features")
    args = parser.parse_args()
    material = load(args)
    if args.only != "order":
        rates(*material, args)
    if args.only != "rate":
        orders(*material, args)


if __name__ == "__main__":
    main()
