"""Damage every kind of file that noiseproof reads back: it is noticed, or without effect.

    python tests/hostile/flips.py --count 400

flips single bits of each kind of file, at its ends, in its middle and anywhere, cuts it short, and counts
what reading it does. It ends with 1 where a damaged file changed a result in silence, or raised what is no
message.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.errors import NoiseproofError

sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in (".", "training", "pipelines")]

REFUSED, WARNED, SAME = "refused", "made again, with a warning", "without effect"
FINE = (REFUSED, WARNED, SAME)
_SEED = 16


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        title: of it.
        pattern: of the file in the folder that `make` writes; the first that fits.
        make: writes a folder.
        use: reads the folder as a command does; what it returns must not depend on damage.
    """

    title: str
    pattern: str
    make: Callable[[Path], None]
    use: Callable[[Path], Any]

    def file(self, folder: Path) -> Path:
        """The file that is damaged."""
        return next(iter(sorted(folder.glob(self.pattern))))


def damages(content: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Cut and flipped contents, each with its description."""
    rng, size = np.random.default_rng([_SEED, seed]), len(content)
    cuts = (0, size // 2, size - 1)[: max(count // 3, 1)]
    for keep in cuts:
        yield f"cut to {keep} of {size} bytes", content[:keep]
    places = [0, size - 1, size // 2, min(9, size - 1), *rng.integers(0, size, count).tolist()]
    for place in places[: count - len(cuts)]:
        bit = int(rng.integers(8))
        flipped = content[place] ^ (1 << bit)
        yield (
            f"bit {bit} of byte {place} of {size}",
            content[:place] + bytes([flipped]) + content[place + 1 :],
        )


def outcome(kind: FileKind, whole: Path, content: bytes, scratch: Path, expected: Any) -> str:
    """What reading a copy of the folder with this content in place of the file does."""
    folder = scratch / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    file = folder / kind.file(whole).relative_to(whole)
    file.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = kind.use(folder)
        except NoiseproofError as error:
            is_named = file.name in str(error) and "Next: " in str(error)
            return REFUSED if is_named else f"refused without a name: {error}"
        except Exception as error:  # noqa: BLE001 - what a user must not see
            return f"{type(error).__name__}: {error}"
    if found != expected:
        return f"CHANGED the result to {str(found)[:200]}"
    return WARNED if any(file.name in str(each.message) for each in caught) else SAME


def try_damages(kind: FileKind, whole: Path, scratch: Path, *, count: int) -> list[tuple[str, str]]:
    """(damage, outcome) of this many damages of one kind of file."""
    expected = kind.use(shutil.copytree(whole, scratch / "whole"))
    assert expected == kind.use(shutil.copytree(whole, scratch / "again")), f"{kind.title} is not repeatable"
    content = kind.file(whole).read_bytes()
    return [
        (what, outcome(kind, whole, damaged, scratch, expected))
        for what, damaged in damages(content, count, sum(kind.title.encode()))
    ]


def _labels(n: int = 24) -> np.ndarray:
    return np.arange(n) % 3


@cache
def _rows(n: int = 24) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32) + 3 * np.eye(3, 5)[_labels(n)]


def _extract(store: Path) -> Any:
    from noiseproof import extract, open_dataset
    from noiseproof.backbones.backbones import open_backbone

    np.savez(store.parent / "data.npz", features=_rows(), labels=_labels())
    data = open_dataset(str(store.parent / "data.npz"))
    return extract(data, open_backbone("features:"), store=store, shard_rows=10, quiet=True)


def make_features(folder: Path) -> None:
    _extract(folder / "store")


def use_features(folder: Path) -> Any:
    from noiseproof import load_features, spectrum

    stored = load_features(folder / "store")
    first = stored.features[:2].tobytes()
    return first, spectrum(stored.features).to_json(), stored.ids.tolist(), stored.manifest.model_dump()


def make_unfinished(folder: Path) -> None:
    stored = _extract(folder / "store")
    (stored.path / "manifest.json").unlink()


def use_unfinished(folder: Path) -> Any:
    stored = _extract(folder / "store")
    return np.asarray(stored.features).tobytes(), stored.ids.tolist(), stored.manifest.key


def make_head(folder: Path) -> None:
    from noiseproof import LinearProbe

    LinearProbe(epochs=2, seed=1).fit(_rows(), _labels()).save(folder / "head")


def use_head(folder: Path) -> Any:
    from noiseproof.heads.estimators import load_head

    head = load_head(folder / "head")
    return head.predict_proba(_rows()).tobytes(), head.get_params(), head.classes_.tolist()


def make_noise(folder: Path) -> None:
    from noiseproof import corrupt_labels
    from noiseproof.noise.manifest import write_manifest

    noisy = corrupt_labels(_labels(), kind="symmetric", rate=0.3, num_classes=3, seed=0)
    ids = [f"photos/{row}" for row in range(24)]
    write_manifest(
        folder,
        noisy,
        ids=ids,
        data_name="photos",
        data_fingerprint="f" * 64,
        class_names=["ant", "bee", "cat"],
    )


def use_noise(folder: Path) -> Any:
    from noiseproof.noise.manifest import load_manifest

    found = load_manifest(folder)
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in vars(found).values()]


def make_issues(folder: Path) -> None:
    from noiseproof import find_label_issues
    from noiseproof.export.issue_files import write_issues

    ids = np.array([f"photos/{row}" for row in range(24)])
    given = np.where(np.arange(24) == 4, 2, _labels())
    issues = find_label_issues(
        _rows(), given, ids=ids, class_names=["ant", "bee", "cat"], method="leave_one_out"
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_issues(issues, folder)


def use_issues(folder: Path) -> Any:
    from noiseproof import load_issues

    found = load_issues(folder)
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in vars(found).values()]


def make_run(folder: Path) -> None:
    """A run on features; pictures are added as a run on images has them."""
    from blobs import options_in, save_blobs
    from PIL import Image

    from noiseproof.config.run import RunConfig
    from noiseproof.config.values import load_config
    from noiseproof.core.storage.checksums import read_record, write_record
    from noiseproof.core.storage.files import hash_file
    from noiseproof.pipelines.run import run

    train, other = save_blobs(folder / "a.npz", n=30, seed=1), save_blobs(folder / "b.npz", n=12, seed=2)
    options = options_in(folder, train, other) | {"seeds": 1, "heads": "linear", "max_steps": 3}
    run(load_config(RunConfig, options=options))
    home = folder / "run"
    entries, card = (read_record(home / name, next_step="") for name in ("thumbnails.json", "run.json"))
    (home / "thumbnails").mkdir()
    Image.new("RGB", (8, 8), "red").save(home / "thumbnails" / "00000.png")
    entries[0]["file"] = "thumbnails/00000.png"
    write_record(home / "thumbnails.json", entries)
    names = ("thumbnails.json", "thumbnails/00000.png")
    write_record(home / "run.json", card | {"files": card["files"] | {n: hash_file(home / n) for n in names}})


def use_run(folder: Path) -> Any:
    from noiseproof.report.run_folder import load_run

    found = load_run(folder / "run")
    spectra = [each.to_json() for each in found.spectra]
    suspects = [each.model_dump() for each in found.suspects]
    return found.card.model_dump(), found.results, spectra, found.issues.to_dict("records"), suspects


def use_choice(folder: Path) -> Any:
    from noiseproof import load

    model = load(folder / "run")
    return Path(model.source).name, model.notes, model.outputs(np.eye(3, 8, dtype=np.float32)).tolist()


def make_applied(folder: Path) -> None:
    from searched import save_csv, search

    from noiseproof.config.apply import ApplyConfig
    from noiseproof.decisions.decision_files import write_decisions
    from noiseproof.decisions.record import Decision
    from noiseproof.pipelines.apply import apply

    search(save_csv(folder / "train.csv"), folder / "issues")
    write_decisions(folder / "issues/decisions.csv", [Decision("t0", "relabel", "cat", "ann")])
    apply(ApplyConfig(folder=folder / "issues", out=folder / "cleaned"))


def use_applied(folder: Path) -> Any:
    from noiseproof.data.sources import open_dataset

    found = open_dataset(str(folder / "cleaned"))
    return found.ids.tolist(), found.given_labels.tolist(), found.class_names


def make_brought(folder: Path) -> None:
    from noiseproof.decisions.record import Decision
    from noiseproof.pipelines.reviewed.brought_decisions import write_brought

    write_brought(folder, [Decision("t0", "relabel", "cat", "ann", "2026-11-30T10:00:00Z", "cat")])


def use_brought(folder: Path) -> Any:
    from dataclasses import astuple

    from noiseproof.pipelines.reviewed.brought_decisions import read_brought

    return [astuple(one) for one in read_brought(folder)]


def _sampled() -> Any:
    from noiseproof.core.records import LabelledDataset

    ids = np.array([f"photos/{row}" for row in range(24)])
    return LabelledDataset(
        "photos", "features", list(_rows()), ids, _labels(), ("ant", "bee", "cat"), "f" * 64
    )


def make_sample(folder: Path) -> None:
    from noiseproof.export.issue_files import load_issues
    from noiseproof.pipelines.reviewed.rate_sample import draw_sample

    make_issues(folder)
    draw_sample(folder, _sampled(), load_issues(folder), None, size=40, seed=0, page=folder / "review.html")


def use_sample(folder: Path) -> Any:
    from noiseproof.pipelines.reviewed.rate_sample import read_draws

    found = read_draws(folder, _sampled().ids, fingerprint=_sampled().fingerprint)
    return None if found is None else [np.asarray(each).tolist() for each in vars(found).values()]


def make_log(folder: Path) -> None:
    from noiseproof.review.decision_log import DecisionLog

    folder.mkdir(parents=True, exist_ok=True)
    log = DecisionLog(folder, "mine")
    for row, word in enumerate(("keep", "exclude", "")):
        log.append(f"photos/{row // 2}", word, label="ant", who="ann", when=f"2026-11-30T10:0{row}:00Z")


def use_log(folder: Path) -> Any:
    """Decisions that were never made: one that was cut off is made again."""
    from noiseproof.decisions.decision_files import read_kept
    from noiseproof.decisions.record import ReviewedExamples
    from noiseproof.review.decision_log import DecisionLog

    examples = ReviewedExamples(
        [f"photos/{row}" for row in range(2)], ["ant", "bee"], ["ant", "bee"], identity="mine"
    )
    made = {("photos/0", "keep"), ("photos/0", "exclude"), ("photos/1", "")}
    kept = [*read_kept(folder, examples), *DecisionLog(folder, "mine").since(0)[1]]
    return [one for one in kept if (one.example_id, one.decision) not in made]


def _stage(folder: Path) -> Any:
    from noiseproof.pipelines.outputs.stages import Stages

    def make(home: Path) -> list[str]:
        (home / "a.txt").write_text("the result")
        return ["a.txt"]

    stages = Stages(folder)
    stages.once("work", depends_on={"seed": 1}, make=make)
    return stages


def make_stage(folder: Path) -> None:
    _stage(folder).publish()


def make_waiting(folder: Path) -> None:
    _stage(folder)


def use_stage(folder: Path) -> Any:
    stages = _stage(folder)
    stages.publish()
    return (folder / "a.txt").read_text(), stages.hashes


class _StoppedError(Exception):
    pass


def make_checkpoint(folder: Path) -> None:
    from toy_training import run_toy

    steps = iter(range(100))

    def stop() -> None:
        if next(steps) == 5:
            raise _StoppedError

    try:
        run_toy(folder, on_step=stop)
    except _StoppedError:
        return
    raise AssertionError("it was not stopped")


def use_checkpoint(folder: Path) -> Any:
    from toy_training import run_toy

    from noiseproof.training.loop import LOG, logged

    weights = run_toy(folder).read_bytes()
    last = logged(folder / LOG)[-1]  # of the log, a card has this line only
    return weights, {key: value for key, value in last.items() if key != "wall_s"}


def _selection(folder: Path) -> Any:
    import torch

    from noiseproof.adapt.selection import Selection
    from noiseproof.training.loop import TrainingSchedule

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2))
    images = torch.arange(24.0).reshape(8, 3, 1, 1) / 24
    schedule = TrainingSchedule(30, eval_steps=10)
    return model, Selection(folder, model, lambda: [images], np.arange(8) % 2, schedule)


def make_selection(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _validate(folder, 10, 20)


def _validate(folder: Path, *steps: int) -> Any:
    import torch

    model, selection = _selection(folder)
    for step in steps:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(
                    torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape) * (step - 15)
                )
        selection.validate(step)
    return selection


def use_selection(folder: Path) -> Any:
    chosen, weights = _validate(folder, 30).best_weights()
    return chosen, {name: value.tolist() for name, value in weights.items()}


def make_weights(folder: Path) -> None:
    import torch

    from noiseproof.backbones.checkpoints.weights import WeightsHeader, write_weights

    torch.manual_seed(0)
    header = WeightsHeader(architecture="resnet18", preprocessing={"mean": [0.5, 0.5, 0.5], "image_size": 32})
    write_weights(folder / "model.safetensors", torch.nn.Linear(4, 3), header=header)


def use_weights(folder: Path) -> Any:
    from noiseproof.backbones.checkpoints.weights import read_checkpoint, read_header

    state = read_checkpoint(folder / "model.safetensors")
    header = read_header(folder / "model.safetensors")
    return header.model_dump(), {name: value.tolist() for name, value in state.items()}


def make_card(folder: Path) -> None:
    from noiseproof.config.data import DataConfig
    from noiseproof.core.storage.checksums import write_record
    from noiseproof.pipelines.outputs.cards import make_card

    made_with = {"versions": {"torch": "2"}, "command": "noiseproof", "created": "2026-11-30", "hardware": {}}
    card = make_card(
        "pretrain", config=DataConfig(train="a.csv", out=folder), made_with=made_with,
        wall_s={"training": 1.5}, notes=["A note."], files={"model.safetensors": "0" * 64}, num_steps=30,
    )  # fmt: skip
    write_record(folder / "card.json", card)


def use_card(folder: Path) -> Any:
    from noiseproof.pipelines.outputs.cards import read_card

    return read_card(folder / "card.json", "pretrain")


def _study_rows() -> list[Any]:
    from noiseproof.study.rows import CurvatureRow

    same = {
        "backbone": "timm:a", "layer": None, "task": "digits", "noise_kind": "symmetric", "noise_rate": 0.2,
        "share": 1.0, "head": "linear", "setting": "default", "realised_rate": 0.2, "num_train": 90,
        "trace": 0.125, "trace_standard_error": 0.01, "num_parameters": 12,
    }  # fmt: skip
    return [
        CurvatureRow(result_key=f"{k}r", request_key=f"{k}q", seed=k, eigenvalues=[2.5, 0.1 * k], **same)
        for k in range(3)
    ]


def make_study(folder: Path) -> None:
    from noiseproof.study.rows import StudyLog

    StudyLog(folder).append(_study_rows())


def use_study(folder: Path) -> Any:
    """Rows that were never written: those that are lost are computed anew."""
    from noiseproof.study.rows import StudyLog

    return [row for row in StudyLog(folder).rows if row not in _study_rows()]


def make_copies(folder: Path) -> None:
    from noiseproof.pipelines.inputs.straddling import write_straddling_copies

    write_straddling_copies(folder, _rows(), [("test", _rows()[:6]), ("ood", 9 + _rows())])


def use_copies(folder: Path) -> Any:
    from noiseproof.pipelines.inputs.straddling import read_straddling_copies

    return read_straddling_copies(folder)


def make_encoder(folder: Path) -> None:
    from noiseproof.backbones.base import EncoderIdentity
    from noiseproof.core.storage.checksums import write_record

    identity = EncoderIdentity(
        name="timm:a", kind="image", layer="pooled", weights_hash="ab" * 32, transform="resize to 32 px"
    )
    write_record(folder / ".encoders" / "0123.json", identity.to_json())


def use_encoder(folder: Path) -> Any:
    """The identity; where it cannot be read, `LazyEncoder` builds the encoder."""
    from noiseproof.backbones.base import EncoderIdentity
    from noiseproof.core.storage.documents import read_document

    return read_document(folder / ".encoders" / "0123.json", EncoderIdentity, next_step="delete it")


def make_packed(folder: Path) -> None:
    import hashlib

    import torch
    from safetensors.torch import save

    from noiseproof.backbones.checkpoints.weights import WeightsHeader
    from noiseproof.core.storage.checksums import write_record
    from noiseproof.core.storage.sealed_tensors import sealed_metadata

    state = {"weight": torch.arange(6.0).reshape(2, 3).half()}
    content = save(state, metadata=sealed_metadata(state, WeightsHeader().to_json()))
    (folder / "mine.safetensors").write_bytes(content)
    card = {
        "schema": 1, "objective": "supervised", "model": "a", "architecture": "a", "prefix": "",
        "preprocessing": {}, "noise": {"kind": "symmetric", "asked_rate": 0.2}, "results": {"accuracy": 0.5},
        "spectrum": {"entropy_nats": 1.0, "largest_ratio": 0.5},
        "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    write_record(folder / "mine.json", card)


def use_packed(folder: Path) -> Any:
    from noiseproof.backbones.bundled.packed import read_packed_card, read_weights

    card = read_packed_card(folder / "mine.json", "mine.json")
    state = read_weights(folder / "mine.safetensors", card, "mine.safetensors")
    return card.model_dump(), {name: value.tolist() for name, value in state.items()}


KINDS: dict[str, FileKind] = {
    kind.title: kind
    for kind in (
        FileKind("shard of features", "store/*/part-00001.safetensors", make_features, use_features),
        FileKind("manifest of features", "store/*/manifest.json", make_features, use_features),
        FileKind("shard of an unfinished extraction", "store/*/part-00000*", make_unfinished, use_unfinished),
        FileKind("identity of an encoder", ".encoders/*.json", make_encoder, use_encoder),
        FileKind("weights of a head", "head.safetensors", make_head, use_head),
        FileKind("card of a head", "head.json", make_head, use_head),
        FileKind("noise manifest", "noise.json", make_noise, use_noise),
        FileKind("table of noise", "noise-*.parquet", make_noise, use_noise),
        FileKind("table of label issues", "label_issues.parquet", make_issues, use_issues),
        FileKind("summary of label issues", "label_issues.json", make_issues, use_issues),
        FileKind("card of a run", "run/run.json", make_run, use_run),
        FileKind("results of a run", "run/results.jsonl", make_run, use_run),
        FileKind("spectra of a run", "run/spectrum.json", make_run, use_run),
        FileKind("label issues of a report", "run/label_issues.parquet", make_run, use_run),
        FileKind("list of thumbnails", "run/thumbnails.json", make_run, use_run),
        FileKind("thumbnail", "run/thumbnails/*.png", make_run, use_run),
        FileKind("choice of the head", "run/heads.json", make_run, use_choice),
        FileKind("card of a cleaned data set", "cleaned/applied.json", make_applied, use_applied),
        FileKind("drawn sample", "rate_sample.json", make_sample, use_sample),
        FileKind("decisions in the data", "brought_decisions.json", make_brought, use_brought),
        FileKind("log of decisions", "decisions.jsonl", make_log, use_log),
        FileKind("copies between sets", "copies.json", make_copies, use_copies),
        FileKind("marker of a stage", ".stages/work.json", make_stage, use_stage),
        FileKind("file of a stage", "a.txt", make_stage, use_stage),
        FileKind("waiting marker of a stage", ".stages/waiting/.stages/work.json", make_waiting, use_stage),
        FileKind("waiting file of a stage", ".stages/waiting/a.txt", make_waiting, use_stage),
        FileKind("checkpoint of a training", "checkpoint.safetensors", make_checkpoint, use_checkpoint),
        FileKind("log of a training", "log.jsonl", make_checkpoint, use_checkpoint),
        FileKind("validations of a training", "validation.jsonl", make_selection, use_selection),
        FileKind("weights of a validation", "candidate-*.safetensors", make_selection, use_selection),
        FileKind("weights of a network", "model.safetensors", make_weights, use_weights),
        FileKind("card of a training", "card.json", make_card, use_card),
        FileKind("rows of a study", "study.jsonl", make_study, use_study),
        FileKind("card of a packed encoder", "mine.json", make_packed, use_packed),
        FileKind("weights of a packed encoder", "mine.safetensors", make_packed, use_packed),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--count", type=int, default=400, help="damages in all")
    parser.add_argument("--kind", action="append", choices=KINDS, help="of these kinds only")
    options = parser.parse_args()
    chosen = [KINDS[name] for name in options.kind or KINDS]
    per_kind = -(-options.count // len(chosen))
    total: Counter[str] = Counter()
    for kind in chosen:
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "made" / "whole"
            whole.mkdir(parents=True)
            kind.make(whole)
            found = try_damages(kind, whole, Path(folder) / "tried", count=per_kind)
        counts = Counter(result if result in FINE else "FAILED" for _, result in found)
        total += counts
        print(
            f"{kind.title:36}", ", ".join(f"{number} {name}" for name, number in counts.items()), flush=True
        )
        for what, result in found:
            if result not in FINE:
                print(f"    {what}: {result}")
    print(f"{sum(total.values())} in all:", ", ".join(f"{number} {name}" for name, number in total.items()))
    sys.exit(1 if total["FAILED"] else 0)


if __name__ == "__main__":
    main()
