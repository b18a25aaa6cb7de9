import copy

import numpy as np
import pytest
import torch
from torch import nn

from noiseproof.adapt.learnable import (
    TuneMode,
    blocks_of,
    learning_names,
    merge_additions,
    num_learning,
    tune_encoder,
    tune_network,
)
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators
from tiny_towers import (
    huggingface_vit,
    images,
    open_clip_of_timm,
    open_clip_resnet,
    open_clip_vit,
    projected_timm,
    said,
)

declare_missing_operators()
pytest.importorskip("timm")


def network(name="resnet8_32px", num_classes=3):
    return import_timm("a test").create_model(name, num_classes=num_classes)


def tuned_as(text, model=None):
    return tune_network(model or network(), TuneMode.parse(text), lora_rank=2, lora_alpha=4, seed=0)


def learning(model):
    return {name.removeprefix("network.") for name, each in model.named_parameters() if each.requires_grad}


HEAD = {"head.fc.weight", "head.fc.bias"}


def test_blocks_are_stem_and_residual_blocks_without_the_classifier():
    blocks = blocks_of(network())
    assert [block[0].split(".")[0] for block in blocks] == ["stem", "stages", "stages", "stages"]
    assert {name for block in blocks for name in block} | HEAD == set(dict(network().named_parameters()))
    # The norm that ends a transformer is no block of its own.
    assert {"blocks.5.mlp.fc2.weight", "norm.weight"} <= set(blocks_of(network("test_vit"))[-1])


def test_full_is_everything():
    assert learning(tuned_as("full")) == set(dict(network().named_parameters()))


def test_head_is_the_classifier_alone():
    assert learning(tuned_as("head")) == HEAD


def test_last_blocks_are_counted_from_the_end():
    names = learning(tuned_as("last-blocks:2"))
    assert {name.rpartition(".")[0].split(".")[1] for name in names - HEAD} == {"1", "2"}
    assert learning(tuned_as("last-blocks:4")) == learning(tuned_as("full"))


def test_bias_is_every_vector_and_the_classifier():
    model = network()
    vectors = {name for name, each in model.named_parameters() if each.ndim == 1}
    assert learning_names(model, TuneMode("bias")) == vectors - HEAD
    assert learning(tuned_as("bias")) == vectors | HEAD


@pytest.mark.parametrize(
    "text",
    [
        "all",
        "last-blocks",
        "last-blocks:0",
        "last-blocks:N",
        "LORA",
        "vpt-deep:0",
        "vpt-deep:",
        "ssf:4",
        "lora:2",
    ],
)
def test_an_unknown_mode_is_refused(text):
    with pytest.raises(InvalidArgument, match=rf"`tune` is '{text}'; allowed: full, last-blocks:N"):
        TuneMode.parse(text)


def test_more_blocks_than_there_are_is_refused():
    with pytest.raises(InvalidArgument, match="'last-blocks:5'; allowed: last-blocks:1 to 4, or full"):
        tuned_as("last-blocks:5")


def test_a_network_without_one_linear_classifier_is_refused():
    with pytest.raises(InvalidArgument, match="a network that ends in one linear classifier"):
        tuned_as("full", network("test_resnet", num_classes=0))


def test_frozen_norms_keep_their_statistics_and_the_others_do_not():
    model = tuned_as("last-blocks:1")
    before = {name: value.clone() for name, value in model.network.named_buffers()}
    model.eval()
    model.train()
    with torch.no_grad():
        model(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    changed = {
        name for name, value in model.network.named_buffers()
        if name.endswith("running_mean") and not torch.equal(value, before[name])
    }  # fmt: skip
    assert changed
    assert all(name.startswith("stages.2.") for name in changed)


@pytest.mark.parametrize("name", ["resnet8_32px", "test_vit"])
def test_merging_low_rank_additions_changes_no_output_and_leaves_the_plain_network(name):
    pytest.importorskip("peft")
    plain = network(name)
    size = plain.pretrained_cfg["input_size"]
    images = torch.randn(2, *size, generator=torch.Generator().manual_seed(0))
    model = tuned_as("lora", copy.deepcopy(plain)).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(images), plain.eval()(images))  # B starts from zero
        generator = torch.Generator().manual_seed(1)
        for title, parameter in model.named_parameters():
            if "lora_B" in title:
                parameter.normal_(std=0.1, generator=generator)
        expected = model(images)
        assert not torch.allclose(expected, plain(images), atol=1e-3)
        whole = merge_additions(model.network)
        torch.testing.assert_close(whole(images), expected, rtol=1e-4, atol=1e-4)
    assert list(whole.state_dict()) == list(plain.state_dict())


def test_a_merged_matrix_is_the_one_worked_out_by_hand():
    """W + (alpha / r) B A of the low-rank matrices as peft has them."""
    pytest.importorskip("peft")
    model = tuned_as("lora", network("test_vit"))
    layer = model.network.blocks[0].mlp.fc1
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_(generator=torch.Generator().manual_seed(0))
    low_rank = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    expected = layer.base_layer.weight + 4 / 2 * low_rank
    whole = merge_additions(model.network)
    torch.testing.assert_close(whole.blocks[0].mlp.fc1.weight, expected)


def test_low_rank_learns_its_additions_and_the_classifier():
    pytest.importorskip("peft")
    model = tuned_as("lora")
    names = learning(model)
    assert names >= HEAD
    assert all("lora_" in name for name in names - HEAD)
    num_filters = sum(isinstance(part, nn.Conv2d) for part in network().modules())
    assert len(names - HEAD) == 2 * num_filters  # an A and a B each
    few, all_of_them = num_learning(model)
    assert 0 < few < all_of_them


