"""A damaged file is refused by name, made again with a warning, or without effect."""

import os

import pytest
from flips import FINE, KINDS, REFUSED, SAME, WARNED, damages, outcome, try_damages

COUNT = int(os.environ.get("NOISEPROOF_FLIPS", "9"))  # of each kind of file
NEEDS = {"checkpoint of a training": "accelerate", "log of a training": "accelerate"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a kind, made once for all of its files."""
    folders = {}

    def make(kind):
        if kind.make not in folders:
            folders[kind.make] = tmp_path_factory.mktemp("made") / "whole"
            folders[kind.make].mkdir()
            kind.make(folders[kind.make])
        return folders[kind.make]

    return make


@pytest.mark.parametrize("title", KINDS)
def test_damage_is_noticed_or_without_effect(made, tmp_path, title):
    if title in NEEDS:
        pytest.importorskip(NEEDS[title])
    found = try_damages(KINDS[title], made(KINDS[title]), tmp_path, count=COUNT)
    assert len(found) >= min(COUNT, 9)
    assert [(what, result) for what, result in found if result not in FINE] == []


def test_single_bits_are_flipped_and_ends_are_cut():
    content = bytes(range(100))
    found = dict(damages(content, 30, seed=0))
    assert [len(each) for each in list(found.values())[:3]] == [0, 50, 99]
    flips = list(found.values())[3:]
    assert len(flips) == 27
    for each in flips:
        (place,) = (k for k in range(100) if each[k] != content[k])
        assert (each[place] ^ content[place]).bit_count() == 1


def test_what_is_not_noticed_is_found(tmp_path):
    """The harness itself: a reader that believes everything, one that raises anything, one that warns."""
    import warnings
    from dataclasses import replace

    kind = replace(
        KINDS["file of a stage"], make=lambda folder: None, use=lambda f: (f / "a.txt").read_bytes()
    )
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "a.txt").write_bytes(b"ab")

    def result(use, content):
        return outcome(replace(kind, use=use), whole, content, tmp_path, b"ab")

    def warning(folder):
        warnings.warn("a.txt is damaged", stacklevel=1)
        return b"ab"

    assert result(kind.use, b"ab") == SAME
    assert result(kind.use, b"aB").startswith("CHANGED")
    assert result(lambda folder: 1 / 0, b"aB").startswith("ZeroDivisionError")
    assert result(warning, b"aB") == WARNED
    assert REFUSED in FINE
