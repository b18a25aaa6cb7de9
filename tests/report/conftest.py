"""A run folder with plausible values, as `noiseproof run` would leave it."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from noiseproof.core.records import SpectrumCard
from noiseproof.core.rng import stream
from noiseproof.core.storage import files
from noiseproof.evaluate.metrics import all_metrics, outcomes, per_class_metrics
from noiseproof.evaluate.results import ResultRow

CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
HEADS = {"linear": -0.01, "mlp": 0.0, "nmtune": 0.03}
SKILL = {"test": 0.95, "ood": 0.47}


@pytest.fixture
def fake_run(tmp_path):
    """Returns a function: options of `write_run` -> path of a run folder."""

    def make(**options):
        return write_run(tmp_path / "run", **options)

    return make


def write_run(
    path, *, classes=CLASSES, heads=HEADS, seeds=(0, 1, 2), ood=("art_painting", "sketch"), train="photo",
    kind="image", knows_truth=True, num_train=400, num_test=300,
    notes=("OOD sets were not used for any choice.",),
):  # fmt: skip
    rng = stream(0, "fake run")
    path.mkdir(parents=True)
    sets = [(train, "train"), (f"{train} (held out)", "test"), *((name, "ood") for name in ood)]
    issues = _write_issues(path, rng, classes, num_train, knows_truth)
    detection = _detection(issues) if knows_truth else None
    files.write_json(
        path / "run.json", _card(sets, classes, seeds, detection, num_train, num_test, list(notes))
    )
    _write_results(path, rng, classes, heads, seeds, sets[1:], num_test)
    files.write_json(path / "spectrum.json", [_spectra(rng, name, role) for name, role in sets])
    if kind != "features":
        _write_suspects(path, rng, issues.head(48), kind)
    return path


def _card(sets, classes, seeds, detection, num_train, num_test, notes):
    noise = {"kind": "symmetric", "asked_rate": 0.1, "realised_rate": 0.1, "seed": 0} if detection else None
    return {
        "schema": 2,
        "kind": "run",
        "noiseproof": "0.1.0",
        "command": "noiseproof run --train photo.parquet --ood art_painting.parquet --ood sketch.parquet "
        "--backbone bundled:efficientnet-lite0 --out runs/pacs",
        "created": "2026-11-21T05:44:00+00:00",
        "config": {"heads": {"nmtune": {"weight_svd": 0.01, "weight_cov": 0.01}}, "epochs": 30, "test": None},
        "data": [
            {
                "set": name, "role": role, "num_examples": num_train if role == "train" else num_test,
                "num_classes": len(classes), "num_skipped": 0, "fingerprint": f"{i:064x}",
                "class_names": list(classes), "label_noise": noise if role == "train" else None,
            }
            for i, (name, role) in enumerate(sets)
        ],
        "backbone": {
            "name": "bundled:efficientnet-lite0", "dim": 1280, "layer": "pooled", "weights_hash": "ab" * 32,
            "transform": "resize 256 bicubic, centre crop 224, mean = std = .5", "engine": "onnxruntime",
            "features_agree_within": 3.1e-6, "precision": "float32", "dtype": "float32",
        },
        "seeds": list(seeds),
        "versions": {"torch": "2.13.0", "numpy": "2.4.6", "scikit-learn": "1.9.1", "onnxruntime": "1.23.0"},
        "hardware": {"cpu": "x86_64", "num_cores": 2, "memory_gib": 15.6, "gpu": None, "os": "Linux"},
        "wall_s": {"features": 31.2, "spectrum": 0.8, "labels": 0.6, "heads": 24.1, "evaluation": 1.9},
        "encoder_passes": num_train + num_test * (len(sets) - 1),
        "detection": detection,
        "notes": notes,
    }  # fmt: skip


def _write_issues(path, rng, classes, n, knows_truth):
    names, k = np.array(classes, dtype=object), len(classes)
    clean = rng.integers(0, k, n)
    is_wrong = rng.uniform(size=n) < 0.1
    given = np.where(is_wrong, (clean + rng.integers(1, k, n)) % k, clean)
    suspicion = np.where(is_wrong, rng.beta(6, 1.2, n), rng.beta(0.5, 9, n))
    is_issue = suspicion > 0.5
    frame = pd.DataFrame(
        {
            "example_id": [f"photo/{classes[label]}/{i:05d}.jpg" for i, label in enumerate(given)],
            "given_label": names[given],
            "suggested_label": names[np.where(is_issue, clean, given)],
            "suspicion": suspicion,
            "is_issue": is_issue,
        }
    )
    if knows_truth:
        frame["clean_label"] = names[clean]
    frame.to_parquet(path / "label_issues.parquet")
    return frame.sort_values("suspicion", ascending=False, ignore_index=True)


def _detection(issues):
    wrong, flagged = issues["given_label"] != issues["clean_label"], issues["is_issue"]
    hits = int((wrong & flagged).sum())
    return {
        "precision": hits / int(flagged.sum()), "recall": hits / int(wrong.sum()),
        "f1": 2 * hits / int(flagged.sum() + wrong.sum()), "auroc": 0.981, "average_precision": 0.903,
        "num_flagged": int(flagged.sum()), "num_wrong": int(wrong.sum()),
    }  # fmt: skip


def _write_results(path, rng, classes, heads, seeds, sets, n):
    lines, k = [], len(classes)
    labels = {name: rng.integers(0, k, n) for name, _ in sets}
    for head, bonus in heads.items():
        for seed in seeds:
            for name, role in sets:
                skill = SKILL[role] + bonus * (1 if role == "ood" else 0.1) - 0.12 * (name == "sketch")
                is_right = rng.uniform(size=n) < np.clip(skill + rng.normal(0, 0.004), 0, 0.99)
                top = np.where(is_right, labels[name], (labels[name] + rng.integers(1, k, n)) % k)
                probs = np.full((n, k), 0.3 / (k - 1))
                probs[np.arange(n), top] = 0.7
                per_class = dict(zip(classes, per_class_metrics(outcomes(probs, labels[name])), strict=True))
                domain = "ood" if role == "ood" else "id"
                row = ResultRow(
                    head, seed, name, domain, n, all_metrics(outcomes(probs, labels[name])), per_class
                )
                lines.append(row.to_line() + "\n")
    (path / "results.jsonl").write_text("".join(lines))


def _spectra(rng, name, role):
    ranks = np.arange(1, 1281)
    values = 900 * ranks ** -rng.uniform(0.75, 0.95) * np.exp(-ranks / rng.uniform(500, 800))
    raw = np.concatenate([[values[0] * 4], values[1:]])
    return {"set": name, "role": role, "raw": _spectrum(raw, False), "centred": _spectrum(values, True)}


def _spectrum(values, is_centred):
    shares = values / values.sum()
    entropy = float(-(shares * np.log(shares)).sum())
    ratio, rank = float(-np.log(shares[0])), float(np.exp(entropy))
    return SpectrumCard(1670, len(values), values, entropy, ratio, rank, is_centred).to_json()


def _write_suspects(path, rng, top, kind):
    entries = []
    (path / "thumbnails").mkdir()
    for i, row in enumerate(top.to_dict("records")):
        entry = {k: row[k] for k in ("example_id", "given_label", "suggested_label", "suspicion", "is_issue")}
        if kind == "text":
            entry["text"] = "The food was warm, the waiter was not. " * int(rng.integers(1, 9))
        else:
            entry["file"] = f"thumbnails/{i:05d}.png"
            _thumbnail(rng).save(path / entry["file"])
        entries.append(entry)
    (path / "thumbnails.json").write_text(json.dumps(entries))


def _thumbnail(rng):
    low, high = rng.integers(40, 200, 3), rng.integers(90, 255, 3)
    ramp = np.linspace(0, 1, 96)[:, None, None]
    image = Image.fromarray(np.broadcast_to(low * (1 - ramp) + high * ramp, (96, 96, 3)).astype(np.uint8))
    x, y, size = rng.integers(10, 50), rng.integers(10, 50), rng.integers(25, 45)
    ImageDraw.Draw(image).ellipse(
        [x, y, x + size, y + size], fill=tuple(int(v) for v in rng.integers(0, 255, 3))
    )
    return image
