"""Small residual networks for 32-px images, as members of timm's own table of models.

`resnet8_32px` is He et al. 2016, arXiv:1512.03385, Section 4.2, with one block per stage, built from timm's
bring-your-own-blocks network. Importing this module registers it; `import_timm` does.
"""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from timm.models._builder import build_model_with_cfg
from timm.models._registry import generate_default_cfgs
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg

__all__: list[str] = []  # timm adds each registered name

_STEM, _WIDTHS = 16, (32, 64, 128)
# Of the 50,000 training images of CIFAR-10, channel by channel.
_CIFAR10_MEAN, _CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

default_cfgs = generate_default_cfgs(
    {
        "resnet8_32px.untrained": {
            "input_size": (3, 32, 32),
            "fixed_input_size": False,
            "pool_size": (4, 4),
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": _CIFAR10_MEAN,
            "std": _CIFAR10_STD,
            "num_classes": 10,
            "first_conv": "stem.conv",
            "classifier": "head.fc",
        }
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
