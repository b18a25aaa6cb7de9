import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from noiseproof import load_features
from noiseproof.cli.main import app
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.diagnose.curvature import Curvature
from noiseproof.diagnose.maps import FeatureMap
from noiseproof.heads.estimators import LinearProbe
from noiseproof.pipelines.portrait import draw, head_names, labels_for
from noiseproof.report.portraits import curvature_figure, feature_map_figure
from noiseproof.report.style import svg

pytestmark = pytest.mark.draws


def noiseproof(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = (np.eye(2, 4)[labels] * 3 + rng.normal(size=(40, 4))).astype(np.float32)
    np.savez(tmp_path / "d.npz", features=features, labels=np.array(["ant", "bee"])[labels])
    noiseproof("extract", tmp_path / "d.npz", "--out", tmp_path / "f")
    noiseproof("corrupt", tmp_path / "d.npz", "--noise", "symmetric:0.2", "--out", tmp_path / "n")
    LinearProbe(epochs=3).fit(features, labels).save(tmp_path / "by-number")
    LinearProbe(epochs=3).fit(features, np.array(["ant", "bee"])[labels]).save(tmp_path / "by-name")
    return tmp_path


def test_figures_and_numbers_are_written(data):
    heads = ("--head", data / "by-number", "--head", data / "by-name")
    noiseproof("spectrum", data / "f", "--figures", data / "pic", "--noise-manifest", data / "n", *heads)
    names = {
        "spectrum.svg",
        "feature-map.svg",
        "feature-map.png",
        "curvature.svg",
        "curvature.png",
        "curvature.json",
    }
    assert {path.name for path in (data / "pic").glob("[!.]*")} == names
    found = json.loads((data / "pic" / "curvature.json").read_text())
    assert found["by-number"]["num_parameters"] == 10
    assert found["by-number"]["eigenvalues"] == pytest.approx(found["by-name"]["eigenvalues"])
    texts = [e.text for e in ET.fromstring((data / "pic" / "feature-map.svg").read_text()).iter() if e.text]
    assert "label is wrong (8 of 40)" in texts
    assert {"ant", "bee", "t-SNE, by clean label", "t-SNE, by given label"} <= set(texts)
    with Image.open(data / "pic" / "feature-map.png") as image:
        assert image.size[0] > 1000


@pytest.mark.slow
def test_heads_of_one_name_in_several_folders_are_all_drawn(data):
    saved = ("clean/heads/linear-seed0", "noisy/heads/linear-seed0", "clean/heads/svd0.1-seed0")
    features, labels = np.random.default_rng(1).normal(size=(40, 4)), np.arange(40) % 2
    for path in saved:
        LinearProbe(epochs=1).fit(features, labels).save(data / path)
    heads = [word for path in saved for word in ("--head", data / f"{path}.safetensors")]
    noiseproof("spectrum", data / "f", "--figures", data / "pic", "--data", data / "d.npz", *heads)
    assert set(json.loads((data / "pic" / "curvature.json").read_text())) == set(saved)


def test_heads_have_the_shortest_names_that_tell_them_apart():
    def names(*paths):
        return {name: str(path) for name, path in head_names([Path(path) for path in paths]).items()}

    assert names("a/svd0.1-seed0", "a/svd0.2-seed0.safetensors") == {
        "svd0.1-seed0": "a/svd0.1-seed0", "svd0.2-seed0": "a/svd0.2-seed0.safetensors",
    }  # fmt: skip
    assert names("a/b/x", "c/b/x.json") == {"a/b/x": "a/b/x", "c/b/x": "c/b/x.json"}
    assert list(names("a/x", "./a/x.safetensors", "a/../a/x")) == ["x"]
    assert names() == {}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("data", "d.npz"),
        ("head", "h"),
        ("points", "50"),
        ("seed", "0"),
        ("noise-manifest", "n"),
        ("label", "x"),
    ],
)
def test_options_of_pictures_without_pictures_are_refused(option, value, data):
    result = CliRunner().invoke(app, ["spectrum", str(data / "f"), f"--{option}", value])
    assert result.exit_code == 2
    assert f"`--{option}` is" in result.stderr
    assert "nothing without `--figures`. Add --figures FOLDER." in result.stderr


def test_maps_without_labels_are_of_one_colour(data):
    noiseproof("spectrum", data / "f", "--figures", data / "pic")
    text = (data / "pic" / "feature-map.svg").read_text()
    assert "by given label" not in text
    assert not (data / "pic" / "curvature.json").exists()


def test_labels_come_from_the_data_set_in_the_order_of_the_features(data):
    stored = load_features(data / "f")
    labels = labels_for(stored, data=str(data / "d.npz"))
    assert labels.given.tolist() == (np.arange(40) % 2).tolist()
    assert (labels.clean, labels.class_names) == (None, ("ant", "bee"))


def test_mistakes_are_told(data):
    stored = load_features(data / "f")
    with pytest.raises(InvalidArgument, match="`label` is 'x'; allowed: nothing unless `data`"):
        labels_for(stored, label="x")
    with pytest.raises(InvalidArgument, match="`data` is 'x'; allowed: nothing beside `noise_manifest`"):
        labels_for(stored, data="x", noise_manifest=data / "n")
    with pytest.raises(InvalidArgument, match=r"`head` is .*; allowed: a head beside labels"):
        draw(stored, data / "pic", heads=[data / "by-name"])
    with pytest.raises(BadData, match=r"has no example 'd/0', which the features have"):
        labels_for(stored, data="sklearn:digits")
    LinearProbe(epochs=1).fit(np.eye(3).repeat(4, 0), np.arange(12) % 3).save(data / "other")
    labels = labels_for(stored, noise_manifest=data / "n")
    with pytest.raises(InvalidArgument, match=r"a head for features of width 4. It is for width 3"):
        draw(stored, data / "pic", labels=labels, heads=[data / "other"])


# Figures


@pytest.mark.parametrize("num_classes", [2, 9, 15, 40])
def test_every_number_of_classes_has_colours(num_classes):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(80, 2))
    given = rng.integers(0, num_classes, 80)
    found = FeatureMap(np.arange(80), points, np.array([0.5, 0.2]), points)
    names = [f"$class_{i}" for i in range(num_classes)]
    drawn = svg(feature_map_figure(found, given, given, class_names=names), "map", "a map")
    texts = [element.text for element in ET.fromstring(drawn).iter() if element.text]
    assert ("$class_1" in texts) == (num_classes <= 20)
    assert ("40 classes, a colour each" in texts) == (num_classes == 40)


def test_negative_eigenvalues_are_drawn_on_a_plain_axis():
    saddle = Curvature(np.array([3.0, 1.0, -2.0]), 2.0, 0.1, 3)
    bowl = Curvature(np.array([3.0, 1.0, 0.5]), 4.5, 0.1, 3)
    assert curvature_figure({"a": saddle, "b": bowl}).axes[0].get_yscale() == "linear"
    assert curvature_figure({"b": bowl}).axes[0].get_yscale() == "log"
