import copy
import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from noiseproof.backbones.adapters.adapters import Adapter
from noiseproof.backbones.adapters.additions import SIZES, Addition, add_to
from noiseproof.backbones.adapters.tower_layout import tower_of
from noiseproof.backbones.adapters.visual_prompts import PromptTokens
from noiseproof.backbones.checkpoints.weights import write_weights
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators
from tiny_towers import (
    CONVOLUTIONAL,
    TRANSFORMERS,
    huggingface_vit,
    images,
    open_clip_of_timm,
    open_clip_vit,
    said,
    timm_vit,
)

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("open_clip")
pytest.importorskip("transformers")

SMALL = {"vpt-deep": 2, "vpt-shallow": 2, "adapter": 4, "ssf": None}


def with_addition(network, name, seed=0):
    network.requires_grad_(False)
    add_to(network, Addition(name, SMALL[name]), seed=seed)
    return network.eval()


def learned(network):
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def test_every_addition_is_tried_here():
    assert SMALL.keys() == SIZES.keys()


@pytest.mark.parametrize("family", TRANSFORMERS)
@pytest.mark.parametrize("is_deep", [True, False])
def test_prompts_are_those_of_an_explicit_loop_over_blocks(family, is_deep):
    network = TRANSFORMERS[family]()
    plain = copy.deepcopy(network).eval()
    with_addition(network, "vpt-deep" if is_deep else "vpt-shallow")
    rows = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(2))
    prompts = [part.tokens.detach() for part in network.additions]

    found = expected = rows
    for number, (block, hooked) in enumerate(
        zip(tower_of(plain).blocks, tower_of(network).blocks, strict=True)
    ):
        if is_deep or number == 0:
            expected = torch.cat([expected[:, :5], prompts[number].expand(2, -1, -1)], dim=1)
        expected, found = block(expected), hooked(found)
    torch.testing.assert_close(found, expected[:, :5])
    assert not torch.allclose(found, sequential(plain, rows))


def sequential(network, rows):
    for block in tower_of(network).blocks:
        rows = block(rows)
    return rows


def test_tokens_in_front_of_blocks_that_want_the_batch_second_are_the_same():
    first, second = open_clip_vit().eval(), open_clip_vit().eval()
    second.transformer.batch_first = False
    for block in second.transformer.resblocks:
        block.attn.batch_first = False
    for network in (first, second):
        with_addition(network, "vpt-deep")
    torch.testing.assert_close(second(images()), first(images()))


def test_a_prompt_by_hand():
    """Of tokens [1], [2] with a prompt [7], a block that adds up its tokens says 10 everywhere."""

    class Total(nn.Module):
        def forward(self, rows):
            return rows.sum(1, keepdim=True).expand_as(rows)

    block, prompts = Total(), PromptTokens(torch.tensor([[7.0]]))
    block.register_forward_pre_hook(prompts.append)
    block.register_forward_hook(prompts.drop)
    assert block(torch.tensor([[[1.0], [2.0]]])).tolist() == [[[10.0], [10.0]]]


def test_blocks_that_say_a_tuple_lose_the_prompts_in_its_first_part():
    prompts = PromptTokens(torch.zeros(2, 1))
    rows, other = prompts.drop(nn.Identity(), (), (torch.arange(5.0).view(1, 5, 1), "attention"))
    assert rows.flatten().tolist() == [0.0, 1.0, 2.0]
    assert other == "attention"


def test_prompts_start_within_the_bound_of_the_paper():
    network = timm_vit(embed_dim=64, patch_size=8)
    network.requires_grad_(False)
    add_to(network, Addition("vpt-deep", 50), seed=0)
    bound = math.sqrt(6 / (3 * 8 * 8 + 64))
    tokens = torch.cat([part.tokens.detach() for part in network.additions])
    assert 0.98 * bound < float(tokens.abs().max()) <= bound
    assert abs(float(tokens.mean())) < 0.01


def test_deep_prompts_of_a_base_vit_are_184320_numbers():
    """12 blocks x 20 tokens x 768, as DeFT counts them."""
    with torch.device("meta"):
        network = import_timm("a test").create_model("vit_base_patch16_224")
    network.requires_grad_(False)
    add_to(network, Addition("vpt-deep", SIZES["vpt-deep"]), seed=0)
    assert sum(each.numel() for each in learned(network).values()) == 12 * 20 * 768 == 184_320


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vpt-deep", 3 * 2 * 12),
        ("vpt-shallow", 2 * 12),
        ("adapter", 3 * (2 * 12 + (12 * 4 + 4) + (4 * 12 + 12))),
        ("ssf", 3 * 2 * (36 + 12 + 48 + 12)),
    ],
)
def test_what_learns_is_counted_and_is_all_that_learns(name, count):
    network = with_addition(timm_vit(), name)
    plain = set(dict(timm_vit().named_parameters()))
    assert not plain & learned(network).keys()
    assert sum(each.numel() for each in learned(network).values()) == count
    network(images()).sum().backward()
    others = [each for key, each in network.named_parameters() if not each.requires_grad]
    assert all(each.grad is None for each in others)
    # Behind an adapter whose last matrix is zero nothing but that matrix has a gradient at first.
    names = {key for key, each in learned(network).items() if float(each.grad.abs().sum()) > 0}
    assert names >= {key for key in learned(network) if name != "adapter" or ".up." in key}


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_adapters_change_nothing_at_first_and_then_are_inside_the_residual_branch(family):
    network = TRANSFORMERS[family]()
    plain = copy.deepcopy(network).eval()
    with_addition(network, "adapter")
    torch.testing.assert_close(said(network, images()), said(plain, images()))
    with torch.no_grad():
        network.additions[1].up.bias.fill_(0.5)
    rows = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(2))
    block, before = tower_of(network).blocks[1], tower_of(plain).blocks[1]
    torch.testing.assert_close(block(rows), before(rows) + 0.5)


