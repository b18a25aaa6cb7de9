"""Tables of texts through the flows, with a transformer of random weights in place of the default."""

import csv
import itertools
import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiny_transformers import WORDS, save_transformer

pytest.importorskip("transformers")

from noiseproof.backbones.backbones import open_backbone
from noiseproof.cli.main import app
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.data.sources import open_dataset
from noiseproof.data.text_cells import what_instead_of_texts
from noiseproof.export.thumbnails import read_texts
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


def test_texts_are_cut_off_where_the_user_says(folder):
    again = detect(DetectConfig(**common(folder, folder / "issues_short"), max_tokens=8))
    assert again.card["encoder_passes"] == 60  # a key of its own in the store
    assert any(
        "of the 60 texts of reviews.csv are longer than the encoder reads" in n for n in again.card["notes"]
    )
    assert not any(note.startswith("1 of the 60 texts") for note in again.card["notes"])
    third = detect(DetectConfig(**common(folder, folder / "issues_third"), max_tokens=8))
    assert third.card["encoder_passes"] == 0


def test_a_longest_text_that_no_encoder_has_is_refused(folder):
    with pytest.raises(InvalidArgument, match=r"`max_tokens` is 100000; allowed: at most \d+, all that"):
        detect(DetectConfig(**common(folder, folder / "issues_long"), max_tokens=100_000))
    with pytest.raises(InvalidArgument, match="`max_tokens` is 8; allowed: nothing for zoo:resnet8-simclr"):
        open_backbone("zoo:resnet8-simclr", max_tokens=8)


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


@pytest.mark.parametrize("text", ["", "   ", "\t", "\u200b \u200b", "\x01"])
def test_an_empty_text_is_named_or_left_out(tmp_path, text):
    file = tmp_path / "t.csv"
    file.write_text(f'text,label\ngood,a\n"{text}",b\nbad,b\nfine,a\n')
    with pytest.raises(BadData, match=r"'t/1' of .* cannot be read: the text is empty"):
        list(open_dataset(str(file)).examples)
    assert open_dataset(str(file), on_error="skip").skipped == {"t/1": "the text is empty"}


def pairs_file(folder, header):
    rows = [
        ("good film", f"the {word} plot", word)
        for word in itertools.islice(itertools.cycle(["good", "bad"]), 24)
    ]
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(folder / "pairs.csv")


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (("sentence1", "sentence2", "label"), None),
        (("premise", "Hypothesis", "label"), None),
        (("a", "b", "label"), "a, b"),
    ],
)
def test_pairs_of_texts_are_read_together(folder, tmp_path, header, text):
    config = common(folder, tmp_path / "out") | {"train": pairs_file(tmp_path, header), "text": text}
    found = detect(DetectConfig(**config, export=("label-studio",)))
    assert not found.issues.is_issue.any()
    task = json.loads(found.exports["label-studio"].read_text())[0]
    assert task["data"]["text"].startswith("good film | the ")


def test_pairs_beside_single_texts_are_refused(folder, tmp_path):
    pairs, single = pairs_file(tmp_path, ("sentence1", "sentence2", "label")), str(folder / "reviews.csv")
    for train, ood, problem in (
        (single, pairs, r"reviews.csv' has single texts, and '.*pairs.csv' has pairs of texts; allowed"),
        (pairs, single, r"pairs.csv' has pairs of texts, and '.*reviews.csv' has single texts; allowed"),
    ):
        with pytest.raises(BadData, match=problem):
            run(RunConfig(**common(folder, tmp_path / "out") | {"train": train, "ood": (ood,)}))


def test_other_texts_of_a_pair_are_another_data_set(tmp_path):
    fingerprints = set()
    for first, second in [("ab", "c"), ("a", "bc"), ("c", "ab")]:
        (tmp_path / "t.csv").write_text(f"text1,text2,label\n{first},{second},x\nu,v,y\n")
        fingerprints.add(open_dataset(str(tmp_path / "t.csv")).fingerprint)
    assert len(fingerprints) == 3


def test_columns_that_are_no_texts_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("text,other,label\n1.5,good,a\n2,bad,b\n")
    with pytest.raises(BadData, match=r"Column 'text' of .* holds numbers such as '1.5'; allowed as `text`"):
        open_dataset(str(tmp_path / "t.csv"))
    with pytest.raises(InvalidArgument, match=r"`text` is 'other,other'; allowed: .* FIRST,SECOND"):
        open_dataset(str(tmp_path / "t.csv"), text="other,other")
    with pytest.raises(BadData, match=r"Column 'label' of .* holds the labels; allowed as examples"):
        open_dataset(str(tmp_path / "t.csv"), text="label")
    with pytest.raises(UnknownName, match=r"column in `text` of .* 'nothing'"):
        open_dataset(str(tmp_path / "t.csv"), text="other,nothing")
    (tmp_path / "p.csv").write_text("text1,text2,label\ngood,,a\nbad,plot,b\n")
    with pytest.raises(BadData, match=r"'p/0' of .* cannot be read: the text is empty"):
        list(open_dataset(str(tmp_path / "p.csv")).examples)


