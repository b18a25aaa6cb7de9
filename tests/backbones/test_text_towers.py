import json

import pytest
import torch
from tiny_models import random_clip, saved

from noiseproof.backbones.image_text.image_text_models import build_pair
from noiseproof.backbones.image_text.prompt_words import TEMPLATES, caption, class_words, notes_on_names
from noiseproof.backbones.image_text.text_towers import PromptTower, open_prompt_tower
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators

declare_missing_operators()
open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

NAMES = ("cat", "fire_truck", "very long name of a rare bird")
VISION = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "cat", "fire", "truck", "very", "long"]
WORDS += ["name", "rare", "bird", "."]


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory):
    """A Hugging Face text tower of random weights, with a tokenizer of few words."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=128,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


def configuration(kind, bert_folder):
    text = {
        "hf_model_name": bert_folder, "hf_tokenizer_name": bert_folder, "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "linear", "context_length": 77,
    }  # fmt: skip
    return {
        "clip": {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT},
        "custom": {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT, "custom_text": True},
        "hugging_face": {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": text},
    }[kind]


@pytest.fixture(scope="module", params=["clip", "custom", "hugging_face"])
def model(request, bert_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.json"
    path.write_text(json.dumps(configuration(request.param, bert_folder)))
    pair, tokenizer = build_pair(str(path), image_size=32, lock_text=False, seed=0)
    return pair.eval(), tokenizer


@pytest.fixture(scope="module")
def tower(model):
    return PromptTower(*model, NAMES, name="tiny")


def contexts_of(tower, num_learned=16, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, num_learned, tower.context_dim, generator=generator)


def test_the_vectors_of_words_give_what_the_model_says_of_these_words(model, tower):
    pair, tokenizer = model
    text = getattr(pair, "text", pair)
    embedding = text.transformer.get_input_embeddings() if hasattr(text, "pooler") else text.token_embedding
    ids = tokenizer(["a photo of a"])[0, 1:5]
    found = tower.encode(embedding(ids).detach()[None])
    expected = pair.encode_text(
        tokenizer([f"a photo of a {word}." for word in class_words(NAMES)]), normalize=True
    )
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-5)


def test_truncated_prompts_equal_those_of_77_tokens(tower):
    contexts = contexts_of(tower)
    short, long = tower.encode(contexts), tower.encode(contexts, pad_to=77)
    assert short.shape == (2, 3, 8)
    torch.testing.assert_close(short, long, rtol=0, atol=1e-5)
    torch.testing.assert_close(short.norm(dim=-1), torch.ones(2, 3))
    assert tower.num_tokens + 16 < 77 / 2
    assert not torch.allclose(short[0], short[1], atol=1e-3)


def test_many_classes_in_parts_equal_all_at_once(tower, monkeypatch):
    contexts = contexts_of(tower).requires_grad_()
    at_once = tower.encode(contexts)
    (expected,) = torch.autograd.grad(at_once.square()[..., 0].sum(), contexts)
    monkeypatch.setattr("noiseproof.backbones.image_text.text_towers._MOST_AT_ONCE", 2)
    in_parts = tower.encode(contexts)
    (found,) = torch.autograd.grad(in_parts.square()[..., 0].sum(), contexts)
    torch.testing.assert_close(in_parts, at_once, rtol=0, atol=1e-6)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_contexts_equal_finite_differences(model):
    import copy

    pair, tokenizer = model
    double = PromptTower(copy.deepcopy(pair).double(), tokenizer, NAMES[:2], name="tiny")
    contexts = contexts_of(double, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(double.encode, (contexts,), fast_mode=True)


def test_the_tower_is_frozen_and_stays_in_evaluation(tower):
    assert not any(each.requires_grad for each in tower.parameters())
    assert not tower.train().training
    assert all(not each.training for each in tower.modules())


def test_zero_shot_directions_are_the_mean_over_templates(model, tower):
    pair, tokenizer = model
    with torch.no_grad():
        rows = [
            pair.encode_text(tokenizer([caption(name, each) for each in TEMPLATES]), normalize=True).mean(0)
            for name in NAMES
        ]
    expected = torch.nn.functional.normalize(torch.stack(rows), dim=-1)
    torch.testing.assert_close(tower.directions(TEMPLATES), expected, rtol=0, atol=1e-5)


def test_the_scale_is_that_of_the_model(model, tower):
    assert tower.scale == pytest.approx(model[0].logit_scale.exp().item())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "`class_names` is empty"),
        (("cat", " "), "has ' ' for class 1; allowed: a name that says"),
        (("cat", "fire_truck", "Fire truck"), "'fire_truck' for class 1 and 'Fire truck' for class 2"),
    ],
)
def test_names_that_are_missing_or_equal_are_refused(model, names, message):
    with pytest.raises(BadData, match=message):
        PromptTower(*model, names, name="tiny")


def test_a_name_that_does_not_fit_is_named(model):
    tower = PromptTower(*model, ("cat", "truck " * 60), name="tiny")
    num_learned = tower._text.most_tokens - 60
    with pytest.raises(
        BadData, match=rf"class name 'truck truck.*and {num_learned} learnable vectors do not fit"
    ):
        tower.encode(contexts_of(tower, num_learned))


def test_towers_without_an_entry_for_token_embeddings_are_refused_by_name(model):
    _, tokenizer = model

    class NoEmbeddings(torch.nn.Module):
        def forward(self, input_ids):
            return input_ids

    class Adapter(torch.nn.Module):
        transformer, pooler, proj = NoEmbeddings(), None, None

    for text, why in ((Adapter(), "no `inputs_embeds`"), (torch.nn.Linear(2, 2), "no `token_embedding`")):
        holder = torch.nn.Module()
        holder.text = text
        with pytest.raises(InvalidArgument, match=f"`text_tower` is 'odd'; allowed: open_clip's.*{why}"):
            PromptTower(holder, tokenizer, NAMES, name="odd")


def test_a_tower_that_is_not_causal_is_refused(tmp_path):
    text = TEXT | {"no_causal_mask": True, "pool_type": "last"}
    config = {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": text, "custom_text": True}
    (tmp_path / "siglip.json").write_text(json.dumps(config))
    pair, tokenizer = build_pair(str(tmp_path / "siglip.json"), image_size=32, lock_text=False, seed=0)
    with pytest.raises(InvalidArgument, match="TextTransformer, and it is not causal"):
        PromptTower(pair, tokenizer, NAMES, name="siglip")


def test_a_tower_opens_by_name_with_its_weights(tmp_path, monkeypatch):
    import tiny_models

    wide = tiny_models.CLIP_CONFIG | {"text_cfg": TEXT}
    monkeypatch.setitem(tiny_models.CLIP_CONFIGS, "tiny-vit", wide)
    model = random_clip("tiny-vit", monkeypatch)
    path = saved(model, tmp_path / "whole.safetensors")
    tower = open_prompt_tower(f"open_clip:tiny-vit/{path}", NAMES)
    expected = PromptTower(model, open_clip.get_tokenizer("tiny-vit"), NAMES, name="x")
    contexts = contexts_of(tower, 4)
    torch.testing.assert_close(tower.encode(contexts), expected.encode(contexts))


def test_an_encoder_without_text_is_refused():
    with pytest.raises(InvalidArgument, match=r"`text_tower` is 'timm:resnet50'.*have no text tower"):
        open_prompt_tower("timm:resnet50", NAMES)


def test_names_that_are_numbers_are_told():
    (said,) = notes_on_names(["0", "12", "-1.5", "7"])
    assert said.startswith("The class names are numbers (0, 12, -1.5, ...)")
    assert notes_on_names(["0", "zero"]) == notes_on_names(["7 up", "1st"]) == ()
