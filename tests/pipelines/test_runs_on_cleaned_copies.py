"""A run on a cleaned copy: accuracy against suggested labels is named circular and never comes first."""

import json
from dataclasses import replace

import numpy as np
import pytest

from noiseproof.core.records import LabelledDataset
from noiseproof.data.sources import open_dataset
from noiseproof.data.splits import subset
from noiseproof.decisions.record import Decision
from noiseproof.decisions.settle import settle
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.inputs.cleaned_copies import LabelsBefore, cleaning_notes, labels_before_cleaning
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.reviewed.known_decisions import KnownDecisions, decided_part
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


def test_a_label_before_that_is_no_class_any_more_counts_as_wrong(configured, cleaned):
    train = cleaned("relabel")
    arrays = dict(np.load(train))
    names = np.array([*arrays["class_names"], "beee"])
    arrays["labels"], before = names[arrays["labels"]], names[arrays["original_label"]]
    misspelt = (before == "bee") & (arrays["labels"] == "bee")
    arrays["original_label"] = np.where(misspelt, "beee", before)
    del arrays["class_names"], arrays["truth"]
    for by in ("detector", "people"):
        own = arrays if by == "detector" else arrays | {
            "decided_by": np.full(len(before), "ann"), "decision": np.where(misspelt, "relabel", "keep"),
            "decided_label": arrays["labels"], "decided_at": np.full(len(before), ""),
        }  # fmt: skip
        np.savez(train, **own)
        result = finished(configured, train)
        own, circular = result.rows
        assert (own.domain, circular.domain) == ("id", "relabelled")
        num = own.per_class["beee"].num_examples
        assert num > 0
        assert own.per_class["beee"].accuracy == 0
        assert circular.metrics["accuracy"] >= own.metrics["accuracy"] + num / own.num_examples
        (note,) = (one for one in result.card["notes"] if "beee" in one)
        assert f"{num} labels from before, of 'beee', are no class any more and count as wrong." in note
        page = load_run(result.folder)
        assert not any(each in " ".join(headlines(page)) for each in ("relabelled", "as people decided"))
        assert "'beee'" in result.report.read_text().replace("&#39;", "'")


def test_a_new_class_stands_before_those_that_are_gone():
    data = LabelledDataset("d", "text", ["a", "b", "c"], np.array(["a", "b", "c"]), np.array([0, 1, 1]),
                           ("ant", "bee"), "f")  # fmt: skip
    before = LabelsBefore(np.array([0, 2, 1]), None, ("beee",))
    part = DataPart("test", data, data, before=before)
    known = KnownDecisions(data, settle([Decision("a", "relabel", "cat")]), None)
    decided = decided_part(part, known)
    assert [decided.class_names[k] for k in decided.best_labels] == ["ant", "beee", "bee"]
    assert [decided.class_names[k] for k in decided.given_labels] == ["cat", "bee", "bee"]
    probs = np.eye(3)[decided.given_labels]
    assert decided.outcomes(probs, decided.best_labels).num_classes == 4


def test_unsure_is_no_decision_on_an_evaluation_set():
    data = LabelledDataset(
        "d", "text", ["a", "b"], np.array(["a", "b"]), np.array([0, 1]), ("ant", "bee"), "f"
    )
    known = KnownDecisions(data, settle([Decision("a", "unsure")]), None)
    part = DataPart("test", data, data)
    assert decided_part(part, known).before is None
    earlier = LabelsBefore(np.array([0, 0]), np.array(["keep", "unsure"], dtype=object))
    (note,) = cleaning_notes([("d", data.given_labels, earlier)])
    assert note.startswith("People decided 1 of the 2 labels of d; ")
    assert decided_part(replace(part, before=earlier), known).before.words.tolist() == ["keep", "unsure"]
    (note,) = cleaning_notes([("d", np.array([0, 0]), earlier.take(np.array([1, 1])))])
    assert note == (
        "People decided none of the 2 labels of d. Examples that people excluded are not in it. No label was "
        "changed."
    )


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
        "text,label,original_label\na,cat,kitten\nb,dog,puppy\nc,dog,dog\n",  # no names of the same classes
        "text,label,original_label\na,cat,\nb,dog,dog\n",
    ],
)
def test_other_tables_are_no_cleaned_copies(configured, tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_text(content)
    assert labels_before_cleaning(configured(), str(path), open_dataset(str(path))) is None