IDS_AND_FILES = [
    ("numbers", "0.50", [f"{row}.50" for row in range(12)] + [""]),
    ("numbers", "0.50", ["nan", "N/A"] + [f"{row}.50" for row in range(12)]),
    ("ids", "doc_0000", [f"doc_{row:04}" for row in range(12)]),
    ("ids", "2024-01-10", [f"2024-01-{row}" for row in range(10, 30)]),
    ("ids", "00000000-0000", [str(uuid.UUID(int=row * 16**20)) for row in range(12)]),
    ("names of files", "reviews/0.txt", [f"reviews/{row}.txt" for row in range(3)]),
]
TEXTS = [
    ["good", "bad", "fine"],
    [f"item {row} is good" for row in range(12)],  # only the number differs
    ["A12", "B7", "C1"] * 5,
    [f"A{row}" for row in range(9)],  # too few to tell
    [f"${row}" for row in range(40)],
    [f"{row}/10" for row in range(40)],
    [f"第{row}章" for row in range(40)],
    ["readme.md"],
    ["see notes.txt", "readme.md"],
    ["defaced", "effaced", "acceded"] * 4,
    ["", "1"] + ["two"] * 10,
]


@pytest.mark.parametrize(("what", "shown", "cells"), IDS_AND_FILES)
def test_ids_and_names_of_files_are_no_texts(tmp_path, what, shown, cells):
    file = tmp_path / "t.csv"
    file.write_text("text,label\n" + "".join(f"{cell},{row % 2}\n" for row, cell in enumerate(cells)))
    with pytest.raises(
        BadData, match=f"Column 'text' of .* holds {what} such as '{shown}.*; allowed as `text`"
    ):
        open_dataset(str(file))


@pytest.mark.parametrize("cells", TEXTS)
def test_texts_that_resemble_ids_are_texts(cells):
    assert what_instead_of_texts(cells) is None


@pytest.mark.parametrize("kind", [pa.dictionary(pa.int8(), pa.string()), pa.string_view(), pa.large_string()])
def test_every_type_of_texts_in_parquet_is_read(tmp_path, kind):
    texts = pa.array(["good", "bad", "good"], pa.string()).cast(kind)
    pq.write_table(pa.table({"text": texts, "label": ["a", "b", "a"]}), tmp_path / "t.parquet")
    assert list(open_dataset(str(tmp_path / "t.parquet")).examples) == ["good", "bad", "good"]


def test_a_table_of_labels_is_enough_where_probabilities_are_given(tmp_path):
    labels = np.arange(40) % 2
    given = np.where(np.arange(40) < 3, 1 - labels, labels)
    (tmp_path / "t.csv").write_text("label\n" + "".join(f"{label}\n" for label in given))
    np.save(tmp_path / "probs.npy", 0.1 + 0.8 * np.eye(2)[labels])
    config = {"train": str(tmp_path / "t.csv"), "out": tmp_path / "out", "cache": tmp_path / "cache"}
    found = detect(DetectConfig(**config, probs=tmp_path / "probs.npy", export=("cleaned-drop",)))
    assert np.flatnonzero(found.issues.is_issue).tolist() == [0, 1, 2]
    assert len(open_dataset(str(found.exports["cleaned-drop"]), may_lack_examples=True)) == 37
    with pytest.raises(BadData, match=r"no obvious image or text column"):
        detect(DetectConfig(**config))


@pytest.mark.slow
def test_suspects_are_shown_with_the_texts_of_this_start(folder, tmp_path):
    shown = []

    def on_suspects(issues, rest_s, home):
        shown.append(read_texts(home))

    lines = (folder / "reviews.csv").read_text().splitlines()[:41]
    for ending in ("old", "new"):
        changed = [lines[0], *(line.replace(",", f" {ending},", 1) for line in lines[1:])]
        (tmp_path / "t.csv").write_text("\n".join(changed) + "\n")
        config = common(folder, tmp_path / "out") | {"train": str(tmp_path / "t.csv")}
        run(RunConfig(**config, heads=("linear",), seeds=1), on_suspects=on_suspects)
        assert shown[-1]
        assert all(text.endswith(ending) for text in shown[-1].values())
