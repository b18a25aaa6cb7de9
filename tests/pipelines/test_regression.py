"""A run on labels that are numbers to predict: scores, not classes."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from noiseproof.cli.main import app
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.data.sources import open_dataset
from noiseproof.evaluate.metrics import score_metrics
from noiseproof.heads.estimators import load_head
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.loading import load
from noiseproof.pipelines.run import run


def save_plane(path, *, n=80, seed=0, labels=None):
    """Features, and scores that follow them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 6)).astype(np.float32)
    scores = np.round(2.5 + features @ np.linspace(-1, 1, 6) + 0.1 * rng.normal(size=n), 2)
    np.savez(path, features=features, labels=scores if labels is None else labels(scores))
    return str(path)


def stars(scores):
    """Scores as whole numbers from 1 to 4."""
    return np.round(scores).clip(1, 4).astype(int)


@pytest.fixture
def configured(tmp_path):
    """A function from changed options to a small, fast configuration."""
    train = save_plane(tmp_path / "train.npz")
    other = save_plane(tmp_path / "other.npz", n=30, seed=1)

    def make(**changed):
        options = {
            "train": train, "ood": [other], "out": tmp_path / "run", "cache": tmp_path / "cache",
            "seeds": 2, "max_steps": 30,
        }  # fmt: skip
        return load_config(RunConfig, options=options | changed)

    return make


def test_numbers_with_fractions_are_predicted_and_the_run_says_so(configured):
    lines = []
    result = run(configured(heads="linear,mlp,nmtune"), say=lines.append)
    assert any("learned to predict the number (regression)" in line for line in lines)
    assert not any("--task classification" in note for note in result.card["notes"])  # it would be refused
    assert result.card["task"] == "regression"
    assert {row.head for row in result.rows} == {"linear", "mlp", "nmtune"}
    for row in result.rows:
        assert set(row.metrics) == {"pearson", "spearman", "rmse"}
    assert all(row.metrics["pearson"] > 0.5 for row in result.rows if row.head == "linear")


def test_a_loaded_regressor_has_no_word_on_confidences(configured):
    notes = load(run(configured(heads="linear")).folder).notes
    assert not any("onfidence" in note for note in notes)


def test_few_different_scores_may_be_classes(configured, tmp_path):
    train = save_plane(tmp_path / "halves.npz", labels=lambda scores: (scores * 2).round().clip(2, 8) / 2)
    notes = run(configured(train=train, heads="linear")).card["notes"]
    assert any("--task classification" in note for note in notes)


def test_rows_are_the_correlations_of_the_saved_heads(configured, tmp_path):
    result = run(configured(heads="linear"))
    head = load_head(tmp_path / "run/heads/linear-seed1")
    other = np.load(tmp_path / "other.npz")
    row = next(row for row in result.rows if row.domain == "ood" and row.seed == 1)
    predicted = head.predict(other["features"])
    assert row.metrics["pearson"] == pytest.approx(stats.pearsonr(predicted, other["labels"]).statistic)
    assert row.metrics["spearman"] == pytest.approx(stats.spearmanr(predicted, other["labels"]).statistic)


def test_decisions_about_scores_are_refused(configured, tmp_path):
    with pytest.raises(
        InvalidArgument, match=r"`decisions` is .*mine\.csv.*the labels are scores.*leave it out"
    ):
        run(configured(decisions=[tmp_path / "mine.csv"]))


def test_the_page_shows_correlations_and_no_suspects(configured):
    page = run(configured()).report.read_text()
    assert "Pearson correlation in %" in page
    assert "Suspect labels" not in page
    assert "Class by class" not in page
    assert "Accuracy" not in page


def test_the_terminal_shows_correlations(configured, tmp_path, capsys):
    names = ("train", "out", "cache", "seeds", "max_steps")
    values = configured().model_dump(mode="json")
    app(["run", *(f"--{n.replace('_', '-')}={values[n]}" for n in names)], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "Pearson correlation in %" in printed
    assert "look wrong" not in printed


def test_a_second_start_gives_the_same_bytes(configured, tmp_path):
    run(configured())
    before = (tmp_path / "run/results.jsonl").read_bytes()
    assert run(configured()).card["encoder_passes"] == 0
    assert (tmp_path / "run/results.jsonl").read_bytes() == before


def test_whole_numbers_are_classes_unless_the_task_is_named(configured, tmp_path):
    train = save_plane(tmp_path / "whole.npz", labels=stars)
    other = save_plane(
        tmp_path / "same.npz", n=30, seed=1, labels=lambda s: np.round(s).clip(1, 4).astype(int)
    )
    named = configured(train=train, ood=[other], task="regression", heads="linear")
    assert run(named).rows[0].metrics.keys() == {"pearson", "spearman", "rmse"}
    assert "accuracy" in run(configured(train=train, ood=[other], heads="linear")).rows[0].metrics


def test_classes_come_back_after_a_regression_in_the_same_folder(configured, tmp_path):
    train = save_plane(tmp_path / "whole.npz", labels=stars)
    both = {"train": train, "ood": [], "heads": "linear"}
    run(configured(**both))
    assert (tmp_path / "run/label_issues.csv").exists()
    run(configured(**both, task="regression"))
    assert not (tmp_path / "run/label_issues.csv").exists()


def test_an_evaluation_set_of_whole_numbers_goes_with_scores(configured, tmp_path):
    other = save_plane(tmp_path / "whole.npz", n=30, seed=1, labels=np.round)
    assert run(configured(ood=[other], heads="linear")).rows[-1].set_name == "whole.npz"


def test_texts_with_scores_in_a_csv_file_are_scores(tmp_path):
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("sentence1", "sentence2", "score"), ("a b", "c d", "3.8"), ("e f", "g h", "2")]
        )
    opened = open_dataset(str(path), task="auto")
    assert opened.has_scores
    assert opened.scores.tolist() == [3.8, 2.0]
    assert opened.examples[0] == ("a b", "c d")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noise": "symmetric:0.2"}, r"`noise` is 'symmetric:0\.2'; allowed: nothing, since .* are scores"),
        ({"heads": "linear", "loss": "gce"}, r"`heads\.linear\.loss` is 'gce'; allowed: nothing where heads"),
        ({"task": "classification"}, "different numbers with fractions"),
    ],
)
def test_what_needs_classes_is_refused(configured, changed, message):
    with pytest.raises((InvalidArgument, BadData), match=message):
        run(configured(**changed))


