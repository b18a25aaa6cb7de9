"""Settings of a pre-training, and the recipes that give them values."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from noiseproof.core.errors import InvalidArgument, MissingFile, shown
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.yaml_text import BadYaml, read_yaml_file
from noiseproof.training.step_settings import StepSettings
from noiseproof.training.streaming import Transform

Objective = Literal["supervised", "image-text", "simclr"]

_Way = dict[str, tuple[str, ...]]
_SUPERVISED: _Way = {"objective": ("supervised",)}
_SIMCLR: _Way = {"objective": ("simclr",)}
_STREAM: _Way = {"reading": ("stream",)}
_FEATURES: _Way = {"reading": ("features",), "objective": ("image-text",)}
# Settings that mean something only where others have one of these values, in one of the ways listed.
_ONLY_WITH: dict[str, tuple[_Way, ...]] = {
    "momentum": ({"optimizer": ("sgd", "lars")},),
    "loss": (_SUPERVISED,),
    "target_threshold": ({"loss": ("bce",)},),
    "label_smoothing": (_SUPERVISED,),
    "mixup": (_SUPERVISED,),
    "cutmix": (_SUPERVISED,),
    "drop_path": ({"objective": ("supervised", "simclr")},),
    "padding": ({"reading": ("memory",), "objective": ("supervised", "image-text")},),
    "least_scale": (_STREAM, _SIMCLR),
    "randaugment": (_STREAM,),
    "crop_share": (_STREAM,),
    "workers": (_STREAM,),
    "temperature": (_SIMCLR,),
    "projection_dim": (_SIMCLR,),
    "colour_strength": (_SIMCLR,),
    "lock_text": ({"objective": ("image-text",)},),
    "captions": (_FEATURES,),
    "num_draws": (_FEATURES | {"captions": ("classifier",)},),
}


class PretrainSettings(StepSettings):
    """How an encoder is made, apart from the data. A recipe gives all of it a value.

    A setting that has no effect beside the others has to keep its default.
    """

    objective: Objective = Field(description="What is learned.")
    model: str = Field(
        description="Network: a timm name, or for image-text an open_clip architecture or configuration file."
    )
    image_size: int = Field(ge=8, description="Height and width in pixels.")
    reading: Literal["memory", "stream", "features"] = Field(
        default="memory",
        description="memory decodes all images once and augments whole batches; stream decodes each image "
        "when its turn comes, with timm's transforms; features keeps the image tower of an image-text model "
        "as it is and computes its features once.",
    )
    epochs: int = Field(ge=1, description="Passes over the examples.")
    batch_size: int = Field(ge=1, description="Examples per step, over all processes.")
    optimizer: str = Field(
        default="sgd", description="Optimiser: sgd, momentum, adamw, lars and others of timm."
    )
    learning_rate: float = Field(gt=0, description="Highest learning rate.")
    weight_decay: float = Field(default=0.0, ge=0, description="Decay of matrices and filters.")
    warmup_epochs: float = Field(
        default=0.0, ge=0, description="Epochs with a linear rise; a cosine falls to 0 afterwards."
    )
    loss: Literal["ce", "bce"] = Field(
        default="ce", description="ce: cross-entropy; bce: one binary decision per class."
    )
    target_threshold: float | None = Field(
        default=None, ge=0, lt=1,
        description="With bce, classes of a mix whose share is above this count as wholly present; null "
        "keeps the shares as targets.",
    )  # fmt: skip
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the target spread over all classes."
    )
    mixup: float = Field(default=0.0, ge=0, description="Alpha of Mixup; 0 is off.")
    cutmix: float = Field(default=0.0, ge=0, description="Alpha of CutMix; 0 is off.")
    randaugment: str | None = Field(
        default=None,
        description="RandAugment in timm's notation, such as rand-m7-mstd0.5-inc1, when streaming.",
    )
    repeats: int = Field(
        default=1, ge=1, description="Copies of an example in a batch (repeated augmentation)."
    )
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="Stochastic depth of the last block.")
    padding: int = Field(
        default=4, ge=0, description="Largest random shift in pixels, when reading into memory."
    )
    use_flip: bool = Field(default=True, description="Flip images left to right at random.")
    temperature: float = Field(default=0.5, gt=0, description="Temperature of NT-Xent.")
    projection_dim: int = Field(default=128, ge=1, description="Width of SimCLR's projection.")
    colour_strength: float = Field(default=0.5, ge=0, description="Strength of SimCLR's colour jitter.")
    least_scale: float = Field(
        default=0.08, gt=0, le=1, description="Least share of the area a random crop keeps."
    )
    crop_share: float = Field(
        default=0.95, gt=0, le=1,
        description="Share of the shorter side that the centre crop of an evaluation keeps, when streaming.",
    )  # fmt: skip
    lock_text: bool = Field(
        default=True, description="Keep the text tower as it is, but for its projection (Zhai et al. 2022)."
    )
    captions: Literal["given", "classifier"] = Field(
        default="given",
        description="classifier: captions are names of ImageNet classes, drawn from what the classifier of "
        "the locked image tower predicts; labels play no part.",
    )
    num_draws: int = Field(
        default=8, ge=1, description="Captions per image from the classifier; each step takes one at random."
    )

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> PretrainSettings:
        names = sorted(PretrainSettings.model_fields.keys() & self.model_fields_set)
        wrong = [self._describe_idle(name) for name in names if self._is_idle(name)]
        if self.reading == "features" and (self.objective != "image-text" or not self.lock_text):
            wrong.append(
                "`reading` is 'features', which means nothing without objective image-text and lock_text "
                "true; allowed: 'memory' or 'stream'"
            )
        if self.warmup_epochs >= self.epochs:
            wrong.append(
                f"`warmup_epochs` is {self.warmup_epochs:g}; allowed: less than the {self.epochs} of `epochs`"
            )
        if wrong:
            raise ValueError("\n- ".join(wrong))
        return self

    def _is_idle(self, name: str) -> bool:
        """Whether a setting was changed that changes nothing."""
        ways: tuple[_Way, ...] = _ONLY_WITH.get(name, ({},))
        is_used = any(all(getattr(self, key) in values for key, values in way.items()) for way in ways)
        return not is_used and getattr(self, name) != type(self).model_fields[name].default

    def _describe_idle(self, name: str) -> str:
        ways = " or ".join(
            " and ".join(f"{key} {' or '.join(values)}" for key, values in way.items())
            for way in _ONLY_WITH[name]
        )
        default = type(self).model_fields[name].default
        return (
            f"`{name}` is {getattr(self, name)!r}, which means nothing without {ways}; allowed: {default!r}"
        )

    def warmup_steps(self, steps_per_epoch: int) -> int:
        """Steps of the warm-up."""
        return round(self.warmup_epochs * steps_per_epoch)

    def transform(self) -> Transform:
        """How images are read when streaming."""
        return Transform(
            self.image_size, self.least_scale, self.use_flip, self.randaugment, self.crop_share, self.workers
        )


class PretrainRecipe(BaseModel):
    """A claim: how to make an encoder, by which command, at what cost, and what to expect.

    Attributes:
        title: one line.
        command: what to type.
        cost: time on which hardware.
        expected: the number to expect, with its range or source.
        source: where the values are from.
        settings: of the training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    command: str
    cost: str
    expected: str
    source: str
    settings: dict[str, Any]


