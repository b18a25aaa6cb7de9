"""What a detector needs beside the probabilities that the user gives."""

from __future__ import annotations

from noiseproof.config.detect import DetectConfig
from noiseproof.detect.detectors import AUTO, has_inputs


def needs_features(config: DetectConfig) -> bool:
    """Whether the method needs features beside the given probabilities; encoding takes minutes."""
    if config.features is not None or config.backbone:
        return True
    given = _given_probs(config)
    return not (given if config.method == AUTO else has_inputs(given, config.method, config.method_options))


def needs_text_tower(config: DetectConfig) -> bool:
    """Whether the method needs an image-text model beside features and given probabilities."""
    inputs = [*_given_probs(config), "features"]
    return config.method != AUTO and not has_inputs(inputs, config.method, config.method_options)


def _given_probs(config: DetectConfig) -> list[str]:
    """Names of the probabilities that the user gives."""
    return [name for name in ("probs", "zero_shot") if getattr(config, name) is not None]
