import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseproof.core.errors import DamagedFile, InvalidArgument, MissingFile, OtherSchema
from noiseproof.evaluate.metrics import METRICS, ClassMetrics
from noiseproof.evaluate.results import ResultRow, read_results


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
        "schema", "head", "seed", "set", "domain", "num_examples", "accuracy", "mean_per_class_accuracy",
        "macro_f1", "matthews", "ece", "nll_nats", "per_class", "checksum",
    ]  # fmt: skip
    assert list(json.loads(row().to_line())["per_class"][0]) == [
        "class",
        "num_examples",
        "accuracy",
        "precision",
        "f1",
    ]


@given(cut=st.integers(1, 2000))
def test_a_file_that_was_cut_short_is_damaged(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "results.jsonl"
    path.write_text("".join(row(seed=seed).to_line() + "\n" for seed in range(3)))
    whole = path.read_bytes()
    path.write_bytes(whole[: -min(cut, len(whole) - 1)])
    if path.read_bytes().endswith(b"\n"):
        assert len(read_results(path)) < 3
    else:
        with pytest.raises(DamagedFile, match=r"is not a result: .*Next: delete the file"):
            read_results(path)


def test_reading_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(MissingFile, match=r"No results at '.*results\.jsonl'\. Next: start `noiseproof run`"):
        read_results(tmp_path / "results.jsonl")


@pytest.mark.parametrize("damage", ["{", "{}", "[]", "3", '{"head": "linear", "per_class": 3}'])
def test_a_damaged_line_is_named(tmp_path, damage):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{row().to_line()}\n{damage}\n{row(seed=1).to_line()}\n")
    with pytest.raises(DamagedFile, match=r"Line 2 of '.*results\.jsonl' is not a result"):
        read_results(path)


def test_a_row_without_a_schema_is_of_the_first_and_one_of_a_newer_schema_is_named(tmp_path):
    import json

    path, values = tmp_path / "results.jsonl", json.loads(row().to_line())
    assert (values.pop("schema"), len(values.pop("checksum"))) == (1, 16)
    path.write_text(json.dumps(values) + "\n")
    assert read_results(path) == [row()]
    path.write_text(f"{row().to_line()}\n" + json.dumps(values | {"schema": 2}) + "\n")
    with pytest.raises(OtherSchema, match=r"'line 2 of .*' has schema 2; .*Next: install a newer"):
        read_results(path)


def test_a_repeated_row_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{row().to_line()}\n" * 2)
    with pytest.raises(DamagedFile, match=r"Line 2 of '.*' repeats \('linear', 0, 'photo'\)"):
        read_results(path)


def test_an_unknown_domain_is_named():
    with pytest.raises(InvalidArgument, match="allowed: 'id', 'ood' or 'relabelled'"):
        row(domain="elsewhere")


def test_a_missing_metric_is_named():
    with pytest.raises(InvalidArgument, match=r"`metrics` is .*missing \['ece'\]"):
        dataclasses.replace(row(), metrics={name: 0.5 for name in METRICS if name != "ece"})
