"""Image-text models from open_clip, by architecture name or by a JSON configuration like open_clip's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noiseproof.backbones.bundled.bundled import image_tower, pair_weights
from noiseproof.backbones.bundled.bundled_files import LITE0, MINILM, PAIR, text_folder
from noiseproof.backbones.checkpoints.weights import load_exactly
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.backbones.texts.hugging_face import import_transformers, quiet
from noiseproof.core.errors import InvalidArgument, invalid
from noiseproof.core.registry import nearest, unknown_name
from noiseproof.core.rng import isolated
from noiseproof.core.storage.checksums import read_record
from noiseproof.core.torchvision_ops import import_beside_torchvision

SHIPPED = ("lite0-minilm", "resnet8-minilm")
_MINILM = f"bundled:{MINILM}"
Tokenizer = Callable[[Sequence[str]], Tensor]


def build_pair(model: str, *, image_size: int | None, lock_text: bool, seed: int) -> tuple[Any, Tokenizer]:
    """An open_clip model with fresh weights, and its tokenizer.

    A Hugging Face text tower is pre-trained, and so is an image tower whose configuration names a backbone as
    its `image_weights`, an entry of ours that open_clip does not have.

    Args:
        model: a name of `SHIPPED`, a path of a JSON configuration, or an open_clip architecture.
        image_size: height and width in pixels; `None` is that of the configuration.
        lock_text: keep a Hugging Face text tower as it is, but for its projection.
        seed: of the fresh weights.

    Raises:
        UnknownName: neither of the three.
        MissingExtra: open_clip, transformers or the package of the text tower is missing.
    """
    import_timm(f"Pre-training {model!r}")  # registers our small image towers
    open_clip = import_open_clip(f"Pre-training {model!r}")
    config = tower_config(model, open_clip)
    vision, text = dict(config["vision_cfg"]), dict(config["text_cfg"])
    vision["image_size"] = image_size or vision["image_size"]
    for key in ("hf_model_name", "hf_tokenizer_name"):
        if text.get(key) == _MINILM:
            text[key] = str(text_folder(MINILM))
    rest = {key: config[key] for key in ("quick_gelu", "init_logit_scale") if key in config}
    is_custom = bool(text.get("hf_model_name")) or config.get("custom_text", False)
    kind = open_clip.CustomTextCLIP if is_custom else open_clip.CLIP
    with isolated(seed, "init"), quiet():
        pair = kind(embed_dim=config["embed_dim"], vision_cfg=vision, text_cfg=text, **rest)
    if "image_weights" in config:
        load_exactly(pair.visual.trunk, _trunk(config).state_dict(), source=config["image_weights"])
    if lock_text:
        if not text.get("hf_model_name"):
            raise InvalidArgument(
                f"`lock_text` is True for {model!r}; allowed: models with a pre-trained text tower "
                "(`hf_model_name`). Next: --set lock_text=false."
            )
        pair.lock_text_tower()
    return pair.to(memory_format=torch.channels_last), _tokenizer(open_clip, text)


def tower_config(model: str, open_clip: Any) -> dict[str, Any]:
    """The JSON configuration that a name stands for."""
    if model in SHIPPED:
        return json.loads((resources.files("noiseproof.backbones.image_text") / f"{model}.json").read_text())
    if model.endswith(".json") and Path(model).is_file():
        config = read_record(Path(model), next_step="name the JSON of a model of open_clip")
        parts = ("embed_dim", "vision_cfg", "text_cfg")
        if not isinstance(config, dict) or not config.keys() >= set(parts):
            raise invalid("model", model, f"a JSON object with {', '.join(parts)}")
        return config
    config = open_clip.get_model_config(model)
    if config is None:
        near = [*SHIPPED, *nearest(model, open_clip.list_models())]
        raise unknown_name("image-text model", model, near, "Or give the path of an open_clip JSON file.")
    return config


def open_shipped_pair() -> tuple[Any, Tokenizer]:
    """`bundled:lite0-minilm`, both towers and what joins them, and its tokenizer."""
    pair, tokenizer = build_pair(PAIR, image_size=None, lock_text=True, seed=0)
    load_exactly(pair, pair.state_dict() | pair_weights(), source=f"bundled:{PAIR}")
    return pair.eval(), tokenizer


def _trunk(config: dict[str, Any]) -> Any:
    if config["image_weights"] != f"bundled:{LITE0}":
        raise invalid("image_weights", config["image_weights"], f"'bundled:{LITE0}'")
    return image_tower()


def import_open_clip(purpose: str) -> Any:
    """The module `open_clip`, or `MissingExtra`; its text towers need transformers."""
    open_clip = import_beside_torchvision("open_clip", extra="clip", purpose=purpose)
    import_transformers(purpose)
    return open_clip


def _tokenizer(open_clip: Any, text: dict[str, Any]) -> Tokenizer:
    length = text.get("context_length", 77)
    if text.get("hf_tokenizer_name"):
        return open_clip.tokenizer.HFTokenizer(text["hf_tokenizer_name"], context_length=length)
    return open_clip.tokenizer.SimpleTokenizer(context_length=length)
