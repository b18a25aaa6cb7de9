"""A fine-tuning as a program of its own, to be killed."""

from __future__ import annotations

import sys

import torch

from noiseproof.adapt import selection
from noiseproof.config.adapt import FinetuneJob, resolve_settings
from noiseproof.pipelines.finetune import finetune

SETTINGS = (
    "epochs=4", "batch_size=4", "padding=1", "checkpoint_steps=2", "validation=0.2", "tune=last-blocks:2",
    "learning_rate=0.05",
)  # fmt: skip


def job(train: str, test: str, out: str, loss: str) -> FinetuneJob:
    return FinetuneJob(
        train, out, backbone="zoo:resnet8-noise20", test=test,
        settings=resolve_settings(SETTINGS, {"loss": loss}),
        label_noise="symmetric", rate=0.25, wise_ft=(0.0, 0.5), quiet=True,
    )  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    look = selection.Selection.look

    def observed(self: selection.Selection, step: int) -> None:
        look(self, step)
        print("look", flush=True)

    selection.Selection.look = observed
    finetune(job(*sys.argv[1:]))
    print("done", flush=True)
