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
_BEHIND = ("ln_post", "proj", "attn_pool", "attnpool", "layernorm", "pooler")  # in open_clip, transformers
MODES = (
    "full", "last-blocks:N", "bias", "lora", "vpt-deep[:N]", "vpt-shallow[:N]", "adapter[:N]", "ssf", "head",
)  # fmt: skip


@dataclass(frozen=True)
class Tune:
    """What learns besides the classifier.

    Attributes:
        mode: "full", "last-blocks", "bias", "lora", "head", or the name of an addition.
        size: number of blocks, of prompt tokens, or inner width of adapters.
    """

    mode: str
    size: int | None = None

    @classmethod
    def parse(cls, text: str) -> Tune:
        """As users write it.

        Raises:
            InvalidArgument: with what is allowed.
        """
        mode, colon, number = text.partition(":")
        is_sized = re.fullmatch(r"[1-9]\d*", number) is not None
        if mode in _PLAIN and not colon:
            return cls(mode)
        if mode in SIZES and (not colon or (is_sized and SIZES[mode] is not None)):
            return cls(mode, int(number) if colon else SIZES[mode])
        if mode == "last-blocks" and is_sized:
            return cls(mode, int(number))
        raise invalid("tune", text, f"{', '.join(MODES)} with N from 1")

    @property
    def addition(self) -> Addition | None:
        """What is put into the frozen network, where that is the mode; LoRA is a thing of its own."""
        return Addition(self.mode, self.size) if self.mode in SIZES else None

    @property
    def has_own_weights(self) -> bool:
        """Whether something stays beside the weights of the network."""
        return self.addition is not None and not self.addition.is_merged


class Tuned(nn.Module):
    """A network of which some parts may be frozen; those stay in evaluation mode, too.

    Else the running statistics of a frozen batch normalisation would go on changing.

    Args:
        network: images -> logits; `requires_grad` of its parameters says what learns.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.train()

    def train(self, mode: bool = True) -> Tuned:  # noqa: FBT001, FBT002  as torch has it
        """Set the mode of all parts that have something to learn."""
        super().train(mode)
        for part in self.network.modules():
            parameters = list(part.parameters())
            if parameters and not any(each.requires_grad for each in parameters):
                part.eval()
            if parametrize.is_parametrized(part):  # frozen itself: only what scales and shifts it learns
                part.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.network(images)


def tuned(network: Any, tune: Tune, *, lora_rank: int, lora_alpha: int, seed: int) -> Tuned:
    """A network, changed in place, whose classifier and some of its other parameters learn.

    Args:
        network: of timm, with a classifier.
        tune: what learns.
        lora_rank: of mode "lora".
        lora_alpha: likewise.
        seed: of first values of what is added.

    Raises:
        InvalidArgument: more blocks than there are, a network that an addition is not for.
        MissingExtra: peft is not installed.
    """
    classifier = classifier_of(network)
    tune_encoder(network, tune, lora_rank=lora_rank, lora_alpha=lora_alpha, seed=seed)
    classifier.requires_grad_(True)
    return Tuned(network)


def tune_encoder(network: Any, tune: Tune, *, lora_rank: int, lora_alpha: int, seed: int) -> None:
    """Let some of the parameters of an image tower learn, in place; none of its classifier.

    Args:
        network: of timm, with or without a classifier, or of open_clip (`model.visual`) or transformers.
        tune, lora_rank, lora_alpha, seed: as in `tuned`.
    """
    if tune.mode == "lora":
        network.requires_grad_(False)
        add_low_rank(
            network, without=_classifier_parts(network), rank=lora_rank, alpha=lora_alpha, seed=seed
        )  # fmt: skip
        return
    names = learning_names(network, tune)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in names)
    if tune.addition is not None:
        add_to(network, tune.addition, seed=seed)


def learning_names(network: Any, tune: Tune) -> set[str]:
    """Names of the parameters outside the classifier that learn, without "lora" and before additions.

    Source: "bias" is Ben Zaken et al. 2022, arXiv:2106.10199, Section 3.
    Differs: the scales of norms learn, too, as convolutional networks have few biases.
    """
    if tune.mode not in ("full", "bias", "last-blocks"):
        return set()
    blocks = blocks_of(network)
    if tune.mode == "full":
        return {name for block in blocks for name in block}
    if tune.mode == "bias":
        vectors = {name for name, parameter in network.named_parameters() if parameter.ndim <= 1}
        return vectors & {name for block in blocks for name in block}
    assert tune.size is not None
    if tune.size > len(blocks):
        raise invalid("tune", f"last-blocks:{tune.size}", f"last-blocks:1 to {len(blocks)}, or full")
    return {name for block in blocks[-tune.size :] for name in block}


def blocks_of(network: Any) -> list[list[str]]:
    """Names of the parameters of each block from stem to last, without the classifier.

    Blocks are timm's (those of its layer-wise learning rates); norms on their own belong to the block before.
    A tower that is not timm's has a stem and its own blocks; what follows them belongs to the last.
    """
    if not _is_timm(network):
        return _blocks_of_another(network)
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


def _blocks_of_another(network: nn.Module) -> list[list[str]]:
    for title, child in network.named_children():
        if _is_timm(child):  # what is behind it, a projection, belongs to the last block
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
        outside = -1 if name.partition(".")[0] in _BEHIND else 0
        blocks[homes.get(id(parameter), outside)].append(name)
    return blocks


def classifier_of(network: Any) -> nn.Linear:
    """The one linear layer that ends a timm network.

    Raises:
        InvalidArgument: it ends otherwise.
    """
    classifier = network.get_classifier()
    if not isinstance(classifier, nn.Linear):
        raise invalid(
            "backbone", type(network).__name__, "a network that ends in one linear classifier",
            f"This one ends in {type(classifier).__name__}.",
        )  # fmt: skip
    return classifier


def _classifier_parts(network: Any) -> list[nn.Module]:
    """The classifier, where there is one; towers of open_clip and transformers have none."""
    return [network.get_classifier()] if callable(getattr(network, "get_classifier", None)) else []


def num_learning(model: nn.Module) -> tuple[int, int]:
    """How many numbers learn, and of how many."""
    sizes = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(size for size, is_learning in sizes if is_learning), sum(size for size, _ in sizes)


def merged(network: Any) -> Any:
    """The network, changed in place, with LoRA, scales and shifts written into its weights.

    Prompts and adapters cannot be, and stay; without any of these it is as it was.
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
