"""Which step of a training is kept: the one with the best accuracy on held-out given labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torch import nn

from noiseproof.backbones.weights import write_weights
from noiseproof.core import files
from noiseproof.training.networks import Images, outputs

LOG, LOOKS = "validation.jsonl", "look-*.safetensors"


@dataclass(frozen=True)
class Look:
    """One validation.

    Attributes:
        step: how many steps were done.
        accuracy: share of the held-out examples whose given label is predicted, in [0, 1]. With a share r of
            wrong ones among them, a perfect network has about 1 - r.
    """

    step: int
    accuracy: float


class Selection:
    """Looks at a network during its training and keeps the weights of the best look, the first of equals.

    It knows nothing of test sets. The weights of a look are deleted when a checkpoint exists that was made
    after a better one, so a training that is killed and goes on always finds those of the best look so far.

    Args:
        folder: of `validation.jsonl` and of the weights.
        model: what is trained; left as it is.
        images: the held-out images, normalised, as often as asked.
        given_labels: theirs, which may be wrong.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        images: Callable[[], Images],
        given_labels: Int[np.ndarray, " n"],
    ) -> None:
        self._folder, self._model = folder, model
        self._images, self._given_labels = images, given_labels

    def look(self, step: int) -> None:
        """Validate after so many steps; a checkpoint has to follow."""
        before = [
            each for each in self.looks if each.step < step
        ]  # later ones are of a start that was killed
        said = outputs(self._model, self._model, self._images()).argmax(axis=1)
        now = Look(step, float((said == self._given_labels).mean()))
        kept = {best(before).step} if before else set()
        if best([*before, now]) is now:
            write_weights(self.weights_of(step), self._model)
            kept.add(step)
        lines = [json.dumps(vars(each)) + "\n" for each in (*before, now)]
        files.write_bytes(self._folder / LOG, "".join(lines).encode())
        self._delete_but(kept)

    @property
    def looks(self) -> list[Look]:
        """All so far, in the order of the steps."""
        path = self._folder / LOG
        lines = path.read_text().splitlines() if path.is_file() else []
        return [Look(**json.loads(line)) for line in lines]

    def weights_of(self, step: int) -> Path:
        """Where the weights of a look are."""
        return self._folder / f"look-{step:08d}.safetensors"

    def _delete_but(self, steps: set[int]) -> None:
        kept = {self.weights_of(step) for step in steps}
        for path in self._folder.glob(LOOKS):
            if path not in kept:
                path.unlink()


def best(looks: list[Look]) -> Look:
    """The look with the highest accuracy, the first of equals."""
    return max(looks, key=lambda each: (each.accuracy, -each.step))