def recipe_names() -> tuple[str, ...]:
    """The pre-training recipes that ship with the package."""
    folder = resources.files("noiseproof") / "recipes"
    names = [each.name.removesuffix(".yaml") for each in folder.iterdir() if each.name.endswith(".yaml")]
    return tuple(sorted(name for name in names if name.startswith("pretrain-")))


def read_recipe(name: str) -> PretrainRecipe:
    """A shipped recipe, or one in a file of yours.

    Raises:
        UnknownName: no such recipe; the nearest one is named.
        InvalidArgument: the file is no recipe.
    """
    if name in recipe_names():
        path = Path(str(resources.files("noiseproof") / "recipes" / f"{name}.yaml"))
    elif name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise MissingFile(f"`recipe` is {name!r}, which is no file. Next: check the path.")
        path = Path(name)
    else:
        raise unknown_name("recipe", name, recipe_names(), "Or give the path of a .yaml file.")
    try:
        return PretrainRecipe(**read_yaml_file(path))
    except (BadYaml, TypeError) as error:
        raise InvalidArgument(f"`recipe` {name!r} is not a recipe: {error}. Next: correct it.") from error
    except ValidationError as error:
        raise InvalidArgument(_describe(error, name)) from error


def recipes_for(objective: str) -> list[str]:
    """Names of the shipped recipes for one objective."""
    return [name for name in recipe_names() if read_recipe(name).settings.get("objective") == objective]


def _describe(error: ValidationError, name: str) -> str:
    """Every mistake of a recipe file, a line each."""
    lines = []
    for one in error.errors():
        key = ".".join(map(str, one["loc"]))
        if one["type"] == "extra_forbidden":
            lines.append(f"`{key}`: {unknown_name('key', key, PretrainRecipe.model_fields)}")
        elif one["type"] == "missing":
            lines.append(f"`{key}` is missing")
        else:
            lines.append(
                f"`{key}` is {shown(one['input'])}; allowed: {one['msg'].removeprefix('Input should be ')}"
            )
    return f"`recipe` {name!r} is no recipe of pre-training: " + "; ".join(lines)