def test_grouped_filters_get_no_additions():
    pytest.importorskip("peft")
    model = tuned_as("lora", network("mobilenetv3_small_050"))
    assert not any("conv_dw.lora" in name for name in learning(model))
    assert any("conv_pw.lora" in name for name in learning(model))


def test_the_seed_decides_the_first_low_rank_matrices():
    pytest.importorskip("peft")
    plain = network()
    states = [
        tune_network(
            copy.deepcopy(plain), TuneMode("lora"), lora_rank=2, lora_alpha=4, seed=seed
        ).state_dict()
        for seed in (0, 0, 1)
    ]
    name = next(name for name in states[0] if "lora_A" in name)
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])
    assert np.isfinite(states[0][name].numpy()).all()


@pytest.mark.parametrize(
    ("text", "mode", "size"),
    [("vpt-deep", "vpt-deep", 20), ("vpt-shallow:3", "vpt-shallow", 3), ("adapter", "adapter", 64),
     ("ssf", "ssf", None), ("last-blocks:2", "last-blocks", 2), ("head", "head", None)],
)  # fmt: skip
def test_additions_have_a_size_of_their_own_unless_one_is_given(text, mode, size):
    assert TuneMode.parse(text) == TuneMode(mode, size)


@pytest.mark.parametrize("text", ["vpt-deep:2", "vpt-shallow:2", "adapter:4", "ssf"])
def test_additions_learn_beside_the_classifier_and_nothing_else_does(text):
    model = tuned_as(text, network("test_vit"))
    plain = set(dict(network("test_vit").named_parameters()))
    head = {name for name in plain if name.startswith("head.")}
    assert learning(model) & plain == head
    assert learning(model) > head


@pytest.mark.parametrize("name", ["resnet8_32px", "test_vit"])
def test_merging_scales_and_shifts_changes_no_output_and_leaves_the_plain_network(name):
    plain = network(name)
    rows = torch.randn(2, *plain.pretrained_cfg["input_size"], generator=torch.Generator().manual_seed(0))
    model = tuned_as("ssf", copy.deepcopy(plain)).eval()
    with torch.no_grad():
        expected = model(rows)
        assert not torch.allclose(expected, plain.eval()(rows), atol=1e-4)
        whole = merge_additions(model.network)
        torch.testing.assert_close(whole(rows), expected, rtol=1e-4, atol=1e-5)
    assert list(whole.state_dict()) == list(plain.state_dict())
    assert type(whole) is type(plain)


def test_norms_that_are_only_scaled_keep_their_statistics():
    model = tuned_as("ssf")
    before = {name: value.clone() for name, value in model.network.named_buffers()}
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(value, before[name]) for name, value in model.network.named_buffers())


def tower_tuned_as(text, tower):
    tune_encoder(tower, TuneMode.parse(text), lora_rank=2, lora_alpha=4, seed=0)
    return tower


@pytest.mark.parametrize(
    ("build", "num_blocks"),
    [
        (open_clip_vit, 4),
        (open_clip_resnet, 5),
        (huggingface_vit, 4),
        (open_clip_of_timm, 7),
        (projected_timm, 5),
    ],
)
def test_towers_of_other_libraries_have_blocks_too(build, num_blocks):
    tower = build()
    names = set(dict(tower.named_parameters()))
    blocks = blocks_of(tower)
    assert sorted(name for block in blocks for name in block) == sorted(names)
    assert len(blocks) == num_blocks
    assert learning(tower_tuned_as("full", build())) == names
    assert learning(tower_tuned_as("head", build())) == set()
    last = learning(tower_tuned_as("last-blocks:1", build()))
    assert 0 < len(last) < len(names)
    assert last == set(blocks[-1])
    few = learning(tower_tuned_as("bias", build()))
    assert few == {name for name, each in tower.named_parameters() if each.ndim <= 1}


@pytest.mark.parametrize("build", [open_clip_vit, open_clip_resnet, huggingface_vit])
def test_low_rank_additions_of_towers_that_read_their_weights_have_an_effect_and_merge(build):
    pytest.importorskip("peft")
    rows, plain = images(32 if build is open_clip_resnet else 16), build().eval()
    tower = tower_tuned_as("lora", build()).eval()
    torch.testing.assert_close(said(tower, rows), said(plain, rows))
    said(tower, rows).square().sum().backward()
    names = learning(tower)
    assert names
    assert all("lora_" in name for name in names)
    own = dict(tower.named_parameters())
    behind = {name for name in names if "lora_B" in name and "pooler" not in name}
    assert all(own[name].grad is not None and float(own[name].grad.abs().sum()) > 0 for name in behind)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for name in sorted(behind):
            own[name].normal_(std=0.3, generator=generator)
        expected = said(tower, rows)
        assert not torch.allclose(expected, said(plain, rows), atol=1e-3)
        whole = merge_additions(tower)
        torch.testing.assert_close(said(whole, rows), expected, rtol=1e-4, atol=1e-4)
    assert sorted(whole.state_dict()) == sorted(plain.state_dict())


def test_low_rank_additions_of_torch_attention_are_those_worked_out_by_hand():
    pytest.importorskip("peft")
    tower = tower_tuned_as("lora", open_clip_vit())
    part = tower.transformer.resblocks[0].attn.parametrizations.in_proj_weight
    with torch.no_grad():
        part[0].lora_B.normal_(generator=torch.Generator().manual_seed(0))
    expected = part.original + 4 / 2 * (part[0].lora_B @ part[0].lora_A)
    torch.testing.assert_close(tower.transformer.resblocks[0].attn.in_proj_weight, expected)
    assert (
        sum("lora_A" in name for name in learning(tower)) == 1 + 3 * 4
    )  # patches; in, out, and two of the MLP
