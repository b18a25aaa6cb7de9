"""`noiseproof detect` from the configuration to the files."""

import json

import numpy as np
import pandas as pd
import pytest
from blobs import save_blobs
from typer.testing import CliRunner

import noiseproof
from noiseproof.cli.main import app
from noiseproof.config.detect import DetectConfig
from noiseproof.config.extract import ExtractConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.detect.detectors import DETECTORS
from noiseproof.export.formats import FORMATS
from noiseproof.pipelines import detect as detection
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.extract import extract_features
from noiseproof.pipelines.inputs import encoded


@pytest.fixture
def asked(tmp_path, blobs):
    """A function from changed options to a small configuration."""

    def make(**changed):
        options = {"train": str(blobs), "out": tmp_path / "issues", "cache": tmp_path / "cache"}
        return load_config(DetectConfig, options=options | changed)

    return make


def files_in(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_planted_labels_are_found_and_the_files_say_so(asked, tmp_path):
    result = detect(asked(noise="symmetric:0.1", export=["cleanlab", "json", "cleaned-drop"]))
    assert result.summary.against_truth["recall"] >= 0.8
    assert result.summary.against_truth["num_wrong"] == 9
    frame = pd.read_parquet(tmp_path / "issues" / "label_issues.parquet")
    assert frame.columns.tolist()[-2:] == ["clean_label", "row"]
    assert frame["suspicion"].is_monotonic_decreasing
    assert frame["example_id"].tolist() == [f"train/{row}" for row in frame["row"]]
    assert frame["is_issue"].sum() == result.issues.is_issue.sum() == result.summary.num_issues
    assert result.exports["cleanlab"].is_file()
    card = json.loads((tmp_path / "issues" / detection.CARD).read_text())
    assert card["data"]["label_noise"]["realised_rate"] == pytest.approx(0.1)
    assert card["features"]["dim"] == 8
    assert "Labels as they were before noise was put in count as right." in card["notes"]
    assert any("it is for a rehearsal" in note for note in card["notes"])


def test_the_same_command_again_does_nothing(asked, tmp_path, monkeypatch):
    options = {"export": ["cleanlab", "cleaned-relabel"], "limit": 60}
    detect(asked(**options))
    before = files_in(tmp_path / "issues")
    monkeypatch.setattr("noiseproof.detect.find_issues.find_label_issues", None)
    said = []
    detect(asked(**options), say=said.append)
    after = files_in(tmp_path / "issues")
    assert {name for name in before if before[name] != after[name]} <= {detection.CARD}
    assert said == []


def test_results_of_another_algorithm_are_made_anew(asked, monkeypatch):
    options = {"limit": 60}
    detect(asked(**options))
    monkeypatch.setattr(detection, "ALGORITHM", 0)
    monkeypatch.setattr("noiseproof.detect.find_issues.find_label_issues", None)
    with pytest.raises(TypeError):
        detect(asked(**options))


def test_another_export_does_not_judge_again_and_one_that_is_gone_is_deleted(asked, tmp_path, monkeypatch):
    detect(asked(export=["cleanlab"]))
    monkeypatch.setattr("noiseproof.detect.find_issues.find_label_issues", None)
    said = []
    detect(asked(export=["json"]), say=said.append)
    assert (tmp_path / "issues" / "issues.json").is_file()
    assert not (tmp_path / "issues" / "cleanlab.csv").exists()
    assert said == ["Deleted, because no longer part of the results: export cleanlab."]


def test_interrupted_it_goes_on_and_leaves_what_was_there(asked, tmp_path, monkeypatch):
    detect(asked())
    before = files_in(tmp_path / "issues")
    with monkeypatch.context() as broken:
        broken.setattr(detection, "_export", lambda *arguments, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            detect(asked(method="neighbours", export=["cleanlab"]))
    after = files_in(tmp_path / "issues")
    assert all(after[name] == content for name, content in before.items())
    monkeypatch.setattr("noiseproof.detect.find_issues.find_label_issues", None)
    assert detect(asked(method="neighbours", export=["cleanlab"])).issues.method == "neighbours"


def test_probabilities_are_enough_and_nothing_is_encoded(asked, tmp_path):
    labels = np.arange(90) % 3
    probs = np.eye(3)[labels] * 0.7 + 0.1
    probs[5] = [0.9, 0.05, 0.05]  # given 2
    np.savez(tmp_path / "p.npz", probs=probs, class_names=["ant", "bee", "cat"])
    result = detect(asked(probs=tmp_path / "p.npz"))
    assert result.issues.method == "confident_learning"
    assert np.flatnonzero(result.issues.is_issue).tolist() == [5]
    assert not (tmp_path / "cache").exists()
    assert result.card["features"] is None
    assert result.issues.suspicion.argmax() == 5
    zero_shot = detect(asked(zero_shot=tmp_path / "p.npz", method="zero_shot", out=tmp_path / "z"))
    assert zero_shot.issues.suspicion.argmax() == 5


@pytest.mark.parametrize("method", [name for name in DETECTORS.names if name not in ("zero_shot", "prompts")])
def test_every_detector_judges_stored_features(asked, method):
    result = detect(asked(method=method, noise="symmetric:0.1"))
    assert result.issues.method.startswith(method)
    assert result.summary.against_truth["average_precision"] > 0.4


def test_texts_are_judged_by_probabilities(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"text {k},{'ab'[k % 2]}\n" for k in range(20)))
    np.save(tmp_path / "p.npy", np.eye(2)[np.arange(20) % 2] * 0.8 + 0.1)
    options = {"train": str(path), "out": tmp_path / "out"}
    result = detect(
        load_config(DetectConfig, options=options | {"probs": tmp_path / "p.npy", "export": ["label-studio"]})
    )
    assert json.loads(result.exports["label-studio"].read_text())[0]["data"]["text"].startswith("text ")


def test_stored_features_are_used_and_those_of_other_data_refused(asked, tmp_path, blobs):
    extract_features(load_config(ExtractConfig, options={"train": str(blobs), "out": tmp_path / "features"}))
    with_store = detect(asked(features=tmp_path / "features"))
    without = detect(asked(out=tmp_path / "other"))
    np.testing.assert_array_equal(with_store.issues.suspicion, without.issues.suspicion)
    assert len(detect(asked(features=tmp_path / "features", limit=30, out=tmp_path / "few")).issues.ids) == 30

    (tmp_path / "new").mkdir()
    longer = save_blobs(tmp_path / "new" / "train.npz", n=120, seed=1)
    with pytest.raises(
        BadData, match=r"have no example 'train/\d+' of .*; allowed: features of all its examples"
    ):
        detect(asked(train=str(longer), features=tmp_path / "features", out=tmp_path / "x"))
    same_ids = save_blobs(longer, n=90, seed=5)
    with pytest.raises(BadData, match=r"are of another data set, .*: the ids are those of"):
        detect(asked(train=str(same_ids), features=tmp_path / "features", out=tmp_path / "x"))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"method": "neighbors"}, UnknownName, "Unknown detector 'neighbors'. Did you mean 'neighbours'"),
        ({"method_options": {"k": 3}}, InvalidArgument, "allowed: none with method 'auto'"),
        ({"method": "neighbours", "method_options": {"k": 0}}, InvalidArgument, r"method_options\['k'\]"),
        ({"export": ["xml"]}, UnknownName, "Unknown export format 'xml'"),
        ({"export": ["fiftyone"]}, InvalidArgument, "`export` is 'fiftyone'; allowed: this format for image"),
        (
            {"method": "zero_shot"},
            InvalidArgument,
            "`method` is 'zero_shot'; allowed: a detector for features",
        ),
        (
            {"method": "fusion", "method_options": {"methods": ["aum"]}},
            InvalidArgument,
            "two or more different detectors",
        ),
    ],
)
def test_slips_are_found_before_any_work(asked, tmp_path, monkeypatch, changed, error, message):
    monkeypatch.setattr(encoded, "encode", None)
    with pytest.raises(error, match=message):
        detect(asked(**changed))
    assert not (tmp_path / "issues" / "label_issues.parquet").exists()


