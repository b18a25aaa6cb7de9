import numpy as np
import pytest

from noiseproof.errors import InvalidArgument
from noiseproof.stages import Stages, digest, only_process_in


class Work:
    """A stage that counts how often it was done."""

    def __init__(self, folder, file="a.txt"):
        self.folder, self.file, self.num_done = folder, file, 0

    def __call__(self):
        self.num_done += 1
        (self.folder / self.file).write_text(f"{self.file} done")
        return [self.file]


def test_finished_stage_is_not_done_again(tmp_path):
    work = Work(tmp_path)
    keys = {Stages(tmp_path).once("a", depends_on={"x": 1}, make=work) for _ in range(3)}
    assert (work.num_done, len(keys)) == (1, 1)


def test_stage_is_done_again_when_what_it_depends_on_changed(tmp_path):
    work = Work(tmp_path)
    Stages(tmp_path).once("a", depends_on=np.arange(3), make=work)
    stages = Stages(tmp_path)
    stages.once("a", depends_on=np.arange(4), make=work, title="first")
    assert work.num_done == 2
    assert stages.redone == ["first"]


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("cut")])
def test_stage_is_done_again_when_its_file_is_not_what_was_written(tmp_path, damage):
    work = Work(tmp_path)
    Stages(tmp_path).once("a", depends_on=1, make=work)
    damage(tmp_path / "a.txt")
    Stages(tmp_path).once("a", depends_on=1, make=work)
    assert work.num_done == 2
    assert (tmp_path / "a.txt").read_text() == "a.txt done"


def test_stage_that_failed_is_not_finished(tmp_path):
    def broken():
        (tmp_path / "a.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).once("a", depends_on=1, make=broken)
    work = Work(tmp_path)
    Stages(tmp_path).once("a", depends_on=1, make=work)
    assert work.num_done == 1


def test_unreadable_marker_means_the_stage_is_done_again(tmp_path):
    work = Work(tmp_path)
    Stages(tmp_path).once("a", depends_on=1, make=work)
    (tmp_path / ".stages" / "a.json").write_text("[")
    Stages(tmp_path).once("a", depends_on=1, make=work)
    assert work.num_done == 2


def test_skipped_stage_keeps_the_wall_time_of_the_start_that_did_it(tmp_path):
    first = Stages(tmp_path)
    first.once("a", depends_on=1, make=Work(tmp_path), title="work", spent_s=100.0)
    second = Stages(tmp_path)
    second.once("a", depends_on=1, make=Work(tmp_path), title="work", spent_s=0.0)
    assert second.wall_s == first.wall_s
    assert second.wall_s["work"] >= 100


def test_what_no_stage_of_this_run_left_is_deleted(tmp_path):
    stages = Stages(tmp_path)
    stages.once("a", depends_on=1, make=Work(tmp_path, "a.txt"))
    stages.once("b", depends_on=1, make=Work(tmp_path, "b.txt"))
    (tmp_path / "mine.txt").write_text("of the user")
    again = Stages(tmp_path)
    again.once("a", depends_on=1, make=Work(tmp_path, "a.txt"))
    assert again.forget_the_rest() == ["b"]
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["a.txt", "mine.txt"]


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
