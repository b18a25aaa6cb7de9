import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseproof.errors import DamagedFile, InvalidArgument, MissingFile
from noiseproof.evaluate.metrics import METRICS, ClassMetrics
from noiseproof.evaluate.results import ResultLog, ResultRow, read_results


def row(head="linear", seed=0, set_name="photo", domain="id", accuracy=0.5):
    return ResultRow(
        head=head,
        seed=seed,
        set_name=set_name,
        domain=domain,
        num_examples=4,
        metrics=dict.fromkeys(METRICS, 0.25) | {"accuracy": accuracy},
        per_class={
            "cat": ClassMetrics(4, 0.5, None, 2 / 3),
            'd"o\ng\u2028': ClassMetrics(0, None, None, None),
        },
    )


def test_a_row_goes_through_its_line_unchanged():
    line = row().to_line()
    assert "\n" not in line
    assert ResultRow.from_line(line) == row()


def test_the_line_has_the_promised_names():
    import json

    assert list(json.loads(row().to_line())) == [
        "head", "seed", "set", "domain", "num_examples", "accuracy", "mean_per_class_accuracy", "macro_f1",
        "matthews", "ece", "nll_nats", "per_class",
    ]  # fmt: skip
    assert list(json.loads(row().to_line())["per_class"][0]) == [
        "class",
        "num_examples",
        "accuracy",
        "precision",
        "f1",
    ]


def test_a_log_opened_again_knows_its_rows(tmp_path):
    path = tmp_path / "run" / "results.jsonl"
    log = ResultLog(path)
    log.append(row(seed=0))
    log.append(row(seed=1))
    again = ResultLog(path)
    assert again.rows == [row(seed=0), row(seed=1)] == read_results(path)
    assert row(seed=1).key in again
    assert row(seed=2).key not in again


@given(cut=st.integers(0, 2000))
def test_a_kill_at_any_byte_loses_at_most_the_last_row(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("kill") / "results.jsonl"
    rows = [row(seed=seed) for seed in range(3)]
    log = ResultLog(path)
    for one in rows:
        log.append(one)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    num_whole = whole[:cut].count(b"\n")
    assert read_results(path) == rows[:num_whole]

    resumed = ResultLog(path)
    for one in rows:
        if one.key not in resumed:
            resumed.append(one)
    assert path.read_bytes() == whole


def test_appending_a_key_twice_is_an_error(tmp_path):
    log = ResultLog(tmp_path / "results.jsonl")
    log.append(row())
    with pytest.raises(
        InvalidArgument, match=r"`row` is \('linear', 0, 'photo'\); allowed: .* not in the log yet"
    ):
        log.append(row(accuracy=0.75))


def test_reading_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(MissingFile, match=r"No results at '.*results\.jsonl'\. Next: start `noiseproof run`"):
        read_results(tmp_path / "results.jsonl")


@pytest.mark.parametrize("damage", ["{", "{}", "[]", "3", '{"head": "linear", "per_class": 3}'])
def test_a_damaged_line_is_named(tmp_path, damage):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{row().to_line()}\n{damage}\n{row(seed=1).to_line()}\n")
    with pytest.raises(DamagedFile, match=r"Line 2 of '.*results\.jsonl' is not a result"):
        read_results(path)


def test_a_repeated_row_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{row().to_line()}\n" * 2)
    with pytest.raises(DamagedFile, match=r"Line 2 of '.*' repeats \('linear', 0, 'photo'\)"):
        read_results(path)


def test_an_unknown_domain_is_named():
    with pytest.raises(InvalidArgument, match=r"`domain` is 'elsewhere'; allowed: 'id' or 'ood'"):
        row(domain="elsewhere")


def test_a_missing_metric_is_named():
    with pytest.raises(InvalidArgument, match=r"`metrics` is .*missing \['ece'\]"):
        dataclasses.replace(row(), metrics={name: 0.5 for name in METRICS if name != "ece"})
