"""Phase 1 of DeFT with the image tower: prompts and parts of the tower learn together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from noiseproof.core.rng import stream
from noiseproof.detect.text_tower import TextTower
from noiseproof.losses.dual_prompts import complementary_labels, dual_prompt_loss, epoch_rules, prompt_logits
from noiseproof.training.batches import AbstractBatches, Batch
from noiseproof.training.loop import Loss
from noiseproof.training.order import AbstractOrder, Share


class DualPrompts(nn.Module):
    """An image tower and the learnable vectors of a positive and a negative prompt.

    The text tower is frozen and no part of the module, so that no checkpoint has it.

    Args:
        tower: images -> (b, e) in the space shared with text; its parameters with `requires_grad` learn.
        text: on the device of the training.
        contexts: first vectors, positive and negative.
    """

    def __init__(self, tower: nn.Module, text: TextTower, contexts: Float[Tensor, "2 m d"]) -> None:
        super().__init__()
        self.tower = tower
        self.contexts = nn.Parameter(contexts)
        self._text = (text,)

    def forward(
        self, images: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b e"], Float[Tensor, "2 k e"]]:
        """Unit features of the images, and unit directions of both prompts, encoded once."""
        features = nn.functional.normalize(self.tower(images).float(), dim=-1)
        return features, self._text[0].encode(self.contexts)


def tower_loss(text: TextTower, *, variant: str, warmup_epochs: int) -> Loss:
    """The loss of a batch of `ComplementaryBatches`, for `training.loop.train` and a model of `DualPrompts`.

    Classification trains positive vectors and tower, the rest the negative vectors alone: see
    `losses.dual_prompts`, which has equations and sources.

    Args:
        text: whose scale counts.
        variant: of `losses.dual_prompts.VARIANTS`.
        warmup_epochs: in which all given labels are learned.
    """

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        features, (positive, negative) = model(batch["images"])
        logits = prompt_logits(features, positive, negative, scale=text.scale)
        rules = epoch_rules(variant, int(batch["epoch"][0]), warmup_epochs=warmup_epochs)
        return dual_prompt_loss(
            logits, batch["given_labels"].long(), batch["complementary"], rules=rules, variant=variant
        ).total

    return loss


@final
@dataclass(frozen=True, eq=False)
class ComplementaryBatches(AbstractBatches):
    """Batches with their epoch, from 1, and a freshly drawn complementary label for each example.

    Attributes:
        batches: of `images` and `given_labels`.
        given_labels: of the whole data set.
        num_classes: k.
        seed: of the draws.
    """

    batches: AbstractBatches
    given_labels: Int[np.ndarray, " n"]
    num_classes: int
    seed: int

    @property
    def order(self) -> AbstractOrder:  # type: ignore[override]
        """Order of the examples."""
        return self.batches.order

    def iterate(self, steps: range, share: Share) -> Iterator[Batch]:
        """See `AbstractBatches`."""
        for step, batch in zip(steps, self.batches.iterate(steps, share), strict=True):
            rows = self.order.rows(step)
            mine = share.of(len(rows))
            drawn = complementary_labels(
                self.given_labels[rows], num_classes=self.num_classes,
                rng=stream(self.seed, "complementary", step),
            )  # fmt: skip
            epoch = 1 + step // self.order.steps_per_epoch
            yield {
                **batch,
                "complementary": torch.from_numpy(drawn[mine]),
                "epoch": torch.full((len(drawn[mine]),), epoch),
            }
