"""Tables of texts through the flows, with a transformer of random weights in place of the default."""

import csv
import itertools
import json

import numpy as np
import pytest

from tiny_transformers import WORDS, save_transformer

pytest.importorskip("transformers")

from noiseproof.cli.main import app
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import BadData
from noiseproof.data.sources import open_dataset
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.run import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny encoder, and 60 reviews of which six have the wrong label."""
    root = tmp_path_factory.mktemp("texts")
    save_transformer(root / "bert")
    rng = np.random.default_rng(0)
    rows = []
    for row, word in zip(range(60), itertools.cycle(["good", "bad"]), strict=False):
        others = rng.choice([w for w in WORDS if w not in ("good", "bad")], 3)
        given = {"good": "bad", "bad": "good"}[word] if row < 6 else word
        rows.append((" ".join([word, *others, word]), given))
    rows[20] = (" ".join(["good"] * 40), "good")
    rows[21] = ("bad <script>alert(1)</script> & bad", "bad")
    with (root / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("review", "label"), *rows])
    return root


def common(folder, out):
    return {
        "train": str(folder / "reviews.csv"), "out": out, "cache": folder / "cache",
        "backbone": f"hf:{folder / 'bert'}", "layer": "mean",
    }  # fmt: skip


@pytest.fixture(scope="module")
def found(folder):
    return detect(DetectConfig(**common(folder, folder / "issues")))


def test_wrong_labels_of_texts_are_found(found):
    assert set(np.flatnonzero(found.issues.is_issue)) == set(range(6))


def test_texts_that_are_cut_off_are_counted(found, folder):
    note = "1 of the 60 texts of reviews.csv are longer than the encoder reads; their ends were cut off."
    assert note in found.card["notes"]
    again = detect(DetectConfig(**common(folder, folder / "issues_again")))  # features from the store
    assert again.card["encoder_passes"] == 0
    assert note in again.card["notes"]


def test_the_terminal_shows_the_suspicious_texts(folder, found, capsys):
    assert found
    arguments = [f"--{name}={value}" for name, value in common(folder, folder / "issues").items()]
    app(["detect", *arguments], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "text" in printed
    assert json.loads((folder / "issues/thumbnails.json").read_text())[0]["text"].split()[0] in printed


def test_a_run_on_texts_shows_them_escaped_on_its_page(folder):
    config = RunConfig(**common(folder, folder / "run"), heads=("linear",), seeds=1)
    result = run(config)
    page = result.report.read_text()
    assert {row.metrics["accuracy"] > 0.5 for row in result.rows} == {True}
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize("text", ["", "   ", "\t"])
def test_an_empty_text_is_named_or_left_out(tmp_path, text):
    file = tmp_path / "t.csv"
    file.write_text(f'text,label\ngood,a\n"{text}",b\nbad,b\nfine,a\n')
    with pytest.raises(BadData, match=r"'t/1' of .* cannot be read: the text is empty"):
        list(open_dataset(str(file)).examples)
    assert open_dataset(str(file), on_error="skip").skipped == {"t/1": "the text is empty"}
