"""A valid file of every format that noiseproof reads, how it is damaged, and a command that reads it."""

from __future__ import annotations

import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mutations import Damage, damage_bytes, damage_json, damage_lines, damage_text
from PIL import Image

from noiseproof.core.storage.marks import MARK

Files = dict[str, bytes]
Command = Sequence[str] | Callable[[Path], object]


@dataclass(frozen=True)
class Format:
    """Files of one kind.

    Attributes:
        files: makes all files of the example, by path.
        targets: which of them are damaged.
        damage: what is done to one.
        command: arguments of the command line, or a function of the folder, which is the current one.
        weight: how many inputs of it there are among those of all.
    """

    files: Callable[[], Files]
    targets: tuple[str, ...]
    damage: Damage
    command: Command
    weight: int = 2


# --- data sets


CSV = "id,text,label,note\n" + "".join(f"{i},a text,{'cat' if i % 2 else 'dog'},{i % 3}\n" for i in range(12))
CORRUPT = ("--noise", "symmetric:0.2", "--out", "o")


def _jsonl() -> Files:
    rows = ({"id": i, "text": "a text", "label": i % 2, "note": i / 2} for i in range(8))
    return {"t.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()}


def png(shade: int = 9, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    colour = (shade, 90, 30) if mode == "RGB" else shade
    Image.new(mode, (9, 7), colour).save(buffer, kind)
    return buffer.getvalue()


def _table(columns: dict[str, Any], header: bytes) -> bytes:
    buffer = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata({"huggingface": header})
    pq.write_table(table, buffer, row_group_size=5, compression="zstd")
    return buffer.getvalue()


_HEADER = b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}}}'


def _parquet() -> Files:
    images = [png(shade) for shade in range(8)]
    return {"t.parquet": _table({"image": images, "label": [0, 1] * 4, "id": list("abcdefgh")}, _HEADER)}


def damage_table(content: bytes, rng: random.Random) -> bytes:
    """Bytes of a Parquet file, one of its columns, or its Hugging Face header."""
    if rng.random() < 0.5:
        return damage_bytes(content, rng)
    table = pq.read_table(io.BytesIO(content))
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    header = _HEADER
    if rng.random() < 0.3:
        header = damage_json(_HEADER, rng)
    else:
        columns[rng.choice(list(columns))] = _column(rng, len(table))
    return _table(columns, header)


def _column(rng: random.Random, n: int) -> pa.Array:
    kinds = (
        pa.array([None] * n), pa.array([{"a": 1}] * n), pa.array([[1.0, 2.0]] * n), pa.array([2**62] * n),
        pa.array([1.5] * n), pa.array([True] * n), pa.array([b"\xff"] * n), pa.array([""] * n),
        pa.array([0] * n, pa.timestamp("s")), pa.array([0] * n, pa.duration("s")),
        pa.array(["1"] * n).dictionary_encode(),
        pa.array([0] * n, pa.decimal128(5, 2)), pa.array([{"bytes": b"x", "path": None}] * n),
        pa.array([{"bytes": None, "path": "/dev/zero"}] * n), pa.array([float("nan")] * n),
        pa.array([[]] * n),
        pa.array([[["a"]]] * n), pa.array([0] * n, pa.date32()), pa.array([2**63] * n, pa.uint64()),
        pa.array(["../../x"] * n), pa.array(["a\x00b"] * n), pa.array([0.0] * n, pa.float16()),
        pa.array([(("k", 1),)] * n, pa.map_(pa.string(), pa.int64())),
    )  # fmt: skip
    return rng.choice(kinds)


