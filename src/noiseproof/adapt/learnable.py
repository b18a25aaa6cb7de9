"""Which parameters of a network learn: all, the last blocks, the vectors, low-rank additions, or the head."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from noiseproof.errors import invalid, missing_extra
from noiseproof.rng import isolated

_MODES = ("full", "last-blocks:N", "bias", "lora", "head")


@dataclass(frozen=True)
class Tune:
    """What learns besides the classifier.

    Attributes:
        mode: "full", "last-blocks", "bias", "lora" or "head".
        num_blocks: of "last-blocks".
    """

    mode: str
    num_blocks: int | None = None

    @classmethod
    def parse(cls, text: str) -> Tune:
        """As users write it.

        Raises:
            InvalidArgument: with what is allowed.
        """
        match = re.fullmatch(r"last-blocks:([1-9]\d*)", text)
        if match:
            return cls("last-blocks", int(match[1]))
        if text not in _MODES or text == "last-blocks:N":
            raise invalid("tune", text, f"{', '.join(_MODES)} with N from 1")
        return cls(text)


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
        seed: of the first low-rank matrices.

    Raises:
        InvalidArgument: more blocks than there are.
        MissingExtra: peft is not installed.
    """
    if tune.mode == "lora":
        _add_low_rank(network, rank=lora_rank, alpha=lora_alpha, seed=seed)
    else:
        names = learning_names(network, tune)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in names)
    classifier_of(network).requires_grad_(True)
    return Tuned(network)


def learning_names(network: Any, tune: Tune) -> set[str]:
    """Names of the parameters outside the classifier that learn, without "lora".

    Source: "bias" is Ben Zaken et al. 2022, arXiv:2106.10199, Section 3.
    Differs: the scales of norms learn, too, as convolutional networks have few biases.
    """
    blocks = blocks_of(network)
    if tune.mode == "full":
        return {name for block in blocks for name in block}
    if tune.mode == "bias":
        vectors = {name for name, parameter in network.named_parameters() if parameter.ndim <= 1}
        return vectors & {name for block in blocks for name in block}
    if tune.mode == "last-blocks":
        assert tune.num_blocks is not None
        if tune.num_blocks > len(blocks):
            raise invalid(
                "tune", f"last-blocks:{tune.num_blocks}", f"last-blocks:1 to {len(blocks)}, or full"
            )
        return {name for block in blocks[-tune.num_blocks :] for name in block}
    return set()


def blocks_of(network: Any) -> list[list[str]]:
    """Names of the parameters of each block from stem to last, without the classifier.

    Blocks are timm's (those of its layer-wise learning rates); norms on their own belong to the block before.
    """
    from timm.models import group_parameters

    parameters = dict(network.named_parameters())
    own = {id(parameter) for parameter in classifier_of(network).parameters()}
    groups = group_parameters(network, network.group_matcher(coarse=False))
    blocks: list[list[str]] = []
    for _, members in sorted(groups.items()):
        names = [name for name in members if id(parameters[name]) not in own]
        if blocks and all(parameters[name].ndim <= 1 for name in names):
            blocks[-1] += names
        else:
            blocks.append(names)
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


def _add_low_rank(network: Any, *, rank: int, alpha: int, seed: int) -> None:
    r"""Freeze the network and add $\frac{\alpha}{r} B A$ to every matrix and ungrouped filter of the encoder.

    Source: Hu et al. 2021, arXiv:2106.09685v2, Section 4.1, through peft.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "peft", "adapt", "`tune` = 'lora'") from error
    classifier = classifier_of(network)
    names = [
        name
        for name, part in network.named_modules()
        if part is not classifier and (isinstance(part, nn.Linear) or _is_ungrouped(part))
    ]
    targets = "|".join(map(re.escape, names))  # as one expression, since names in a list match as endings
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets)
    with isolated(seed, "init", "lora"):
        inject_adapter_in_model(config, network)


def _is_ungrouped(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv2d) and part.groups == 1


def merged(network: Any) -> Any:
    """The network, changed in place, with what LoRA learned added to its matrices; without LoRA as it is."""
    if not any("lora_" in name for name, _ in network.named_parameters()):
        return network
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, part in list(network.named_modules()):
        if isinstance(part, BaseTunerLayer):
            part.merge()
            network.set_submodule(name, part.get_base_layer())
    return network


def num_learning(model: nn.Module) -> tuple[int, int]:
    """How many numbers learn, and of how many."""
    sizes = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(size for size, is_learning in sizes if is_learning), sum(size for size, _ in sizes)
