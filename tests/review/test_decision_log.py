"""The log of decisions: nothing is lost, and nothing of other data is shown."""

import json

import pytest

from noiseproof.core.errors import DamagedFile, OtherSchema
from noiseproof.core.storage.checksums import to_line
from noiseproof.review.decision_log import DecisionLog

WHEN = "2026-11-30T17:00:00Z"


def filled(folder, *rows, identity="a"):
    log = DecisionLog(folder, identity)
    for example_id, decision, label, who in rows:
        log.append(example_id, decision, label=label, who=who, when=WHEN)
    return log


def test_a_new_reader_gets_the_last_decision_of_each_person_and_what_was_taken_back(tmp_path):
    filled(tmp_path, ("1", "accept", "bee", "Ada"), ("2", "keep", "ant", "Ada"), ("1", "keep", "ant", "Bob"))
    log = filled(tmp_path, ("1", "exclude", "", "Ada"), ("2", "", "", "Ada"))
    number, last = log.since(0)
    assert number == 5
    assert [(one.example_id, one.decision, one.who) for one in last] == [
        ("1", "keep", "Bob"),
        ("1", "exclude", "Ada"),
        ("2", "", "Ada"),
    ]
    assert len((tmp_path / "decisions.jsonl").read_text().splitlines()) == 5
    assert [one.decision for one in log.since(3)[1]] == ["exclude", ""]


def test_decisions_about_other_data_stay_in_the_file_and_are_not_shown(tmp_path):
    filled(tmp_path, ("1", "keep", "ant", ""), identity="a")
    assert filled(tmp_path, ("2", "keep", "ant", ""), identity="b").since(0)[1][0].example_id == "2"
    assert [one.example_id for one in DecisionLog(tmp_path, "a").since(0)[1]] == ["1"]


def test_a_line_that_a_kill_cut_is_dropped_and_the_next_one_is_whole(tmp_path):
    filled(tmp_path, ("1", "keep", "ant", ""))
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(path.read_bytes() + b'{"identity": "a", "exam')
    log = DecisionLog(tmp_path, "a")
    log.mend()
    log.append("2", "keep", label="ant", who="", when=WHEN)
    assert [one.example_id for one in DecisionLog(tmp_path, "a").since(0)[1]] == ["1", "2"]


@pytest.mark.parametrize("damage", [("keep", "kept"), ('"who"', '"woh"'), ("{", "[")])
def test_a_line_that_has_changed_is_named(tmp_path, damage):
    filled(tmp_path, ("1", "keep", "ant", ""), ("2", "keep", "ant", ""))
    path = tmp_path / "decisions.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{second.replace(*damage)}\n")
    with pytest.raises(DamagedFile, match=r"line 2 of .*decisions\.jsonl.* is damaged"):
        DecisionLog(tmp_path, "a")


def test_lines_have_checksums(tmp_path):
    filled(tmp_path, ("1", "keep", "ant", ""))
    assert "checksum" in json.loads((tmp_path / "decisions.jsonl").read_text())


def test_a_line_of_a_later_version_is_named(tmp_path):
    line = {"schema": 2, "identity": "a", "example_id": "1", "decision": "keep", "label": "ant", "when": WHEN}
    (tmp_path / "decisions.jsonl").write_text(to_line(line) + "\n")
    with pytest.raises(OtherSchema, match=r"line 1 of .*decisions\.jsonl' has schema 2; this version"):
        DecisionLog(tmp_path, "a")
