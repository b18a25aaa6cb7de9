"""A folder holds one kind of work."""

import pytest

from noiseproof.errors import InvalidArgument
from noiseproof.stages import MARKS, only_process_in


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("other", MARKS)
def test_a_folder_of_other_work_is_not_taken(tmp_path, mark, other):
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
    assert {path.name for path in tmp_path.iterdir()} == {other}


def test_the_marks_are_what_the_commands_write():
    from noiseproof import detection, pipeline, training_card
    from noiseproof.study import study

    assert set(MARKS) == {pipeline.CARD, training_card.CARD, study.CARD, detection.CARD}
