"""Residual networks for 32-px images, as members of timm's own table of models.

`resnet8_32px` is He et al. 2016, arXiv:1512.03385, Section 4.2, with one block per stage, built from timm's
bring-your-own-blocks network. `resnet18_32px`, `resnet34_32px` and `resnet50_32px` are timm's networks of
those names with a stem that keeps all pixels (3x3, stride 1, no pooling), as Chen, Kornblith et al. 2020,
arXiv:2002.05709v3, B.9, have it for CIFAR-10. Importing this module registers them; `import_timm` does.
"""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from timm.models._builder import build_model_with_cfg
from timm.models._registry import generate_default_cfgs
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

__all__: list[str] = []  # timm adds each registered name
_STEM, _WIDTHS = 16, (32, 64, 128)
# Of the 50,000 training images of CIFAR-10, channel by channel.
_CIFAR10_MEAN, _CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_FOR_32PX = {
    "input_size": (3, 32, 32),
    "fixed_input_size": False,
    "pool_size": (4, 4),
    "interpolation": "bicubic",
    "crop_pct": 1.0,
    "mean": _CIFAR10_MEAN,
    "std": _CIFAR10_STD,
    "num_classes": 10,
}
_RESNET = {"first_conv": "conv1", "classifier": "fc"}
default_cfgs = generate_default_cfgs(
    {
        "resnet8_32px.untrained": _FOR_32PX | {"first_conv": "stem.conv", "classifier": "head.fc"},
        "resnet18_32px.untrained": _FOR_32PX | _RESNET,
        "resnet34_32px.untrained": _FOR_32PX | _RESNET,
        "resnet50_32px.untrained": _FOR_32PX | _RESNET,
    }
)


@register_model
def resnet8_32px(pretrained: bool = False, **options: Any) -> ByobNet:  # noqa: FBT001, FBT002  timm calls it so
    """A 3x3 stem of 16 channels that keeps all pixels, then one block each of 32, 64 and 128; d = 128."""
    blocks = tuple(ByoBlockCfg(type="basic", d=1, c=width, s=2, gs=0, br=1.0) for width in _WIDTHS)
    model: ByobNet = build_model_with_cfg(
        ByobNet,
        "resnet8_32px",
        pretrained,
        model_cfg=ByoModelCfg(blocks=blocks, stem_chs=_STEM, stem_type="3x3", stem_pool=""),
        feature_cfg={"flatten_sequential": True},
        **options,
    )
    model.stem.conv.stride = (1, 1)  # timm's stems halve the image, which 32 pixels cannot afford
    return model


@register_model
def resnet18_32px(pretrained: bool = False, **options: Any) -> ResNet:  # noqa: FBT001, FBT002
    """timm's `resnet18` with a 3x3 stem that keeps all pixels; d = 512."""
    return _keeping_all_pixels("resnet18", pretrained, block=BasicBlock, layers=(2, 2, 2, 2), **options)


@register_model
def resnet34_32px(pretrained: bool = False, **options: Any) -> ResNet:  # noqa: FBT001, FBT002
    """timm's `resnet34` with a 3x3 stem that keeps all pixels; d = 512."""
    return _keeping_all_pixels("resnet34", pretrained, block=BasicBlock, layers=(3, 4, 6, 3), **options)


@register_model
def resnet50_32px(pretrained: bool = False, **options: Any) -> ResNet:  # noqa: FBT001, FBT002
    """timm's `resnet50` with a 3x3 stem that keeps all pixels; d = 2048."""
    return _keeping_all_pixels("resnet50", pretrained, block=Bottleneck, layers=(3, 4, 6, 3), **options)


def _keeping_all_pixels(name: str, pretrained: bool, **options: Any) -> ResNet:  # noqa: FBT001
    model: Any = build_model_with_cfg(ResNet, f"{name}_32px", pretrained, **options)
    width, channels = model.conv1.out_channels, model.conv1.in_channels
    model.conv1 = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # as timm's
    model.maxpool = nn.Identity()
    return model
