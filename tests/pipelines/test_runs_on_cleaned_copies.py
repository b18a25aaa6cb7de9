"""A run on a cleaned copy: accuracy against suggested labels is named circular and never comes first."""

import json

import numpy as np
import pytest

from noiseproof.data.sources import open_dataset
from noiseproof.data.splits import subset
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.cleaned_copies import labels_before_cleaning
from noiseproof.report.headline import facts, headlines
from noiseproof.report.run_folder import load_run


@pytest.fixture
def cleaned(tmp_path, blobs):
    """The blobs as a cleaned copy: labels before are a fifth wrong; relabelled to the truth, or dropped."""

    def make(way):
        arrays = dict(np.load(blobs))
        truth = arrays["labels"]
        before = np.where(np.arange(len(truth)) % 5 == 0, (truth + 1) % 3, truth)
        kept = slice(None) if way == "relabel" else before == truth
        path = tmp_path / f"cleaned-{way}.npz"
        np.savez(
            path, features=arrays["features"][kept], labels=truth[kept], truth=truth[kept],
            original_label=before[kept], class_names=arrays["class_names"],
        )  # fmt: skip
        return str(path)

    return make


def finished(configured, train, **changed):
    own = {
        "train": train,
        "label": "labels",
        "noise": None,
        "heads": "linear",
        "max_steps": 100,
        "seeds": 1,
        "ood": [],
    }
    return pipeline.run(configured(**own | changed))


def test_both_accuracies_are_in_the_results_and_the_circular_one_is_no_headline(configured, cleaned):
    train = cleaned("relabel")
    result = finished(configured, train)
    own, circular = (
        [row for row in result.rows if row.domain == domain and row.seed == 0]
        for domain in ("id", "relabelled")
    )
    assert [row.set_name for row in own + circular] == [
        "cleaned-relabel.npz (held out)", "cleaned-relabel.npz (held out), relabelled",
    ]  # fmt: skip
    assert circular[0].metrics["accuracy"] > own[0].metrics["accuracy"]
    page = load_run(result.folder)
    shown = [*headlines(page), *(f"{fact.value} {fact.detail}" for fact in facts(page))]
    assert not any("relabelled" in text for text in shown)
    inside = next(fact for fact in facts(page) if fact.title == "Accuracy in domain")
    assert inside.detail.endswith("against the labels before cleaning, which may be wrong")
    assert any("is circular" in note for note in result.card["notes"])
    assert "Relabelled: circular" in result.report.read_text()


def test_labels_before_cleaning_are_those_that_were_judged(configured, cleaned):
    train = cleaned("relabel")
    dataset = subset(open_dataset(train, label="labels"), np.array([0, 1, 7, 5]))
    assert labels_before_cleaning(configured(train=train), train, dataset).labels.tolist() == [1, 1, 1, 0]


def test_a_copy_with_dropped_examples_is_named(configured, cleaned):
    result = finished(configured, cleaned("drop"))
    assert {row.domain for row in result.rows} == {"id"}
    assert any("examples that looked wrong may be missing from it" in note for note in result.card["notes"])


def test_where_the_truth_is_known_nothing_is_circular(configured, cleaned):
    result = finished(configured, cleaned("relabel"), clean_label="truth")
    assert {row.domain for row in result.rows} == {"id"}
    assert not any("circular" in note for note in result.card["notes"])
    assert json.loads((result.folder / "run.json").read_text())["data"][1]["labels"] == "true"


@pytest.mark.parametrize(
    "content",
    [
        "text,label\na,cat\nb,dog\n",
        "text,label,original_label\na,cat,bird\nb,dog,dog\n",  # bird is no class of today
        "text,label,original_label\na,cat,\nb,dog,dog\n",
    ],
)
def test_other_tables_are_no_cleaned_copies(configured, tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_text(content)
    assert labels_before_cleaning(configured(), str(path), open_dataset(str(path))) is None
