"""Weights that say which images they take."""

import numpy as np
import pytest
import torch
from tiny_models import images, random_timm
from torch import nn

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.checkpoints.weights import WeightsHeader, write_weights
from noiseproof.backbones.images.timm_backbone import preprocessing_of, use_preprocessing
from noiseproof.backbones.images.timm_models import SMALL_SUFFIX, import_timm
from noiseproof.core.errors import InvalidArgument

RAW = {"image_size": 48, "interpolation": "bilinear", "crop_share": 1.0, "mean": [0.0] * 3, "std": [1.0] * 3}


def written(path, model, **values):
    write_weights(path, model, header=WeightsHeader(**values))
    return open_backbone(f"timm:test_resnet@{path}")


def test_size_mean_and_deviation_are_those_of_the_header(tmp_path):
    model = random_timm("test_resnet", num_classes=0)
    backbone = written(tmp_path / "raw.safetensors", model, preprocessing=RAW)
    pixels = backbone.prepare(images()[0])
    assert pixels.shape == (48, 48, 3)
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(pixels / 255).float().permute(2, 0, 1)[None]).numpy()
    np.testing.assert_allclose(backbone.encode(pixels[None]), expected, rtol=1e-4, atol=1e-5)
    plain = written(tmp_path / "plain.safetensors", model)
    assert plain.transform != backbone.transform
    assert plain.mean == tuple(model.pretrained_cfg["mean"])


def test_an_encoder_inside_another_network_is_found_under_its_prefix(tmp_path):
    model = random_timm("test_resnet", num_classes=0)
    whole = nn.ModuleDict({"visual": nn.ModuleDict({"trunk": model}), "text": nn.Linear(2, 2)})
    inside = written(tmp_path / "pair.safetensors", whole, prefix="visual.trunk.")
    alone = written(tmp_path / "alone.safetensors", model)
    assert inside.weights_hash == alone.weights_hash


def test_what_is_put_in_comes_out():
    model = random_timm("test_resnet", num_classes=0)
    use_preprocessing(model, RAW)
    assert preprocessing_of(model) == RAW


def test_a_size_that_a_transformer_does_not_take_is_named(tmp_path):
    model = random_timm("vit_tiny_patch16_224", num_classes=0)
    write_weights(tmp_path / "v.safetensors", model, header=WeightsHeader(preprocessing=RAW))
    with pytest.raises(InvalidArgument, match="`image_size` is 48; allowed: a size that"):
        open_backbone(f"timm:vit_tiny_patch16_224@{tmp_path / 'v.safetensors'}")


@pytest.mark.parametrize(("name", "dim"), [("resnet18", 512), ("resnet34", 512), ("resnet50", 2048)])
def test_a_resnet_for_32_px_is_the_usual_one_but_for_the_stem(name, dim):
    timm = import_timm("a test")
    ours, usual = (timm.create_model(f"{name}{ending}", num_classes=0) for ending in (SMALL_SUFFIX, ""))
    shapes = [{key: value.shape for key, value in each.state_dict().items()} for each in (ours, usual)]
    assert shapes[0].pop("conv1.weight") == (64, 3, 3, 3)
    assert shapes[1].pop("conv1.weight") == (64, 3, 7, 7)
    assert shapes[0] == shapes[1]
    with torch.inference_mode():
        blank = torch.zeros(1, 3, 32, 32)
        assert ours.forward_features(blank).shape == (1, dim, 4, 4)  # of 32: three halvings and no more
        assert ours(blank).shape == (1, dim)
