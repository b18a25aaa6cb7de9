"""Image towers of each family with a few thousand random numbers."""

from __future__ import annotations

import torch

from noiseproof.backbones.images.timm_models import import_timm

SIZE = 16


def timm_vit(**options):
    model = {
        "img_size": SIZE, "patch_size": 8, "embed_dim": 12, "depth": 3, "num_heads": 2, "num_classes": 3,
    }  # fmt: skip
    torch.manual_seed(0)
    return import_timm("a test").create_model("vit_tiny_patch16_224", **model | options)


def pooled_timm_vit():
    return timm_vit(class_token=False, global_pool="avg")


def timm_resnet():
    torch.manual_seed(0)
    return import_timm("a test").create_model("test_resnet", num_classes=3)


def open_clip_vit(**options):
    import_timm("a test")
    from open_clip.transformer import VisionTransformer

    sizes = {
        "image_size": SIZE, "patch_size": 8, "width": 12, "layers": 3, "heads": 2, "mlp_ratio": 2.0,
        "output_dim": 5,
    }  # fmt: skip
    torch.manual_seed(0)
    return VisionTransformer(**sizes | options)


def open_clip_resnet():
    import_timm("a test")
    from open_clip.modified_resnet import ModifiedResNet

    torch.manual_seed(0)
    network = ModifiedResNet(layers=[1, 1, 1, 1], output_dim=5, heads=2, image_size=32, width=4)
    for name, each in network.named_parameters():
        if name.endswith("bn3.weight"):  # else the branches start from nothing
            torch.nn.init.ones_(each)
    return network


def open_clip_of_timm():
    import_timm("a test")
    from open_clip.timm_model import TimmModel

    torch.manual_seed(0)
    return TimmModel("test_vit", embed_dim=5, image_size=160, pool="")


def projected_timm():
    """As the bundled image-text model has it."""
    network = timm_resnet()
    network.reset_classifier(0)
    return torch.nn.Sequential(network, torch.nn.Linear(network.num_features, 5, bias=False))


def huggingface_vit():
    import_timm("a test")
    from transformers import ViTConfig, ViTModel

    sizes = {
        "image_size": SIZE, "patch_size": 8, "hidden_size": 12, "num_hidden_layers": 3,
        "num_attention_heads": 2, "intermediate_size": 24, "pooler_output_size": 12,
    }  # fmt: skip
    torch.manual_seed(0)
    return ViTModel(ViTConfig(**sizes))


TRANSFORMERS = {
    "timm": timm_vit,
    "timm, no class token": pooled_timm_vit,
    "open_clip": open_clip_vit,
    "transformers": huggingface_vit,
}
CONVOLUTIONAL = {"timm": timm_resnet, "open_clip": open_clip_resnet}


def images(size=SIZE, number=2):
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(1))


def said(network, rows):
    """What a tower says of images, as a tensor."""
    found = network(rows)
    return found if isinstance(found, torch.Tensor) else found.last_hidden_state
