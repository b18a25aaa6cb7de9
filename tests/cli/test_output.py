"""`--json` and `--quiet` of every verb."""

import json
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from noiseproof.cli.main import app


def commands(group, ctx, words=()):
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, ctx, (*words, name))
        else:
            yield (*words, name), command


def test_every_verb_has_both():
    group = typer.main.get_command(app)
    ctx = group.make_context("noiseproof", ["ls"])
    found = dict(commands(group, ctx))
    assert {("run",), ("ls",), ("pretrain", "pack"), ("adapt", "deft")} <= set(found)
    for words, command in found.items():
        options = [option for param in command.get_params(ctx) for option in param.opts]
        assert options.count("--json") == options.count("--quiet") == 1, words


@pytest.fixture
def clouds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.arange(60) % 3
    features = 4 * np.eye(3, 5)[labels] + np.random.default_rng(0).normal(size=(60, 5))
    np.savez("clouds.npz", features=features.astype(np.float32), labels=labels)
    return ["clouds.npz", "--cache", "cache", "--out", "out"]


def test_results_as_json_are_all_of_the_output(clouds):
    done = CliRunner().invoke(app, ["detect", *clouds, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["folder"] == "out"
    assert result["card"]["kind"] == "detect"
    assert "Labels by class" in done.stderr  # people still see it
    again = CliRunner().invoke(app, ["detect", *clouds, "--json", "--quiet"])
    assert json.loads(again.stdout)["card"].keys() == result["card"].keys()
    assert not again.stderr


def test_a_run_as_json_has_a_row_per_result(clouds):
    done = CliRunner().invoke(app, ["run", *clouds, "--heads", "linear", "--seeds", "2", "--json"])
    result = json.loads(done.stdout)
    assert [(row["head"], row["seed"]) for row in result["results"]] == [("linear", 0), ("linear", 1)]
    assert result["card"]["num_suspect_labels"] == 0


def test_quiet_prints_errors_only(clouds, tmp_path):
    done = CliRunner().invoke(app, ["detect", *clouds, "--quiet"])
    assert (done.exit_code, done.output) == (0, "")
    assert (tmp_path / "out" / "label_issues.csv").is_file()
    wrong = CliRunner().invoke(app, ["detect", "none.npz", "--out", "other", "--quiet"])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "'none.npz' does not exist" in wrong.stderr


def test_the_next_command_is_as_loud_as_ever(clouds):
    CliRunner().invoke(app, ["ls", "heads", "--json", "--quiet"])
    assert CliRunner().invoke(app, ["ls", "heads"]).stdout.startswith("linear ")


@pytest.mark.parametrize(
    ("table", "some"),
    [
        ("backbones", "bundled:efficientnet-lite0"), ("datasets", "suite:cifar10"), ("detectors", "auto"),
        ("heads", "nmtune"), ("losses", "gce"), ("noise", "symmetric"), ("recipes", "paper1-nmtune"),
        ("shifts", "blur"), ("sources", "folder"),
    ],
)  # fmt: skip
def test_tables_as_json_are_names(table, some):
    names = json.loads(CliRunner().invoke(app, ["ls", table, "--json"]).stdout)
    assert some in names
    assert all(re.fullmatch(r"\S+", name) for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ("pr", "predict"), ("run --he", "--heads"), ("run --recipe re", "released"),
        ("run --engine ", "torch"),
        ("detect --method le", "leave_one_out"), ("run --loss gc", "gce"), ("ls los", "losses"),
        ("run --backbone bundled:m", "bundled:minilm-l6"), ("corrupt x --noise as", "asymmetric"),
        ("study paper1-nmt", "paper1-nmtune"), ("predict r d --conf", "--confidence"),
    ],
)  # fmt: skip
def test_the_shell_completes_verbs_options_and_values(words, some):
    typed = f"noiseproof {words}"
    env = {"_NOISEPROOF_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    found = CliRunner().invoke(app, [], env=env, prog_name="noiseproof").stdout.split()
    assert some in found
    assert all(each.startswith(words.split(" ")[-1]) for each in found)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["detect", "nowhere", "--out", "out"], "The data set 'nowhere' does not exist"),
        (["detect", "clouds.npz", "--out", "out", "--method", "confidant"], "confidant"),
        (["detect", "clouds.npz", "--out", "out", "--nonsense"], "No such option: --nonsense"),
        (["run", "--out", "out"], "`DATA` is not given"),
        (["run", "clouds.npz", "--corrupt", "a", "--out", "out"], "--corrupt"),
        (["apply", "nowhere", "--out", "out"], "nowhere"),
        (["review", "nowhere"], "nowhere"),
        (["review"], "`FOLDER` is not given"),
        (["report", "nowhere"], "nowhere"),
        (["predict", "nowhere", "clouds.npz"], "nowhere"),
        (["adapt", "finetune", "--epochs", "many"], "many"),
    ],
)
def test_an_error_as_json_is_an_object_with_the_exit_code_of_before(clouds, arguments, error):
    plain = CliRunner().invoke(app, arguments)
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == plain.exit_code == 2
    assert error in json.loads(done.stdout)["error"]
    assert not plain.stdout