def test_an_adapter_by_hand():
    """LN of (1, 3) is (-1, 1); down (1, 1) is 0, so only its bias 2 passes; up (1, 2) gives 2, 4."""
    adapter = Adapter(2, 1)
    with torch.no_grad():
        adapter.norm.eps = 0.0
        adapter.down.weight.fill_(1.0)
        adapter.down.bias.fill_(2.0)
        adapter.up.weight.copy_(torch.tensor([[1.0], [2.0]]))
    rows = torch.tensor([[1.0, 3.0]])
    torch.testing.assert_close(adapter.add(adapter, (), rows), torch.tensor([[3.0, 7.0]]))


@pytest.mark.parametrize("family", ["timm", "transformers"])
def test_scales_and_shifts_are_those_of_the_outputs(family):
    """The slow way: y -> scale * y + shift by hooks on the layers of attention and MLP."""
    network = TRANSFORMERS[family]()
    slow = copy.deepcopy(network).eval()
    with_addition(network, "ssf")
    scaled = [part for part in network.modules() if nn.utils.parametrize.is_parametrized(part)]
    layers = [
        each for block in tower_of(slow).blocks for each in block.modules() if isinstance(each, nn.Linear)
    ]
    assert len(scaled) == len(layers) == {"timm": 12, "transformers": 18}[family]
    for part, layer in zip(scaled, layers, strict=True):
        factor = part.parametrizations.weight[0].scale.detach()
        summand = part.parametrizations.bias[0].shift.detach()
        layer.register_forward_hook(lambda _, __, out, a=factor, b=summand: a * out + b)
    torch.testing.assert_close(said(network, images()), said(slow, images()))


def test_scales_reach_the_matrix_that_torch_attention_reads():
    network = with_addition(open_clip_vit(), "ssf")
    attention = network.transformer.resblocks[0].attn
    with torch.no_grad():
        for part in (attention.out_proj,):
            part.parametrizations.weight[0].scale.fill_(0.0)
            part.parametrizations.bias[0].shift.fill_(0.25)
    rows = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(2))
    said_by_attention, _ = attention(rows, rows, rows, need_weights=False)
    torch.testing.assert_close(said_by_attention, torch.full_like(rows, 0.25))
    factor = attention.parametrizations.in_proj_weight[0].scale
    torch.testing.assert_close(
        attention.in_proj_weight, factor[:, None] * attention.parametrizations.in_proj_weight.original
    )


@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_scales_of_a_convolutional_network_are_behind_its_norms(family):
    network = CONVOLUTIONAL[family]()
    plain = copy.deepcopy(network).eval()
    with_addition(network, "ssf")
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(learned(network)) == 2 * len(norms)
    rows = images(32)
    assert not torch.equal(network(rows), plain(rows))
    with torch.no_grad():
        for name, each in learned(network).items():
            each.fill_(1.0 if name.endswith("scale") else 0.0)
    torch.testing.assert_close(network(rows), plain(rows))


@pytest.mark.parametrize("family", CONVOLUTIONAL)
@pytest.mark.parametrize("name", ["vpt-deep", "vpt-shallow", "adapter"])
def test_convolutional_networks_are_told_what_they_take(family, name):
    size = SMALL[name]
    with pytest.raises(
        InvalidArgument, match=f"'{name}:{size}'; allowed: full, last-blocks:N, bias, lora, ssf or head"
    ):
        with_addition(CONVOLUTIONAL[family](), name)


def test_a_tower_of_no_known_family_is_refused_by_name():
    network = import_timm("a test").create_model("test_convnext")
    with pytest.raises(InvalidArgument, match="`backbone` is 'ConvNeXt'; allowed: VisionTransformer of timm"):
        with_addition(network, "vpt-deep")


def test_a_second_addition_is_refused():
    network = with_addition(timm_vit(), "adapter")
    with pytest.raises(InvalidArgument, match="a network with prompts or adapters"):
        with_addition(network, "vpt-deep")


def test_a_network_of_timm_inside_open_clip_is_found():
    network = with_addition(open_clip_of_timm(), "vpt-deep")
    assert len(network.additions) == len(network.trunk.blocks)
    assert network(images(160)).shape == (2, 5)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("family", TRANSFORMERS)
def test_weights_are_saved_and_read_again_and_copies_are_on_their_own(family, name, tmp_path):
    network = with_addition(TRANSFORMERS[family](), name)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for each in learned(network).values():
            each.add_(torch.randn(each.shape, generator=torch.Generator().manual_seed(3)))
    assert not torch.allclose(said(twin, images()), said(network, images()))
    write_weights(tmp_path / "a.safetensors", network)
    twin.load_state_dict(load_file(tmp_path / "a.safetensors"))
    assert torch.equal(said(twin, images()), said(network, images()))


@pytest.mark.parametrize("name", SMALL)
def test_the_seed_decides_the_first_values(name):
    states = [learned(with_addition(timm_vit(), name, seed=seed)) for seed in (0, 0, 1)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert not all(torch.equal(value, states[2][key]) for key, value in states[0].items())


def test_a_classifier_of_transformers_is_looked_into():
    from transformers import ViTForImageClassification

    whole = ViTForImageClassification(huggingface_vit().config)
    assert tower_of(whole).family == "ViT of transformers"
