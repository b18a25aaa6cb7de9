"""The loss of fine-tuning on labels that may be wrong: one of `losses`, plain or by Meta-Weight-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseproof.adapt.finetune_settings import MetaSettings
from noiseproof.losses.batch import batch_loss, per_example_loss
from noiseproof.losses.losses import Options
from noiseproof.robust.meta_loss import MetaWeightLoss, current_rate
from noiseproof.robust.weight_net import WeightNetOptions
from noiseproof.training.batches import AbstractBatches, Batch
from noiseproof.training.checkpoint import Stateful
from noiseproof.training.loop import Loss


def classification_loss(
    name: str, options: Options, *, num_examples: int, num_classes: int
) -> tuple[Loss, dict[str, Stateful]]:
    """Mean loss of a batch with `images`, `given_labels` and `row`, the index of each in the data set.

    Random losses draw from torch's global generator, which the loop seeds at each step, so a resumed training
    makes the same draws.

    Args:
        name: in the table.
        options: of `losses.losses.resolve_options`.
        num_examples: n.
        num_classes: k.

    Returns:
        The loss, and its memory of the examples, for `stateful` of `training.loop.train`.

    Raises:
        InvalidArgument: the transition matrix is missing or of another size.
    """
    per_example = batch_loss(
        name, options, num_examples=num_examples, num_classes=num_classes,
        generators=(torch.default_generator,),
    )  # fmt: skip

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        log_probs = torch.log_softmax(model(batch["images"]), -1)
        return per_example(log_probs[None], batch["given_labels"].long()[None], batch["row"][None]).mean()

    return loss, {"loss": per_example} if isinstance(per_example, Stateful) else {}


def weighted_loss(
    name: str,
    options: Options,
    meta: MetaSettings,
    meta_batches: AbstractBatches,
    optimizer: torch.optim.Optimizer,
    *,
    num_classes: int,
    seed: int,
    device: torch.device,
) -> tuple[Loss, dict[str, Stateful]]:
    """Mean loss of a batch with example weights that Meta-Weight-Net learns from clean examples.

    Args:
        name, options, num_classes: as in `classification_loss`.
        meta: of the weight net.
        meta_batches: clean examples.
        optimizer: of the network, whose rate the virtual step may follow.
        seed: of the first weights of the weight net.
        device: of the network.

    Raises:
        InvalidArgument: a loss that depends on more than one example, or several processes.
    """
    loss = MetaWeightLoss(
        meta_batches,
        inner_rate=current_rate(optimizer) if meta.inner_rate is None else meta.inner_rate,
        loss=per_example_loss(name, options, num_classes=num_classes),
        meta_loss=meta.loss,
        options=WeightNetOptions(
            optimizer=meta.optimizer, learning_rate=meta.learning_rate, weight_decay=meta.weight_decay,
            normalise=meta.normalise, update_every=meta.update_every, seed=seed,
        ),
        device=device,
    )  # fmt: skip
    return loss, {"weights": loss}