def test_labels_that_are_no_numbers_are_refused(configured, tmp_path):
    train = save_plane(tmp_path / "names.npz", labels=lambda scores: np.where(scores > 2.5, "high", "low"))
    with pytest.raises(BadData, match="has the label 'high'; allowed for regression: numbers"):
        run(configured(train=train, task="regression"))


def test_one_score_only_is_refused(configured, tmp_path):
    train = save_plane(tmp_path / "one.npz", labels=lambda scores: np.full(len(scores), 1.5))
    with pytest.raises(BadData, match=r"has the score 1\.5 only; allowed: two or more that differ"):
        run(configured(train=train))


def test_evaluation_sets_of_one_score_are_refused(configured, tmp_path):
    """A correlation with a constant is not defined, and a mean over sets would take it for 0."""
    one = save_plane(tmp_path / "one.npz", labels=lambda scores: np.full(len(scores), 1.5))
    for role in ({"ood": [one]}, {"test": one}):
        with pytest.raises(BadData, match=r"has the score 1\.5 only"):
            run(configured(**role))
    with pytest.raises(BadData, match=r"\(held out\)' has the score"):
        run(configured(train=save_plane(tmp_path / "few.npz", n=4), heads="linear"))


@pytest.mark.parametrize("strange", ["?", "inf", "n.a"])
def test_one_label_that_is_no_number_does_not_make_scores_classes(configured, tmp_path, strange):
    def labels(scores):
        texts = scores.round(1).astype(str).astype(object)
        texts[[3, 4]] = strange
        return texts.astype(str)

    train = save_plane(tmp_path / "odd.npz", labels=labels)
    with pytest.raises(BadData, match=r"has numbers with fractions as labels, such as '.*', and also"):
        run(configured(train=train))


def test_versions_beside_names_are_classes(configured, tmp_path):
    train = save_plane(tmp_path / "v.npz", labels=lambda s: np.array(["1.5", "beta", "gamma"])[stars(s) // 2])
    assert run(configured(train=train, ood=[], heads="linear")).card["task"] == "classification"


def test_detection_on_scores_is_refused_in_a_sentence(configured, tmp_path):
    config = DetectConfig(train=configured().train, out=tmp_path / "issues", cache=tmp_path / "cache")
    with pytest.raises(BadData, match="Scores are for 'noiseproof run', which trains heads for regression"):
        detect(config)
    path = tmp_path / "scores.csv"
    rows = [{"text": f"word {i}", "label": f"{i / 10}"} for i in range(1, 60)]
    path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    with pytest.raises(BadData, match="59 different numbers with fractions as labels"):
        detect(config.model_copy(update={"train": str(path)}))


def test_many_whole_numbers_point_to_the_task(configured, tmp_path):
    train = save_plane(tmp_path / "ages.npz", labels=lambda scores: np.arange(len(scores)))
    with pytest.raises(BadData, match="predict the numbers instead: --task regression"):
        run(configured(train=train))


def test_limit_and_card_know_no_classes(configured, tmp_path):
    result = run(configured(limit=40, heads="linear"))
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert [part["num_classes"] for part in card["data"]] == [0, 0, 0]
    assert "At most 40 examples of each data set were used." in result.card["notes"]


def test_metrics_of_a_hand_solved_case():
    found = score_metrics(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    assert found == pytest.approx({"pearson": 0.8, "spearman": 0.8, "rmse": np.sqrt(0.5)})


def test_metrics_agree_with_scipy_also_with_ties():
    rng = np.random.default_rng(0)
    predicted, scores = rng.normal(size=50).round(1), rng.integers(0, 6, 50).astype(float)
    found = score_metrics(predicted, scores)
    assert found["pearson"] == pytest.approx(stats.pearsonr(predicted, scores).statistic, abs=1e-12)
    assert found["spearman"] == pytest.approx(stats.spearmanr(predicted, scores).statistic, abs=1e-12)
    slow = (sum((p - y) ** 2 for p, y in zip(predicted, scores, strict=True)) / 50) ** 0.5
    assert found["rmse"] == pytest.approx(slow)


def test_correlation_with_a_constant_is_zero():
    assert score_metrics(np.ones(3), np.arange(3.0))["pearson"] == 0


@pytest.mark.parametrize("unit", [1e80, 1e-90])
def test_the_unit_of_scores_does_not_change_their_correlation(unit):
    scores = np.array([1.0, 3.0, 2.0, 4.0])
    assert score_metrics(np.arange(4.0) * unit, scores * unit)["pearson"] == pytest.approx(0.8)


def test_metrics_refuse_what_they_cannot_judge():
    with pytest.raises(BadData, match="`predicted` has 2 rows, `scores` 3"):
        score_metrics(np.ones(2), np.ones(3))
    with pytest.raises(BadData, match="row 1"):
        score_metrics(np.array([1.0, np.nan]), np.ones(2))
