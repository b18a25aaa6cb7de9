"""From a finished run to predictions, one ONNX file and a folder for the hub."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from blobs import BLOBS, OTHER, options_in, save_blobs
from PIL import Image
from searched import save_csv, save_folder, search
from sklearn.base import clone
from typer.testing import CliRunner

import noiseproof
from noiseproof.cli.main import app
from noiseproof.config.apply import ApplyConfig
from noiseproof.config.export import ExportConfig
from noiseproof.config.predict import PredictConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import (
    BadData,
    CheckpointMismatch,
    DamagedFile,
    InvalidArgument,
    MissingFile,
    OtherSchema,
    UnknownName,
)
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.data.splits import stratified_split
from noiseproof.decisions.decision_files import write_decisions
from noiseproof.decisions.record import Decision
from noiseproof.heads.saved_heads import read_head
from noiseproof.models.prediction_files import plain_rows
from noiseproof.pipelines import model_card
from noiseproof.pipelines.apply import apply
from noiseproof.pipelines.export import export
from noiseproof.pipelines.predict import predict
from noiseproof.pipelines.run import run
from rewritten import rewritten
from tiny_images import image_folder

declare_missing_operators()
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run on features, and other features."""
    home = tmp_path_factory.mktemp("home")
    train, other = save_blobs(home / "train.npz", **BLOBS), save_blobs(home / "other.npz", **OTHER)
    run(load_config(RunConfig, options=options_in(home, train, other) | {"max_steps": 60}))
    return home


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A run on tiny images with a tiny encoder; `photos/run`, `photos/images`, `photos/cache`."""
    timm = pytest.importorskip("timm")
    import torch
    from safetensors.torch import save_file

    home = tmp_path_factory.mktemp("photos")
    image_folder(home / "images", per_class=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("test_resnet", pretrained=False)
    save_file(model.state_dict(), home / "weights.safetensors")
    options = {
        "train": str(home / "images"), "out": home / "run", "cache": home / "cache", "engine": "torch",
        "backbone": [f"timm:test_resnet@{home / 'weights.safetensors'}"], "heads": "linear", "seeds": 1,
    }  # fmt: skip
    run(load_config(RunConfig, options=options))
    return home


def model_of(home):
    return noiseproof.load(home / "run", cache=home / "cache", engine="torch")


def test_a_run_chooses_its_head_without_the_test_set_and_says_so(home):
    choice = json.loads((home / "run/heads.json").read_text())
    assert choice["num_held_out"] == 15  # a fifth of the 72 training examples, by class
    assert set(choice["held_out"]) == {"linear", "nmtune"}
    assert choice["held_out"][choice["head"]] == max(choice["held_out"].values())
    card = json.loads((home / "run/run.json").read_text())
    assert any("Test sets play no part" in line for line in card["choices"])
    assert len(choice["calibrations"]) == 4
    assert choice["fitted_to_all"] is None  # labels made wrong on purpose are an experiment
    assert all(one["num_held_out"] == 18 for one in choice["calibrations"].values())


def test_what_predicts_is_the_chosen_head_fitted_to_all_examples(home, tmp_path):
    options = options_in(home, home / "train.npz", home / "other.npz") | {"out": tmp_path / "run"}
    del options["noise"]
    run(load_config(RunConfig, options=options))
    choice = json.loads((tmp_path / "run/heads.json").read_text())
    shipped = noiseproof.load(tmp_path / "run")
    measured = noiseproof.load(tmp_path / "run", head=choice["head"])
    assert Path(shipped.source).stem == choice["fitted_to_all"] == f"{choice['head']}-seed0-all"
    with np.load(home / "train.npz") as arrays:
        features, labels = arrays["features"], arrays["labels"]
    order = np.concatenate(stratified_split(labels, test_fraction=0.2, seed=0))
    by_hand = clone(measured.head).fit(features[order], labels[order])
    assert shipped.head.predict_proba(features) == pytest.approx(by_hand.predict_proba(features), abs=1e-5)
    assert np.abs(shipped.outputs(features) - measured.outputs(features)).max() > 1e-3
    assert shipped.needs == measured.needs  # calibration included
    assert "fitted again to all 90 examples" in shipped.notes[0]
    assert "fitted again to all examples" in model_card.model_card(shipped, tmp_path / "run", "mine")
    run(load_config(RunConfig, options=options | {"test": str(home / "other.npz")}))
    again = noiseproof.load(tmp_path / "run")  # a test set of the user is not learned from
    assert Path(again.source).stem == f"{json.loads((tmp_path / 'run/heads.json').read_text())['head']}-seed0"
    assert not list((tmp_path / "run/heads").glob("*-all*"))


def test_a_head_alone_says_what_it_needs(home):
    needs = read_head(home / "run/heads/linear-seed1").needs
    assert needs.class_names == ("ant", "bee", "cat")
    shown = repr(noiseproof.load(home / "run", head="linear-seed1"))
    assert re.fullmatch(
        r"SavedModel\(LinearProbe on features, 3 classes, '.*linear-seed1.safetensors'\)", shown
    )
    assert [(one.name, one.kind) for one in needs.encoders] == [("features:", "features")]


def test_predictions_are_those_of_the_head_and_mostly_right(home):
    model = model_of(home)
    with np.load(home / "other.npz") as arrays:
        features, labels = arrays["features"], arrays["labels"]
    found = model.predict(features)
    assert found["prediction"].tolist() == [model.class_names[k] for k in model.head.predict(features)]
    assert (found["prediction"] == np.array(model.class_names)[labels]).mean() > 0.5
    probs = found[[f"prob_{name}" for name in model.class_names]].to_numpy()
    assert probs.sum(1) == pytest.approx(1)
    assert found["confidence"].to_numpy() == pytest.approx(probs.max(1))
    assert (found["is_unsure"] == (probs.max(1) < 0.9)).all()
    by_file = model.predict(home / "other.npz")
    assert by_file["prob_ant"].tolist() == found["prob_ant"].tolist()


def test_the_head_is_named_alone_calibrated_in_its_run_and_uncalibrated_elsewhere(home, tmp_path):
    named = noiseproof.load(home / "run", head="linear-seed1")
    inside = noiseproof.load(home / "run/heads/linear-seed1.safetensors")
    assert Path(inside.source) == Path(named.source)
    assert inside.needs == named.needs
    assert inside.is_calibrated
    copied = noiseproof.load(named.head.save(tmp_path / "alone", needs=read_head(named.source).needs).parent)
    assert not copied.is_calibrated
    assert "no held-out examples" in copied.notes[0]
    kept = noiseproof.load(named.save(tmp_path / "kept" / "head"))
    assert kept.needs == named.needs


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"head": "nmtun"}, UnknownName, "Did you mean 'nmtune-seed"),
        ({"path": "nowhere"}, MissingFile, "There is no model at"),
        ({"path": "run/heads"}, MissingFile, "It has 4 heads"),
        ({"path": "run/heads/linear-seed0", "head": "linear"}, InvalidArgument, "only a run folder"),
    ],
)
def test_what_is_no_model_is_refused(home, options, error, match):
    with pytest.raises(error, match=match):
        noiseproof.load(home / options.get("path", "run"), head=options.get("head"))


def copied(home, tmp_path):
    import shutil

    return Path(shutil.copytree(home / "run", tmp_path / "run"))


def test_damaged_and_old_runs_are_refused(home, tmp_path):
    folder = copied(home, tmp_path)
    rewritten(folder / "heads.json", head="linear")
    with pytest.raises(DamagedFile, match=r"heads\.json"):
        noiseproof.load(folder)
    (folder / "heads.json").unlink()
    with pytest.raises(OtherSchema, match="an earlier version"):
        noiseproof.load(folder)


def test_data_of_another_kind_or_width_are_refused(home):
    model = model_of(home)
    with pytest.raises(CheckpointMismatch, match=r"width 5.*takes 8"):
        model.predict(np.ones((2, 5)))
    with pytest.raises(BadData, match=r"holds texts.*reads features"):
        model.predict(pd.DataFrame({"text": ["a", "b"]}))


def test_unreadable_pictures_are_rows_and_features_come_from_the_store(photos, tmp_path):
    model = model_of(photos)
    before = {path.name for path in (photos / "cache").iterdir()}
    assert len(model.predict(photos / "images")) == 16
    assert {path.name for path in (photos / "cache").iterdir()} == before
    for number in range(3):
        Image.new("RGB", (16, 16), (90 * number,) * 3).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    (tmp_path / "empty.jpg").touch()
    found = model.predict(tmp_path)
    assert found["example_id"].tolist() == ["0.png", "1.png", "2.png", "empty.jpg"]
    assert found["prediction"].isna().tolist() == [False, True, False, True]
    assert found["is_unsure"].tolist()[1::2] == [True, True]
    assert all(found["reason"][[1, 3]].str.len() > 5)
    alone = model.predict([str(tmp_path / "0.png")])
    assert alone["prob_dark"][0] == pytest.approx(found["prob_dark"][0], abs=1e-6)


def test_what_is_named_in_python_and_on_the_command_line(home, photos, tmp_path, monkeypatch):
    model, files = model_of(photos), sorted((photos / "images/dark").iterdir())[:2]
    by_path = model.predict(files)
    for data in (iter(files), pd.Series(files), [Image.open(file) for file in files]):
        assert model.predict(data)["prob_dark"].tolist() == by_path["prob_dark"].tolist()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    assert len(noiseproof.load("~/run").predict("~/other.npz")) == 30
    for data, match in (
        (
            (str(files[0]), str(tmp_path)),
            "is a folder; allowed among several: image files. Next: name it alone",
        ),
        ((str(files[0]), "t.csv"), "'t.csv' is a table; allowed among several: image files"),
        (("",), "`data` is ''; allowed: the name of a data set"),
    ):
        with pytest.raises((BadData, InvalidArgument), match=match):
            predict(PredictConfig(run=photos / "run", data=data, cache=photos / "cache", engine="torch"))
    with pytest.raises(InvalidArgument, match="`path` is ''; allowed: a folder of 'noiseproof run'"):
        noiseproof.load("")


def test_only_unreadable_pictures(photos, tmp_path):
    (tmp_path / "empty.jpg").touch()
    found = model_of(photos).predict(tmp_path)
    assert found["prediction"].isna().all()


def test_another_encoder_is_refused(photos, tmp_path):
    path = model_of(photos).save(tmp_path / "head")
    card = path.with_suffix(".json")
    needs = json.loads(card.read_text())["needs"]
    needs["encoders"][0]["weights_hash"] = "0" * 64
    rewritten(card, needs=needs)
    with pytest.raises(CheckpointMismatch, match="SHA-256 of the weights"):
        noiseproof.load(path, cache=photos / "cache").predict(photos / "images")


def test_what_differs_in_a_long_description_is_in_view(photos, tmp_path):
    path = model_of(photos).save(tmp_path / "head")
    card = path.with_suffix(".json")
    needs = json.loads(card.read_text())["needs"]
    needs["encoders"][0]["transform"] += "; " + "x" * 200 + " and a crop of 7 px"
    rewritten(card, needs=needs)
    with pytest.raises(CheckpointMismatch, match=r"that of the head '[^']*; xxx") as caught:
        noiseproof.load(path, cache=photos / "cache").predict(photos / "images")
    assert len(str(caught.value)) < 700


def test_the_command_writes_and_counts(home):
    out = home / "p.csv"
    arguments = ["predict", str(home / "run"), str(home / "other.npz")]
    done = CliRunner().invoke(app, [*arguments, "--out", str(out), "--confidence", "0.99"])
    assert done.exit_code == 0, done.output
    assert "30 of 30 classified" in done.output
    assert len(pd.read_csv(out)) == 30
    shown = CliRunner().invoke(app, arguments)
    assert "and 10 more" in shown.output
    refused = CliRunner().invoke(app, ["predict", str(home / "run")])
    assert "`DATA` is not given" in refused.output


def test_several_files_and_a_wrong_out(photos):
    files = tuple(str(photos / "images" / "dark" / f"0{number}.png") for number in (0, 1))
    summary = predict(PredictConfig(run=photos / "run", data=files, cache=photos / "cache", engine="torch"))
    assert summary.num_examples == 2
    with pytest.raises(InvalidArgument, match=r"ends in \.csv"):
        load_config(PredictConfig, options={"run": "run", "data": ("x",), "out": "p.txt"})


def test_features_become_an_onnx_file_that_plain_onnx_runtime_runs(home, tmp_path):
    config = ExportConfig(run=home / "run", onnx=tmp_path / "model.onnx")
    check = export(config).check
    assert check.difference < 1e-4
    session = onnxruntime.InferenceSession(config.onnx)
    with np.load(home / "other.npz") as arrays:
        features = arrays["features"]
    (probs,) = session.run(None, {"features": features[:5]})
    expected = model_of(home).predict(features[:5])
    assert probs == pytest.approx(expected.filter(like="prob_").to_numpy(), abs=1e-4)
    meta = session.get_modelmeta().custom_metadata_map
    assert json.loads(meta["class_names"]) == ["ant", "bee", "cat"]
    export(config)  # replaces its own


def test_images_become_an_onnx_file_with_the_normalisation_inside(photos, tmp_path):
    out = tmp_path / "model.onnx"
    assert export(ExportConfig(run=photos / "run", onnx=out)).check.difference < 1e-4
    session = onnxruntime.InferenceSession(out)
    (given,) = session.get_inputs()
    assert (given.name, given.shape[0]) == ("image", "batch")
    meta = session.get_modelmeta().custom_metadata_map
    assert "mean and standard deviation are in the graph" in json.loads(meta["inputs"])["image"]
    model = model_of(photos)
    backbone = model.encoders[0].opened
    image = Image.open(photos / "images/dark/00.png").convert("RGB")
    pixels = backbone.prepare(image).transpose(2, 0, 1)[None].astype(np.float32) / 255
    (probs,) = session.run(None, {"image": pixels})
    expected = model.predict([str(photos / "images/dark/00.png")]).filter(like="prob_").to_numpy()
    assert probs == pytest.approx(expected, abs=1e-4)


def test_an_onnx_file_of_somebody_else_stays(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"theirs")
    with pytest.raises(InvalidArgument, match="It is another"):
        load_config(ExportConfig, options={"run": "run", "onnx": tmp_path / "model.onnx"})
    with pytest.raises(InvalidArgument, match=r"--onnx model\.onnx or --hub"):
        load_config(ExportConfig, options={"run": "run"})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: pd.DataFrame({"text": ["a"]}).to_csv(path, index=False), "holds texts, and the head"),
        (lambda path: np.savez(path, features=np.eye(5)), r"features of width 5, and the head .* takes 8"),
    ],
)
def test_other_examples_to_check_on_are_refused(home, tmp_path, make, match):
    data = tmp_path / ("t.csv" if "texts" in match else "f.npz")
    make(data)
    config = ExportConfig(run=home / "run", onnx=tmp_path / "model.onnx", data=str(data))
    with pytest.raises((BadData, CheckpointMismatch), match=match):
        export(config)
    assert not config.onnx.exists()


def test_a_head_alone_needs_examples_to_be_checked_on(home, tmp_path):
    head = model_of(home).save(tmp_path / "head")
    with pytest.raises(MissingFile, match="--data"):
        export(ExportConfig(run=head, onnx=tmp_path / "model.onnx"))
    checked = export(ExportConfig(run=head, onnx=tmp_path / "model.onnx", data=str(home / "other.npz"))).check
    assert checked.num_examples == 16


def test_a_folder_for_the_hub_has_a_card_and_loads_again(photos, tmp_path):
    hub = tmp_path / "my-model"
    export(ExportConfig(run=photos / "run", hub=hub))
    assert {path.name for path in hub.iterdir()} == {
        "README.md", "config.json", "model.safetensors", "head.safetensors", "head.json",
    }  # fmt: skip
    header, text = (hub / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
    assert yaml.safe_load(header)["pipeline_tag"] == "image-classification"
    for title in ("Training data", "Label noise", "Results", "Limits and notes"):
        assert f"## {title}" in text
    assert json.loads((hub / "config.json").read_text())["id2label"] == {"0": "dark", "1": "light"}
    again = noiseproof.load(hub, cache=photos / "cache", engine="torch")
    expected = model_of(photos).predict(photos / "images")
    pd.testing.assert_frame_equal(again.predict(photos / "images"), expected)
    export(ExportConfig(run=photos / "run", hub=hub))  # replaces its own
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/file").touch()
    with pytest.raises(InvalidArgument, match="It has 'file'"):
        export(ExportConfig(run=photos / "run", hub=tmp_path / "theirs"))


def test_a_cleaned_table_gets_a_card_of_what_was_changed(tmp_path):
    rows = pd.DataFrame({"text": list("abcd"), "label": list("xxyy"), "original_label": ["x", "y", "y", "y"]})
    rows.to_csv(tmp_path / "cleaned.csv", index=False)
    result = export(ExportConfig(run=tmp_path / "cleaned.csv", hub=tmp_path / "hub"))
    assert result.hub_kind == "dataset"
    card = (tmp_path / "hub/README.md").read_text()
    assert "1 of 4 labels were replaced" in card
    assert "| y | x | 1 |" in card
    assert (tmp_path / "hub/data/cleaned.csv").read_bytes() == (tmp_path / "cleaned.csv").read_bytes()


@pytest.mark.parametrize("save", [save_folder, save_csv])
def test_a_folder_of_apply_goes_to_the_hub_with_what_people_decided(tmp_path, save):
    data = save(tmp_path / ("photos" if save is save_folder else "texts.csv"))
    search(data, tmp_path / "issues")
    ids = [str(each) for each in noiseproof.load_issues(tmp_path / "issues").ids]
    decisions = [Decision(ids[0], "relabel", "cat", "ann"), Decision(ids[1], "exclude", "", "ann")]
    write_decisions(tmp_path / "issues/decisions.csv", decisions)
    apply(ApplyConfig(folder=tmp_path / "issues", out=tmp_path / "cleaned"))
    hub = tmp_path / "hub"
    (hub / "data").mkdir(parents=True)
    (hub / "data/of_before.png").touch()
    (hub / "README.md").write_text("---\ntags:\n- noiseproof\n---\n")  # of an earlier export
    result = export(ExportConfig(run=tmp_path / "cleaned", hub=hub))
    assert result.hub_kind == "dataset"
    assert ("decided_by has the names" in " ".join(result.notes)) == (save is save_csv)
    card = (hub / "README.md").read_text()
    assert "People decided on 2 of 8 labels: 0 kept, 1 relabelled, 1 excluded, 0 unsure." in card
    assert not (hub / "data/of_before.png").exists()
    uploaded = hub / "data" if save is save_folder else hub / "data/texts.csv"
    there = noiseproof.open_dataset(str(uploaded))
    assert there.ids.tolist() == noiseproof.open_dataset(str(tmp_path / "cleaned")).ids.tolist()
    assert len(there) == 7


def test_a_data_set_does_not_become_its_own_folder_for_the_hub(tmp_path):
    data = save_folder(tmp_path / "hub/data/photos")
    (tmp_path / "hub/README.md").write_text("---\ntags:\n- noiseproof\n---\n")
    for hub in (tmp_path / "hub", data / "hub"):
        with pytest.raises(InvalidArgument, match=r"`hub` is .*a folder outside of the data set"):
            export(ExportConfig(run=data, hub=hub))
    assert len(list(data.rglob("*.png"))) == 8


def test_a_card_says_what_people_corrected():
    rate = {"rate": 0.1, "low": None, "high": None, "num_examples": 90}
    card = {"noise_rate": rate, "num_suspect_labels": 4, "reviewed": {"num_checked": 20, "num_wrong": 5}}
    text = model_card._noise(card, is_tolerant=False)
    assert text.startswith("People checked 20 labels; 5 were wrong, and were corrected or left out. About")
    assert "No other label was changed for the training" in text
    assert "No label was changed for the training" in model_card._noise(
        card | {"reviewed": None}, is_tolerant=False
    )


def test_a_stopped_export_starts_again(photos, tmp_path, monkeypatch):
    def stop(*names, **options):
        raise OSError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr("noiseproof.models.hub_folder.write_tensors", stop)
        with pytest.raises(OSError, match="stopped"):
            export(ExportConfig(run=photos / "run", hub=tmp_path / "hub"))
    assert "# Unfinished" in (tmp_path / "hub/README.md").read_text()
    export(ExportConfig(run=photos / "run", hub=tmp_path / "hub"))
    assert "Unfinished" not in (tmp_path / "hub/README.md").read_text()


def test_a_cleaned_table_of_images_takes_them_along(tmp_path):
    folder = Path(image_folder(tmp_path / "photos", per_class=2))
    paths = [f"photos/{path.relative_to(folder).as_posix()}" for path in sorted(folder.rglob("*.png"))]
    table = pd.DataFrame({"image": paths, "label": ["dark", "light"] * 2, "original_label": "dark"})
    table.to_csv(tmp_path / "cleaned.csv", index=False)
    export(ExportConfig(run=tmp_path / "cleaned.csv", hub=tmp_path / "hub"))
    metadata = pd.read_csv(tmp_path / "hub/data/metadata.csv")
    assert metadata["label"].tolist() == ["dark", "light"] * 2
    for name, path in zip(metadata["file_name"], paths, strict=True):
        assert (tmp_path / "hub/data" / name).read_bytes() == (tmp_path / path).read_bytes()


def test_predictions_inside_of_the_data_are_refused(photos, tmp_path):
    data = Path(image_folder(tmp_path / "new", per_class=1))
    config = PredictConfig(run=photos / "run", data=(str(data),), out=data / "dark" / "predictions.csv")
    with pytest.raises(InvalidArgument, match=r"`out` is .*allowed: a place outside of the data set"):
        predict(config)
    assert not config.out.exists()


def test_json_has_the_predictions_or_their_file(home, tmp_path):
    arguments = ["predict", str(home / "run"), str(home / "other.npz"), "--json"]
    done = CliRunner().invoke(app, arguments)
    result = json.loads(done.stdout)
    assert result["predictions"] == plain_rows(model_of(home).predict(home / "other.npz"))
    assert result["out"] is None
    assert "30 of 30 classified" in done.stderr
    filed = json.loads(CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "p.jsonl")]).stdout)
    assert (filed["predictions"], filed["out"]) == (None, str(tmp_path / "p.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert rows == result["predictions"]
    assert filed["num_unsure"] == sum(row["is_unsure"] for row in rows)
    assert {name: value for name, value in filed.items() if name not in ("out", "predictions")} == {
        name: value for name, value in result.items() if name not in ("out", "predictions")
    }


def test_unreadable_rows_are_counted_apart_and_are_null_in_json(photos, tmp_path):
    for number in range(2):
        Image.new("RGB", (16, 16), (90 * number,) * 3).save(tmp_path / f"{number}.png")
    (tmp_path / "empty.jpg").touch()
    arguments = ["predict", photos / "run", tmp_path, "--confidence", "0", "--cache", photos / "cache"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--engine", "torch"])
    assert "2 of 3 classified" in done.stdout
    assert "0 of these 2 unsure: their confidence is below 0" in done.stdout
    assert "1 more cannot be read: unsure, without a prediction; the column reason says why" in done.stdout
    done = CliRunner().invoke(app, [*map(str, arguments), "--engine", "torch", "--json"])
    result = json.loads(done.stdout)
    assert (result["num_examples"], result["num_unusable"], result["num_unsure"]) == (3, 1, 1)
    last = result["predictions"][2]
    assert (last["prediction"], last["confidence"], last["is_unsure"]) == (None, None, True)
