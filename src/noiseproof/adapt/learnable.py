"""Which parameters of a network learn: all, the last blocks, the vectors, small additions, or the head."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from noiseproof.adapt.low_rank import add_low_rank
from noiseproof.backbones.adapters.additions import SIZES, Addition, add_to
from noiseproof.backbones.adapters.tower_layout import tower_of
from noiseproof.core.errors import invalid

_PLAIN = ("full", "bias", "lora", "head")
# In open_clip and transformers.
_AFTER_BLOCKS = ("ln_post", "proj", "attn_pool", "attnpool", "layernorm", "pooler")
MODES = (
    "full", "last-blocks:N", "bias", "lora", "vpt-deep[:N]", "vpt-shallow[:N]", "adapter[:N]", "ssf", "head",
)  # fmt: skip


@dataclass(frozen=True)
class TuneMode:
    """Which parameters learn besides the classifier.

    Attributes:
        kind: "full", "last-blocks", "bias", "lora", "head", or the name of an addition.
        size: number of blocks, of prompt tokens, or inner width of adapters.
    """

    kind: str
    size: int | None = None

    @classmethod
    def parse(cls, text: str) -> TuneMode:
        """Read a mode as users write it, such as "last-blocks:2".

        Raises:
            InvalidArgument: it is none of `MODES`.
        """
        kind, colon, number = text.partition(":")
        is_sized = re.fullmatch(r"[1-9]\d*", number) is not None
        if kind in _PLAIN and not colon:
            return cls(kind)
        if kind in SIZES and (not colon or (is_sized and SIZES[kind] is not None)):
            return cls(kind, int(number) if colon else SIZES[kind])
        if kind == "last-blocks" and is_sized:
            return cls(kind, int(number))
        raise invalid("tune", text, f"{', '.join(MODES)} with N from 1")

    @property
    def addition(self) -> Addition | None:
        """Prompts, adapters or scales to put into the frozen network; LoRA is added by `add_low_rank`."""
        return Addition(self.kind, self.size) if self.kind in SIZES else None

    @property
    def kept_addition(self) -> Addition | None:
        """The addition, where it stays beside the weights of the network after training."""
        return None if self.addition is None or self.addition.is_merged else self.addition


class TunedNetwork(nn.Module):
    """A network whose frozen parts stay in evaluation mode.

    Otherwise the running statistics of a frozen batch normalisation would go on changing.

    Args:
        network: images -> logits; parameters with `requires_grad` learn.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.train()

    def train(self, mode: bool = True) -> TunedNetwork:  # noqa: FBT001, FBT002  as torch has it
        """Set the mode of all parts that learn."""
        super().train(mode)
        for part in self.network.modules():
            parameters = list(part.parameters())
            if parameters and not any(each.requires_grad for each in parameters):
                part.eval()
            if parametrize.is_parametrized(part):  # frozen itself: only what scales and shifts it learns
                part.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch."""
        return self.network(images)


def tune_network(network: Any, mode: TuneMode, *, lora_rank: int, lora_alpha: int, seed: int) -> TunedNetwork:
    """Let the classifier and some of the other parameters of a network learn, in place.

    Args:
        network: of timm, with a classifier.
        mode: what learns besides the classifier.
        lora_rank, lora_alpha: of mode "lora".
        seed: of the first values of additions.

    Raises:
        InvalidArgument: more blocks than the network has, or a network that an addition is not for.
        MissingExtra: peft is not installed.
    """
    classifier = classifier_of(network)
    tune_encoder(network, mode, lora_rank=lora_rank, lora_alpha=lora_alpha, seed=seed)
    classifier.requires_grad_(True)
    return TunedNetwork(network)


def tune_encoder(network: Any, mode: TuneMode, *, lora_rank: int, lora_alpha: int, seed: int) -> None:
    """Let some of the parameters of an image tower learn, in place; none of its classifier.

    Args:
        network: of timm, with or without a classifier, or of open_clip (`model.visual`) or transformers.
        mode, lora_rank, lora_alpha, seed: as in `tune_network`.
    """
    if mode.kind == "lora":
        network.requires_grad_(False)
        add_low_rank(
            network, without=_classifier_parts(network), rank=lora_rank, alpha=lora_alpha, seed=seed
        )  # fmt: skip
        return
    names = learning_names(network, mode)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in names)
    if mode.addition is not None:
        add_to(network, mode.addition, seed=seed)


def learning_names(network: Any, mode: TuneMode) -> set[str]:
    """Names of the parameters outside the classifier that learn, without "lora" and before additions.

    Source: "bias" is Ben Zaken et al. 2022, arXiv:2106.10199, Section 3.
    Differs: the scales of norms learn, too, as convolutional networks have few biases.
    """
    if mode.kind not in ("full", "bias", "last-blocks"):
        return set()
    blocks = blocks_of(network)
    if mode.kind == "full":
        return {name for block in blocks for name in block}
    if mode.kind == "bias":
        vectors = {name for name, parameter in network.named_parameters() if parameter.ndim <= 1}
        return vectors & {name for block in blocks for name in block}
    assert mode.size is not None
    if mode.size > len(blocks):
        raise invalid("tune", f"last-blocks:{mode.size}", f"last-blocks:1 to {len(blocks)}, or full")
    return {name for block in blocks[-mode.size :] for name in block}


def blocks_of(network: Any) -> list[list[str]]:
    """Names of the parameters of each block from stem to last, without the classifier.

    Blocks are timm's (those of its layer-wise learning rates); norms on their own belong to the block before.
    A tower that is not timm's has a stem and its own blocks; what follows them belongs to the last.
    """
    if not _is_timm(network):
        return _blocks_of_other_tower(network)
    from timm.models import group_parameters

    parameters = dict(network.named_parameters())
    own = {id(each) for part in _classifier_parts(network) for each in part.parameters()}
    groups = group_parameters(network, network.group_matcher(coarse=False))
    blocks: list[list[str]] = []
    for _, members in sorted(groups.items()):
        names = [name for name in members if id(parameters[name]) not in own]
        if blocks and all(parameters[name].ndim <= 1 for name in names):
            blocks[-1] += names
        else:
            blocks.append(names)
    return blocks


def _is_timm(network: Any) -> bool:
    return callable(getattr(network, "group_matcher", None))


def _blocks_of_other_tower(network: nn.Module) -> list[list[str]]:
    for title, child in network.named_children():
        if _is_timm(child):  # the projection after it belongs to the last block
            inner = [[f"{title}.{name}" for name in block] for block in blocks_of(child)]
            known = {name for block in inner for name in block}
            inner[-1] += [name for name, _ in network.named_parameters() if name not in known]
            return inner
    own = tower_of(network).blocks or tuple(
        each for child in network.children() if isinstance(child, nn.Sequential) for each in child
    )
    homes = {id(each): place for place, block in enumerate(own, start=1) for each in block.parameters()}
    blocks: list[list[str]] = [[] for _ in range(len(own) + 1)]
    for name, parameter in network.named_parameters():
        outside = -1 if name.partition(".")[0] in _AFTER_BLOCKS else 0
        blocks[homes.get(id(parameter), outside)].append(name)
    return blocks


def classifier_of(network: Any) -> nn.Linear:
    """The linear classifier of a timm network.

    Raises:
        InvalidArgument: the network ends in something else.
    """
    classifier = network.get_classifier()
    if not isinstance(classifier, nn.Linear):
        raise invalid(
            "backbone", type(network).__name__, "a network that ends in one linear classifier",
            f"This one ends in {type(classifier).__name__}.",
        )  # fmt: skip
    return classifier


def _classifier_parts(network: Any) -> list[nn.Module]:
    """The classifier of a timm network; towers of open_clip and transformers have none."""
    return [network.get_classifier()] if callable(getattr(network, "get_classifier", None)) else []


def num_learning(model: nn.Module) -> tuple[int, int]:
    """Number of parameters that learn, and of all parameters."""
    sizes = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(size for size, is_learning in sizes if is_learning), sum(size for size, _ in sizes)


def merge_additions(network: Any) -> Any:
    """Write LoRA, scales and shifts into the weights of a network, in place.

    Prompts and adapters cannot be merged, and stay.
    """
    for part in [part for part in network.modules() if parametrize.is_parametrized(part)]:
        for name in list(part.parametrizations):
            parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    if not any("lora_" in name for name, _ in network.named_parameters()):
        return network
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, part in list(network.named_modules()):
        if isinstance(part, BaseTunerLayer):
            part.merge()
            network.set_submodule(name, part.get_base_layer())
    return network
