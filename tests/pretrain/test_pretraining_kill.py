"""`noiseproof pretrain` itself, killed for real and started again."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from noiseproof.core.torchvision_ops import declare_missing_operators
from tiny_images import image_folder

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("accelerate")
# With a word in WAIT the command stops between its last checkpoint and its card, and says so.
_COMMAND = """
import os, sys, time
import torch
torch.set_num_threads(1)
from noiseproof.pipelines import pretrain as pretraining
from noiseproof.cli.main import app
evaluated = pretraining._evaluated
def slow(*given):
    if os.environ.get("WAIT"):
        print("trained", flush=True)
        time.sleep(600)
    return evaluated(*given)
pretraining._evaluated = slow
app(sys.argv[1:])
"""
_MEMORY = ["mixup=0.2", "cutmix=1.0"]
_STREAM = [
    "reading=stream", "workers=0", "repeats=2", "randaugment=rand-m7-mstd0.5-inc1", "mixup=0.2",
    "drop_path=0.1",
]  # fmt: skip


def begin(folder, out, overrides, **environment):
    values = ["epochs=30", "batch_size=8", "image_size=16", "precision=float32", "checkpoint_steps=3"]
    settings = [word for value in [*values, *overrides] for word in ("--set", value)]
    data = ["--train", "train", "--test", "test", "--label-noise", "symmetric", "--rate", "0.25"]
    command = [
        "pretrain",
        "supervised",
        "--recipe",
        "pretrain-resnet8-cifar10",
        *data,
        "--out",
        out,
        *settings,
    ]
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *command], cwd=folder, env=os.environ | environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def killed(process):
    """Whether it was still running."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def changed_at(path):
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [_MEMORY, _STREAM], ids=["memory", "stream"])
def test_killed_at_random_points_and_before_its_card_it_ends_with_the_same_bytes(tmp_path, overrides):
    image_folder(tmp_path / "train")
    image_folder(tmp_path / "test", per_class=4, seed=1)
    whole = begin(tmp_path, "whole", overrides)
    whole.communicate()
    assert whole.returncode == 0
    rng, num_killed = np.random.default_rng(), 0
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    for _ in range(2):
        process, before = begin(tmp_path, "killed", overrides), changed_at(checkpoint)
        while process.poll() is None and changed_at(checkpoint) == before:
            time.sleep(0.005)  # until it has got further than the start before
        time.sleep(rng.uniform(0, 0.2))
        num_killed += killed(process)
    assert num_killed
    process = begin(tmp_path, "killed", overrides, WAIT="yes")
    assert process.stdout.readline() == "trained\n"
    assert killed(process)
    assert not (tmp_path / "killed" / "card.json").exists()
    last = begin(tmp_path, "killed", overrides)
    last.communicate()
    assert last.returncode == 0
    for name in ("model.safetensors", "noise/noise.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    cards = [json.loads((tmp_path / out / "card.json").read_text()) for out in ("whole", "killed")]
    for name in ("results", "weights_hash", "noise", "identity", "num_steps", "final_loss"):
        assert cards[0][name] == cards[1][name]
