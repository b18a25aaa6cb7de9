"""What a fitted head needs to classify new examples: class names, encoders, precision."""

from __future__ import annotations

from collections.abc import Sequence

from noiseproof.config.data import ExtractionConfig
from noiseproof.heads.abstract import AbstractHead
from noiseproof.heads.saved_heads import EncoderNeed, HeadNeeds
from noiseproof.pipelines.inputs.encoding import Encoder


def head_needs(
    config: ExtractionConfig, encoder: Encoder, head: AbstractHead, class_names: Sequence[str]
) -> HeadNeeds:
    """What a fitted head needs to classify new examples.

    Args:
        config: of the features that it was trained on.
        encoder: whose features they are.
        head: with class ids as its classes.
        class_names: of all class ids.
    """
    names = tuple(class_names[number] for number in (head.classes_ if head.has_classes else ()))
    encoders = tuple(
        EncoderNeed(
            **identity.model_dump(include=set(EncoderNeed.model_fields)),
            max_tokens=config.max_tokens if identity.kind == "text" else None,
        )
        for identity in encoder.identities
    )
    return HeadNeeds(class_names=names, encoders=encoders, precision=config.precision, dtype=config.dtype)
