"""Which step of a training is kept: the one with the best accuracy on held-out given labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Int
from pydantic import Field
from torch import Tensor, nn

from noiseproof.backbones.checkpoints.weights import write_weights
from noiseproof.core.storage import files
from noiseproof.core.storage.checksums import damaged, read_lines, to_line
from noiseproof.core.storage.documents import Document, validate_document
from noiseproof.core.storage.sealed_tensors import read_sealed_tensors
from noiseproof.training.loop import CHECKPOINT, TrainingSchedule
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
        schedule: of the training, with the steps of its validations.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        images: Callable[[], Images],
        given_labels: Int[np.ndarray, " n"],
        schedule: TrainingSchedule,
    ) -> None:
        self._folder, self._model = folder, model
        self._images, self._given_labels = images, given_labels
        self._every, self._num_steps = schedule.eval_steps, schedule.num_steps

    def validate(self, step: int) -> None:
        """Validate after this step; a checkpoint has to follow."""
        # Later ones were made by a start that was killed.
        before = [each for each in self.validations if each.step < step]
        self._check_complete(before, range(self._every, step, self._every) if self._every else ())
        predicted = outputs(self._model, self._model, self._images()).argmax(axis=1)
        now = Validation(step=step, accuracy=float((predicted == self._given_labels).mean()))
        kept = {best(before).step} if before else set()
        if best([*before, now]) is now:
            write_weights(self.weights_file(step), self._model)
            kept.add(step)
        lines = [to_line(each.to_json()) + "\n" for each in (*before, now)]
        files.write_bytes(self._folder / LOG, "".join(lines).encode())
        self._delete_all_but(kept)

    @property
    def validations(self) -> list[Validation]:
        """All validations so far, by step."""
        return read_validations(self._folder / LOG, next_step=self._start_again)

    def best_weights(self) -> tuple[Validation, dict[str, Tensor]]:
        """The best validation of a finished training, and the weights at its step.

        Raises:
            DamagedFile: a validation is missing, or the weights are not what was written.
        """
        validations = self.validations
        last = self._num_steps
        self._check_complete(validations, [*range(self._every or last, last, self._every or last), last])
        chosen = best(validations)
        path = self.weights_file(chosen.step)
        if not path.is_file():
            raise damaged(str(path), "it is missing", self._start_again)
        return chosen, read_sealed_tensors(path, next_step=self._start_again)[1]

    def _check_complete(self, found: list[Validation], steps: Iterable[int]) -> None:
        """Raise `DamagedFile` unless there is a validation after each of these steps and no other."""
        wanted = list(steps)
        if [each.step for each in found] != wanted:
            problem = f"it has {len(found)} validations where {len(wanted)} were made"
            raise damaged(str(self._folder / LOG), problem, self._start_again)

    @property
    def _start_again(self) -> str:
        return f"delete {str(self._folder / CHECKPOINT)!r} and start the same command again, from step 0"

    def weights_file(self, step: int) -> Path:
        """File of the weights at a validation."""
        return self._folder / f"candidate-{step:08d}.safetensors"

    def _delete_all_but(self, steps: set[int]) -> None:
        kept = {self.weights_file(step) for step in steps}
        for path in self._folder.glob(_WEIGHTS):
            if path not in kept:
                path.unlink()


def read_validations(path: Path, *, next_step: str) -> list[Validation]:
    """The validations in a file; none without it.

    Raises:
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: a line is no validation, or has changed since; its number is given.
    """
    lines = read_lines(path, next_step=next_step) if path.is_file() else []
    return [
        validate_document(line, Validation, source=f"line {number} of {path}", next_step=next_step)
        for number, line in enumerate(lines, start=1)
    ]


def best(validations: list[Validation]) -> Validation:
    """The validation with the highest accuracy, the first of equals."""
    return max(validations, key=lambda each: (each.accuracy, -each.step))
