"""The command that `noiseproof apply` prints works when it is pasted, whatever the columns are called."""

import shlex

import numpy as np
import pandas as pd
import pytest
from blobs import save_blobs
from PIL import Image
from searched import CLASSES, GIVEN, save_folder, search
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.inputs.inputs import open_parts


class StartedWith(Exception):
    """Carries the configuration of a run that a test does not need to finish."""


@pytest.fixture
def pasted(monkeypatch):
    """A function from a printed command to the data that its run opens."""

    def refuse(config, **options):
        raise StartedWith(config)

    def start(command):
        monkeypatch.setattr(pipeline, "run", refuse)
        program, *arguments = shlex.split(command)
        assert program == "noiseproof"
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, StartedWith), done.output
        return open_parts(done.exception.args[0])

    return start


def apply_in(folder, rows):
    """The printed command after decisions in `issues/`."""
    (folder / "mine.csv").write_text("example_id,decision,label,who\n" + rows)
    arguments = ["apply", "issues", "--decisions", "mine.csv", "--out", "my cleaned"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    (line,) = (one for one in done.output.splitlines() if one.startswith("Next: "))
    return line.removeprefix("Next: ")


def odd_table(path, *, with_gap=False):
    """A table whose columns nobody finds by their names: two may be texts, two may be labels."""
    frame = pd.DataFrame(
        {
            "id": [f"t{row}" for row in range(8)], "question": [f"how {row}" for row in range(8)],
            "reply": [f"so {row}" for row in range(8)], "kind": np.array(CLASSES)[list(GIVEN)],
            "state": ["new", "old"] * 4,
        }
    )  # fmt: skip
    if with_gap:
        frame.loc[8] = ["t8", "how 8", "so 8", None, "new"]
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


@pytest.mark.slow_but_first
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("with_gap", [False, True])
def test_a_table_is_read_by_the_columns_of_before(tmp_path, monkeypatch, pasted, suffix, with_gap):
    monkeypatch.chdir(tmp_path)
    data = odd_table(tmp_path / f"talks.{suffix}", with_gap=with_gap)
    gap = {"missing_label": "skip"} if with_gap else {}
    search(data, tmp_path / "issues", label="kind", text="reply", **gap)
    command = apply_in(tmp_path, "t0,accept,,ann\n")
    assert command == (
        f"noiseproof run 'my cleaned'{' --missing-label skip' if with_gap else ''} --out 'my cleaned-run'"
    )
    train, test = pasted(command).all
    assert train.dataset.class_names == CLASSES
    assert train.dataset.kind == "text"
    assert sorted(str(each)[:2] for each in (*train.dataset.examples, *test.dataset.examples)) == ["so"] * 8
    names = {**labels_of(train.dataset), **labels_of(test.dataset)}
    assert names["t0"] == "cat"


def labels_of(dataset):
    names = (dataset.class_names[label] for label in dataset.given_labels)
    return dict(zip(dataset.ids.tolist(), names, strict=True))


def test_a_folder_with_an_image_that_cannot_be_read_and_evaluation_sets(tmp_path, monkeypatch, pasted):
    monkeypatch.chdir(tmp_path)
    data = save_folder(tmp_path / "photos")
    save_folder(tmp_path / "phone")
    (data / "cat" / "4.png").write_bytes(b"no image")
    search(data, tmp_path / "issues", on_error="skip")
    command = apply_in(tmp_path, "bee/0.png,accept,,ann\n")
    assert command == "noiseproof run 'my cleaned' --on-error skip --out 'my cleaned-run'"
    train, test = pasted(f"{command} --ood phone").all[:2]
    assert len(train.dataset) + len(test.dataset) == 8


def test_an_image_column_and_its_files_are_found_from_another_folder(tmp_path, monkeypatch, pasted):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {"front": [f"{row}.png" for row in range(8)], "kind": np.array(CLASSES)[list(GIVEN)]}
    )
    for row in range(8):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(tmp_path / f"{row}.png")
    frame.assign(back=frame["front"]).to_csv(tmp_path / "shop.csv", index=False)
    search(tmp_path / "shop.csv", tmp_path / "issues", label="kind", image="front")
    train, _ = pasted(apply_in(tmp_path, "0.png,accept,,ann\n")).all
    assert train.dataset.kind == "image"


def test_the_command_runs_on_an_archive_with_arrays_of_other_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("train", 0), ("test", 1)):
        arrays = dict(np.load(save_blobs(tmp_path / f"{name}.npz", n=60, seed=seed, spread=1.0)))
        arrays["kind"], arrays["labels"] = arrays["labels"], np.arange(60) % 2
        np.savez(tmp_path / f"{name}.npz", **arrays)
    options = "--label kind --cache cache --heads linear --seeds 1 --max-steps 5"
    first = f"run train.npz --test test.npz --out issues {options}"
    done = CliRunner().invoke(app, first.split())
    assert done.exit_code == 0, done.output
    command = apply_in(tmp_path, "train/0,exclude,,ann\n")
    assert command == ("noiseproof run 'my cleaned' --test test.npz --test-label kind --out 'my cleaned-run'")
    monkeypatch.setenv("NOISEPROOF_CACHE", "cache")
    done = CliRunner().invoke(app, [*shlex.split(command)[1:], "--heads", "linear", "--max-steps", "5"])
    assert done.exit_code == 0, done.output


def test_another_label_column_wins_and_decisions_are_not_about_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search(odd_table(tmp_path / "talks.csv"), tmp_path / "issues", label="kind", text="reply")
    apply_in(tmp_path, "t0,accept,,ann\n")
    found = search(tmp_path / "my cleaned", tmp_path / "again", label="state")
    assert found.issues.class_names == ("new", "old")
    assert found.card["reviewed"] is None
    assert (
        "The decisions of people in my cleaned are about another column than 'state'." in found.card["notes"]
    )


def test_labels_without_examples_have_no_next_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"id": [f"t{row}" for row in range(8)], "label": np.array(CLASSES)[list(GIVEN)]})
    frame.to_csv(tmp_path / "only.csv", index=False)
    search(tmp_path / "only.csv", tmp_path / "issues")
    (tmp_path / "mine.csv").write_text("example_id,decision\nt0,keep\n")
    done = CliRunner().invoke(app, ["apply", "issues", "--decisions", "mine.csv", "--out", "cleaned"])
    assert done.exit_code == 0, done.output
    assert "Next:" not in done.output
