"""An image-text model of open_clip's with a few thousand random numbers beside its table of tokens."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from noiseproof.backbones.images.timm_models import import_timm

NAME = "tiny-clip-16px"
CONFIG = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


def tiny_clip(folder: Path) -> str:
    """Its name as a backbone; the weights are in the folder, the same in every process."""
    import_timm("a test")
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / f"{NAME}.json")
    weights = folder / "tiny.safetensors"
    if not weights.exists():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = open_clip.create_model(NAME, pretrained=None)
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, weights)
    return f"open_clip:{NAME}/{weights}"
