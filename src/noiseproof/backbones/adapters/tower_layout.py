"""Layout of image towers for additions, one function per family of towers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from noiseproof.core.errors import InvalidArgument, invalid


@dataclass(frozen=True)
class Affine:
    """A linear or normalising layer whose output additions may scale and shift.

    Attributes:
        module: that has the parameters.
        weight: name of the matrix, filter or scale whose first axis is that of the outputs.
        bias: name of the vector; `None` where the layer has none.
    """

    module: nn.Module
    weight: str
    bias: str | None


@dataclass(frozen=True)
class Tower:
    """Blocks and dimensions of an image tower.

    Attributes:
        family: for people, e.g. "VisionTransformer of timm".
        blocks: transformer blocks, first to last, (b, t, d) -> (b, t, d); none in convolutional towers.
        mlps: what of each block ends its MLP, before the residual connection.
        affines: whose output may be scaled and shifted.
        width: d; 0 without blocks.
        patch_px: height of a patch; 0 without blocks.
        is_batch_first: whether blocks see (b, t, d) and not (t, b, d).
    """

    family: str
    blocks: tuple[nn.Module, ...]
    mlps: tuple[nn.Module, ...]
    affines: tuple[Affine, ...]
    width: int = 0
    patch_px: int = 0
    is_batch_first: bool = True

    @property
    def like(self) -> Tensor:
        """A parameter that additions share device and type with."""
        first = self.affines[0]
        parameter: Tensor = getattr(first.module, first.weight)
        return parameter


def tower_of(network: Any) -> Tower:
    """The tower inside an image network.

    Args:
        network: of timm, of open_clip (`model.visual`), or a ViT of transformers.

    Raises:
        InvalidArgument: of no family that is known here.
    """
    for name, made in _FAMILIES.items():
        if any(f"{each.__module__}.{each.__qualname__}" == name for each in type(network).__mro__):
            return made(network)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d) and part.affine]
    if norms:
        affines = tuple(Affine(norm, "weight", "bias") for norm in norms)
        return Tower(f"convolutional network ({type(network).__name__})", (), (), affines)
    raise invalid(
        "backbone", type(network).__name__,
        "VisionTransformer of timm or open_clip, ViT of transformers, or a convolutional network with batch "
        "normalisation, with visual prompts, adapters or scales and shifts",
        "Next: tune=full, last-blocks:N, bias or lora.",
    )  # fmt: skip


def _timm_vit(network: Any) -> Tower:
    return _transformer(
        "VisionTransformer of timm", network.blocks, [_part(block, "mlp") for block in network.blocks],
        width=network.embed_dim, patch_px=_height(network.patch_embed.patch_size),
    )  # fmt: skip


def _open_clip_vit(network: Any) -> Tower:
    transformer = network.transformer
    return _transformer(
        "VisionTransformer of open_clip", transformer.resblocks,
        [_part(block, "mlp") for block in transformer.resblocks],
        width=transformer.width, patch_px=_height(network.patch_size),
        is_batch_first=transformer.batch_first,
    )  # fmt: skip


def _huggingface_vit(network: Any) -> Tower:
    """Blocks are `layers` since transformers 5, `encoder.layer` before; there `output.dense` ends the MLP."""
    blocks = network.layers if isinstance(getattr(network, "layers", None), nn.ModuleList) else None
    ends = "mlp"
    if blocks is None:
        blocks, ends = network.encoder.layer, "output.dense"
    return _transformer(
        "ViT of transformers", blocks, [block.get_submodule(ends) for block in blocks],
        width=network.config.hidden_size, patch_px=_height(network.config.patch_size),
    )  # fmt: skip


_FAMILIES: dict[str, Callable[[Any], Tower]] = {
    "timm.models.vision_transformer.VisionTransformer": _timm_vit,
    "open_clip.transformer.VisionTransformer": _open_clip_vit,
    "open_clip.timm_model.TimmModel": lambda network: tower_of(network.trunk),
    "transformers.models.vit.modeling_vit.ViTModel": _huggingface_vit,
    "transformers.models.vit.modeling_vit.ViTForImageClassification": lambda network: tower_of(network.vit),
}


def _transformer(
    family: str, blocks: Any, mlps: list[nn.Module], *, width: int, patch_px: int, is_batch_first: bool = True
) -> Tower:
    affines = [affine for block in blocks for affine in _affines(block)]
    return Tower(family, tuple(blocks), tuple(mlps), tuple(affines), width, patch_px, is_batch_first)


def _affines(block: nn.Module) -> list[Affine]:
    """Every linear map of attention and MLP; torch's attention keeps those of its inputs in one matrix."""
    found = []
    for part in block.modules():
        own = dict(part.named_parameters(recurse=False))
        if "in_proj_weight" in own:
            found.append(Affine(part, "in_proj_weight", "in_proj_bias" if "in_proj_bias" in own else None))
        elif isinstance(part, nn.Linear):
            found.append(Affine(part, "weight", "bias" if "bias" in own else None))
    return found


def _part(block: nn.Module, name: str) -> nn.Module:
    part = dict(block.named_children()).get(name)
    if part is None:
        raise invalid(
            "backbone", type(block).__name__, f"a tower of blocks with a part {name!r}",
            "Next: tune=full, last-blocks:N, bias or lora.",
        )  # fmt: skip
    return part


def _height(size: Any) -> int:
    return int(torch.as_tensor(size).flatten()[0])


def has_blocks(network: Any) -> bool:
    """Whether a network is a transformer that additions support."""
    try:
        return bool(tower_of(network).blocks)
    except InvalidArgument:
        return False
