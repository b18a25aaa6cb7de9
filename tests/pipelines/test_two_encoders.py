"""`--backbone A --backbone B`: each cached on its own, side by side for detection and heads."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import noiseproof
from noiseproof.cli.main import app
from noiseproof.config.detect import DetectConfig
from noiseproof.config.export import ExportConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.core.unit_length import unit_length
from noiseproof.heads.estimators import load_head
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.export import export
from noiseproof.posterior.temperature import calibrated
from tiny_images import image_folder

declare_missing_operators()
timm = pytest.importorskip("timm")


@pytest.fixture
def home(tmp_path):
    """A folder of images and the weights of two encoders; `home.names` are those of the encoders."""
    image_folder(tmp_path / "images", per_class=8)
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = timm.create_model("test_resnet", pretrained=False)
            save_file(model.state_dict(), tmp_path / f"w{seed}.safetensors")
    return tmp_path


def names(home):
    return [f"timm:test_resnet@{home / f'w{seed}.safetensors'}" for seed in (0, 1)]


def options(home, *, out, backbone):
    return {
        "train": str(home / "images"), "out": home / out, "cache": home / "cache", "engine": "torch",
        "backbone": backbone,
    }  # fmt: skip


def found(home, **own):
    return detect(load_config(DetectConfig, options=options(home, **own)))


def test_second_encoder_is_cached_on_its_own_and_the_note_says_what_it_changed(home):
    first, second = names(home)
    alone = found(home, out="alone", backbone=[first])
    both = found(home, out="both", backbone=[first, second])
    assert (alone.card["encoder_passes"], both.card["encoder_passes"]) == (len(alone.issues.ids),) * 2
    assert both.card["features"]["dim"] == 2 * alone.card["features"]["dim"]
    (note,) = [note for note in both.summary.notes if "side by side" in note]
    assert f"With {first} alone {alone.summary.num_issues} do" in note
    assert not any("side by side" in note for note in alone.summary.notes)


def test_order_and_flags_of_one_encoder_are_those_of_a_single_name(home):
    listed, named = (
        found(home, out=out, backbone=backbone)
        for out, backbone in (("listed", names(home)[:1]), ("named", names(home)[0]))
    )
    np.testing.assert_array_equal(listed.issues.suspicion, named.issues.suspicion)
    np.testing.assert_array_equal(listed.issues.is_issue, named.issues.is_issue)


def fitted(home):
    own = {"heads": "linear", "max_steps": 3, "seeds": 1}
    return pipeline.run(load_config(RunConfig, options=options(home, out="run", backbone=names(home)) | own))


@pytest.mark.slow
def test_predictions_and_an_onnx_file_take_both(home):
    import json

    onnxruntime = pytest.importorskip("onnxruntime")
    from PIL import Image

    folder = fitted(home).folder
    model = noiseproof.load(folder, cache=home / "cache", engine="torch")
    files = sorted((home / "images").rglob("*.png"))[:4]
    predicted = model.predict([str(file) for file in files])
    features = np.concatenate(
        [unit_length(np.asarray(one.features)) for one in parts_of(model, files)], axis=1
    )
    probs = calibrated(model.head.predict_proba(features), model.needs.calibration.sharpness)
    columns = [f"prob_{name}" for name in model.class_names]
    np.testing.assert_allclose(predicted[columns], probs, atol=1e-6)
    checked = export(ExportConfig(run=folder, onnx=home / "both.onnx")).check
    assert checked.input_names == ("image_1", "image_2")
    assert checked.difference < 1e-4
    session = onnxruntime.InferenceSession(home / "both.onnx", providers=["CPUExecutionProvider"])
    described = session.get_modelmeta().custom_metadata_map
    assert [one["name"] for one in json.loads(described["encoders"])] == names(home)
    pixels = [
        np.stack([backbone.opened.prepare(Image.open(file).convert("RGB")) for file in files])
        for backbone in model.encoders
    ]
    given = {
        f"image_{k}": each.transpose(0, 3, 1, 2).astype(np.float32) / 255 for k, each in enumerate(pixels, 1)
    }
    np.testing.assert_allclose(session.run(None, given)[0], predicted[columns], atol=1e-3)


def parts_of(model, files):
    """Features of each encoder alone, from the store."""
    dataset = model.open([str(file) for file in files]).dataset
    needs = {"precision": model.needs.precision, "dtype": model.needs.dtype}
    store = {"store": model.options.store, "batch_size": 64, "engine": "torch"}
    return [encoder.features(dataset, **store, **needs) for encoder in model.encoders]


def test_heads_learn_from_both(home):
    result = fitted(home)
    assert (
        load_head(result.folder / "heads" / "linear-seed0").n_features_in_ == result.card["backbone"]["dim"]
    )
    assert result.card["backbone"]["name"] == " + ".join(names(home))
    assert any("side by side" in note for note in result.card["detection_notes"])
    assert "stand side by side" in result.report.read_text()
    assert fitted(home).card["encoder_passes"] == 0


def test_the_option_may_be_repeated(home):
    first, second = names(home)
    words = ["detect", str(home / "images"), "--out", str(home / "cli"), "--cache", str(home / "cache")]
    done = CliRunner().invoke(app, [*words, "--backbone", first, "--backbone", second, "--engine", "torch"])
    assert done.exit_code == 0, done.output
    assert "stand side by side" in done.stdout.replace("\n", " ")


def test_one_encoder_twice_is_refused(home):
    with pytest.raises(InvalidArgument, match=r"`backbone` is .*; allowed: each encoder once"):
        found(home, out="x", backbone=[names(home)[0]] * 2)


def test_text_is_compared_with_one_model(home):
    config = load_config(
        DetectConfig, options=options(home, out="x", backbone=names(home)) | {"method": "zero_shot"}
    )
    with pytest.raises(InvalidArgument, match=r"`backbone` is .*; allowed: one image-text model"):
        detect(config)
