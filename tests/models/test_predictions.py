"""The table of predictions, and its files."""

import json

import numpy as np
import pandas as pd
import pytest

from noiseproof.core.checks import check_share
from noiseproof.core.errors import InvalidArgument
from noiseproof.heads.estimators import LinearProbe
from noiseproof.models.prediction_files import check_out, write_predictions
from noiseproof.models.predictions import prediction_frame, score_frame
from noiseproof.models.saved_model import EncodingOptions, SavedModel


def frame(names=("cat", "=1+1"), ids=("a", "b", "c")):
    probs = np.array([[0.95, 0.05], [0.4, 0.6], [np.nan, np.nan]])
    reasons = [None, None, "it is cut off"]
    return prediction_frame(np.array(ids), probs, names, confidence=0.9, reasons=reasons)


def test_every_row_is_there_with_its_reason():
    found = frame()
    assert found.columns.tolist() == [
        "example_id", "prediction", "confidence", "prob_cat", "prob_=1+1", "is_unsure", "reason",
    ]  # fmt: skip
    assert found["prediction"].tolist()[:2] == ["cat", "=1+1"]
    assert found["is_unsure"].tolist() == [False, True, True]
    assert found["confidence"].tolist()[:2] == [0.95, 0.6]
    assert pd.isna(found["prediction"][2])
    assert pd.isna(found["reason"][0])
    assert found["reason"].tolist()[1:] == ["may be cat, too (0.40)", "it is cut off"]


def test_a_confidence_of_exactly_the_limit_is_sure():
    probs = np.array([[0.9, 0.1]])
    assert not prediction_frame(np.array(["a"]), probs, ["x", "y"], confidence=0.9, reasons=[None])[
        "is_unsure"
    ][0]


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_what_is_no_confidence_is_refused(tmp_path, confidence):
    model = SavedModel(LinearProbe(), "probe", None, EncodingOptions(tmp_path))
    with pytest.raises(InvalidArgument, match=r"`confidence` is .*; allowed: a share between 0 and 1"):
        model.predict(np.zeros((1, 2), np.float32), confidence=confidence)


@pytest.mark.parametrize("share", [-0.1, 1.1, "high", True, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(InvalidArgument, match=r"`confidence` is .*; allowed: a share between 0 and 1"):
        check_share(share, "confidence")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_files_have_what_the_tables_had(tmp_path, suffix):
    out = tmp_path / "deep" / f"p{suffix}"
    parts = [frame(), frame(ids=("d", "=e", "f")).iloc[:1], frame(ids=("g", "=e", "f")).iloc[1:]]
    for _ in write_predictions(parts, out):
        assert not out.exists()  # until the last is written
    whole = pd.concat(parts, ignore_index=True)
    if suffix == ".parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(out), whole, check_dtype=False)
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert [row["example_id"] for row in rows] == whole["example_id"].tolist()
        assert (rows[2]["confidence"], rows[0]["reason"]) == (None, None)
    else:
        text = out.read_bytes().decode("utf-8-sig")
        assert text.count("example_id") == 1
        assert "\n'=e,'=1+1," in text  # a spreadsheet does not run it
    for _ in write_predictions([frame()], out):  # replaces its own
        pass


def test_scores_have_no_confidence(tmp_path):
    found = score_frame(np.array(["a", "b"]), np.array([1.5, np.nan]), reasons=[None, "it is cut off"])
    assert found["is_unsure"].tolist() == [False, True]
    for suffix in (".csv", ".parquet", ".jsonl"):
        for _ in write_predictions([found], tmp_path / f"p{suffix}"):
            pass
        check_out(tmp_path / f"p{suffix}")
    assert pd.read_parquet(tmp_path / "p.parquet")["prediction"][0] == 1.5


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_files_of_somebody_else_stay(tmp_path, name):
    (tmp_path / name).write_text("image,label\n")
    with pytest.raises(InvalidArgument, match="something else"):
        check_out(tmp_path / name)


def test_other_suffixes_and_folders_are_refused(tmp_path):
    with pytest.raises(InvalidArgument, match=r"\.csv, \.parquet, \.jsonl"):
        check_out(tmp_path / "p.xlsx")
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(InvalidArgument, match="new file"):
        check_out(tmp_path / "p.csv")


def test_what_a_kill_left_of_a_file_is_deleted_and_nothing_else(tmp_path):
    left, others = (
        tmp_path / ".noiseproof.p.csv.0a1b2c3d.partial",
        tmp_path / ".noiseproof.q.csv.0a1b2c3d.partial",
    )
    for path in (left, others):
        path.touch()
    frame = prediction_frame(np.array(["a"]), np.array([[1.0]]), ("x",), confidence=0.9, reasons=[None])
    list(write_predictions([frame], tmp_path / "p.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [others.name, "p.csv"]


def test_an_error_in_the_middle_leaves_the_file_of_before(tmp_path):
    out = tmp_path / "p.csv"
    list(write_predictions([frame()], out))
    before = out.read_bytes()

    def broken():
        yield frame()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(write_predictions(broken(), out))
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]
