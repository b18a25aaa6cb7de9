import numpy as np
import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.study.study import StudyPlan

RECIPE = {
    "name": "mine", "claim": "Clouds are told apart.", "source": "nobody", "command": "none", "minutes": 2,
    "hardware": "any", "needs": "a.npz", "expected": "all right", "backbones": ["features:"],
    "tasks": {"a": {"train": "{data}/a.npz"}, "b": {"train": "{data}/b.npz"}},
    "heads": {"linear": {}}, "seeds": 2, "max_steps": 5, "tables": ["models"],
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    for name in ("a", "b"):
        features = (np.eye(3)[labels] * 4 + rng.normal(size=(60, 3))).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", features=features, labels=labels)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(RECIPE))

    def invoked(*arguments, recipe=tmp_path / "mine.yaml"):
        where = ("--data", tmp_path, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
        return CliRunner().invoke(app, [str(each) for each in ("study", recipe, *where, *arguments)])

    return invoked


def test_a_study_says_what_it_did_and_where_the_page_is(study, tmp_path):
    result = study()
    assert result.exit_code == 0, result.output
    assert "4 results were computed; the study now has 4 results." in result.stdout
    assert f"Tables and figures: {tmp_path / 'out' / 'study.html'}" in result.stdout
    assert "0 results were computed; the study now has 4 results." in study().stdout


def test_options_change_the_recipe(study):
    assert "the study now has 4 results." in study("--seeds", 1, "--set", "shares=[0.5,1.0]").stdout
    assert "the study now has 6 results." in study("--seeds", 3).stdout


def test_what_could_not_be_computed_is_told_with_exit_code_2(study, tmp_path):
    (tmp_path / "b.npz").unlink()
    result = study()
    assert result.exit_code == 2
    assert "2 results were computed; " in result.stdout
    assert "Not computed: 2 results" in result.stderr
    assert "b: The data set" in result.stderr
    assert "Traceback" not in result.output
    assert (tmp_path / "out" / "tables" / "models.md").exists()


def test_a_plan_counts_and_touches_nothing(study, tmp_path):
    result = study("--plan")
    assert result.exit_code == 0
    assert result.stdout == (
        "The study has 4 results of 4 trainings. 4 trainings are missing and take about 2.0 min, by the "
        "recipe.\n"
    )
    assert not (tmp_path / "out").exists()
    study("--seeds", 1)
    assert "2 trainings are missing and take about" in study("--plan").stdout
    assert "from those that are done" in study("--plan").stdout
    study()
    assert study("--plan").stdout.endswith(" of 4 trainings. None is missing.\n")
    assert str(StudyPlan(1, 1, 1, 120.0, is_measured=False)) == (
        "The study has 1 result of 1 training. 1 training is missing and takes about 2.0 min, by the recipe."
    )


def test_an_unknown_recipe_or_key_is_a_mistake(study):
    result = study(recipe="paper1-influense")
    assert result.exit_code == 2
    assert "Did you mean 'paper1-influence'?" in result.stderr
    result = study("--set", "seds=3")
    assert result.exit_code == 2
    assert "Unknown option 'seds'. Did you mean 'seeds'?" in result.stderr


def test_ls_shows_recipes_with_claim_and_time():
    shown = CliRunner().invoke(app, ["ls", "recipes"]).stdout
    assert "paper1-influence  (24 min on 2 CPU cores)\n    Slight noise in pre-training" in shown
    assert "pretrain-resnet8-cifar10" in shown


def test_every_option_has_a_sentence_of_help():
    command = typer.main.get_command(app).commands["study"]
    texts = [getattr(option, "help", None) for option in command.params if option.name != "help"]
    assert len(texts) >= 9
    assert all(text and text.endswith(".") for text in texts)
    assert (
        "noiseproof study paper1-influence --scale toy" in CliRunner().invoke(app, ["study", "--help"]).stdout
    )
