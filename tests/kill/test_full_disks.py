"""A full disk or quota ends a command with one sentence; with space it goes on to the results of a whole run.

`python tests/kill/by_hand.py full`, `quota` and `tmpfs` try every point.
"""

import pytest
from harness import different, explained, finished
from programs import PROGRAMS

SLOW = ("study-of-tunings", "demo", "finetune-cross_entropy", "pretrain-stream", "study", "deft")
NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
    for name in PROGRAMS
    if name not in ("write", "extraction", "training")  # programs of Python, which see the exception
]


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_without_space_is_one_sentence_and_the_command_goes_on_with_some(
    server, wholes, tmp_path, name
):
    inputs, whole, results = wholes(name)
    creating = [
        number
        for number, label in enumerate(whole.labels, start=1)
        if label.split()[0] in ("open", "mkdir", "rename")
    ]
    for point in (creating[1], creating[len(creating) // 2]):
        start = server.start(name, inputs, tmp_path / "out", full_from=point)
        assert start.code in (0, 2), start.printed  # 0 where the first one came further
        assert start.code == 0 or explained(start.printed), start.printed
    assert not different(finished(server, name, inputs, tmp_path / "out"), results)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_may_not_be_so_large_is_one_sentence(server, wholes, tmp_path, name):
    inputs, _, results = wholes(name)
    folder = inputs.parent / "whole"
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    start = server.start(name, inputs, tmp_path / "out", max_bytes=largest - 1)
    assert start.code == 2, start.printed
    assert explained(start.printed), start.printed
    assert "The largest file size that is allowed in" in start.printed
    assert not different(finished(server, name, inputs, tmp_path / "out"), results)
