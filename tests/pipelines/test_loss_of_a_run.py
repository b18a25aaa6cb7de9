"""The loss of a run: from the command line, the file or `--set` to the heads, and the matrix it may need."""

import json

import numpy as np
import pytest

from noiseproof import estimate_transition
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import InvalidArgument
from noiseproof.detect.transition_estimate import TransitionEstimate
from noiseproof.heads.estimators import load_head
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.inputs.inputs import open_parts
from noiseproof.pipelines.run_heads import heads as estimated_noise
from noiseproof.pipelines.run_heads.heads import head_variants


def losses(**changed):
    """(loss, options) of each head of a run."""
    overrides = changed.pop("overrides", ())
    options = {"train": "x.npz", "out": "run", "heads": "linear,mlp,nmtune"} | changed
    config = load_config(RunConfig, overrides=overrides, options=options)
    specs = {head.name: head.build()[0].spec().training for head in head_variants(config)}
    return {name: (each.loss, dict(each.loss_options)) for name, each in specs.items()}


def test_one_loss_for_all_heads():
    found = losses(loss="gce", loss_options=["q=0.5"])
    assert found == {name: ("gce", {"q": 0.5, "threshold": 0.0}) for name in ("linear", "mlp", "nmtune")}
    assert losses(overrides=["loss=gce", "loss_options.q=0.5"]) == found
    assert set(map(str, losses().values())) == {str(("cross_entropy", {"label_smoothing": 0.0}))}
    assert losses(loss_options=["label_smoothing=0.1"])["mlp"] == ("cross_entropy", {"label_smoothing": 0.1})


def test_a_head_of_its_own_loss_keeps_nothing_of_the_runs():
    found = losses(
        loss="sce",
        loss_options=["alpha=0.5"],
        overrides=[
            "heads.nmtune.loss=gce",
            "heads.nmtune.loss_options.q=0.6",
            "heads.mlp.loss_options.beta=2",
        ],
    )
    assert found["linear"] == ("sce", {"alpha": 0.5, "beta": 1.0, "clamp": -4.0})
    assert found["mlp"] == ("sce", {"alpha": 0.5, "beta": 2.0, "clamp": -4.0})
    assert found["nmtune"] == ("gce", {"q": 0.6, "threshold": 0.0})


