"""The commands of the report are commands of noiseproof."""

import shlex

import pytest
import typer

from noiseproof.cli.main import app
from noiseproof.report.next_steps import next_steps
from noiseproof.report.run_folder import load_run


@pytest.mark.parametrize("name", ["run", "a run; with $pace"])
def test_every_command_is_understood(fake_run, tmp_path, name):
    run = load_run(fake_run(knows_truth=False).rename(tmp_path / name))
    run.card.config.update({"test": "my test.csv", "ood": ["a", "b"]})
    group = typer.main.get_command(app)
    ctx = group.make_context("noiseproof", ["ls"])
    commands = [shlex.split(step.command) for step in next_steps(run) if step.command]
    assert [words[0] for words in commands] == ["apply", "run", "predict"]
    for verb, *words in commands:
        command = group.get_command(ctx, verb)
        assert command.make_context(verb, [*words], parent=ctx).params
    assert commands[1][2:8] == ["--test", "my test.csv", "--ood", "a", "--ood", "b"]
    assert commands[0][1] == str(run.path)
    assert commands[0][-1] == commands[1][1]  # the cleaned data
    assert commands[1][-1] == commands[2][1]  # the run on them


def test_without_suspects_only_prediction_is_left(fake_run):
    run = load_run(fake_run(knows_truth=False))
    run.issues["is_issue"] = False
    assert [step.command.split()[0] for step in next_steps(run)] == ["predict"]
