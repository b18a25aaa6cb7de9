"""Messy folders: links, junk, files that are no images, order of classes."""

from pathlib import Path

import pytest
from tiny_sources import png

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.data.formats import folder_walk
from noiseproof.data.sources import open_dataset


def photos(root: Path, names: tuple[str, ...] = ("cat/0.png", "cat/1.png", "dog/2.png", "dog/3.png")) -> Path:
    for row, name in enumerate(names):
        path = root / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png((row, 1, 2)))
    return root / "photos"


def ids(folder: Path) -> list[str]:
    return open_dataset(str(folder)).ids.tolist()


# --- order


def test_folders_called_by_numbers_are_in_the_order_of_numbers(tmp_path):
    folder = photos(tmp_path, tuple(f"{number}/a.png" for number in range(12)))
    dataset = open_dataset(str(folder))
    assert dataset.class_names == tuple(str(number) for number in range(12))
    assert dataset.given_labels.tolist() == list(range(12))
    assert dataset.ids.tolist() == [f"{number}/a.png" for number in range(12)]


def test_folders_and_a_table_of_the_same_labels_have_the_same_classes(tmp_path):
    folder = photos(tmp_path, tuple(f"{number}/a.png" for number in (2, 10, 1)))
    (tmp_path / "t.csv").write_text("text,label\na,2\nb,10\nc,1\n")
    assert open_dataset(str(folder)).class_names == open_dataset(str(tmp_path / "t.csv")).class_names


# --- links


def test_a_link_back_to_its_own_class_adds_nothing(tmp_path):
    folder = photos(tmp_path)
    before = ids(folder)
    (folder / "cat" / "back").symlink_to("../cat")
    (folder / "cat" / "deep").mkdir()
    (folder / "cat" / "deep" / "again").symlink_to("../../cat/deep")
    dataset = open_dataset(str(folder))
    assert dataset.ids.tolist() == before
    assert "2 symbolic links of" in dataset.notes[0]
    assert (
        "lead to folders that are read already and are not followed: cat/back, cat/deep/again"
        in dataset.notes[0]
    )


@pytest.mark.parametrize("target", ["..", "../..", "../dog", "../../photos/dog"])
def test_a_link_never_brings_images_of_another_class(tmp_path, target):
    folder = photos(tmp_path)
    before = ids(folder)
    (folder / "cat" / "link").symlink_to(target)
    (folder / "cat" / "second").symlink_to(target)
    assert ids(folder) == before


def test_a_link_to_images_elsewhere_is_followed_once(tmp_path):
    folder = photos(tmp_path)
    elsewhere = photos(tmp_path / "other", ("more/4.png", "more/inner/5.png")) / "more"
    (folder / "cat" / "a").symlink_to(elsewhere)
    (folder / "cat" / "b").symlink_to(elsewhere)
    (folder / "cat" / "c").symlink_to(elsewhere / "inner")
    (elsewhere / "round").symlink_to(elsewhere)
    assert ids(folder) == [
        "cat/0.png", "cat/1.png", "cat/a/4.png", "cat/a/inner/5.png", "dog/2.png", "dog/3.png"
    ]  # fmt: skip


def test_a_class_folder_may_be_a_link(tmp_path):
    folder = photos(tmp_path)
    (folder / "emu").symlink_to(photos(tmp_path / "other", ("birds/4.png",)) / "birds")
    assert open_dataset(str(folder)).class_names == ("cat", "dog", "emu")


@pytest.mark.parametrize("target", ["cat", ".", ".."])
def test_two_names_for_one_class_folder_are_refused(tmp_path, target):
    folder = photos(tmp_path)
    (folder / "kitten").symlink_to(target)
    with pytest.raises(BadData, match=r"kitten' is the same folder as '.*', by a link; allowed: a folder"):
        open_dataset(str(folder))


def test_linked_files_are_images_and_broken_links_are_named(tmp_path):
    folder = photos(tmp_path)
    (folder / "cat" / "4.png").symlink_to(folder / "cat" / "0.png")
    assert len(ids(folder)) == 5
    (folder / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(MissingFile, match=r"Example 'cat/gone\.png'"):
        open_dataset(str(folder))


# --- folders that cannot be read, junk, other files


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize(("home", "step"), [(folder_walk.os, "scandir"), (folder_walk, "is_ours")])
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, on_error, home, step):
    folder = photos(tmp_path, ("cat/0.png", "cat/closed/1.png", "dog/2.png"))
    original = getattr(home, step)

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(home, step, refuse)
    with pytest.raises(BadData, match=r"closed' cannot be read \(Permission denied\); .* Next: change"):
        open_dataset(str(folder), on_error=on_error)


def test_what_operating_systems_leave_is_ignored(tmp_path):
    folder = photos(tmp_path)
    before = open_dataset(str(folder))
    for junk in ("__MACOSX/cat/._0.png", "@eaDir/0.png", "cat/__MACOSX/0.png", "lost+found/x.png"):
        (folder / junk).parent.mkdir(parents=True, exist_ok=True)
        (folder / junk).write_bytes(png((9, 9, 9)))
    for junk in ("Thumbs.db", "cat/Thumbs.db", "desktop.ini", ".DS_Store", "dog/.DS_Store"):
        (folder / junk).write_bytes(b"x")
    after = open_dataset(str(folder))
    assert after.fingerprint == before.fingerprint
    assert after.notes == before.notes == ()


def test_files_that_are_passed_over_are_counted(tmp_path):
    folder = photos(tmp_path)
    for name in ("cat/a.heic", "cat/b.HEIC", "dog/c.svg", "dog/README"):
        (folder / name).write_bytes(b"x")
    (folder / "loose.png").write_bytes(png((1, 1, 1)))
    first, second = open_dataset(str(folder)).notes
    assert "no images of a known type: 2 .heic, 1 without a suffix, 1 .svg." in first
    assert "1 image of" in second
    assert "lies outside the class folders and has no label." in second


def test_a_jfif_is_a_jpeg(tmp_path):
    folder = photos(tmp_path)
    (folder / "cat" / "a.JFIF").write_bytes(png((5, 5, 5)))
    assert "cat/a.JFIF" in ids(folder)


# --- empty class folders


def test_an_empty_class_folder_stops_training_and_says_what_it_holds(tmp_path):
    folder = photos(tmp_path)
    (folder / "emu").mkdir()
    (folder / "emu" / "a.heic").write_bytes(b"x")
    with pytest.raises(BadData, match=r"emu' holds no images; .*\. It holds 1 \.heic\. Next: add images"):
        open_dataset(str(folder))


def test_an_empty_class_folder_does_not_stop_an_evaluation(tmp_path):
    folder = photos(tmp_path)
    (folder / "emu").mkdir()
    dataset = open_dataset(str(folder), may_lack_classes=True)
    assert len(dataset) == 4
    assert any("without images: emu" in note for note in dataset.notes)
    for name in ("cat", "dog"):
        for image in (folder / name).iterdir():
            image.unlink()
    with pytest.raises(BadData, match="holds no images"):
        open_dataset(str(folder), may_lack_classes=True)
