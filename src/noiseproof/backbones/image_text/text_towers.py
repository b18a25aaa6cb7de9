"""Text towers that read learnable vectors in place of words: prompts, encoded without padding.

A prompt is a start token, m vectors that are learned, the name of a class with a full stop, and an end token.
The tower itself is frozen. Nothing behind the end token is computed: in a causal tower it cannot be seen, in
others it is masked, so that the directions are those of 77 tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from noiseproof.backbones.image_text.image_text_models import Tokenizer, open_shipped_pair
from noiseproof.backbones.image_text.open_clip_backbone import open_pair
from noiseproof.backbones.image_text.prompt_words import TEMPLATES, caption, class_words, mean_direction
from noiseproof.backbones.image_text.shared_space import USUAL_MODEL, check_has_text_tower
from noiseproof.core.errors import BadData, InvalidArgument, invalid

_MOST_AT_ONCE = 512  # prompts; of more, activations are computed again in the backward pass
_SUPPORTED = (
    "open_clip's causal text transformers that end in their end token, and Hugging Face text towers inside "
    "open_clip whose `forward` takes `inputs_embeds`"
)


class _ClipText(nn.Module):
    """open_clip's own text transformer after its token embedding.

    Args:
        text: `open_clip.CLIP`, which is one itself, or the `TextTransformer` in a `CustomTextCLIP`.
    """

    def __init__(self, text: Any) -> None:
        super().__init__()
        is_last_by_number = getattr(text, "text_pool_type", getattr(text, "pool_type", None)) == "argmax"
        self.end_token = (
            None if is_last_by_number else getattr(text, "text_eos_id", getattr(text, "eos_id", None))
        )
        self.transformer, self.ln_final = text.transformer, text.ln_final
        self.positions, self.projection = text.positional_embedding, text.text_projection
        self.token_embedding = text.token_embedding
        self.register_buffer("mask", text.attn_mask, persistent=False)
        self.mask: Tensor

    @property
    def most_tokens(self) -> int:
        return len(self.positions)

    def rows(self, tokens: Int[Tensor, "p t"]) -> list[Tensor]:
        """Each text up to its end token, which has the largest number where the model names none."""
        ends = tokens.argmax(-1) if self.end_token is None else (tokens == self.end_token).int().argmax(-1)
        return [row[: end + 1] for row, end in zip(tokens, ends.tolist(), strict=True)]

    def forward(self, embedded: Float[Tensor, "p l d"], lengths: Int[Tensor, " p"]) -> Float[Tensor, "p e"]:
        length = embedded.shape[1]
        hidden = self.transformer(
            embedded + self.positions[:length], attn_mask=self.mask[:length, :length].to(embedded.dtype)
        )
        # The norm sees one token at a time, so only the end tokens need it.
        pooled = self.ln_final(hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1])
        if self.projection is None:
            return pooled
        return self.projection(pooled) if isinstance(self.projection, nn.Module) else pooled @ self.projection


class _HuggingFaceText(nn.Module):
    """A Hugging Face text tower with open_clip's pooling and projection."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.transformer, self.pooler, self.projection = text.transformer, text.pooler, text.proj
        self.token_embedding = text.transformer.get_input_embeddings()
        self.pad_id = int(text.config.pad_token_id)
        self.most_tokens = int(getattr(text.config, "max_position_embeddings", 0)) or 512

    def rows(self, tokens: Int[Tensor, "p t"]) -> list[Tensor]:
        """Each text without its padding."""
        return [row[row != self.pad_id] for row in tokens]

    def forward(self, embedded: Float[Tensor, "p l d"], lengths: Int[Tensor, " p"]) -> Float[Tensor, "p e"]:
        places = torch.arange(embedded.shape[1], device=embedded.device)
        mask = (places < lengths[:, None]).long()
        hidden = self.transformer(inputs_embeds=embedded, attention_mask=mask)
        return self.projection(self.pooler(hidden, mask))