def test_the_file_says_the_same(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("train: x.npz\nout: run\nloss: taylor\nloss_options: {order: 3}\n")
    config = load_config(RunConfig, file)
    assert head_variants(config)[0].build()[0].spec().training.loss_options == (("order", 3),)


def test_mistakes_are_told_before_any_work():
    for options, message in (
        ({"loss": "gse"}, r"^Unknown loss 'gse'"),
        ({"loss": "gce", "loss_options": ["q=3"]}, r"^`loss_options\['q'\]` is 3; allowed"),
        ({"loss": "mae", "loss_options": ["q=0.7"]}, r"Unknown option of the loss 'mae' 'q'"),
        ({"loss": "gce", "loss_options": ["0.7"]}, r"`loss_options` is '0\.7'; allowed: name=value"),
        (
            {"loss": "gce", "loss_options": ["q=[1"]},
            r"`loss_options` q has the value '\[1', which is",
        ),
        ({"loss": "forward", "loss_options": ["transition=none.txt"]}, r"'none\.txt', which is no file"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            losses(**options)


def test_a_matrix_may_be_a_file(tmp_path):
    matrix = [[0.9, 0.1], [0.25, 0.75]]
    np.savetxt(tmp_path / "T.txt", matrix)
    found = losses(loss="forward", loss_options=[f"transition={tmp_path / 'T.txt'}"])
    assert found["linear"] == ("forward", {"transition": tuple(map(tuple, matrix))})


def test_a_run_with_another_loss_trains_other_heads(configured):
    plain = pipeline.run(configured(heads="linear"))
    before = load_head(plain.folder / "heads" / "linear-seed0").state_
    robust = pipeline.run(configured(heads="linear", loss="gce"))
    head = load_head(robust.folder / "heads" / "linear-seed0")
    assert head.get_params()["loss"] == "gce"
    assert any((head.state_[name] != before[name]).any() for name in before)
    assert robust.card["config"]["loss"] == "gce"
    assert not (robust.folder / "transition.json").exists()


@pytest.mark.parametrize("loss", ["forward", "backward"])
def test_a_matrix_that_is_not_given_is_estimated_and_told(configured, loss):
    config = configured(heads="linear,mlp", seeds=1, loss=loss)
    result = pipeline.run(config)
    said = json.loads((config.out / "transition.json").read_text())
    train = open_parts(config).train
    features = np.load(config.train)["features"][train.rows]
    expected = estimate_transition(features, train.given_labels)
    assert said["matrix"] == expected.matrix.tolist()
    assert said["classes"] == ["ant", "bee", "cat"]
    for name in ("linear", "mlp"):
        head = load_head(config.out / "heads" / f"{name}-seed0")
        assert head.get_params()["loss_options"] == {"transition": said["matrix"]}
    (note,) = [note for note in result.card["notes"] if "uses a transition matrix" in note]
    assert note.startswith("The loss of linear, mlp uses a transition matrix that was estimated from")
    assert f"{said['rate']:.3f}" in note


def test_an_estimate_that_is_not_to_be_trusted_is_told_in_the_notes(configured, monkeypatch):
    def broken(features, given_labels):
        return TransitionEstimate(np.eye(3)[[1, 0, 2]] * 0.7 + 0.1, np.ones(3) / 3, np.arange(3), "anchor")

    monkeypatch.setattr(estimated_noise, "estimate_transition", broken)
    for _ in range(2):
        notes = pipeline.run(configured(heads="linear", seeds=1, loss="forward")).card["notes"]
        assert any("for 2 of 3 classes, 'ant' among them, another label ('bee')" in note for note in notes)


def test_a_second_start_estimates_nothing(configured, monkeypatch):
    config = configured(heads="linear", seeds=1, loss="forward")
    first = pipeline.run(config)
    monkeypatch.delattr(estimated_noise, "estimate_transition")
    second = pipeline.run(config)
    assert second.rows == first.rows
    assert second.card["notes"] == first.card["notes"]


@pytest.mark.parametrize(
    ("module", "stage"), [(estimated_noise, "estimate_transition"), (pipeline, "find_label_issues")]
)
def test_estimates_of_another_algorithm_are_made_anew(configured, monkeypatch, module, stage):
    config = configured(heads="linear", seeds=1, loss="forward")
    pipeline.run(config)
    monkeypatch.setattr(module, "ALGORITHM", 0)
    monkeypatch.setattr(module, stage, None)
    with pytest.raises(TypeError):
        pipeline.run(config)


def test_a_matrix_that_is_given_is_used(configured):
    matrix = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    config = configured(
        heads={"own": {"kind": "linear", "loss": "forward", "loss_options": {"transition": matrix}}}, seeds=1
    )
    result = pipeline.run(config)
    assert not (config.out / "transition.json").exists()
    assert not [note for note in result.card["notes"] if "transition" in note]


def test_the_papers_rate_of_the_probe_is_part_of_the_key_of_its_results():
    """Rows of studies made when the recipe had 0.01 are not taken for these."""
    config = load_config(RunConfig, options={"train": "x.npz", "out": "run", "recipe": "paper"})
    linear = next(head for head in head_variants(config) if head.name == "linear")
    assert linear.to_json()["options"]["learning_rate"] == 0.1
    own = load_config(
        RunConfig, options={"train": "x", "out": "run"} | {"recipe": "paper"},
        overrides=["heads.linear.learning_rate=0.5"],
    )  # fmt: skip
    assert head_variants(own)[0].build()[0].spec().training.learning_rate == 0.5
