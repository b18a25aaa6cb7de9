"""The order of every flow that trains a network: training, evaluation, replacing earlier results, card."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from noiseproof.config.data import DataConfig
from noiseproof.pipelines.outputs.cards import TRAINING_CARD, write_card
from noiseproof.pipelines.outputs.stages import Stages, publish
from noiseproof.report.flow_card import Kind
from noiseproof.training.loop import LOG, logged

TRAINING, EVALUATION = "training", "evaluation"  # the stages


@dataclass(eq=False, kw_only=True)
class AbstractTrainingState(ABC):
    """Configuration and identity of one training, shared by its steps.

    Attributes:
        config: which data, which network, how.
        command: how the user started it, for the card.
        quiet: no progress bars.
        accelerator: of `training.loop.accelerator_for`.
        identity: of `pipelines.outputs.identity.identity`.
    """

    config: DataConfig
    command: str
    quiet: bool
    accelerator: Any
    identity: dict[str, Any]

    @property
    def out(self) -> Path:
        """Folder of everything that is written."""
        return self.config.out

    @property
    @abstractmethod
    def evaluation_key(self) -> Any:
        """Everything that decides the evaluation, beside the training."""


State = TypeVar("State", bound=AbstractTrainingState)


def run_training(
    state: State,
    kind: Kind,
    *,
    files: Iterable[str],
    train: Callable[[State, Path], Iterable[str]],
    evaluate: Callable[[State, Stages, Path], Iterable[str]],
    describe: Callable[[State], dict[str, Any]],
    stages: tuple[str, str] = (TRAINING, EVALUATION),
    trains_twice: bool = False,
) -> dict[str, Any]:
    """Train and evaluate unless an earlier start has done so; the caller holds the lock of the folder.

    Args:
        state: of the flow.
        kind: of the card.
        files: names of what the stages write.
        train: writes into the folder it is given and returns the names; none in a process that only helps.
        evaluate: likewise, from the files of the training.
        describe: the published results -> sections of the card. Of these, `notes` are sentences, and
            `training_s` is the time of the training by its log, which counts the time before an interruption.
        stages: names of both.
        trains_twice: the evaluation trains, too. Every process takes part in it then, and when it fails, the
            results of the first training are in the folder.

    Returns:
        The card; empty in processes that only helped.
    """
    is_main, (first, second) = state.accelerator.is_main_process, stages
    done = Stages(state.out, command=state.command, is_writer=is_main)
    done.check_free(files, cards=[TRAINING_CARD])
    key = done.once(
        first, depends_on=state.identity, make=lambda folder: train(state, folder), if_changed="refuse"
    )
    if trains_twice and is_main:
        done.publish_early(first, cards=[TRAINING_CARD])
    if trains_twice:
        state.accelerator.wait_for_everyone()
    if trains_twice or is_main:
        done.once(
            second,
            depends_on=[key, state.evaluation_key],
            make=lambda folder: evaluate(state, done, folder),
        )
    if not is_main:
        return {}
    publish(done, cards=[TRAINING_CARD])
    sections = describe(state)
    if (training_s := sections.pop("training_s", None)) is not None:
        done.wall_s[first] = training_s
    return write_card(
        done, TRAINING_CARD, kind, config=state.config, made_by=first, notes=sections.pop("notes", ()),
        seed=state.config.seed, **sections, identity=state.identity,
    )  # fmt: skip


def end_of_log(folder: Path) -> dict[str, Any]:
    """The last line of the log of a training; empty where it is lost."""
    lines = logged(folder / LOG)
    return lines[-1] if lines else {}
