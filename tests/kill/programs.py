"""Small programs that write to a folder, to be killed at any point and started again."""

from __future__ import annotations

import importlib
import json
import socket
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

# Helpers of other folders; the fork server does not start from pytest, which would know them.
_TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(_TESTS / name) for name in (".", "study", "training", "features", "backbones")]

from clouds import facts, save_clouds, write_recipe  # noqa: E402

from tiny_images import image_folder  # noqa: E402

READING = {
    "memory": ("mixup=0.2", "cutmix=1.0"),
    "stream": (
        "reading=stream", "workers=0", "repeats=2", "randaugment=rand-m7-mstd0.5-inc1", "mixup=0.2",
        "drop_path=0.1",
    ),
}  # fmt: skip


class Program(ABC):
    """What it needs, what it does, and what of its results must not depend on kills."""

    extras: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    def warm_up(self) -> None:
        """Import what a run imports."""
        for name in (*self.extras, *self.imports):
            importlib.import_module(name)

    def prepare(self, inputs: Path) -> None:  # noqa: B027 - some need no data
        """Make the data."""

    @abstractmethod
    def run(self, inputs: Path, out: Path) -> None:
        """From data to results."""

    def found(self, out: Path) -> Any:
        """The bytes of the results; more where a subclass knows more."""
        return {name: (out / name).read_bytes() for name in self.results}


class OnImages(Program):
    """A program that trains on a few images."""

    def prepare(self, inputs):
        image_folder(inputs / "train")
        image_folder(inputs / "test", per_class=4, seed=1)


class Write(Program):
    """A file takes the place of another."""

    imports = ("noiseproof.core.files",)
    results = ("file",)

    def run(self, inputs, out):
        from noiseproof.core import files

        for content in (b"old", b"new"):
            files.write_bytes(out / "file", content)


class Extraction(Program):
    imports = ("noiseproof.features.extract", "tiny_encoders")
    num_examples, shard_rows = 24, 4

    def run(self, inputs, out):
        from tiny_encoders import CountingBackbone, squares

        from noiseproof import extract

        data, options = squares(self.num_examples), {"shard_rows": self.shard_rows, "batch_size": 2}
        stored = extract(data, CountingBackbone(), store=out, quiet=True, **options)
        print(stored.num_encoded, flush=True)

    def found(self, out):
        return {path.name: path.read_bytes() for path in out.glob("*/*") if path.suffix != ".lock"}


class ServiceExtraction(Program):
    """Through an embedding service, which is killed with its client and comes back at the same address."""

    extras = ("httpx2",)
    imports = ("noiseproof.features.extract", "test_service_extraction")

    def prepare(self, inputs):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            (inputs / "port").write_text(str(free.getsockname()[1]))

    def run(self, inputs, out):
        from loopback_service import loopback_service
        from test_service_extraction import TEXTS
        from test_service_extraction import run as run_extraction

        with loopback_service(port=int((inputs / "port").read_text())) as service:
            run_extraction(service, out, TEXTS[:24], at_once=1, shard_rows=8)

    def found(self, out):
        return {path.name: path.read_bytes() for path in out.glob("*/*") if path.suffix != ".lock"}


class Training(Program):
    extras = ("accelerate",)
    imports = ("toy_training",)
    results = ("weights.safetensors", "log.jsonl")

    def run(self, inputs, out):
        from toy_training import run_toy

        run_toy(out, precision="bfloat16")

    def found(self, out):
        losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
        return (out / "weights.safetensors").read_bytes(), losses


class Finetuning(OnImages):
    extras = ("timm", "accelerate")
    imports = ("noiseproof.pipelines.finetune", "noiseproof.heads.estimators", "sklearn.linear_model")
    results = ("model.safetensors", "last.safetensors", "results.jsonl", "validation.jsonl")

    def __init__(self, loss):
        self.loss = loss

    def run(self, inputs, out):
        from noiseproof import FinetuneConfig, finetune

        config = FinetuneConfig(
            train=str(inputs / "train"), out=out, backbone="zoo:resnet8-noise20", test=str(inputs / "test"),
            epochs=4, batch_size=4, padding=1, checkpoint_steps=2, validation=0.2, tune="last-blocks:2",
            learning_rate=0.05, loss=self.loss, noise="symmetric:0.25", wise_ft=(0.0, 0.5),
        )  # fmt: skip
        finetune(config, quiet=True)