@final
class PromptTower(nn.Module):
    """The frozen text tower of an image-text model, for the classes of one data set.

    Args:
        model: of open_clip, `CLIP` or `CustomTextCLIP`.
        tokenizer: of that model.
        class_names: k names; underscores become spaces.
        name: of the model, for messages.

    Attributes:
        class_names: in words.
        context_dim: d, width of a learnable vector.
        scale: of cosines, exp(logit_scale).
        num_tokens: of the longest prompt, apart from its learnable vectors.

    Raises:
        BadData: names that are missing or equal, or too long for the tower.
        InvalidArgument: a tower without an entry for token embeddings.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, class_names: Sequence[str], *, name: str) -> None:
        super().__init__()
        self.class_names = class_words(class_names)
        self.name = name
        self._text = _text_of(model, name)
        self._tokenizer = tokenizer
        self._rows = self._text.rows(tokenizer([f"{word}." for word in self.class_names]))
        self._num_before = _num_start_tokens(tokenizer, self._rows)
        self.context_dim = int(self._text.token_embedding.embedding_dim)
        self.scale = float(model.logit_scale.detach().exp())
        self.num_tokens = max(map(len, self._rows))
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> PromptTower:  # noqa: FBT001, FBT002  torch calls it so
        """Nothing: it is frozen, dropout included."""
        return self

    def encode(
        self, contexts: Float[Tensor, "c m d"], *, pad_to: int | None = None
    ) -> Float[Tensor, "c k e"]:
        """A direction of each class for each learnable context; gradients flow to the contexts.

        Args:
            contexts: m learnable vectors each, shared by all classes.
            pad_to: tokens, as published (77); the result is the same and takes longer.

        Returns:
            Unit length.

        Raises:
            BadData: a class name that is too long beside m vectors.
        """
        num_contexts, num_learned, _ = contexts.shape
        self._check_length(num_learned)
        length = max(self.num_tokens + num_learned, pad_to or 0)
        of_words, lengths = self._embedded(self._rows, length - num_learned)
        before, after = of_words[:, : self._num_before], of_words[:, self._num_before :]
        k = len(self._rows)
        prompts = torch.cat(
            [
                before.expand(num_contexts, *before.shape),
                contexts[:, None].expand(-1, k, -1, -1).to(of_words.dtype),
                after.expand(num_contexts, *after.shape),
            ],
            dim=2,
        )
        directions = self._directions(prompts.flatten(0, 1), (lengths + num_learned).repeat(num_contexts))
        return directions.view(num_contexts, k, -1)

    def directions(self, templates: Sequence[str] = TEMPLATES) -> Float[Tensor, "k e"]:
        """A direction of each class for zero-shot use: the mean over templates such as "a photo of a {}."."""
        with torch.no_grad():
            return torch.stack([self._mean_over(word, templates) for word in self.class_names])

    def _mean_over(self, word: str, templates: Sequence[str]) -> Float[Tensor, " e"]:
        rows = self._text.rows(self._tokenizer([caption(word, template) for template in templates]))
        return mean_direction(self._directions(*self._embedded(rows, max(map(len, rows)))))

    def _embedded(self, rows: list[Tensor], length: int) -> tuple[Tensor, Tensor]:
        """Token embeddings of texts, with zeros behind them, and how many tokens each has."""
        device = self._text.token_embedding.weight.device
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
        padded = nn.functional.pad(tokens, (0, length - tokens.shape[1]))
        return self._text.token_embedding(padded), torch.tensor([len(row) for row in rows], device=device)

    def _directions(
        self, prompts: Float[Tensor, "p l d"], lengths: Int[Tensor, " p"]
    ) -> Float[Tensor, "p e"]:
        if len(prompts) <= _MOST_AT_ONCE:
            return nn.functional.normalize(self._text(prompts, lengths), dim=-1)
        parts = zip(prompts.split(_MOST_AT_ONCE), lengths.split(_MOST_AT_ONCE), strict=True)
        found = [checkpoint(self._text, *part, use_reentrant=False) for part in parts]
        return nn.functional.normalize(torch.cat(found), dim=-1)

    def _check_length(self, num_learned: int) -> None:
        most = self._text.most_tokens
        long = [
            word
            for word, row in zip(self.class_names, self._rows, strict=True)
            if len(row) + num_learned > most
        ]
        if long:
            raise BadData(
                f"The class name {long[0]!r} and {num_learned} learnable vectors do not fit into the {most} "
                f"tokens of {self.name!r} ({len(long)} such names). Next: shorten the name."
            )


def open_prompt_tower(name: str, class_names: Sequence[str]) -> PromptTower:
    """The text tower of an image-text model by its name as a backbone.

    Args:
        name: `bundled:lite0-minilm`, or `open_clip:ARCH/TAG`, where the tag may be the path of a whole
            model's weights.
        class_names: k names.

    Raises:
        InvalidArgument: an encoder that reads no text, or no token embeddings.
        UnknownName: no such model.
        BadData: see `PromptTower`.
    """
    check_has_text_tower(name)
    if name == USUAL_MODEL:
        model, tokenizer = open_shipped_pair()
    else:
        model, tokenizer = open_pair(name.partition(":")[2])
    return PromptTower(model, tokenizer, class_names, name=name)


def _text_of(model: Any, name: str) -> Any:
    """The text half of a model, by what it offers."""
    text = getattr(model, "text", model)
    if hasattr(text, "pooler") and hasattr(text, "proj"):
        return _HuggingFaceText(_checked_hugging_face(text, name))
    for attribute in ("token_embedding", "positional_embedding", "ln_final", "transformer"):
        if not hasattr(text, attribute):
            raise _unsupported(text, name, f"it has no `{attribute}`")
    pooling = getattr(text, "pool_type", getattr(text, "text_pool_type", None))
    if getattr(text, "attn_mask", None) is None or getattr(text, "cls_emb", None) is not None:
        raise _unsupported(text, name, "it is not causal, or has a class token behind the text")
    if pooling not in ("argmax", "eos"):
        raise _unsupported(text, name, f"its pooling is {pooling!r}, not that of the end token")
    return _ClipText(text)


def _checked_hugging_face(text: Any, name: str) -> Any:
    if "inputs_embeds" not in inspect.signature(text.transformer.forward).parameters:
        raise _unsupported(text.transformer, name, "its `forward` takes no `inputs_embeds`")
    try:
        text.transformer.get_input_embeddings()
    except (AttributeError, NotImplementedError) as error:
        raise _unsupported(text.transformer, name, "it names no table of token embeddings") from error
    return text


def _unsupported(text: Any, name: str, why: str) -> InvalidArgument:
    return invalid(
        "text_tower", name, _SUPPORTED,
        f"The tower is a {type(text).__name__}, and {why}. Next: take a model with another text tower.",
    )  # fmt: skip


def _num_start_tokens(tokenizer: Any, rows: list[Tensor]) -> int:
    """1 where texts begin with a token of their own, as they do except in the T5 family."""
    words = getattr(tokenizer, "tokenizer", None)  # of Hugging Face; CLIP's own always has one
    return 1 if words is None or int(rows[0][0]) in words.all_special_ids else 0
