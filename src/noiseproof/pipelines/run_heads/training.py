"""Training of the heads of a run: a stage for each, or for each seed where seeds train apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.data import ExtractionConfig
from noiseproof.core.progress import progress
from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.heads.abstract import AbstractHead, TrueProbs, fit_heads
from noiseproof.heads.fit import num_steps
from noiseproof.heads.saved_heads import SUFFIXES, EncoderNeed, HeadNeeds
from noiseproof.pipelines.inputs.encoded import EncodedParts
from noiseproof.pipelines.inputs.encoding import Encoder
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.run_heads.heads import HeadVariant

NeedsOf = Callable[[AbstractHead], HeadNeeds]


def head_needs(
    config: ExtractionConfig, encoder: Encoder, class_names: Sequence[str], head: AbstractHead
) -> HeadNeeds:
    """What a fitted head needs to classify new examples: class names, encoders, precision."""
    names = tuple(class_names[number] for number in (head.classes_ if head.has_classes else ()))
    encoders = tuple(
        EncoderNeed(
            **identity.model_dump(include=set(EncoderNeed.model_fields)),
            max_tokens=config.max_tokens if identity.kind == "text" else None,
        )
        for identity in encoder.identities
    )
    return HeadNeeds(class_names=names, encoders=encoders, precision=config.precision, dtype=config.dtype)


def train_once(
    stages: Stages, head: HeadVariant, encoded: EncodedParts, *, needs: NeedsOf, true_probs: TrueProbs
) -> list[str]:
    """Train one head with all its seeds and return the keys of its stages."""
    seeds = list(range(head.num_seeds))
    groups = [[seed] for seed in seeds] if head.trains_seeds_apart else [seeds]
    return [_train_seeds(stages, head, group, encoded, needs, true_probs) for group in groups]


def _train_seeds(
    stages: Stages,
    head: HeadVariant,
    seeds: list[int],
    encoded: EncodedParts,
    needs: NeedsOf,
    true_probs: TrueProbs,
) -> str:
    train, views, is_apart = encoded.parts.train, encoded.views, head.trains_seeds_apart
    name = f"seed-{seeds[0]}-of-{head.name}" if is_apart else f"head-{head.name}"
    which = f", seed {seeds[0]}" if is_apart and head.num_seeds > 1 else ""

    def make(folder: Path) -> list[str]:
        fitted = head.build(seeds)
        sources = [view.features for view in views] or [encoded.features(train)]
        steps = num_steps([one.spec() for one in fitted], len(train.dataset))
        with progress(f"Head {head.name}{which}", total=steps, unit="step") as bar:
            first, second = [*map(np.asarray, sources), None][:2]  # read once, not for every seed
            fit_heads(
                fitted, first, train.labels_to_learn, second_view=second, on_step=bar.update,
                true_probs=true_probs,
            )  # fmt: skip
        for seed, one in zip(seeds, fitted, strict=True):
            one.save(folder / head.file(seed), needs=needs(one))
        return [head.file(seed) + suffix for seed in seeds for suffix in SUFFIXES]

    keys = [view.manifest.key for view in views]
    depends_on: list[Any] = [head.to_json(), seeds, encoded.key(train), train.given_labels, keys]
    depends_on += [ALGORITHM] if head.options.get("noise_tolerant") else []
    depends_on += [sorted(HeadNeeds.model_fields)]  # earlier heads had none
    return stages.once(name, title=f"head {head.name}", depends_on=depends_on, make=make)
