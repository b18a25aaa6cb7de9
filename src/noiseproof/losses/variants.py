"""Variants of the dual prompts of DeFT, which `losses.dual_prompts` explains."""

from __future__ import annotations

from typing import Literal, get_args

Variant = Literal["synthetic", "real"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
