"""Settings of the steps of a training, whatever the network and the objective."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from noiseproof.training.loop import TrainingSchedule
from noiseproof.training.order import AbstractOrder


class StepSettings(BaseModel):
    """How the steps of a training are made; each training has its own length and rates."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of sgd, momentum and lars.")
    workers: int = Field(default=4, ge=0, description="Processes or threads that decode, when streaming.")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="float32, or mixed precision in bfloat16 or float16."
    )
    accumulation: int = Field(
        default=1,
        ge=1,
        description="Parts that a batch is computed in; a contrastive loss then has fewer negatives.",
    )
    max_grad_norm: float | None = Field(
        default=None, gt=0, description="Longer gradients are scaled down to this length."
    )
    checkpoint_steps: int = Field(default=500, ge=1, description="Steps between checkpoints.")

    def warmup_steps(self, steps_per_epoch: int) -> int:
        """Steps with a linear rise of the learning rate."""
        return 0

    def schedule(
        self, order: AbstractOrder, *, seed: int, eval_epochs: float | None = None
    ) -> TrainingSchedule:
        """The steps of a training, its warm-up and its validations.

        Args:
            order: of the examples.
            seed: of everything a step draws.
            eval_epochs: between two validations; `None` evaluates at the end only.
        """
        each = order.steps_per_epoch
        return TrainingSchedule(
            num_steps=self.epochs * each, warmup_steps=self.warmup_steps(each), precision=self.precision,
            accumulation=self.accumulation, max_grad_norm=self.max_grad_norm, seed=seed,
            checkpoint_steps=self.checkpoint_steps,
            eval_steps=None if eval_epochs is None else max(round(eval_epochs * each), 1),
        )  # fmt: skip
