"""A training small enough to be killed often; also a program that does some, one after the other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from noiseproof.backbones.checkpoints.weights import write_weights
from noiseproof.core.rng import isolated
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.pretrain.image_text import image_text_loss
from noiseproof.pretrain.simclr import simclr_loss
from noiseproof.training.augment import PadCropFlip
from noiseproof.training.batches import ArrayBatches, Normaliser
from noiseproof.training.loop import TrainingSchedule, accelerator_for, train
from noiseproof.training.optimizers import make_optimizer
from noiseproof.training.order import Order, Share

NUM_STEPS = 14
GREY = Normaliser((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def toy_model(*, use_batch_norm: bool = True) -> nn.Module:
    norm = nn.BatchNorm2d(8) if use_batch_norm else nn.GroupNorm(2, 8)
    with isolated(0, "toy"):
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Dropout(0.1 if use_batch_norm else 0.0), nn.Linear(32, 4),
        )  # fmt: skip
    return model.to(memory_format=torch.channels_last)


def toy_batches(*, batch_size: int = 8, views: int = 1, repeats: int = 1) -> ArrayBatches:
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 4
    pixels = rng.integers(0, 120, (48, 8, 8, 3)) + 30 * labels[:, None, None, None]
    order = Order(48, batch_size, seed=1, repeats=repeats)
    return ArrayBatches(
        pixels.astype(np.uint8), order, PadCropFlip(2), GREY, {"given_labels": labels}, views=views
    )


def cross_entropy(model, batch):
    return nn.functional.cross_entropy(model(batch["images"]), batch["given_labels"])


def broken_in_one():
    """A loss that is no number at the third step of the second process; its gradient is one."""
    steps = iter(range(10**6))

    def loss(model, batch):
        is_broken = next(steps) == 2 and os.environ.get("RANK") == "1"
        return cross_entropy(model, batch) + (float("nan") if is_broken else 0.0)

    return loss


class ToyPair(nn.Module):
    """A toy model beside a text tower of one layer, as an open_clip model answers."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        with isolated(0, "toy text"):
            self.visual, self.text = visual, nn.Linear(5, 4)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images, text):
        image_features, text_features = self.visual(images), self.text(text)
        normalise = nn.functional.normalize
        return normalise(image_features, dim=1), normalise(text_features, dim=1), self.logit_scale.exp()


def captions_of(share):
    """The captions are the labels: four texts, each a row of five numbers."""
    texts = torch.from_numpy(np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32))
    criterion = image_text_loss(texts.__getitem__, share=share)
    return lambda model, batch: criterion(model, {**batch, "caption_ids": batch["given_labels"]})


LOSSES = {
    "cross_entropy": lambda share: cross_entropy,
    "nt_xent": lambda share: simclr_loss(temperature=0.5),
    "image_text": captions_of,
    "broken_in_one": lambda share: broken_in_one(),
}


def run_toy(
    folder: Path, *, loss: str = "cross_entropy", optimizer: str = "sgd", precision: str = "float32",
    use_batch_norm: bool = True, num_steps: int = NUM_STEPS, accumulation: int = 1, on_step=lambda: None,
    identity=None, on_eval=None, eval_steps=None,
) -> Path:  # fmt: skip
    declare_missing_operators()
    folder.mkdir(parents=True, exist_ok=True)
    model = toy_model(use_batch_norm=use_batch_norm)
    model = ToyPair(model) if loss == "image_text" else model
    accelerator = accelerator_for(precision)
    objective = LOSSES[loss](Share(accelerator.process_index, accelerator.num_processes))

    def observed(network, batch):
        on_step()
        return objective(network, batch)

    schedule = TrainingSchedule(
        num_steps, warmup_steps=2, precision=precision, accumulation=accumulation, seed=3,
        checkpoint_steps=3, log_steps=50 if loss == "broken_in_one" else 1, max_grad_norm=5.0,
        eval_steps=eval_steps,
    )  # fmt: skip
    train(
        model, toy_batches(views=2 if loss == "nt_xent" else 1), observed,
        make_optimizer(model, optimizer, learning_rate=0.05, weight_decay=1e-3), schedule=schedule,
        accelerator=accelerator, folder=folder,
        identity=identity or {"loss": loss, "optimizer": optimizer}, on_eval=on_eval, quiet=True,
    )  # fmt: skip
    path = folder / "weights.safetensors"
    write_weights(path, model)
    return path


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, *names = sys.argv[1:]
    for name in names:
        run_toy(Path(where) / name, loss=name, use_batch_norm=False)
