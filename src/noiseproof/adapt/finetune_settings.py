"""Settings of fine-tuning, apart from the data and the encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from noiseproof.adapt.learnable import TuneMode
from noiseproof.core.errors import InvalidArgument
from noiseproof.noise.transition import read_transition
from noiseproof.training.step_settings import StepSettings
from noiseproof.training.streaming import Transform


class MetaSettings(BaseModel):
    """Meta-Weight-Net in fine-tuning: a few clean examples teach how much each of the others counts.

    Source: Shu et al. 2019, arXiv:1902.07379.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    per_class: int = Field(
        default=20, ge=1,
        description="Clean examples per class, taken from a training set whose true labels are known; a meta "
        "set of your own is taken whole.",
    )  # fmt: skip
    batch_size: int = Field(default=100, ge=1, description="Clean examples per step, at most all.")
    loss: Literal["cross_entropy", "mae"] = Field(
        default="cross_entropy", description="Loss of the clean examples."
    )
    inner_rate: float | None = Field(
        default=0.1, gt=0, description="Rate of the virtual step; null follows the schedule of the encoder."
    )
    optimizer: Literal["adam", "sgd"] = Field(
        default="adam", description="Optimiser of the weight net: the authors' code has adam, paper 2 sgd."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Learning rate of the weight net.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay of the weight net.")
    normalise: bool = Field(default=False, description="Divide the weights of a batch by their sum.")
    update_every: int = Field(default=1, ge=1, description="Steps between two updates of the weight net.")


class TowerSettings(StepSettings):
    """How the images of a training are read and its steps are made, whatever the objective."""

    epochs: int = Field(default=10, ge=1, description="Passes over the training images.")
    batch_size: int = Field(default=64, ge=1, description="Examples per step, over all processes.")
    learning_rate: float = Field(default=0.05, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(
        default=1e-4, ge=0, description="Decay of matrices and filters; biases and norms have none."
    )
    reading: Literal["memory", "stream"] = Field(
        default="memory",
        description="memory decodes all images once and augments whole batches; stream decodes each image "
        "when its turn comes, with timm's random resized crop.",
    )
    augmentation: Literal["flip-crop", "flip", "crop", "none"] = Field(
        default="flip-crop", description="Random shifts (crop) and mirror images (flip)."
    )
    padding: int = Field(default=4, ge=1, description="Largest shift in pixels, when reading into memory.")
    least_scale: float = Field(
        default=0.08,
        gt=0,
        le=1,
        description="Least share of the area a random resized crop keeps, when streaming.",
    )
    lora_rank: int = Field(default=8, ge=1, description="Rank of what LoRA adds to each matrix.")
    lora_alpha: int = Field(
        default=16, ge=1, description="LoRA's additions are scaled by lora_alpha / lora_rank."
    )

    @model_validator(mode="after")
    def _a_stream_is_cropped(self) -> TowerSettings:
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


class FinetuneSettings(TowerSettings):
    """How an encoder and its classifier are fine-tuned."""

    init: Literal["pretrained", "random"] = Field(
        default="pretrained", description="First weights; random takes only the architecture of the backbone."
    )
    stem: Literal["cifar"] | None = Field(
        default=None,
        description="cifar gives a ResNet of timm a fresh 3x3 stem that keeps all pixels, for 32 px.",
    )
    image_size: int | None = Field(
        default=None, ge=8, description="Height and width in pixels; by default the backbone's own."
    )
    normalisation: Literal["checkpoint", "raw"] = Field(
        default="checkpoint",
        description="checkpoint normalises pixels as the weights or the library say; raw leaves them as they "
        "are, in [0, 1].",
    )
    tune: str = Field(
        default="full",
        description="What learns besides the classifier: full, last-blocks:N, bias (all vectors), lora, "
        "vpt-deep[:N], vpt-shallow[:N] (N prompt tokens), adapter[:N] (of inner width N), ssf (scales and "
        "shifts) or head (nothing).",
    )
    head_init: Literal["zero", "default", "probe"] = Field(
        default="zero",
        description="First weights of the classifier; probe: a linear probe of the features before.",
    )
    per_class: int | None = Field(
        default=None,
        ge=1,
        description="An epoch is a fresh draw of so many examples of each class; by default all.",
    )
    optimizer: str = Field(
        default="sgd", description="Optimiser: sgd, momentum, adamw, lars and others of timm."
    )
    warmup_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of the steps with a linear rise; a cosine falls to 0 afterwards.",
    )
    loss: str = Field(default="cross_entropy", description="Loss; see 'noiseproof ls losses'.")
    loss_options: dict[str, Any] = Field(
        default_factory=dict,
        description="Option of --loss, such as q=0.7; transition=FILE is a .npy or text file.",
    )
    meta: MetaSettings | None = Field(
        default=None, description="Weigh the examples by Meta-Weight-Net; null counts all alike."
    )
    validation: float = Field(
        default=0.1, gt=0, lt=1,
        description="Share of the training examples that is held out, labels as given, to select the best "
        "step by.",
    )  # fmt: skip
    eval_epochs: float = Field(
        default=1.0, gt=0, description="Epochs between two validations; one is made at the end in any case."
    )

    def warmup_steps(self, steps_per_epoch: int) -> int:
        """Steps of the warm-up."""
        return round(self.warmup_share * (self.epochs * steps_per_epoch))

    @field_validator("loss_options")
    @classmethod
    def _transition_from_a_file(cls, value: dict[str, Any]) -> dict[str, Any]:
        if isinstance(value.get("transition"), str):
            return value | {"transition": read_transition(Path(value["transition"])).tolist()}
        return value

    @field_validator("tune")
    @classmethod
    def _known_mode(cls, value: str) -> str:
        try:
            TuneMode.parse(value)
        except InvalidArgument as error:
            raise ValueError(str(error).partition("allowed: ")[2].rstrip(". ")) from error
        return value
