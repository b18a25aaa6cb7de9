from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest

from noiseproof.core.errors import InvalidArgument
from noiseproof.core.storage.files import digest
from noiseproof.pipelines.outputs.output_folders import only_process_in
from noiseproof.pipelines.outputs.stages import Stages


class Work:
    """A stage that counts how often it was done."""

    def __init__(self, *files, text="done"):
        self.files, self.text, self.num_done = files or ("a.txt",), text, 0

    def __call__(self, folder):
        self.num_done += 1
        for file in self.files:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(self.text)
        return list(self.files)


def publish(folder, *works, depends_on=1):
    """A whole run with a stage per work, named by its first file."""
    stages = Stages(folder)
    for work in works:
        stages.once(work.files[0].replace("/", " "), depends_on=depends_on, make=work)
    return stages.publish()


def texts(folder):
    return {path.name: path.read_text() for path in folder.glob("*.txt")}


@pytest.mark.parametrize("is_published", [True, False])
def test_finished_stage_is_not_done_again(tmp_path, is_published):
    work, keys = Work(), set()
    for _ in range(3):
        stages = Stages(tmp_path)
        keys.add(stages.once("a", depends_on={"x": 1}, make=work))
        if is_published:
            stages.publish()
    assert (work.num_done, len(keys)) == (1, 1)
    assert stages.path("a.txt").read_text() == "done"


def test_stage_is_done_again_when_what_it_depends_on_changed(tmp_path):
    work = Work()
    Stages(tmp_path).once("a", depends_on=np.arange(3), make=work)
    stages = Stages(tmp_path)
    stages.once("a", depends_on=np.arange(4), make=work, title="first")
    assert work.num_done == 2
    assert stages.redone == ["first"]


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("cut")])
def test_stage_is_done_again_when_its_file_is_not_what_was_written(tmp_path, damage):
    work = Work()
    publish(tmp_path, work)
    damage(tmp_path / "a.txt")
    is_cut = (tmp_path / "a.txt").exists()
    with (
        pytest.warns(match=r"a.txt' is damaged or was edited: .*A.txt is done again")
        if is_cut
        else nullcontext()
    ):
        publish(tmp_path, work)
    assert work.num_done == 2
    assert texts(tmp_path) == {"a.txt": "done"}


def broken(folder):
    (folder / "a.txt").write_text("half")
    raise KeyboardInterrupt


def test_stage_that_failed_is_not_finished(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).once("a", depends_on=1, make=broken)
    work = Work()
    Stages(tmp_path).once("a", depends_on=1, make=work)
    assert work.num_done == 1


def test_start_that_fails_leaves_the_run_before_it_as_it_was(tmp_path):
    first, second = Work("a.txt"), Work("b.txt")
    publish(tmp_path, first, second)
    stages = Stages(tmp_path)
    stages.once("b.txt", depends_on=2, make=Work("b.txt", text="new"))
    with pytest.raises(KeyboardInterrupt):
        stages.once("a.txt", depends_on=2, make=broken)
    assert texts(tmp_path) == {"a.txt": "done", "b.txt": "done"}
    publish(tmp_path, first, second)  # with the settings of before
    assert (first.num_done, second.num_done) == (1, 1)
    assert Stages(tmp_path).path("a.txt").read_text() == "done"


