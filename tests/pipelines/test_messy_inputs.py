"""Data as people have them, from the command line to the card, the page and the cleaned copy."""

import csv
import json

import numpy as np
import pytest
from blobs import save_blobs
from typer.testing import CliRunner

import noiseproof
from noiseproof.cli.main import app
from noiseproof.pipelines.run import run

NAMES = np.array(["ant", "bee", "cat"])


def noiseproof_command(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def save_csv(folder, *, delimiter: str = ";", missing: tuple[int, ...] = (4, 7)):
    """Numbered columns of features as a spreadsheet writes them, with gaps among the labels."""
    archive = np.load(save_blobs(folder / "blobs.npz", n=90, seed=1))
    labels = NAMES[archive["labels"]].astype(object)
    labels[30] = "bee" if labels[30] != "bee" else "cat"  # the wrong one
    labels[list(missing)] = ""
    with (folder / "train.csv").open("w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow([*(f"e{number}" for number in range(archive["features"].shape[1])), "label"])
        rows.writerows([*map(repr, map(float, row)), name] for row, name in zip(
            archive["features"], labels, strict=True
        ))  # fmt: skip
    return folder / "train.csv", labels


def test_gaps_among_labels_are_left_out_and_stay_in_a_cleaned_copy(tmp_path):
    path, labels = save_csv(tmp_path)
    out = tmp_path / "issues"
    options = ("detect", path, "--cache", tmp_path / "cache", "--export", "cleaned-relabel", "--out", out)
    refused = noiseproof_command(*options)
    assert refused.exit_code != 0
    assert "--missing-label skip" in refused.stderr.replace("\n", " ")
    result = noiseproof_command(*options, "--missing-label", "skip")
    assert result.exit_code == 0, result.stderr
    assert "2 examples:" in result.stdout
    assert "'train/4' (no label in 'label'); 'train/7' (no label in 'label')" in " ".join(
        result.stdout.split()
    )
    card = json.loads((out / "detection.json").read_text())
    assert card["data"]["num_examples"] == 88
    assert card["data"]["skipped"] == [
        {"example_id": f"train/{row}", "reason": "no label in 'label'"} for row in (4, 7)
    ]
    with (out / "cleaned-relabel.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    relabelled = [row["label"] for row in rows]
    assert (relabelled[4], relabelled[7]) == ("", "")
    assert [row for row in range(90) if relabelled[row] != labels[row]] == [30]
    issues = noiseproof.load_issues(out)
    (copy,) = noiseproof.export_issues(issues, tmp_path / "few.csv", format="cleaned-drop", data=str(path))
    assert len(copy.read_text().splitlines()) == 1 + 89


def test_gaps_in_an_archive_stay_in_a_cleaned_copy(tmp_path):
    path = save_blobs(tmp_path / "train.npz", n=90, seed=1)
    arrays = dict(np.load(path))
    labels = arrays["labels"].astype(float)
    labels[30] = (labels[30] + 1) % 3
    labels[[4, 7]] = np.nan
    np.savez(path, **arrays | {"labels": labels})
    out = tmp_path / "issues"
    result = noiseproof_command(
        "detect", path, "--cache", tmp_path / "cache", "--missing-label", "skip",
        "--export", "cleaned-relabel", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    cleaned = np.load(out / "cleaned-relabel.npz")["labels"]
    assert np.isnan(cleaned[[4, 7]]).all()
    assert np.flatnonzero(~(cleaned == labels) & ~np.isnan(labels)).tolist() == [30]


def test_a_matrix_of_probabilities_in_another_order_stops_the_command(tmp_path):
    path = save_blobs(tmp_path / "train.npz", n=90, seed=1)
    probs = np.eye(3)[np.load(path)["labels"]] * 0.85 + 0.05
    np.save(tmp_path / "probs.npy", probs[:, [1, 2, 0]])
    options = ("detect", path, "--probs", tmp_path / "probs.npy", "--out", tmp_path / "issues")
    result = noiseproof_command(*options)
    assert result.exit_code != 0
    message = " ".join(result.stderr.split())
    assert "columns of `--probs` seem to be in another order" in message
    assert "in the order bee, cat, ant 0.90" in message
    np.savez(tmp_path / "probs.npz", probs=probs[:, [1, 2, 0]], class_names=NAMES[[1, 2, 0]])
    named = noiseproof_command(*options[:2], "--probs", tmp_path / "probs.npz", *options[4:])
    assert named.exit_code == 0, named.stderr
    assert "0 labels look wrong" in named.stdout


def test_class_names_that_are_probably_mistakes_are_noted_once(tmp_path):
    path = save_blobs(tmp_path / "train.npz", n=90, seed=1)
    np.savez(path, **dict(np.load(path)) | {"class_names": np.array(["ant", "ant ", "x;y"])})
    result = noiseproof_command("detect", path, "--cache", tmp_path / "c", "--out", tmp_path / "issues")
    text = " ".join(result.stdout.split())
    assert text.count("'ant' and 'ant ' differ only in blanks") == 1
    assert text.count("'x;y' reads like a list of labels") == 1


@pytest.mark.parametrize("option", ["missing_label"])
def test_what_was_left_out_is_on_the_card_and_on_the_page(configured, tmp_path, option):
    path = save_blobs(tmp_path / "train.npz", n=90, seed=1)
    labels = np.load(path)["labels"].astype(float)
    labels[3] = np.nan
    np.savez(path, **dict(np.load(path)) | {"labels": labels})
    result = run(configured(seeds=1, heads=["linear"], noise=None, **{option: "skip"}))
    assert result.card["data"][0]["skipped"] == [{"example_id": "train/3", "reason": "no label in 'labels'"}]
    assert any("'train/3' (no label in 'labels')" in note for note in result.card["notes"])
    page = result.report.read_text()
    assert "<code>train/3</code>: no label in &#39;labels&#39;" in page
    assert "1 left out of train.npz" in page
