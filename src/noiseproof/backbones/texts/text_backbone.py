"""Frozen text encoders: tokens in, one vector per text out, whatever library the transformer is from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from noiseproof.backbones.base import AbstractTorchBackbone
from noiseproof.backbones.checkpoints.weights import hash_weights
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import Kind

_ABSENT = -1  # in place of a token behind the end of a text
# Texts up to this length are not padded. The lengths of others are multiples of the step, or hardly two would
# be encoded together; with PyTorch all are, whose matrix products of fewer rows are summed in another order.
_MOST_UNPADDED = 64
_LENGTH_STEP = 8
Hidden = Float[Tensor, "b t d"]
IsToken = Bool[Tensor, "b t"]


def _first(hidden: Hidden, is_token: IsToken) -> Float[Tensor, "b d"]:
    return hidden[:, 0]


def _last(hidden: Hidden, is_token: IsToken) -> Float[Tensor, "b d"]:
    last = is_token.sum(1) - 1
    return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]


def _mean(hidden: Hidden, is_token: IsToken) -> Float[Tensor, "b d"]:
    weights = is_token[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def _max(hidden: Hidden, is_token: IsToken) -> Float[Tensor, "b d"]:
    return hidden.masked_fill(~is_token[..., None], torch.finfo(hidden.dtype).min).amax(1)


# Name of the layer -> one vector from those of all tokens of the last layer.
POOLINGS: dict[str, Callable[[Hidden, IsToken], Float[Tensor, "b d"]]] = {
    "cls": _first,
    "mean": _mean,
    "last": _last,
    "max": _max,
}


class PooledTransformer(nn.Module):
    """A transformer of Hugging Face and the pooling behind it.

    Args:
        model: returns `last_hidden_state`.
        pooling: a name of `POOLINGS`.
        pad_token: what stands behind the end of a text; it is masked.
        reads_types: whether the model distinguishes the two texts of a pair.
        has_unit_length: scale features to unit length.
    """

    def __init__(
        self,
        model: Any,
        pooling: str,
        *,
        pad_token: int,
        reads_types: bool,
        has_unit_length: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.pooling, self.pad_token = model, pooling, pad_token
        self.reads_types, self.has_unit_length = reads_types, has_unit_length

    def forward(self, batch: Int[Tensor, "b m t"]) -> Float[Tensor, "b d"]:
        """Features of token numbers and their types; numbers below 0 are no tokens.

        Args:
            batch: m = 2: numbers and types of one text each; m = 4: of two texts that are encoded apart.
        """
        if len(batch) == 1:  # a product with one row is summed in another order than one with several
            return self(batch.repeat(2, 1, 1))[:1]
        if batch.shape[1] == 2:
            return self._encoded(batch)
        # Conneau et al. 2017, arXiv:1705.02364, Section 3.1.
        u, v = self._encoded(batch[:, :2]), self._encoded(batch[:, 2:])
        return torch.cat([u, v, (u - v).abs(), u * v], dim=1)

    def _encoded(self, batch: Int[Tensor, "b 2 t"]) -> Float[Tensor, "b d"]:
        tokens, types = batch.unbind(1)
        is_token = tokens >= 0
        given = {"token_type_ids": types} if self.reads_types else {}
        hidden = self.model(
            input_ids=tokens.masked_fill(~is_token, self.pad_token), attention_mask=is_token.long(), **given
        ).last_hidden_state
        features = POOLINGS[self.pooling](hidden, is_token)
        return nn.functional.normalize(features, dim=-1) if self.has_unit_length else features


class TextBackbone(AbstractTorchBackbone):
    """A transformer with its tokenizer. Texts are padded on the right, whatever the tokenizer would do:
    padding is masked, and so the positions of the tokens are those of a single text. How far a text is
    padded depends on itself only: in batches of one length its features are the same bytes beside any others,
    with PyTorch if they are `lengthened`.

    Args:
        name: as the user wrote it.
        tokenizer: of the library `tokenizers`; changed in place.
        module: from token numbers to features.
        layer: name of the pooling.
        most_tokens: longest text; of longer ones the end is cut off.
        has_joint_pairs: whether pairs of texts are one input, as in the training of BERT; else their features
            are [u, v, |u - v|, u v] of those of the two texts.
    """

    kind: Kind = "text"
    free_axes = (2,)

    def __init__(
        self,
        name: str,
        *,
        tokenizer: Any,
        module: PooledTransformer,
        layer: str,
        most_tokens: int,
        has_joint_pairs: bool,
    ) -> None:
        tokenizer.no_padding()
        self.name, self.layer, self.module = name, layer, module.eval().requires_grad_(requires_grad=False)
        self.dim = None  # of pairs that are encoded apart four times as wide
        self._has_joint_pairs = has_joint_pairs
        self._num_known = _num_known_tokens(module.model)
        self._tokenizer, self._longest_input = tokenizer, most_tokens
        self.weights_hash = hash_weights(module)
        self._set_longest(most_tokens)

    def _set_longest(self, most_tokens: int) -> None:
        self.most_tokens = most_tokens
        self._tokenizer.enable_truncation(most_tokens)
        of_tokenizer = hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()
        length = ", unit length" if self.module.has_unit_length else ""
        pairs = "one input" if self._has_joint_pairs else "u, v, |u - v|, u v"
        tokens = f"{most_tokens} tokens, padded beyond {_MOST_UNPADDED} to multiples of {_LENGTH_STEP}"
        self.transform = f"tokenizer {of_tokenizer}, {tokens}{length}; pairs: {pairs}"

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer as `tokenizers.Tokenizer.from_str` reads it, longest text included."""
        return str(self._tokenizer.to_str())

    def limit_tokens(self, max_tokens: int) -> None:
        """Cut texts off after fewer tokens than the encoder could read.

        Raises:
            InvalidArgument: more than it can read.
        """
        if max_tokens > self.most_tokens:
            raise invalid(
                "max_tokens", max_tokens, f"at most {self.most_tokens}, all that {self.name} reads",
                "Next: leave it out, or name an encoder for longer texts.",
            )  # fmt: skip
        self._set_longest(max_tokens)

    def prepare(self, example: str | tuple[str, str]) -> Int[np.ndarray, "m t"]:
        """Numbers of the tokens and their types, of one input or of two texts that are encoded apart."""
        inputs = self._tokens(example)
        if not all(found.ids for found in inputs):
            raise BadData("the text has no tokens")
        largest = max(max(found.ids) for found in inputs)
        if self._num_known is not None and largest >= self._num_known:
            raise BadData(
                f"the tokenizer gives the number {largest}, and the model knows {self._num_known} tokens, so "
                "the two do not belong together"
            )
        return self._padded([row for found in inputs for row in (found.ids, found.type_ids)])

    def stack(self, prepared: Sequence[np.ndarray]) -> Int[np.ndarray, "b m t"]:
        """A batch, as long as its longest text."""
        shape = len(prepared), prepared[0].shape[0], max(each.shape[1] for each in prepared)
        batch = np.zeros(shape, np.int64)
        batch[:, ::2] = _ABSENT
        for row, each in zip(batch, prepared, strict=True):
            row[:, : each.shape[1]] = each
        return batch

    def is_cut(self, example: str | tuple[str, str]) -> bool:
        """Whether a text is longer than the encoder reads."""
        texts = (example,) if isinstance(example, str) else example
        # A token is a character at least, where a tokenizer replaces none by several.
        if all(map(str.isascii, texts)) and sum(map(len, texts)) + 4 <= self.most_tokens:
            return False
        return any(found.overflowing for found in self._tokens(example))

    def encode(self, batch: Int[np.ndarray, "b m t"]) -> Float[np.ndarray, "b d"]:
        """Features by eager PyTorch on the CPU."""
        with torch.inference_mode():
            return self.module.cpu()(torch.from_numpy(self.lengthened(batch))).float().numpy()

    def lengthened(self, batch: Int[np.ndarray, "b m t"]) -> Int[np.ndarray, "b m u"]:
        """The batch with padding up to a multiple of eight tokens, u."""
        num_more = self._padded_length(batch.shape[2], _LENGTH_STEP) - batch.shape[2]
        longer = np.pad(batch, ((0, 0), (0, 0), (0, num_more)))
        longer[:, ::2, batch.shape[2] :] = _ABSENT
        return longer

    def _tokens(self, example: str | tuple[str, str]) -> list[Any]:
        if isinstance(example, str):
            return [self._tokenizer.encode(example)]
        if self._has_joint_pairs:
            return [self._tokenizer.encode(*example)]
        return [self._tokenizer.encode(text) for text in example]

    def _padded(self, rows: Sequence[Sequence[int]]) -> Int[np.ndarray, "m t"]:
        """Numbers of tokens and their types in turn, with `_ABSENT` behind the end of each text."""
        longest = max(map(len, rows))
        step = 1 if longest <= _MOST_UNPADDED else _LENGTH_STEP
        padded = np.zeros((len(rows), self._padded_length(longest, step)), np.int64)
        padded[::2] = _ABSENT
        for row, values in zip(padded, rows, strict=True):
            row[: len(values)] = values
        return padded

    def _padded_length(self, length: int, step: int) -> int:
        return min(length + -length % step, self._longest_input)


def _num_known_tokens(model: Any) -> int | None:
    with suppress(AttributeError, NotImplementedError):  # a model that names no table of embeddings
        return int(model.get_input_embeddings().num_embeddings)
    return None


def check_pooling(layer: str | None) -> None:
    """Refuse a layer that is no pooling.

    Raises:
        InvalidArgument: it is none of `POOLINGS`.
    """
    if layer is not None and layer not in POOLINGS:
        raise invalid("layer", layer, f"one of {', '.join(POOLINGS)} for a text encoder")
