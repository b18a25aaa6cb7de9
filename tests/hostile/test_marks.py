"""Results never lie in data, and files of a user are never replaced: the mark of folders that are ours."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.core.errors import BadData, InvalidArgument, NoSpaceLeft
from noiseproof.core.storage.marks import MARK, claim, is_ours
from noiseproof.data.sources import open_dataset


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A data set of class folders in the working folder, beside another one of features."""
    monkeypatch.chdir(tmp_path)
    for row in range(8):
        path = tmp_path / "photos" / ("cat", "dog")[row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (row, 0, 0)).save(path)
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.savez(tmp_path / "other.npz", features=features, labels=np.arange(40) % 2)
    return tmp_path / "photos"


def contents(folder: Path) -> dict[str, bytes]:
    """All files under a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- who may write where

WRITERS = [
    "run other.npz --out OUT", "detect other.npz --out OUT", "extract other.npz --out OUT",
    "corrupt other.npz --noise symmetric:0.2 --out OUT", "study paper1-influence --scale toy --out OUT",
    "adapt finetune other.npz --backbone timm:resnet18 --out OUT", "adapt deft other.npz --out OUT",
    "pretrain supervised other.npz --test other.npz --model resnet8 --epochs 1 --batch-size 4 --image-size 8 "
    "--learning-rate 0.1 --out OUT", "demo --out OUT",
    "detect other.npz --out new --cache OUT", "run other.npz --out new --cache OUT",
]  # fmt: skip


def command(text: str, out: str) -> str:
    """The output of a command that must refuse its folder."""
    done = CliRunner().invoke(app, text.replace("OUT", out).split())
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


@pytest.mark.parametrize("writer", WRITERS)
def test_no_command_writes_into_a_folder_of_data(photos, writer):
    before = contents(photos)
    assert (
        "'photos'; allowed: a new or empty folder, or one that noiseproof wrote. It has 'cat' and 1 more"
        in (command(writer, "photos"))
    )
    assert contents(photos) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_no_command_replaces_a_file_of_somebody_else(photos, writer):
    (photos.parent / "mine").mkdir()
    (photos.parent / "mine" / "report.html").write_text("mine")
    assert "It has 'report.html', which noiseproof did not write. Next: name another" in command(
        writer, "mine"
    )
    assert contents(photos.parent / "mine") == {"report.html": b"mine"}


@pytest.mark.parametrize(
    "file",
    ["results.jsonl", "report.html", "log.jsonl", "tables/models.csv", "card.json", "m.safetensors", "0.JPG"],
)
def test_a_folder_with_a_file_of_somebody_else_is_not_claimed(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("mine")
    with pytest.raises(InvalidArgument, match=rf"It has '{Path(file).parts[0]}', which noiseproof did not"):
        claim(tmp_path)
    assert contents(tmp_path) == {file: b"mine"}


def test_figures_are_not_drawn_into_a_folder_of_data(photos):
    CliRunner().invoke(app, ["extract", "other.npz", "--out", "features"], catch_exceptions=False)
    before = contents(photos)
    assert "`--figures` is 'photos'; allowed: a new or" in command(
        "spectrum features --figures OUT", "photos"
    )
    assert contents(photos) == before


@pytest.mark.parametrize(
    "file", ["notes.txt", "README.md", "slurm-1.out", "job.sh", "config.yaml", ".hidden"]
)
def test_notes_may_lie_where_results_go(tmp_path, file):
    (tmp_path / file).write_text("mine")
    assert claim(tmp_path)
    assert (tmp_path / file).read_text() == "mine"


def test_a_folder_is_claimed_once(tmp_path):
    new = tmp_path / "a" / "new"
    assert claim(new)
    (new / "results.jsonl").touch()
    assert not claim(new)
    assert is_ours(new)


@pytest.mark.parametrize(
    "old",
    [
        [".stages/a.json", "heads/linear.json", "thumbnails/00000.png", "results.jsonl", "run.json"],
        ["study.jsonl", "tables/models.csv", "figures/a.svg", "tunings/a.json"],
        ["0" * 64 + "/manifest.json", "f" * 64 + "/part-00000.safetensors", ".encoders/a.json"],
        ["a" * 64 + "/part-00000.safetensors"],
    ],
    ids=["run", "study", "store", "unfinished store"],
)
def test_folders_of_versions_before_the_mark_are_ours(tmp_path, old):
    for name in old:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert claim(tmp_path)


def test_data_in_which_a_version_before_the_mark_left_results_is_not_claimed(photos):
    (photos / ".stages").mkdir()
    with pytest.raises(InvalidArgument, match=r"It has 'cat' and 1 more, which noiseproof did not write"):
        claim(photos)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidArgument, match="allowed: a folder that can be made and written to"):
        claim(tmp_path / "new")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match="allowed: a folder that can be made and written to"):
        claim(tmp_path / "file" / "new")


def test_a_command_that_is_refused_leaves_no_mark(photos):
    empty = photos.parent / "empty"
    empty.mkdir()
    done = CliRunner().invoke(app, ["detect", "other.npz", "--method", "unknown", "--out", "empty"])
    assert done.exit_code == 2
    assert not is_ours(empty)


# --- readers of data


def ids(folder: Path) -> list[str]:
    return open_dataset(str(folder)).ids.tolist()


def test_readers_leave_out_folders_that_are_ours_and_name_them(photos):
    before = ids(photos)
    for name in ("runs", "cat/inner/results"):
        claim(photos / name)
        Image.new("RGB", (6, 4)).save(photos / name / "picture.png")
    dataset = open_dataset(str(photos))
    assert dataset.ids.tolist() == before
    assert dataset.class_names == ("cat", "dog")
    assert f"Folders of {photos} with results of noiseproof were left out: runs, cat/inner/results." in (
        dataset.notes
    )


def test_thumbnails_of_versions_before_the_mark_are_no_class(photos):
    before = ids(photos)
    for folder in (photos, photos / "run"):
        (folder / "thumbnails").mkdir(parents=True)
        Image.new("RGB", (6, 4)).save(folder / "thumbnails" / "00000.png")
        (folder / "thumbnails.json").write_text("[]")
        (folder / ".stages").mkdir()
    assert ids(photos) == before


def test_a_class_may_be_called_thumbnails(photos):
    (photos / "cat").rename(photos / "thumbnails")
    assert open_dataset(str(photos)).class_names == ("dog", "thumbnails")


def test_results_are_no_data(photos):
    run = photos.parent / "run"
    claim(run)
    with pytest.raises(
        BadData, match=rf"run' holds results of noiseproof, by the file '{MARK}' in it; allowed"
    ):
        open_dataset(str(run))


def test_a_run_marks_its_folder_and_its_store(photos):
    done = CliRunner().invoke(app, ["detect", "other.npz", "--out", "issues", "--cache", "store"])
    assert done.exit_code == 0, done.output
    assert is_ours(photos.parent / "issues")
    assert is_ours(photos.parent / "store")
    card = (photos.parent / "issues" / "detection.json").read_text()
    assert '"train": "other.npz"' in card
    assert str(photos.parent) not in card  # paths are as they were typed


def test_a_mark_that_does_not_fit_leaves_none(tmp_path):
    """Half of one would stay, since a marked folder is not marked again."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    taken = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(NoSpaceLeft, match=r"while writing '\.noiseproof'"):
            claim(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, taken)
    assert not list((tmp_path / "out").iterdir())
    assert claim(tmp_path / "out")
