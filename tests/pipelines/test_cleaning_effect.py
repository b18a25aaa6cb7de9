"""A run on labels that people corrected says whether that helped, against the same labels for both heads."""

import json

import numpy as np
import pytest
from blobs import save_blobs

from noiseproof.cli.outcome import print_run
from noiseproof.config.apply import ApplyConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.heads.estimators import HEADS, load_head
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.apply import apply
from noiseproof.pipelines.detect import detect
from noiseproof.report.cleaning import cleaning_sentences
from noiseproof.report.headline import facts, headlines
from noiseproof.report.run_folder import load_run

N = 240


@pytest.fixture
def home(tmp_path):
    """Clouds whose first class is given as the second for half of its examples, and decisions on these."""
    path = save_blobs(tmp_path / "train.npz", n=N, seed=1, spread=2.0)
    arrays = dict(np.load(path))
    truth, names = arrays["labels"].copy(), arrays["class_names"]
    wrong = np.flatnonzero((truth == 0) & (np.arange(N) % 2 == 0))
    arrays["labels"][wrong] = 1
    np.savez(path, **arrays, truth=truth)
    rows = [f"train/{row},relabel,{names[0]}" for row in wrong]
    (tmp_path / "mine.csv").write_text("example_id,decision,label\n" + "\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def started(home):
    def start(**options):
        own = {
            "train": str(home / "train.npz"), "label": "labels", "out": home / "run", "heads": "linear",
            "cache": home / "cache", "seeds": 2, "max_steps": 100,
        }  # fmt: skip
        return pipeline.run(load_config(RunConfig, options=own | options))

    return start


def cleaned(home):
    options = {"train": str(home / "train.npz"), "label": "labels", "cache": home / "cache"}
    detect(load_config(DetectConfig, options=options | {"out": home / "issues"}))
    own = {"folder": home / "issues", "decisions": home / "mine.csv", "out": home / "cleaned"}
    return str(apply(load_config(ApplyConfig, options=own)).data.parent)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("way", ["cleaned", "decisions"])
def test_both_heads_are_measured_against_the_labels_of_people(home, started, way, capsys):
    options = (
        {"decisions": [home / "mine.csv"]} if way == "decisions" else {"train": cleaned(home), "label": None}
    )
    result = started(**options)
    effect = result.card["cleaning_effect"]
    assert effect["head"] == "linear"
    after = next(
        np.mean([row.metrics["accuracy"] for row in result.rows if row.set_name == name])
        for name in {row.set_name for row in result.rows}
        if name.endswith("as people decided")
    )
    assert effect["after"] == pytest.approx(after)
    assert effect["before"] < effect["after"] - 0.03
    assert effect["num_corrected"] + effect["num_decided"] == 40
    assert json.loads((result.folder / "cleaning_effect.json").read_text())["after"] == effect["after"]
    assert any(line.startswith("Cleaning helped: linear ") for line in headlines(load_run(result.folder)))
    assert "Cleaning helped: linear" in result.report.read_text()
    gain = next(fact for fact in facts(load_run(result.folder)) if fact.title == "Gain by cleaning")
    assert (gain.value, gain.unit) == (f"{100 * effect['difference']['value']:+.1f}", "points")
    print_run(result)
    assert "Cleaning helped: linear" in " ".join(capsys.readouterr().out.split())
    stamp = (result.folder / "cleaning_effect.json").stat().st_mtime_ns
    assert started(**options).card["cleaning_effect"] == effect
    assert (result.folder / "cleaning_effect.json").stat().st_mtime_ns == stamp


def test_the_head_before_is_that_of_a_run_on_the_labels_before(home, started):
    arrays = dict(np.load(home / "train.npz"))
    test = save_blobs(home / "test.npz", n=90, seed=5, spread=2.0)
    options = {"test": str(test), "test_label": "labels"}
    effect = started(**options, decisions=[home / "mine.csv"]).card["cleaning_effect"]
    plain = started(**options, out=home / "plain")
    assert effect["num_decided"] == 0
    assert effect["before"] == pytest.approx(np.mean([row.metrics["accuracy"] for row in plain.rows]))
    assert plain.card["cleaning_effect"] is None
    truth = np.load(test)["labels"]
    by_hand = HEADS["linear"](**load_head(plain.folder / "heads" / "linear-seed0").get_params())
    by_hand.fit(arrays["features"], arrays["labels"])
    seed0 = np.mean(by_hand.predict(np.load(test)["features"]) == truth)
    assert seed0 == next(row.metrics["accuracy"] for row in plain.rows if row.seed == 0)


def test_decisions_that_change_no_label_and_copies_by_a_detector_have_no_effect(home, started):
    keep = "example_id,decision\n" + "".join(f"train/{row},keep\n" for row in (1, 3))
    (home / "keep.csv").write_text(keep)
    assert started(decisions=[home / "keep.csv"]).card["cleaning_effect"] is None
    options = {"train": str(home / "train.npz"), "label": "labels", "cache": home / "cache"}
    found = detect(
        load_config(DetectConfig, options=options | {"out": home / "issues", "export": ["cleaned-relabel"]})
    )
    copy = str(found.exports["cleaned-relabel"])
    assert started(train=copy, out=home / "again").card["cleaning_effect"] is None


def test_the_verdict_needs_an_interval_without_zero():
    effect = {
        "head": "linear", "set_name": "photos (held out)", "num_examples": 60, "num_decided": 12,
        "num_corrected": 9, "before": 0.9, "after": 0.95,
        "difference": {"value": 0.05, "low": 0.01, "high": 0.09},
    }  # fmt: skip
    first, second = cleaning_sentences(effect)
    assert first == (
        "Cleaning helped: linear classifies 95.0 % of the 60 examples of photos (held out) correctly after 9 "
        "labels to learn from were corrected, and 90.0 % with the labels from before (+5.0 points, 95 % "
        "interval +1.0 to +9.0), both against the same labels."
    )
    assert second.startswith(
        "People decided 12 of these; they chose which, so both numbers may be too high, and "
    )
    unclear = effect | {"num_decided": 0, "difference": {"value": 0.05, "low": -0.01, "high": 0.11}}
    (only,) = cleaning_sentences(unclear)
    assert only.startswith("Whether cleaning helped cannot be told from 60 examples; linear")
    worse = cleaning_sentences(effect | {"difference": {"value": -0.05, "low": -0.09, "high": -0.01}})
    assert worse[0].startswith("Cleaning made the classifier worse: linear")
    assert cleaning_sentences(None) == []
