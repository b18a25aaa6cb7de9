"""What fine-tuning is told, apart from data and encoder."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from noiseproof.adapt.learnable import Tune
from noiseproof.core.errors import InvalidArgument
from noiseproof.training.streaming import Transform


class MetaSettings(BaseModel):
    """Meta-Weight-Net in fine-tuning: a few clean examples teach how much each of the others counts.

    Attributes:
        per_class: clean examples of each class that are taken from the training set, where its true labels
            are known; a meta set of one's own is taken whole.
        batch_size: of them per step, at most all there are.
        loss: "cross_entropy" or "mae", of the clean examples.
        inner_rate: of the virtual step; `None` follows the schedule of the encoder.
        optimizer: of the weight net, "adam" (the authors' code) or "sgd" (paper 2's).
        learning_rate: of the weight net.
        weight_decay: of the weight net.
        normalise: divide the weights of a batch by their sum.
        update_every: the weight net learns in one of so many steps.

    Source: Shu et al. 2019, arXiv:1902.07379.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    per_class: int = Field(default=20, ge=1)
    batch_size: int = Field(default=100, ge=1)
    loss: Literal["cross_entropy", "mae"] = "cross_entropy"
    inner_rate: float | None = Field(default=0.1, gt=0)
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    normalise: bool = False
    update_every: int = Field(default=1, ge=1)


class FinetuneSettings(BaseModel):
    """How an encoder is fine-tuned.

    Attributes:
        init: "pretrained" starts from the weights of the backbone, "random" from fresh ones of the same
            architecture.
        stem: "cifar" gives a ResNet of timm a fresh 3x3 stem that keeps all pixels, for images of 32 px;
            `None` leaves the stem.
        image_size: height and width in pixels; `None` is the backbone's own.
        normalisation: "checkpoint" is what the weights say of themselves, or the library says of the
            architecture; "raw" leaves pixels in [0, 1].
        tune: what learns besides the classifier: "full", "last-blocks:N", "bias" (every vector: biases and
            scales of norms), "lora", "vpt-deep:N" or "vpt-shallow:N" (N prompt tokens), "adapter:N" (of inner
            width N), "ssf" (scales and shifts) or "head" (nothing).
        head_init: first weights of the classifier: "zero", "default" (the architecture's own), or "probe", a
            linear probe of the features before.
        lora_rank: rank of what is added to each matrix.
        lora_alpha: that is scaled by lora_alpha / lora_rank.
        reading: "memory" decodes everything once and augments whole batches; "stream" decodes each image
            when its turn comes, with timm's random resized crop.
        augmentation: random shifts ("crop") and mirror images ("flip").
        padding: largest shift in pixels, when reading into memory.
        least_scale: least share of the area a random resized crop keeps, when streaming.
        workers: processes or threads that decode, when streaming.
        epochs: passes over the training images.
        per_class: an epoch is a fresh draw of so many examples of each given class; `None` takes all.
        batch_size: examples per step, over all processes.
        optimizer: a name of `training.optimizers.OPTIMIZERS`.
        learning_rate: the highest.
        weight_decay: of matrices and filters; biases and norms have none.
        momentum: of sgd, momentum and lars.
        warmup_share: share of the steps with a linear rise; a cosine falls to 0 afterwards.
        precision: float32, or mixed precision in bfloat16 or float16.
        accumulation: parts that a batch is computed in.
        max_grad_norm: gradients longer than this are scaled down.
        loss: name of a loss.
        loss_options: its own options, e.g. q of generalised cross-entropy.
        meta: weigh the examples by Meta-Weight-Net; `None` counts all alike.
        validation: share of the training examples that is held out, with the labels as given, to select by.
        look_epochs: epochs between validations; one is made at the end in any case.
        checkpoint_steps: steps between checkpoints.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    init: Literal["pretrained", "random"] = "pretrained"
    stem: Literal["cifar"] | None = None
    image_size: int | None = Field(default=None, ge=8)
    normalisation: Literal["checkpoint", "raw"] = "checkpoint"
    tune: str = "full"
    head_init: Literal["zero", "default", "probe"] = "zero"
    lora_rank: int = Field(default=8, ge=1)
    lora_alpha: int = Field(default=16, ge=1)
    reading: Literal["memory", "stream"] = "memory"
    augmentation: Literal["flip-crop", "flip", "crop", "none"] = "flip-crop"
    padding: int = Field(default=4, ge=1)
    least_scale: float = Field(default=0.08, gt=0, le=1)
    workers: int = Field(default=4, ge=0)
    epochs: int = Field(default=10, ge=1)
    per_class: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=1)
    optimizer: str = "sgd"
    learning_rate: float = Field(default=0.05, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    accumulation: int = Field(default=1, ge=1)
    max_grad_norm: float | None = Field(default=None, gt=0)
    loss: str = "cross_entropy"
    loss_options: dict[str, Any] = Field(default_factory=dict)
    meta: MetaSettings | None = None
    validation: float = Field(default=0.1, gt=0, lt=1)
    look_epochs: float = Field(default=1.0, gt=0)
    checkpoint_steps: int = Field(default=500, ge=1)

    @field_validator("tune")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            Tune.parse(value)
        except InvalidArgument as error:
            raise ValueError(str(error).partition("allowed: ")[2].rstrip(". ")) from error
        return value

    @model_validator(mode="after")
    def _a_stream_is_cropped(self) -> FinetuneSettings:
        if self.reading == "stream" and self.augmentation not in ("flip-crop", "crop"):
            raise PydanticCustomError(
                "no such augmentation",
                "`augmentation` is '{got}'; allowed with reading=stream: flip-crop, crop",
                {"got": self.augmentation},
            )
        return self

    def transform(self, image_size: int) -> Transform:
        """How images are read when streaming."""
        return Transform(
            image_size, self.least_scale, self.augmentation == "flip-crop", workers=self.workers
        )  # fmt: skip
