"""The transition matrix that a head's loss needs and nobody gave, estimated from the training features."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.atomic import write_json
from noiseproof.detect.transition import DEFAULT_METHOD, estimate_transition
from noiseproof.parts import Part
from noiseproof.progress import stage
from noiseproof.stages import Stages
from noiseproof.variants import Variant

TRANSITION = "transition.json"


def with_transition(
    heads: list[Variant], stages: Stages, train: Part, *, features: Callable[[], Any], depends_on: Any
) -> tuple[list[Variant], list[str]]:
    """Heads that lack a transition matrix get an estimate, which is a stage of the run.

    Args:
        heads: of the run.
        stages: of the run; the estimate is kept as `transition.json`.
        train: what the heads learn from.
        features: of `train`, read only where they are needed.
        depends_on: what the features depend on.

    Returns:
        The heads, and what a reader of the results has to know.
    """
    lacking = [head.name for head in heads if head.lacks_transition]
    if not lacking:
        return heads, []

    def make(folder: Path) -> list[str]:
        with stage("Transition matrix", total=len(train.dataset), unit="label") as bar:
            found = estimate_transition(np.asarray(features()), train.given_labels)
            bar.update(len(train.dataset))
        names = [train.dataset.class_names[number] for number in found.classes]
        write_json(
            folder / TRANSITION,
            found.to_json() | {"classes": names, "doubt": replace(found, classes=np.array(names)).doubt},
        )
        return [TRANSITION]

    stages.once("transition", depends_on=[depends_on, train.given_labels, DEFAULT_METHOD], make=make)
    found = json.loads(stages.path(TRANSITION).read_text())
    note = (
        f"The loss of {', '.join(lacking)} uses a transition matrix that was estimated from the training "
        f"features ({found['method']}; share of wrong labels {found['rate']:.3f}): {TRANSITION}."
    )
    notes = [each for each in (note, found.get("doubt")) if each]
    matrix = found["matrix"]
    return [head.with_transition(matrix) if head.lacks_transition else head for head in heads], notes
