"""Options of the detector "prompts" and of DeFT's first phase; nothing here loads PyTorch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from noiseproof.losses.variants import Variant


class PromptSettings(BaseModel):
    """How the prompts are learned.

    Source: Wei et al. 2024, arXiv:2409.19696, and its released configurations, whose warm-up is 5 epochs for
    web labels and CIFAR-100N.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    variant: Variant = Field(
        default="synthetic",
        description="The paper's rules (synthetic), or the released code's for human and web labels (real).",
    )
    num_context: int = Field(default=16, ge=1, description="Learnable vectors in each prompt.")
    epochs: int = Field(default=10, ge=1, description="Passes over the training examples.")
    warmup_epochs: int = Field(default=1, ge=0, description="First epochs, which learn every given label.")
    batch_size: int = Field(
        default=64, ge=1, description="Examples per step; every step encodes all prompts once."
    )
    learning_rate: float = Field(
        default=0.03, gt=0,
        description="Initial learning rate of SGD; it decays along a cosine, and stays constant in the real "
        "variant.",
    )  # fmt: skip
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(default=5e-4, ge=0, description="Weight decay of the learnable vectors.")