def test_features_and_an_encoder_are_a_contradiction(asked, tmp_path):
    with pytest.raises(InvalidArgument, match="`features` and `backbone` are both given"):
        asked(features=tmp_path, backbone="timm:resnet18")


def test_an_export_that_somebody_edited_is_neither_replaced_nor_deleted(asked, tmp_path):
    detect(asked(export=["cleanlab"]))
    export = tmp_path / "issues" / "cleanlab.csv"
    export.write_text(export.read_text() + "reviewed by me\n")
    edited = export.read_text()
    with pytest.raises(InvalidArgument, match=r"'cleanlab\.csv' was changed since, and would be replaced"):
        detect(asked(export=["cleanlab"]))
    detect(asked(export=["json"]))
    assert export.read_text() == edited


def test_a_spreadsheet_that_somebody_edited_is_not_replaced(asked, tmp_path):
    detect(asked())
    sheet = tmp_path / "issues" / "label_issues.csv"
    sheet.write_bytes(sheet.read_bytes() + b"my own row\r\n")
    with pytest.raises(
        InvalidArgument, match=r"'label_issues\.csv' was changed since, and would be replaced"
    ):
        detect(asked())
    assert sheet.read_bytes().endswith(b"my own row\r\n")


def test_a_file_of_somebody_else_is_not_replaced(asked, tmp_path):
    (tmp_path / "issues").mkdir()
    (tmp_path / "issues" / "cleanlab.csv").write_text("mine")
    with pytest.raises(InvalidArgument, match=r"It has 'cleanlab.csv', which noiseproof did not write"):
        detect(asked(export=["cleanlab"]))
    (tmp_path / "issues" / "cleanlab.csv").unlink()
    detect(asked())
    (tmp_path / "issues" / "cleanlab.csv").write_text("mine")
    with pytest.raises(InvalidArgument, match=r"It has 'cleanlab.csv', which would be replaced"):
        detect(asked(export=["cleanlab"]))
    assert (tmp_path / "issues" / "cleanlab.csv").read_text() == "mine"


