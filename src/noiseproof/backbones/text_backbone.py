"""Frozen text encoders: tokens in, one vector per text out, whatever library the transformer is from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from noiseproof.backbones.base import AbstractTorchBackbone
from noiseproof.backbones.weights import hash_weights
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import Kind

_ABSENT = -1  # in place of a token behind the end of a text
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
        reads_types: whether the model tells the first text of a pair from the second.
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
        self.dim = int(model.config.hidden_size)
        self.reads_types, self.has_unit_length = reads_types, has_unit_length

    def forward(self, batch: Int[Tensor, "b 2 t"]) -> Float[Tensor, "b d"]:
        """Features of token numbers and their types; numbers below 0 are no tokens."""
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
    padding is masked, and so the positions of the tokens are those of a single text.

    Args:
        name: as the user wrote it.
        tokenizer: of the library `tokenizers`; changed in place.
        module: from token numbers to features.
        layer: name of the pooling.
        most_tokens: longest text; of longer ones the end is cut off.

    Attributes:
        most_tokens: see above.
    """

    kind: Kind = "text"
    free_axes = (2,)

    def __init__(
        self, name: str, *, tokenizer: Any, module: PooledTransformer, layer: str, most_tokens: int
    ) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(most_tokens)
        self.name, self.layer, self.module = name, layer, module.eval().requires_grad_(requires_grad=False)
        self.dim = module.dim
        self.most_tokens, self._tokenizer = most_tokens, tokenizer
        self.weights_hash = hash_weights(module)
        of_tokenizer = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
        length = ", unit length" if module.has_unit_length else ""
        self.transform = f"tokenizer {of_tokenizer}, {most_tokens} tokens{length}"

    def prepare(self, example: str | tuple[str, str]) -> Int[np.ndarray, "2 t"]:
        """Numbers of the tokens, and for pairs of texts which of the two each token is of."""
        found = self._encoded(example)
        if not found.ids:
            raise BadData("the text has no tokens")
        return np.array([found.ids, found.type_ids], np.int64)

    def stack(self, prepared: Sequence[np.ndarray]) -> Int[np.ndarray, "b 2 t"]:
        """A batch, as long as its longest text."""
        batch = np.zeros((len(prepared), 2, max(each.shape[1] for each in prepared)), np.int64)
        batch[:, 0] = _ABSENT
        for row, each in zip(batch, prepared, strict=True):
            row[:, : each.shape[1]] = each
        return batch

    def is_cut(self, example: str | tuple[str, str]) -> bool:
        """Whether a text is longer than the encoder reads."""
        num_characters = sum(map(len, (example,) if isinstance(example, str) else example))
        # A token is a byte at least, and a character at most four.
        return 4 * num_characters + 4 > self.most_tokens and bool(self._encoded(example).overflowing)

    def encode(self, batch: Int[np.ndarray, "b 2 t"]) -> Float[np.ndarray, "b d"]:
        """Features by eager PyTorch on the CPU."""
        with torch.inference_mode():
            return self.module.cpu()(torch.from_numpy(batch)).float().numpy()

    def _encoded(self, example: str | tuple[str, str]) -> Any:
        texts = (example,) if isinstance(example, str) else example
        return self._tokenizer.encode(*texts)


def check_pooling(layer: str | None) -> None:
    """Refuse a layer that is no pooling.

    Raises:
        InvalidArgument: it is none of `POOLINGS`.
    """
    if layer is not None and layer not in POOLINGS:
        raise invalid("layer", layer, f"one of {', '.join(POOLINGS)} for a text encoder")
