"""The loss of a whole network on labels of which some may be wrong: one of the table, plain or weighed."""

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
    """The mean loss of a batch of `images`, `given_labels` and `row`, the place of each in the data set.

    What a loss draws comes from torch's global generator, which the loop sets for each step: a training that
    was stopped goes on with the same draws.

    Args:
        name: in the table.
        options: as `losses.losses.resolve_options` gives them.
        num_examples: n.
        num_classes: k.

    Returns:
        The loss, and what it remembers of the examples, for the `stateful` of `training.loop.train`.

    Raises:
        InvalidArgument: no transition matrix, or one of another size.
    """
    per_example = batch_loss(
        name, options, num_examples=num_examples, num_classes=num_classes,
        generators=(torch.default_generator,),
    )  # fmt: skip

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        log_probs = torch.log_softmax(model(batch["images"]), -1)
        one = per_example(log_probs[None], batch["given_labels"].long()[None], batch["row"][None])
        return one.mean()

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
    """The same with weights that Meta-Weight-Net learns from clean examples.

    Args:
        name, options, num_classes: as in `classification_loss`.
        meta: of the weight net.
        meta_batches: clean examples.
        optimizer: of the network, whose rate the virtual step may follow.
        seed: of the first weights of the weight net.
        device: of the network.

    Raises:
        InvalidArgument: a loss that looks at more than one example, or several processes.
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
