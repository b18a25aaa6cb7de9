"""Defaults of `run` that follow the data, and suspects before the heads."""

import json
from dataclasses import replace

import numpy as np
import pytest

from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.heads.estimators import load_head
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.inputs.inputs import open_parts
from noiseproof.pipelines.run_heads import training
from noiseproof.pipelines.run_heads.expected_time import training_time_s
from noiseproof.pipelines.run_heads.head_defaults import HIDDEN_WIDTH, follow_data
from noiseproof.pipelines.run_heads.heads import head_variants


def followed(*, num_examples=560, dim=1280, num_suspects=0, **options):
    config = load_config(RunConfig, options={"train": "x.npz", "out": "run"} | options)
    return follow_data(
        head_variants(config), config, num_examples=num_examples, dim=dim, num_suspects=num_suspects
    )


def spec(head):
    return head.build()[0].spec()


def test_small_data_get_narrow_heads_and_three_seeds():
    heads, notes = followed()
    assert [head.name for head in heads] == ["linear", "nmtune"]
    assert {head.num_seeds for head in heads} == {3}
    assert round(spec(heads[1]).architecture.hidden_ratio * 1280) == HIDDEN_WIDTH
    assert not any(spec(head).training.noise_tolerant for head in heads)
    assert notes == []


def test_suspect_labels_make_the_default_heads_tolerant_and_a_note_says_why():
    heads, (note,) = followed(num_suspects=42)
    assert all(spec(head).training.noise_tolerant for head in heads)
    assert note.startswith("42 of the 560 labels to learn from look wrong, so linear and nmtune learned what")
    assert note.endswith("Without it: --heads linear,nmtune.")


@pytest.mark.parametrize(
    ("num_examples", "num_suspects", "is_tolerant"),
    [(100, 4, False), (100, 5, True), (560, 5, False), (560, 6, True), (5000, 49, False), (5000, 50, True)],
)
def test_a_handful_of_suspects_changes_nothing(num_examples, num_suspects, is_tolerant):
    heads, _ = followed(num_examples=num_examples, num_suspects=num_suspects)
    assert {spec(head).training.noise_tolerant for head in heads} == {is_tolerant}


def test_only_suspects_among_the_examples_to_learn_from_count(configured, monkeypatch):
    config, found = configured(), []
    rows = open_parts(config).train.rows
    wrong = np.ones(len(open_parts(config).train.whole), bool)
    wrong[rows[3:]] = False  # of the examples to learn from three are flagged, of the others all

    def spied(heads, config, *, num_suspects, **sizes):
        found.append((num_suspects, sizes["num_examples"]))
        raise KeyboardInterrupt

    real = pipeline.find_label_issues
    monkeypatch.setattr(pipeline, "find_label_issues", lambda *a, **b: replace(real(*a, **b), is_issue=wrong))
    monkeypatch.setattr(pipeline, "follow_data", spied)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(config)
    assert wrong.sum() > 3
    assert found == [(3, len(rows))]


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "paper"}, {"loss": "gce"}, {"heads": {"linear": {"noise_tolerant": False}}},
    ],
)  # fmt: skip
def test_heads_that_the_user_chose_stay_as_they_are(options):
    heads, notes = followed(num_suspects=42, **options)
    assert not any(spec(head).training.noise_tolerant for head in heads)
    assert notes == []


def test_named_heads_learn_from_the_labels_as_given_and_a_note_says_so():
    heads, (note,) = followed(num_suspects=42, heads="linear,nmtune")
    assert not any(spec(head).training.noise_tolerant for head in heads)
    assert note.startswith(
        "42 of the 560 labels to learn from look wrong, and linear and nmtune learned from"
    )
    assert "--set heads.linear.noise_tolerant=auto" in note
    assert followed(num_suspects=1, heads="linear,nmtune")[1] == []


def test_the_papers_recipe_keeps_its_width_and_all_heads():
    heads, _ = followed(recipe="paper")
    assert [head.name for head in heads] == ["linear", "mlp", "nmtune"]
    assert {spec(head).architecture.hidden_ratio for head in heads[1:]} == {4.0}


def test_a_width_of_the_user_is_kept():
    heads, _ = followed(heads={"nmtune": {"hidden_ratio": 2.0}})
    assert spec(heads[0]).architecture.hidden_ratio == 2.0


@pytest.mark.parametrize(("seeds", "expected"), [(None, 1), (5, 5)])
def test_large_data_get_one_seed_unless_told(seeds, expected):
    heads, _ = followed(num_examples=20_000, seeds=seeds)
    assert {head.num_seeds for head in heads} == {expected}


def test_a_narrow_encoder_keeps_the_recipes_width():
    heads, _ = followed(dim=16)
    assert spec(heads[1]).architecture == spec(head_variants(_plain())[1]).architecture


def _plain():
    return load_config(RunConfig, options={"train": "x.npz", "out": "run"})


def test_expected_time_is_that_of_all_steps(monkeypatch):
    from noiseproof.pipelines.run_heads import expected_time

    monkeypatch.setattr(expected_time, "_step_time_s", lambda specs, *shape: 0.5 * len(specs))
    heads, _ = followed(heads="linear,nmtune", seeds=2)
    # 56 epochs of 9 steps of two probes together, since 500 is the least; 30 epochs for each of two MLPs.
    expected = 56 * 9 * 1.0 + 2 * 30 * 9 * 0.5
    assert training_time_s(heads, num_examples=560, dim=8, num_classes=3) == pytest.approx(expected)


@pytest.mark.parametrize("options", [{}, {"recipe": "released", "views": 2}, {"loss": "forward"}])
def test_expected_time_is_measured_for_every_kind_of_head(options):
    heads, _ = followed(dim=8, num_suspects=42, **options)
    found = training_time_s(heads, num_examples=40, dim=8, num_classes=3, num_views=options.get("views", 1))
    assert 0 < found < 600


def test_suspects_come_before_the_heads_with_the_time_that_is_left(configured, monkeypatch):
    order, real = [], training.fit_heads

    def spied(*arguments, **options):
        order.append("fit")
        real(*arguments, **options)

    monkeypatch.setattr(training, "fit_heads", spied)
    seen = []

    def on_suspects(issues, rest_s, folder):
        assert (folder / "thumbnails.json").is_file()
        order.append("suspects")
        seen.append((int(issues.is_issue.sum()), rest_s))

    config = configured()
    card = pipeline.run(config, on_suspects=on_suspects).card
    assert order[0] == "suspects"
    assert order.count("suspects") == 1
    ((num_issues, rest_s),) = seen
    assert num_issues == card["num_suspect_labels"] > 0
    assert 0 < rest_s < 600
    pipeline.run(config, on_suspects=on_suspects)
    assert order.count("suspects") == 1  # the user has seen them


def test_what_was_done_about_wrong_labels_is_on_the_page_and_in_the_heads(configured):
    result = pipeline.run(configured(seeds=1))
    tolerant, shipped = result.card["choices"]
    assert tolerant in result.report.read_text()
    assert shipped in result.report.read_text()
    assert json.loads((result.folder / "run.json").read_text())["choices"] == [tolerant, shipped]
    head = load_head(result.folder / "heads" / "nmtune-seed0")
    assert head.noise_tolerant is True
    assert np.isfinite(head.predict_proba(np.zeros((1, 8), np.float32))).all()
