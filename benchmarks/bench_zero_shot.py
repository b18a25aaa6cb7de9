"""Zero-shot accuracy of the bundled image-text model and of ConSE with the same two towers.

Usage: python benchmarks/bench_zero_shot.py --data D [--data D ...] [--label COLUMN]

ConSE is the combination of MiniLM's vectors of ImageNet's class names by the probabilities of the image
tower's classifier; nothing is trained.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from scipy.special import softmax

from noiseproof import extract, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled.bundled import imagenet_classifier, pair_weights
from noiseproof.backbones.image_text.image_text_models import build_pair
from noiseproof.backbones.image_text.prompt_words import TEMPLATES, caption, imagenet_words, mean_direction
from noiseproof.config.data import default_cache
from noiseproof.pretrain.locked_pair import text_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--label")
    given = parser.parse_args()
    backbone = open_backbone("bundled:efficientnet-lite0")
    pair, tokenizer = build_pair("lite0-minilm", image_size=None, lock_text=True, seed=0)
    weight, bias = imagenet_classifier()
    ours = {name: value.numpy() for name, value in pair_weights().items()}

    def texts(words: tuple[str, ...], projection: np.ndarray | None = None) -> np.ndarray:
        """A unit vector per class: the mean over the templates of unit vectors."""
        rows = text_rows(
            pair, tokenizer, [caption(word, each) for word in words for each in TEMPLATES], is_locked=True
        )
        rows = rows if projection is None else rows @ torch.from_numpy(projection).T
        unit = torch.nn.functional.normalize(rows, dim=-1).view(len(words), len(TEMPLATES), -1)
        return mean_direction(unit).numpy()

    known = texts(imagenet_words())
    print("| data | classes | chance | ConSE, all classes | ConSE, 10 likeliest | bundled:lite0-minilm |")
    print("|---|---|---|---|---|---|")
    for name in given.data:
        data = open_dataset(name, label=given.label)
        features = np.asarray(extract(data, backbone, store=default_cache(), quiet=True).features)
        probs = softmax(features @ weight.T + bias, axis=1)
        plain = texts(data.class_names)
        joint = texts(data.class_names, ours["text.proj.weight"])
        scores = [convex_combination(probs, known, most) @ plain.T for most in (len(known), 10)]
        scores.append(features @ ours["visual.head.proj.weight"].T @ joint.T)
        hits = [(each.argmax(axis=1) == data.given_labels).mean() for each in scores]
        k = len(data.class_names)
        cells = " | ".join(f"{100 * value:.1f} %" for value in (1 / k, *hits))
        print(f"| {name} | {k} | {cells} |", flush=True)


def convex_combination(probs: np.ndarray, words: np.ndarray, most: int) -> np.ndarray:
    """Mean of the vectors of the `most` likeliest classes (Norouzi et al. 2014, arXiv:1312.5650, Eq. 4)."""
    least = np.sort(probs, axis=1)[:, -most, None]
    probs = np.where(probs >= least, probs, 0.0)
    return probs @ words / probs.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