def test_a_cleaned_copy_trains(asked, tmp_path):
    result = detect(asked(noise="symmetric:0.1", export=["cleaned-relabel", "cleaned-drop"]))
    relabelled = noiseproof.open_dataset(str(result.exports["cleaned-relabel"]))
    truth = np.arange(90) % 3
    given = result.issues.given_labels
    assert (relabelled.given_labels != truth).sum() < (given != truth).sum()
    assert (
        len(noiseproof.open_dataset(str(result.exports["cleaned-drop"]))) == 90 - result.issues.is_issue.sum()
    )


def test_the_command_tells_method_classes_suspects_and_files(asked, tmp_path, blobs):
    out = tmp_path / "issues"
    words = f"detect --train {blobs} --out {out} --cache {tmp_path / 'cache'} --noise symmetric:0.1"
    words += " --method neighbours --method-option k=5 --export cleanlab --export cleaned-drop"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    for said in (
        "Method: neighbours", "labels look wrong of 90; flagged",
        "9 planted wrong labels: precision",
        "Labels by class", "flagged share", "Most suspicious labels",
        f"Export cleanlab: {out / 'cleanlab.csv'}",
        f"All labels, ranked: {out / 'label_issues.csv'}",
    ):  # fmt: skip
        assert said in done.stdout.replace("\n", " ").replace("  ", " ") or said in done.stdout, said


def test_the_range_of_the_rate_is_printed_and_on_disk(asked, tmp_path, blobs):
    out = tmp_path / "issues"
    words = f"detect --train {blobs} --out {out} --cache {tmp_path / 'cache'} --noise symmetric:0.1"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    summary = json.loads((out / "label_issues.json").read_text())
    low, rate, high = (summary[f"noise_rate{end}"] for end in ("_low", "", "_high"))
    assert 0 <= low <= rate <= high <= 1
    assert low <= 0.1 <= high
    said = " ".join(done.stdout.split())
    assert f"{100 * low:.1f} and {100 * high:.1f} %" in said
    issues = noiseproof.load_issues(out)
    assert (issues.noise_rate_low, issues.noise_rate_high) == (low, high)


def test_help_names_every_format():
    assert all(name in DetectConfig.model_fields["export"].description for name in FORMATS)


def test_every_option_of_detection_counts_for_what_is_done_again():
    """An option that nobody has mentioned to the stages makes them judge again."""
    counted = set(DetectConfig.model_fields) - detection._COUNTED_ELSEWHERE
    assert counted == {"method", "method_options", "raw_cells"}
    assert "probs" in detection._COUNTED_ELSEWHERE  # its contents count