def test_what_a_killed_start_left_without_a_marker_is_not_taken_for_the_result(tmp_path):
    work = Work()
    publish(tmp_path, work)
    stages = Stages(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        stages.once("a.txt", depends_on=2, make=broken)
    stages.once("a.txt", depends_on=1, make=work)
    assert stages.path("a.txt").read_text() == "done"


def test_start_goes_on_from_what_a_failed_one_had_finished(tmp_path):
    publish(tmp_path, Work("a.txt"), Work("b.txt"))
    changed = Work("a.txt", text="new")
    Stages(tmp_path).once("a.txt", depends_on=2, make=changed)
    publish(tmp_path, changed, Work("b.txt", text="new"), depends_on=2)
    assert changed.num_done == 1
    assert texts(tmp_path) == {"a.txt": "new", "b.txt": "new"}


@pytest.mark.parametrize("num_moved", range(6))
def test_publication_that_is_cut_short_is_carried_on(tmp_path, monkeypatch, num_moved):
    publish(tmp_path, Work("a.txt", "b.txt"), Work("c.txt"))
    works = Work("a.txt", "b.txt", text="new"), Work("c.txt", text="new")
    stages = Stages(tmp_path)
    for work in works:
        stages.once(work.files[0], depends_on=2, make=work)
    real, moved = Path.replace, []

    def replace(self, target):
        if len(moved) == num_moved:
            raise KeyboardInterrupt
        moved.append(target)
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with suppress(KeyboardInterrupt):  # three files and two markers: the last case is not cut short
            stages.publish()
    again = Stages(tmp_path)
    for work in works:
        again.once(work.files[0], depends_on=2, make=work)
        homes = {again.path(file).parent for file in work.files}
        assert len(homes) == 1, "files of a stage are read side by side"
    again.publish()
    assert [work.num_done for work in works] == [1, 1]
    assert texts(tmp_path) == {"a.txt": "new", "b.txt": "new", "c.txt": "new"}


def test_unreadable_marker_means_the_stage_is_done_again(tmp_path):
    work = Work()
    publish(tmp_path, work)
    (tmp_path / ".stages" / "a.txt.json").write_text("[")
    publish(tmp_path, work)
    assert work.num_done == 2


def test_skipped_stage_keeps_the_wall_time_of_the_start_that_did_it(tmp_path):
    first = Stages(tmp_path)
    first.once("a", depends_on=1, make=Work(), title="work", spent_s=100.0)
    second = Stages(tmp_path)
    second.once("a", depends_on=1, make=Work(), title="work", spent_s=0.0)
    assert second.wall_s == first.wall_s
    assert second.wall_s["work"] >= 100


def test_what_no_stage_of_this_run_left_is_deleted(tmp_path):
    publish(tmp_path, Work("a.txt"), Work("b.txt"))
    (tmp_path / "mine.txt").write_text("of the user")
    assert publish(tmp_path, Work("a.txt")) == ["b.txt"]
    assert texts(tmp_path).keys() == {"a.txt", "mine.txt"}


def test_files_a_stage_leaves_no_more_are_deleted(tmp_path):
    publish(tmp_path, Work("a.txt", "b.txt"))
    publish(tmp_path, Work("a.txt"), depends_on=2)
    assert texts(tmp_path).keys() == {"a.txt"}


def test_leftovers_of_killed_processes_are_deleted_and_files_of_the_user_are_not(tmp_path):
    head = Work("heads/mlp-seed0.json")
    publish(tmp_path, head, Work("a.txt"))
    (tmp_path / "thumbnails").mkdir()
    leftovers = ["heads/old-seed1.safetensors", "thumbnails/00007.png"]
    own = ["heads/notes.txt", "thumbnails/mine.png", ".download.partial", "heads/mlp-seed0.json", "a.txt"]
    for name in (*leftovers, *own[:3]):
        (tmp_path / name).write_text("")
    publish(tmp_path, head, Work("a.txt"))
    assert [name for name in (*leftovers, *own) if (tmp_path / name).exists()] == own


@pytest.mark.parametrize("name", ["heads/best-seed0.safetensors", "thumbnails/00001.png"])
def test_folder_with_files_of_somebody_else_that_we_would_delete_is_refused(tmp_path, name):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("of the user")
    with pytest.raises(InvalidArgument, match=rf"`out` is '.*'; .* such as '{name}'\. Next: name another"):
        Stages(tmp_path)
    assert (tmp_path / name).read_text() == "of the user"


@pytest.mark.parametrize("place", ["a file", "a file/run", "/proc/run"])
def test_folder_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "a file").touch()
    with (
        pytest.raises(
            InvalidArgument, match=r"`out` is '.*'; allowed: a folder that can be made and written"
        ),
        only_process_in(tmp_path / place),
    ):
        pass


def test_second_process_is_told_to_wait(tmp_path):
    with (
        only_process_in(tmp_path),
        pytest.raises(InvalidArgument, match="another noiseproof is writing to"),
        only_process_in(tmp_path),
    ):
        pass
    with only_process_in(tmp_path):
        pass


def test_digest_tells_arrays_apart_by_values_shape_and_dtype():
    arrays = [np.arange(4), np.arange(4).reshape(2, 2), np.arange(4.0), np.arange(1, 5)]
    assert len({digest({"labels": array}) for array in arrays}) == 4
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})


def test_digest_refuses_what_has_no_stable_text():
    with pytest.raises(TypeError, match="object cannot be part of a key"):
        digest({"x": object()})


def test_a_file_that_was_edited_is_told_from_one_that_still_waits(tmp_path):
    publish(tmp_path, Work("a.txt"))
    waiting = Stages(tmp_path)
    waiting.once("a.txt", depends_on=2, make=Work("a.txt", text="new"))  # then killed
    Stages(tmp_path).check_free(["a.txt"], unedited=["a.txt"])
    (tmp_path / "a.txt").write_text("edited")
    with pytest.raises(InvalidArgument, match=r"'a\.txt' was changed since"):
        Stages(tmp_path).check_free(["a.txt"], unedited=["a.txt"])
    assert publish(tmp_path, Work("b.txt")) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "edited"
