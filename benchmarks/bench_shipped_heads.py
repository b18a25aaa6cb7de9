"""Which head `noiseproof predict` should use: chosen by accuracy or log loss, fitted again, or a mean.

    python bench_shipped_heads.py pacs/photo.parquet pacs/art_painting.parquet cifar10/train.parquet

Each draw takes 500 examples, makes 8 % of their labels wrong or none, and splits them as `run` does; all
other examples (of CIFAR-10 5,500) are unseen, with their true labels.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import t

from noiseproof import extract, find_label_issues
from noiseproof.backbones.backbones import open_backbone
from noiseproof.config.data import default_cache
from noiseproof.data.sources import open_dataset
from noiseproof.data.splits import stratified_split
from noiseproof.heads.abstract import fit_heads
from noiseproof.pipelines.run_heads.head_defaults import HIDDEN_WIDTH, LEAST_SUSPECT_SHARE, LEAST_SUSPECTS
from noiseproof.pipelines.run_heads.heads import MAX_STEPS, MIN_STEPS, HeadVariant

NUM, WRONG, MOST = 500, 0.08, 6000


def variants(dim: int, *, is_tolerant: bool) -> list[HeadVariant]:
    """The default heads of `run`."""
    shared = {"recipe": "default", "max_steps": MAX_STEPS, "noise_tolerant": is_tolerant}
    return [
        HeadVariant("linear", "linear", shared | {"min_steps": MIN_STEPS["linear"]}, 3),
        HeadVariant("nmtune", "nmtune", shared | {"hidden_ratio": HIDDEN_WIDTH / dim}, 3),
    ]


def one_draw(features: np.ndarray, truth: np.ndarray, *, seed: int, is_noisy: bool) -> dict[str, float]:
    """Accuracy on unseen examples by what is shipped, in %."""
    rng = np.random.default_rng(1000 + seed)
    order, k = rng.permutation(len(truth)), int(truth.max()) + 1
    rows, unseen = order[:NUM], order[NUM:]
    labels = truth[rows].copy()
    if is_noisy:
        wrong = rng.choice(NUM, round(WRONG * NUM), replace=False)
        labels[wrong] = (labels[wrong] + rng.integers(1, k, len(wrong))) % k
    learned = features[rows]
    train, _ = stratified_split(labels, test_fraction=0.2, seed=0)
    num = int(find_label_issues(learned, labels, seed=0).is_issue[train].sum())
    heads = variants(
        features.shape[1], is_tolerant=num >= max(LEAST_SUSPECTS, LEAST_SUSPECT_SHARE * len(train))
    )

    def probs(part: np.ndarray, seeds: list[int], on: np.ndarray) -> list[np.ndarray]:
        """Of each head, the mean over seeds."""
        fitted = [head.build(seeds) for head in heads]
        for group in fitted:
            fit_heads(group, learned[part], labels[part])
        return [np.mean([one.predict_proba(on) for one in group], axis=0) for group in fitted]

    def accuracy(found: np.ndarray) -> float:
        return 100 * float((found.argmax(1) == truth[unseen]).mean())

    kept, held = (train[part] for part in stratified_split(labels[train], test_fraction=0.2, seed=0))
    chosen_on = probs(kept, [0], learned[held])
    by_accuracy = int(np.argmax([(each.argmax(1) == labels[held]).mean() for each in chosen_on]))
    by_log_loss = int(
        np.argmax([np.log(each[np.arange(len(held)), labels[held]]).mean() for each in chosen_on])
    )
    everything = np.arange(NUM)
    one, three = probs(train, [0], features[unseen]), probs(train, [0, 1, 2], features[unseen])
    all_one, all_three = (probs(everything, seeds, features[unseen]) for seeds in ([0], [0, 1, 2]))
    return {
        "chosen by accuracy": accuracy(one[by_accuracy]),
        "chosen by log loss": accuracy(one[by_log_loss]),
        "mean of 3 seeds": accuracy(three[by_accuracy]),
        "mean of both heads": accuracy(sum(three)),
        "fitted to all": accuracy(all_one[by_accuracy]),
        "fitted to all, 3 seeds": accuracy(all_three[by_accuracy]),
        "fitted to all, both heads": accuracy(sum(all_three)),
    }


def main() -> None:
    """Print means and 95 % intervals of the gains over the first way, for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    for name in options.data:
        dataset = open_dataset(name)
        stored = extract(dataset, open_backbone("bundled:efficientnet-lite0"), store=default_cache())
        features, truth = np.asarray(stored.features[:MOST]), dataset.given_labels[:MOST]
        for is_noisy in (False, True):
            found = [one_draw(features, truth, seed=seed, is_noisy=is_noisy) for seed in range(options.draws)]
            print(f"{name}, {'8 %' if is_noisy else 'none'} wrong, {len(truth) - NUM} unseen")
            first = np.array([each["chosen by accuracy"] for each in found])
            for way in found[0]:
                values = np.array([each[way] for each in found])
                error = (values - first).std(ddof=1) / len(found) ** 0.5
                half = float(t.ppf(0.975, len(found) - 1)) * error
                print(f"  {way:26} {values.mean():.2f}   gain {(values - first).mean():+.2f} ± {half:.2f}")


if __name__ == "__main__":
    main()
