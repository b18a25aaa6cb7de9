"""Names of image-text models, and their layer that is compared with text; nothing here loads PyTorch."""

from __future__ import annotations

from noiseproof.backbones.bundled.bundled_files import PAIR
from noiseproof.core.errors import invalid

USUAL_MODEL = f"bundled:{PAIR}"
SHARED_SPACE = "projected"  # the layer of images that are compared with text


def has_text_tower(name: str) -> bool:
    """Whether a backbone of this name is the image half of an image-text model."""
    return name == USUAL_MODEL or name.startswith("open_clip:")


def shares_space(name: str, layer: str | None) -> bool:
    """Whether features of this backbone are compared with text; `None` is the layer it has by default."""
    is_projected = layer == SHARED_SPACE or (layer is None and name == USUAL_MODEL)
    return is_projected and has_text_tower(name)


def check_has_text_tower(name: str) -> None:
    """Raise unless the backbone is the image half of an image-text model."""
    if not has_text_tower(name):
        raise invalid(
            "text_tower", name, f"{USUAL_MODEL} or open_clip:ARCH/TAG",
            "Other encoders have no text tower. Next: name an image-text model, whose projected features "
            f"(layer {SHARED_SPACE!r}) go with it.",
        )  # fmt: skip


def check_shared_layer(layer: str) -> None:
    """Raise unless features of this layer are in the space of the text; equal widths do not prove it."""
    if layer != SHARED_SPACE:
        raise invalid(
            "layer", layer, f"{SHARED_SPACE!r} where features are compared with text",
            "Next: extract them anew with --layer projected.",
        )  # fmt: skip
