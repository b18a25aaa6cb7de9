import json
from dataclasses import replace

import pytest
from invented import invented_recipe, invented_rows

from noiseproof.core.errors import DamagedFile
from noiseproof.study.rows import (
    CurvatureRow,
    HeadRow,
    MapRow,
    SpectrumRow,
    StudyLog,
    read_rows,
    requested_rows,
)


@pytest.fixture(scope="module")
def rows():
    recipe = invented_recipe(
        seeds=1, tasks={"digits": {"train": "d"}}, heads={"linear": {}}, figures=["feature-maps", "curvature"]
    )
    return invented_rows(recipe)


def test_a_row_is_read_as_it_was_written(rows, tmp_path):
    log = StudyLog(tmp_path)
    log.append(rows)
    assert read_rows(log.path) == rows
    assert {type(row) for row in rows} == {HeadRow, SpectrumRow, MapRow, CurvatureRow}


def test_a_line_has_its_place_and_the_metrics_of_a_run(rows):
    cell = next(row for row in rows if isinstance(row, HeadRow)).to_json()
    assert {"backbone", "task", "share", "noise_kind", "noise_rate", "head", "setting", "seed"} <= cell.keys()
    assert {"set", "domain", "num_examples", "accuracy", "macro_f1", "ece", "nll_nats"} <= cell.keys()


def test_spectra_of_the_first_version_can_be_read(rows, tmp_path):
    spectrum = next(row for row in rows if isinstance(row, SpectrumRow))
    for seconds in (2.5, None):
        old = spectrum.to_json() | {"encode_s": seconds, "num_encoded": 100, "pretraining_accuracy": 0.8}
        (tmp_path / "study.jsonl").write_text(json.dumps(old) + "\n")
        (read,) = read_rows(tmp_path / "study.jsonl")
        assert list(read.encode_s.values()) == [seconds]
        assert replace(read, encode_s=spectrum.encode_s) == spectrum


def test_a_line_cut_off_by_a_kill_is_dropped_at_every_byte(rows, tmp_path):
    log = StudyLog(tmp_path)
    log.append(rows[:2])
    whole = log.path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in [*range(first, first + 40), len(whole) - 2, len(whole) - 1]:
        log.path.write_bytes(whole[:end])
        assert StudyLog(tmp_path).rows == rows[:1]
        assert log.path.read_bytes() == whole[:first]
    log.path.write_bytes(whole)
    assert StudyLog(tmp_path).rows == rows[:2]


def test_a_damaged_line_is_named(rows, tmp_path):
    log = StudyLog(tmp_path)
    log.append(rows[:3])
    lines = log.path.read_text().splitlines()
    log.path.write_text("\n".join([lines[0], lines[1][:50], lines[2]]) + "\n")
    with pytest.raises(DamagedFile, match=r"line 2 of .* is damaged: .*Next: delete that line"):
        StudyLog(tmp_path)
    log.path.write_text(json.dumps({"row": "nonsense"}) + "\n")
    with pytest.raises(DamagedFile, match=r"line 1 of .* is damaged: it is not a row of a study"):
        StudyLog(tmp_path)


def test_of_two_rows_of_one_thing_asked_the_last_counts(rows, tmp_path):
    old, new = rows[-1], replace(rows[-1], result_key="of other data")
    log = StudyLog(tmp_path)
    log.append([old, new])
    assert log.rows == [new]
    assert requested_rows(read_rows(log.path), [old.request_key]) == [new]
    assert log.has(old.result_key)  # data changed back: nothing to compute, and the old row counts again
    assert StudyLog(tmp_path).rows == [old]
    assert not log.has("something else")


def test_rows_come_in_the_order_asked_and_without_those_that_lack(rows):
    asked = [rows[3].request_key, "nothing", rows[1].request_key]
    assert requested_rows(rows, asked) == [rows[3], rows[1]]


def test_no_file_is_no_rows(tmp_path):
    assert read_rows(tmp_path / "nothing.jsonl") == []
