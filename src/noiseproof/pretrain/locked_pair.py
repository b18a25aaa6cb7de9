"""Image-text models with locked towers: the part that is trained, and its input for texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.backbones.image_text.image_text_models import Tokenizer


class LockedPair(nn.Module):
    """Projection of a locked text tower, and an image tower or its projection.

    A locked tower is left out, since its output for each caption or image is computed once; the names of the
    weights are those of the whole open_clip model.

    Args:
        pair: an open_clip model with a Hugging Face text tower.
        is_image_locked: the image tower, one of timm's, is locked, too: images are its features.
    """

    def __init__(self, pair: Any, *, is_image_locked: bool = False) -> None:
        super().__init__()
        self._is_image_locked = is_image_locked
        self.visual = nn.ModuleDict({"head": pair.visual.head}) if is_image_locked else pair.visual
        self.text = nn.ModuleDict({"proj": pair.text.proj})
        self.logit_scale = pair.logit_scale

    def forward(self, images: Tensor, text: Float[Tensor, "b t"]) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised image and text features, and the scale of their products."""
        image_features = self.encode_image(images, normalize=True)
        return image_features, self.encode_text(text, normalize=True), self.logit_scale.exp()

    def encode_image(self, images: Tensor, *, normalize: bool) -> Float[Tensor, "b e"]:
        """Image features in the shared space; the input of a locked image tower is its features."""
        features = self.visual["head"](images) if self._is_image_locked else self.visual(images)
        return nn.functional.normalize(features, dim=-1) if normalize else features

    def encode_text(self, text: Float[Tensor, "b t"], *, normalize: bool) -> Float[Tensor, "b e"]:
        """Text features in the shared space, of the output of `text_rows`."""
        features = self.text["proj"](text)
        return nn.functional.normalize(features, dim=-1) if normalize else features


def text_rows(pair: Any, tokenizer: Tokenizer, texts: Sequence[str], *, is_locked: bool) -> Tensor:
    """Input of the model for each text: its tokens, or the fixed output of a locked text tower."""
    tokens = tokenizer(list(texts))
    if not is_locked:
        return tokens
    was_training = pair.training
    pair.eval()
    rows = []
    with torch.no_grad():
        for chunk in tokens.split(256):
            mask = (chunk != pair.text.config.pad_token_id).long()
            rows.append(pair.text.pooler(pair.text.transformer(input_ids=chunk, attention_mask=mask), mask))
    pair.train(was_training)
    return torch.cat(rows)
