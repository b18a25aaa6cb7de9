"""A folder holds one kind of work."""

import pytest
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.storage.marks import MARK, claim
from noiseproof.pipelines.outputs.output_folders import MARKS, only_process_in


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("other", MARKS)
def test_a_folder_of_other_work_is_not_taken(tmp_path, mark, other):
    claim(tmp_path)
    (tmp_path / other).write_text("{}")
    if mark == other:
        with only_process_in(tmp_path, mark=mark):
            pass
        return
    with (
        pytest.raises(InvalidArgument, match=rf"allowed: a folder of its own. It has '{other}'"),
        only_process_in(tmp_path, mark=mark),
    ):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {other, MARK}


def test_the_marks_are_what_the_commands_write():
    from noiseproof.noise import manifest
    from noiseproof.pipelines import apply as applied
    from noiseproof.pipelines import detect as detection
    from noiseproof.pipelines import run as pipeline
    from noiseproof.pipelines.outputs import cards as training_card
    from noiseproof.study import study

    cards = {pipeline.CARD, applied.CARD, training_card.TRAINING_CARD, study.CARD, detection.CARD}
    assert set(MARKS) == cards | {manifest.FILE}


@pytest.mark.parametrize(
    "command",
    [
        "run --train photos --out {}", "detect --train photos --out {}", "extract photos --out {}",
        "adapt finetune --train photos --backbone timm:resnet18 --out {}",
        "adapt deft --train photos --out {}", "run --train other --ood photos --out {}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("out", ["photos", "photos/runs/1"])
def test_a_folder_in_the_data_is_refused_and_nothing_is_left_there(tmp_path, monkeypatch, command, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    done = CliRunner().invoke(app, command.format(out).split())
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert f"`--out` is '{out}'; allowed: a place outside of the data set 'photos'" in said
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat"]


def work_that_fails(folder, leave):
    with only_process_in(folder, mark="run.json"):
        leave()
        raise ZeroDivisionError


def test_work_that_fails_before_its_first_file_leaves_no_folder(tmp_path):
    new = tmp_path / "new"
    with pytest.raises(ZeroDivisionError):
        work_that_fails(new, (new / ".stages").mkdir)
    assert list(tmp_path.iterdir()) == []


def test_work_that_fails_leaves_what_the_next_start_needs_and_folders_of_the_user(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    old.mkdir()
    for folder, leave in ((new, (new / "checkpoint").touch), (old, (old / "photos").mkdir)):
        with pytest.raises(ZeroDivisionError):
            work_that_fails(folder, leave)
    assert (new / "checkpoint").is_file()
    assert (old / "photos").is_dir()