class TwoPhases(OnImages):
    """DeFT with the image tower in the loop."""

    extras = ("open_clip", "accelerate")
    imports = ("noiseproof.pipelines.deft.flow", "tiny_clip")
    results = ("prompts.safetensors", "tuned.safetensors", "scores.parquet", "results.jsonl")

    def run(self, inputs, out):
        from noiseproof import DeftConfig, deft
        from tiny_clip import tiny_clip

        config = DeftConfig(
            train=str(inputs / "train"), out=out, model=tiny_clip(inputs / "clip"),
            test=str(inputs / "test"), epochs=4, batch_size=4, padding=1, checkpoint_steps=3,
            tune="vpt-deep:2", noise="symmetric:0.25",
        )  # fmt: skip
        deft(config, quiet=True)


class Pretraining(OnImages):
    """`noiseproof pretrain` itself."""

    extras = ("timm", "accelerate")
    imports = ("noiseproof.cli.main", "noiseproof.pipelines.pretrain")
    results = ("model.safetensors", "noise/noise.json")

    def __init__(self, reading):
        values = ("epochs=4", "batch_size=8", "image_size=16", "precision=float32", "checkpoint_steps=3")
        self.words = [word for value in (*values, *READING[reading]) for word in ("--set", value)]

    def run(self, inputs, out):
        from noiseproof.cli.main import app

        command = [
            "pretrain", "supervised", str(inputs / "train"), "--recipe", "pretrain-resnet8-cifar10",
            "--test", str(inputs / "test"), "--noise", "symmetric:0.25", "--out", str(out),
        ]  # fmt: skip
        app([*command, *self.words], standalone_mode=False)

    def found(self, out):
        card = json.loads((out / "card.json").read_text())
        names = ("results", "weights_hash", "noise", "identity", "num_steps", "final_loss")
        return super().found(out), {name: card[name] for name in names}


class Study(Program):
    imports = ("noiseproof.study.study",)

    def prepare(self, inputs):
        for name, n in (("a", 60), ("b", 45)):
            save_clouds(inputs / f"{name}.npz", n=n, seed=n)
        write_recipe(
            inputs / "recipe.yaml", tasks={"b": {"train": "{data}/b.npz", "test": "{data}/a.npz"}},
            noise=["none", "symmetric:0.4"], has_head_spectra=True,
            figures=["feature-maps", "curvature"],
        )  # fmt: skip

    def run(self, inputs, out):
        from noiseproof.study.recipe_files import load_recipe
        from noiseproof.study.study import run_study

        result = run_study(
            load_recipe(inputs / "recipe.yaml"), out=out, cache=Path(f"{out}-cache"), data=inputs
        )
        assert not result.outcome.failures

    def found(self, out):
        return facts(out)


class StudyOfTunings(Study):
    """Encoders are trained in processes of their own."""

    extras = ("timm", "accelerate")

    def prepare(self, inputs):
        write_recipe(
            inputs / "recipe.yaml", tasks={"digits": {"train": "sklearn:digits"}}, heads={}, limit=80,
            backbones=["zoo:resnet8-simclr"], noise=["none", "symmetric:0.5"], seeds=1,
            tunings={"ce": {"epochs": 1, "batch_size": 16, "padding": 1}},
        )  # fmt: skip


PROGRAMS: dict[str, Program] = {
    "write": Write(),
    "extraction": Extraction(),
    "service-extraction": ServiceExtraction(),
    "training": Training(),
    "finetuning-cross_entropy": Finetuning("cross_entropy"),
    "finetuning-elr": Finetuning("elr"),
    "two-phases": TwoPhases(),
    "pretraining-memory": Pretraining("memory"),
    "pretraining-stream": Pretraining("stream"),
    "study": Study(),
    "study-of-tunings": StudyOfTunings(),
}
