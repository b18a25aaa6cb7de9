"""Backbones that need no download, and images to try them on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from noiseproof.core.torchvision_ops import declare_missing_operators

CLIP_CONFIG = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 4, "vocab_size": 20, "width": 8, "heads": 1, "layers": 1},
}
RESNET_CONFIG = CLIP_CONFIG | {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}}
TIMM_CONFIG = CLIP_CONFIG | {
    "vision_cfg": {
        "image_size": 32,
        "timm_model_name": "test_resnet",
        "timm_pool": "avg",
        "timm_proj": "linear",
    }
}
CLIP_CONFIGS = {"tiny-vit": CLIP_CONFIG, "tiny-resnet": RESNET_CONFIG, "tiny-timm": TIMM_CONFIG}


def images(num_images: int = 3) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(40, 30), (300, 200), (32, 32)][:num_images]
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def saved(model: nn.Module, path) -> str:
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return str(path)


def random_timm(name: str, **options) -> nn.Module:
    declare_missing_operators()
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model(name, pretrained=False, **options).eval()


def random_clip(name: str, monkeypatch) -> nn.Module:
    """A tiny open_clip model; its configuration is known to open_clip while the test runs."""
    declare_missing_operators()
    open_clip = pytest.importorskip("open_clip")
    configs = dict(open_clip.factory._MODEL_CONFIGS) | CLIP_CONFIGS
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.create_model(name, pretrained=None).eval()
