"""A DeFT with the image tower in the loop as a program of its own, to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from noiseproof.config.adapt import DeftJob, resolve_deft_settings
from noiseproof.pipelines.deft.flow import deft
from noiseproof.training import loop
from tiny_clip import tiny_clip

SETTINGS = ("epochs=4", "batch_size=4", "padding=1", "checkpoint_steps=3", "tune=vpt-deep:2")


def job(train: str, test: str, out: str, clip: str) -> DeftJob:
    return DeftJob(
        train, out, model=tiny_clip(Path(clip)), test=test, settings=resolve_deft_settings(SETTINGS),
        label_noise="symmetric", rate=0.25, quiet=True,
    )  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    write = loop.write_checkpoint

    def observed(*values: object, **options: object) -> None:
        write(*values, **options)  # type: ignore[arg-type]
        print("checkpoint", flush=True)

    loop.write_checkpoint = observed
    deft(job(*sys.argv[1:]))
    print("done", flush=True)
