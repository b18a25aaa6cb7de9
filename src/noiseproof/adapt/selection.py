"""Which step of a training is kept: the one with the best accuracy on held-out given labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int
from pydantic import Field
from torch import nn

from noiseproof.backbones.weights import write_weights
from noiseproof.core import files
from noiseproof.core.documents import Document, parse_document
from noiseproof.core.regular_files import read_regular
from noiseproof.training.networks import Images, outputs

LOG = "validation.jsonl"
_WEIGHTS = "candidate-*.safetensors"


class Validation(Document):
    """Accuracy on held-out examples after one step.

    Attributes:
        step: how many steps were done.
        accuracy: share of the held-out examples whose given label is predicted, in [0, 1]. With a share r of
            wrong ones among them, a perfect network has about 1 - r.
    """

    step: int = Field(ge=0)
    accuracy: float = Field(ge=0, le=1)


class Selection:
    """Validates a network during its training and keeps the weights of the best validation, first of equals.

    Test sets play no part. The weights of a validation are deleted once a checkpoint exists that was made
    after a better one, so a training that is killed and resumed always finds the best weights so far.

    Args:
        folder: of `validation.jsonl` and of the weights.
        model: what is trained; left as it is.
        images: a new pass over the held-out images, normalised.
        given_labels: labels of those images, which may be wrong.
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

    def validate(self, step: int) -> None:
        """Validate after this step; a checkpoint has to follow."""
        # Later ones were made by a start that was killed.
        before = [each for each in self.validations if each.step < step]
        predicted = outputs(self._model, self._model, self._images()).argmax(axis=1)
        now = Validation(step=step, accuracy=float((predicted == self._given_labels).mean()))
        kept = {best(before).step} if before else set()
        if best([*before, now]) is now:
            write_weights(self.weights_file(step), self._model)
            kept.add(step)
        lines = [json.dumps(each.to_json()) + "\n" for each in (*before, now)]
        files.write_bytes(self._folder / LOG, "".join(lines).encode())
        self._delete_all_but(kept)

    @property
    def validations(self) -> list[Validation]:
        """All validations so far, by step."""
        return read_validations(self._folder / LOG)

    def weights_file(self, step: int) -> Path:
        """File of the weights at a validation."""
        return self._folder / f"candidate-{step:08d}.safetensors"

    def _delete_all_but(self, steps: set[int]) -> None:
        kept = {self.weights_file(step) for step in steps}
        for path in self._folder.glob(_WEIGHTS):
            if path not in kept:
                path.unlink()


def read_validations(path: Path) -> list[Validation]:
    """The lines of `validation.jsonl`; none without the file.

    Raises:
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: a line is no validation; it is named.
    """
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(read_regular(path).splitlines(), start=1):
        source = f"line {number} of {path}"
        found.append(
            parse_document(line, Validation, source=source, next_step="delete the file and start again")
        )
    return found


def best(validations: list[Validation]) -> Validation:
    """The validation with the highest accuracy, the first of equals."""
    return max(validations, key=lambda each: (each.accuracy, -each.step))