def _arrays(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _npz() -> Files:
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    features = (np.eye(3)[labels] * 4 + rng.normal(size=(24, 3))).astype(np.float32)
    return {
        "t.npz": _arrays(features=features, labels=labels, class_names=np.array(["ant", "bee", "cat"])),
        "p.npz": _arrays(probs=np.full((24, 3), 1 / 3), class_names=np.array(["ant", "bee", "cat"])),
    }


def _array(rng: random.Random, n: int) -> np.ndarray:
    kinds = (
        np.zeros(n, complex), np.zeros(n, np.longdouble), np.zeros(n, [("a", int)]), np.zeros((n, 2)),
        np.zeros(0),
        np.array(1), np.full(n, np.nan), np.full(n, 2**62), np.zeros(n, "M8[s]"), np.array([b"\xff"] * n),
        np.array(["é"] * n), np.zeros(n, "U0"), np.zeros((n, 0)), np.zeros((n, 3, 2)),
        np.full((n, 3), np.inf),
        np.arange(n), np.zeros(n, bool), np.array(["a"] * n), np.zeros(n, "V4"), np.zeros((n, 3), ">f8"),
        np.full(n, 0xD800, np.uint32).view("<U1"),
        np.zeros(n, np.uint64) + np.uint64(2**63), np.full((n, 3), 1e300), np.zeros(n, np.float16),
    )  # fmt: skip
    return rng.choice(kinds)


def damage_arrays(content: bytes, rng: random.Random) -> bytes:
    """Bytes of an NPZ, the bytes of one of its members, or one of its arrays."""
    kind = rng.randrange(3)
    if kind == 0:
        return damage_bytes(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    if kind == 1:
        members[name] = damage_bytes(members[name], rng)
    else:
        members[name] = _saved(_array(rng, 24))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return packed.getvalue()


def _npy() -> Files:
    return {"X.npy": _saved(np.eye(6, dtype=np.float32)), "labels.npy": _saved(np.arange(6) % 2)}


def _saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def damage_array(content: bytes, rng: random.Random) -> bytes:
    """Bytes of an NPY file, or another array."""
    if rng.random() < 0.7:
        return damage_bytes(content, rng)
    return _saved(_array(rng, 6))


def _shards(mode: str) -> Callable[[], Files]:
    def make() -> Files:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            for row in range(4):
                for extension, content in (("png", png(row)), ("txt", (b"cat", b"dog")[row % 2])):
                    member = tarfile.TarInfo(f"{row:06}.{extension}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return {"s/0.tar": buffer.getvalue()}

    return make


def damage_shard(content: bytes, rng: random.Random) -> bytes:
    """Bytes of a tar file; often of a header, whose checksum is mended."""
    if rng.random() < 0.5 or content[:2] == b"\x1f\x8b":
        return damage_bytes(content, rng)
    data = bytearray(content)
    at = rng.randrange(0, len(data) - 512, 512)
    field, size = rng.choice(((0, 100), (124, 12), (156, 1), (345, 155), (257, 8)))
    text = rng.choice(
        (b"\xff", b"77777777777", b"L", b"x", b"g", b"S", b"-1", b"../../x", b"\x80" + b"\xff" * 10, b"")
    )
    data[at + field : at + field + size] = text[:size].ljust(size, b"\0")
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


def _photos() -> Files:
    kinds = {
        "png": "PNG",
        "jpg": "JPEG",
        "webp": "WEBP",
        "gif": "GIF",
        "tif": "TIFF",
        "bmp": "BMP",
        "ppm": "PPM",
    }
    files = {
        f"d/{c}/{i}.{end}": png(i, kind)
        for c in ("cat", "dog")
        for i, (end, kind) in enumerate(kinds.items())
    }
    return files | {"d/dog/deep.png": png(9, "PNG", "I;16")}


def _idx() -> Files:
    pixels, labels = np.zeros((6, 4, 4), np.uint8), np.arange(6, dtype=np.uint8) % 2
    names = {"i/train-images-idx3-ubyte": pixels, "i/train-labels-idx1-ubyte": labels}
    return {
        name: struct.pack(f">{1 + a.ndim}I", 0x800 + a.ndim, *a.shape) + a.tobytes()
        for name, a in names.items()
    }


def _list() -> Files:
    photos = _photos()
    lines = (f"{name.removeprefix('d/')} {int('dog' in name)}\n" for name in photos)
    return photos | {"d/list.txt": "".join(lines).encode()}


# --- configurations

CONFIG = """# a comment
train: none.npz
out: o
noise: symmetric:0.2
seed: 1
limit: 10
label: labels
test_fraction: 0.25
ood: [a.npz, b.npz]
heads:
  linear: {learning_rate: 1e-3, loss: gce, loss_options: {q: 0.7}}
  nmtune: {weight_svd: 0.02}
seeds: 2
shifts: blur,fog-3
"""
CORRUPT_CONFIG = (
    "train: t.csv\nout: o\nnoise: symmetric:0.2\nseed: 3\nlabel: label\nlimit: 8\nmissing_label: skip\n"
)
DETECT_CONFIG = """train: t.npz
out: o
method: neighbours
method_options: {k: 3}
seed: 0
"""
RECIPE = """name: mine
claim: A claim.
source: nowhere
command: noiseproof study mine.yaml
minutes: 1
hardware: a laptop
needs: nothing
expected: up
backbones: ["features:", {name: "zoo:resnet8-noise0", noise: 0.1, family: other}]
tasks:
  blobs: {train: "{data}/t.npz", ood: [o.npz], limit: 5, metric: accuracy}
noise: [none, symmetric:0.2]
heads:
  linear: {}
  mlp: {learning_rate: 1e-3}
detectors: {neighbours: {}, mine: {method: leave_one_out}}
settings: {plain: {}, long: {epochs: 3}}
shares: [0.5, 1.0]
seeds: 2
tables: [heads]
figures: []
toy: {seeds: 1, max_steps: 3}
"""
PRETRAIN = """title: A pre-training
command: noiseproof pretrain supervised
cost: a minute
expected: nothing
source: nowhere
settings:
  objective: supervised
  epochs: 2
  batch_size: 16
  learning_rate: 1e-3
  image_size: 32
"""
SETS = (
    "limit=3", "seed=1", "noise=symmetric:0.2", "noise=asymmetric:cifar10:0.4", "label=y",
    "heads.linear.epochs=3",
    "heads.nmtune.weight_svd=0.02", "ood=[a, b]", "test_fraction=0.2", "shifts=blur",
    "loss_options.label_smoothing=0.1",
)  # fmt: skip


def _text(**files: str) -> Callable[[], Files]:
    return lambda: {name.replace("__", "."): text.encode() for name, text in files.items()}


def _set(*verb: str) -> Callable[[Path], object]:
    """The damaged text is the value of --set."""

    def run(folder: Path) -> object:
        from in_process import noiseproof

        texts = (folder / "set.txt").read_text(errors="surrogateescape").replace("\x00", "").splitlines()
        return noiseproof([*verb, *(part for text in texts for part in ("--set", text))])

    return run


# --- what noiseproof wrote itself


def _head() -> Files:
    from noiseproof import LinearProbe

    features = np.eye(3, dtype=np.float32).repeat(4, 0)
    head = LinearProbe(max_steps=1).fit(features, np.array(["a", "b", "c"]).repeat(4))
    return _written(lambda folder: head.save(folder / "h"))


def _features() -> Files:
    from noiseproof.core.storage.files import digest
    from noiseproof.features.shards import open_shard, write_shard
    from noiseproof.features.store import store_key, write_manifest

    components = {"backbone": "features:", "dataset": digest("x")}

    def write(folder: Path) -> None:
        rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
        noted = {"key": store_key(components), "engine": "torch", "agreement": ""}
        write_shard(folder / "f/part-00000.safetensors", rows, np.array(list("abcdef")), noted)
        shard = open_shard(folder / "f/part-00000.safetensors")
        write_manifest(folder / "f", [shard], components=components, dataset="mine", shard_rows=6, num_cut=0)

    return _written(write)


def _manifest() -> Files:
    files = _npz()

    def write(folder: Path) -> None:
        from in_process import noiseproof

        (folder / "t.npz").write_bytes(files["t.npz"])
        noiseproof(["corrupt", "t.npz", "--noise", "symmetric:0.2", "--out", "m"])

    return files | _written(write)


def _run_folder() -> Files:
    write_run = _beside("report/conftest.py").write_run

    def write(folder: Path) -> None:
        write_run(folder / "r", kind="features", seeds=(0, 1), ood=("sketch",))
        (folder / "r" / MARK).touch()

    return _written(write)


def _issues() -> Files:
    from noiseproof.detect.find_issues import find_label_issues
    from noiseproof.export.issue_files import write_issues

    features = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    issues = find_label_issues(features, np.array(list("abc") * 10), method="neighbours", seed=0)
    return _written(lambda folder: write_issues(issues, folder))


def _rows() -> Files:
    invented = _beside("study/invented.py")
    recipe = invented.invented_recipe(
        seeds=1, tasks={"digits": {"train": "d"}}, heads={"linear": {}}, figures=["feature-maps", "curvature"]
    )
    lines = "".join(json.dumps(row.to_json()) + "\n" for row in invented.invented_rows(recipe)[:6])
    return {"study.jsonl": lines.encode(), "mine.yaml": RECIPE.encode()}


def _checkpoint() -> Files:
    import torch
    from safetensors.torch import save

    state = {"a.weight": torch.zeros(2, 2), "a.bias": torch.zeros(2)}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    header = {"noiseproof": json.dumps({"schema": 1, "prefix": "", "noise": {"rate": 0.1}})}
    return {"c.safetensors": save(state, metadata=header), "c.pt": buffer.getvalue()}


def _log() -> Files:
    validations = "".join(json.dumps({"schema": 1, "step": i, "accuracy": 0.5}) + "\n" for i in range(3))
    log = "".join(
        json.dumps({"step": i, "loss": 0.5, "learning_rate": 1e-3, "wall_s": 1.5}) + "\n" for i in range(3)
    )
    return {"validation.jsonl": validations.encode(), "log.jsonl": log.encode()}


def _written(write: Callable[[Path], object]) -> Files:
    """Files that a function writes into a folder, which is the current one."""
    import os
    import tempfile

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            write(Path(name))
        finally:
            os.chdir(before)
        paths = [path for path in Path(name).rglob("*") if path.is_file()]
        return {path.relative_to(name).as_posix(): _unsealed(path) for path in paths}


def _unsealed(path: Path) -> bytes:
    """The contents without checksums, as of files of before and of those that people edit.

    With them, the reader would refuse all damage before it looks at any value.
    """
    content = path.read_bytes()
    if path.suffix not in (".json", ".jsonl"):
        return content
    lines = content.splitlines() if path.suffix == ".jsonl" else [content]
    return b"\n".join(json.dumps(_without_checksums(json.loads(line))).encode() for line in lines) + b"\n"


def _without_checksums(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_checksums(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without_checksums(each) for name, each in value.items() if name != "checksum"}
    return kept | {"table_sha256": None} if "table_sha256" in kept else kept


def _beside(path: str) -> Any:
    """A module of another folder of tests, by its path."""
    import importlib.util

    file = Path(__file__).resolve().parents[1] / path
    spec = importlib.util.spec_from_file_location(f"hostile_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- functions that have no command of their own yet


def _load_head(folder: Path) -> object:
    from noiseproof.heads.estimators import load_head

    return load_head(folder / "h").predict(np.zeros((2, 3), np.float32))


def _load_issues(folder: Path) -> object:
    from noiseproof.export.issue_files import load_issues

    return load_issues(folder).to_frame()


def _read_rows(folder: Path) -> object:
    from noiseproof.study.rows import StudyLog

    return StudyLog(folder).rows


def _read_logs(folder: Path) -> object:
    from noiseproof.adapt.selection import read_validations
    from noiseproof.training.loop import logged

    return read_validations(folder / "validation.jsonl", next_step="start again"), logged(
        folder / "log.jsonl"
    )


def _read_weights(folder: Path) -> object:
    from noiseproof.backbones.checkpoints.weights import read_checkpoint, read_header

    return [
        (read_checkpoint(folder / name), read_header(folder / name)) for name in ("c.safetensors", "c.pt")
    ]


TRAINING = (
    "pretrain",
    "supervised",
    "none.npz",
    "--test",
    "none.npz",
    "--model",
    "resnet8",
    "--batch-size",
    "16",
    "--out",
    "o",
)
TABLE = ("corrupt", "t.csv", *CORRUPT)
FORMATS: dict[str, Format] = {
    "csv": Format(_text(t__csv=CSV), ("t.csv",), damage_text, TABLE),
    "tsv": Format(
        _text(t__tsv=CSV.replace(",", "\t")), ("t.tsv",), damage_text, ("corrupt", "t.tsv", *CORRUPT)
    ),
    "jsonl": Format(_jsonl, ("t.jsonl",), damage_lines, ("corrupt", "t.jsonl", *CORRUPT)),
    "parquet": Format(_parquet, ("t.parquet",), damage_table, ("corrupt", "t.parquet", *CORRUPT), 4),
    "parquet images": Format(
        _parquet,
        ("t.parquet",),
        damage_table,
        ("corrupt", "t.parquet", "--noise", "instance:0.2", "--out", "o"),
    ),
    "npz": Format(
        _npz, ("t.npz",), damage_arrays, ("detect", "t.npz", "--method", "neighbours", "--out", "o"), 3
    ),
    "npz labels": Format(_npz, ("t.npz",), damage_arrays, ("corrupt", "t.npz", *CORRUPT), 3),
    "probabilities": Format(
        _npz,
        ("p.npz",),
        damage_arrays,
        ("detect", "t.npz", "--probs", "p.npz", "--method", "confident_learning", "--out", "o"),
    ),
    "npy": Format(_npy, ("X.npy", "labels.npy"), damage_array, ("corrupt", "X.npy", *CORRUPT)),
    "matrix": Format(
        lambda: {"m.npy": _saved(np.full((3, 3), 1 / 3)), **_npz()},
        ("m.npy",),
        damage_array,
        ("corrupt", "t.npz", "--noise", "asymmetric:m.npy", "--out", "o"),
    ),
    "tar": Format(
        _shards("w"), ("s/0.tar",), damage_shard, ("corrupt", "s", "--noise", "captions:0.5", "--out", "o"), 3
    ),
    "tar.gz": Format(
        _shards("w:gz"),
        ("s/0.tar",),
        damage_shard,
        ("corrupt", "s/0.tar", "--noise", "captions:0.5", "--out", "o"),
    ),
    "tar labels": Format(_shards("w"), ("s/0.tar",), damage_shard, ("corrupt", "s", *CORRUPT)),
    "images": Format(
        _photos, tuple(_photos()), damage_bytes, ("corrupt", "d", "--noise", "instance:0.2", "--out", "o"), 3
    ),
    "idx": Format(_idx, tuple(_idx()), damage_bytes, ("corrupt", "idx:i/train", *CORRUPT)),
    "list": Format(_list, ("d/list.txt",), damage_text, ("corrupt", "d/list.txt", *CORRUPT)),
    "config of run": Format(
        _text(c__yaml=CONFIG), ("c.yaml",), damage_text, ("run", "--config", "c.yaml"), 5
    ),
    "config of corrupt": Format(
        _text(c__yaml=CORRUPT_CONFIG, t__csv=CSV),
        ("c.yaml",),
        damage_text,
        ("corrupt", "--config", "c.yaml"),
        4,
    ),
    "config of detect": Format(
        lambda: {"c.yaml": DETECT_CONFIG.encode(), **_npz()},
        ("c.yaml",),
        damage_text,
        ("detect", "--config", "c.yaml"),
        2,
    ),
    "set of run": Format(
        _text(set__txt="\n".join(SETS)), ("set.txt",), damage_text, _set("run", "none.npz", "--out", "o"), 3
    ),
    "set of pretrain": Format(
        _text(set__txt="epochs=2\nlearning_rate=1e-3\nimage_size=32"),
        ("set.txt",),
        damage_text,
        _set(*TRAINING),
        2,
    ),
    "set of finetune": Format(
        _text(set__txt="epochs=2\nlearning_rate=1e-3\ntune=full"),
        ("set.txt",),
        damage_text,
        _set(
            "adapt",
            "finetune",
            "none.npz",
            "--backbone",
            "zoo:resnet8-noise0",
            "--test",
            "none.npz",
            "--out",
            "o",
        ),
        2,
    ),
    "recipe": Format(
        _text(r__yaml=RECIPE), ("r.yaml",), damage_text, ("study", "r.yaml", "--out", "o", "--plan"), 5
    ),
    "recipe of pretraining": Format(
        _text(r__yaml=PRETRAIN), ("r.yaml",), damage_text, (*TRAINING, "--recipe", "r.yaml"), 2
    ),
    "class map": Format(
        _text(m__yaml="cat: dog\ndog: cat\n", t__csv=CSV),
        ("m.yaml",),
        damage_text,
        ("corrupt", "t.csv", "--noise", "asymmetric:m.yaml:0.4", "--out", "o"),
        2,
    ),
    "head": Format(_head, ("h.json",), damage_json, _load_head, 3),
    "weights of a head": Format(_head, ("h.safetensors",), damage_bytes, _load_head, 1),
    "feature manifest": Format(_features, ("f/manifest.json",), damage_json, ("spectrum", "f", "--json"), 3),
    "feature shard": Format(_features, ("f/part-00000.safetensors",), damage_bytes, ("spectrum", "f"), 2),
    "noise manifest": Format(
        _manifest,
        ("m/noise.json",),
        damage_json,
        ("detect", "t.npz", "--noise-manifest", "m", "--method", "neighbours", "--out", "o"),
        2,
    ),
    "noise table": Format(
        _manifest,
        ("m/*.parquet",),
        damage_bytes,
        ("detect", "t.npz", "--noise-manifest", "m", "--method", "neighbours", "--out", "o"),
        1,
    ),
    "run.json": Format(_run_folder, ("r/run.json",), damage_json, ("report", "r"), 2),
    "spectrum.json": Format(_run_folder, ("r/spectrum.json",), damage_json, ("report", "r"), 2),
    "results.jsonl": Format(_run_folder, ("r/results.jsonl",), damage_lines, ("report", "r"), 2),
    "issues of a run": Format(_run_folder, ("r/label_issues.parquet",), damage_bytes, ("report", "r"), 1),
    "issues": Format(_issues, ("label_issues.parquet",), damage_bytes, _load_issues, 2),
    "summary of issues": Format(_issues, ("label_issues.json",), damage_json, _load_issues, 3),
    "rows of a study": Format(_rows, ("study.jsonl",), damage_lines, _read_rows, 3),
    "plan of a study": Format(
        _rows, ("study.jsonl",), damage_lines, ("study", "mine.yaml", "--out", ".", "--plan"), 1
    ),
    "logs": Format(_log, ("validation.jsonl", "log.jsonl"), damage_lines, _read_logs, 2),
    "weights": Format(_checkpoint, ("c.safetensors", "c.pt"), damage_bytes, _read_weights, 2),
}
