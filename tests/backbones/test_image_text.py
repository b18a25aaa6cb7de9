import sys

import numpy as np
import pytest
import torch
from tiny_models import CLIP_CONFIGS, images, random_clip, random_timm, saved

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.image_text.open_clip_backbone import drop_projection
from noiseproof.core.errors import CheckpointMismatch, InvalidArgument, MissingExtra, UnknownName


@pytest.fixture(params=sorted(CLIP_CONFIGS))
def tiny(request, tmp_path, monkeypatch):
    model = random_clip(request.param, monkeypatch)
    return model, f"open_clip:{request.param}/{saved(model, tmp_path / 'weights.safetensors')}"


def preprocessed(model):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    whole = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    return torch.stack([whole(image) for image in images()])


def encoded(backbone):
    return backbone.encode(np.stack([backbone.prepare(image) for image in images()]))


def test_projected_features_are_those_of_the_model(tiny):
    model, name = tiny
    with torch.inference_mode():
        expected = model.encode_image(preprocessed(model)).numpy()
    np.testing.assert_allclose(
        encoded(open_backbone(name, layer="projected")), expected, rtol=1e-4, atol=1e-6
    )


def test_the_projection_of_the_default_features_is_the_projected_ones(tiny):
    model, name = tiny
    before, after = open_backbone(name), open_backbone(name, layer="projected")
    assert before.layer == "pre_projection"
    assert before.dim != after.dim == 8
    features = torch.from_numpy(encoded(before))
    visual = model.visual
    with torch.inference_mode():
        if isinstance(getattr(visual, "proj", None), torch.nn.Parameter):
            projected = features @ visual.proj
        else:
            projected = (
                visual.attnpool.c_proj if "attnpool" in dict(visual.named_children()) else visual.head
            )(features)
    np.testing.assert_allclose(projected, encoded(after), rtol=1e-4, atol=1e-6)


def test_a_tower_whose_projection_is_elsewhere_says_what_to_do():
    with pytest.raises(
        InvalidArgument, match=r"allowed: 'projected' for this architecture.*'x' is in no place known"
    ):
        drop_projection(random_timm("test_resnet"), "x")


def test_a_checkpoint_of_another_model_is_refused(tmp_path, monkeypatch):
    path = saved(random_clip("tiny-resnet", monkeypatch), tmp_path / "weights.safetensors")
    with pytest.raises(
        CheckpointMismatch, match=r"do not fit the model.*missing: class_embedding.*unexpected: "
    ):
        open_backbone(f"open_clip:tiny-vit/{path}")
    path = saved(random_timm("test_resnet"), tmp_path / "other.safetensors")
    with pytest.raises(CheckpointMismatch, match=r"no key that starts with 'visual.'; unexpected: bn1"):
        open_backbone(f"open_clip:tiny-vit/{path}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-33/openai", r"Unknown open_clip architecture 'ViT-B-33'. Did you mean 'ViT-B-32'\?"),
        ("qqq/openai", "Unknown open_clip architecture 'qqq'. Known: RN50, ViT-B-32"),
        ("ViT-B-32/openia", r"Unknown tag 'openia'. Did you mean 'openai'\?"),
        ("ViT-B-32", "Unknown tag ''.*Write 'open_clip:ViT-B-32/TAG' or a path"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, message):
    with pytest.raises(UnknownName, match=message):
        open_backbone(f"open_clip:{name}")


def test_an_unknown_layer_lists_the_known():
    with pytest.raises(UnknownName, match=r"Unknown layer 'projection'. .*Known: pre_projection, projected"):
        open_backbone("open_clip:ViT-B-32/openai", layer="projection")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtra, match=r"needs the package `open-clip-torch`.*noiseproof\[clip\]"):
        open_backbone("open_clip:ViT-B-32/openai")
