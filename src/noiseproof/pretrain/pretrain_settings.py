"""What a pre-training is told: a recipe, `--set`, options; later ones win."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from noiseproof.core.errors import InvalidArgument, MissingFile
from noiseproof.core.registry import unknown_name
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


class Settings(BaseModel):
    """How an encoder is made, apart from the data. A recipe gives all of it a value.

    One that means nothing beside the others has to keep its default.

    Attributes:
        objective: what is learned.
        model: a timm name, or for image-text an open_clip architecture or configuration file.
        image_size: height and width in pixels.
        reading: "memory" decodes everything once and augments whole batches; "stream" decodes each image
            when its turn comes, with timm's transforms, in `workers` processes; "features" keeps the image
            tower of an image-text model as it is, so that its features are computed once.
        epochs: passes over the examples.
        batch_size: examples per step, over all processes.
        optimizer: a name of `training.optimizers.OPTIMIZERS`.
        learning_rate: the highest.
        weight_decay: of matrices and filters.
        momentum: of sgd and lars.
        warmup_epochs: of linear rise; a cosine falls to 0 afterwards.
        precision: float32, or mixed precision in bfloat16 or float16.
        accumulation: parts that a batch is computed in. A contrastive loss then has fewer negatives.
        max_grad_norm: gradients longer than this are scaled down.
        loss: "ce", or "bce": one binary decision per class.
        target_threshold: with "bce", classes of a mix whose share is above this count as wholly present;
            `None` keeps the shares as targets.
        label_smoothing: share of the target spread over all classes.
        mixup: alpha of Mixup; 0 is off.
        cutmix: alpha of CutMix; 0 is off.
        randaugment: timm's notation, e.g. "rand-m7-mstd0.5-inc1"; only when streaming.
        repeats: repeated augmentation.
        drop_path: stochastic depth of the last block.
        padding: largest random shift in pixels, when reading into memory.
        use_flip: flip left to right.
        temperature: of NT-Xent.
        projection_dim: width of SimCLR's projection.
        colour_strength: of SimCLR's jitter.
        least_scale: least share of the area a random crop keeps.
        crop_share: of the shorter side, that the centre crop of an evaluation keeps, when streaming.
        lock_text: keep the text tower as it is, but for its projection (Zhai et al. 2022).
        captions: "given", or "classifier": names of ImageNet classes, drawn from what the classifier of the
            locked image tower says; labels play no part.
        num_draws: captions of an image that a classifier gives; each step takes one of them at random.
        workers: processes that decode, when streaming.
        checkpoint_steps: steps between checkpoints.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: Objective
    model: str
    image_size: int = Field(ge=8)
    reading: Literal["memory", "stream", "features"] = "memory"
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    optimizer: str = "sgd"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    warmup_epochs: float = Field(default=0.0, ge=0)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    accumulation: int = Field(default=1, ge=1)
    max_grad_norm: float | None = Field(default=None, gt=0)
    loss: Literal["ce", "bce"] = "ce"
    target_threshold: float | None = Field(default=None, ge=0, lt=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)
    randaugment: str | None = None
    repeats: int = Field(default=1, ge=1)
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    padding: int = Field(default=4, ge=0)
    use_flip: bool = True
    temperature: float = Field(default=0.5, gt=0)
    projection_dim: int = Field(default=128, ge=1)
    colour_strength: float = Field(default=0.5, ge=0)
    least_scale: float = Field(default=0.08, gt=0, le=1)
    crop_share: float = Field(default=0.95, gt=0, le=1)
    lock_text: bool = True
    captions: Literal["given", "classifier"] = "given"
    num_draws: int = Field(default=8, ge=1)
    workers: int = Field(default=4, ge=0)
    checkpoint_steps: int = Field(default=500, ge=1)

    @model_validator(mode="after")
    def _every_one_counts(self) -> Settings:
        wrong = [
            self._said_to_be_unused(name) for name in sorted(self.model_fields_set) if self._is_idle(name)
        ]
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
            raise ValueError("; ".join(wrong))
        return self

    def _is_idle(self, name: str) -> bool:
        """Whether a setting was changed that changes nothing."""
        ways: tuple[_Way, ...] = _ONLY_WITH.get(name, ({},))
        is_used = any(all(getattr(self, key) in values for key, values in way.items()) for way in ways)
        return not is_used and getattr(self, name) != type(self).model_fields[name].default

    def _said_to_be_unused(self, name: str) -> str:
        ways = " or ".join(
            " and ".join(f"{key} {' or '.join(values)}" for key, values in way.items())
            for way in _ONLY_WITH[name]
        )
        default = type(self).model_fields[name].default
        return (
            f"`{name}` is {getattr(self, name)!r}, which means nothing without {ways}; allowed: {default!r}"
        )

    def transform(self) -> Transform:
        """How images are read when streaming."""
        return Transform(
            self.image_size, self.least_scale, self.use_flip, self.randaugment, self.crop_share, self.workers
        )


class Recipe(BaseModel):
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


def read_recipe(name: str) -> Recipe:
    """A shipped recipe, or one in a file of yours.

    Raises:
        UnknownName: no such recipe; the nearest one is named.
        InvalidArgument: the file is no recipe.
    """
    if name in recipe_names():
        text = (resources.files("noiseproof") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    elif name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise MissingFile(f"`--recipe` is {name!r}, which is no file. Next: check the path.")
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise unknown_name("recipe", name, recipe_names(), "Or give the path of a .yaml file.")
    try:
        return Recipe(**yaml.safe_load(text))
    except (yaml.YAMLError, TypeError) as error:
        raise InvalidArgument(f"`--recipe` {name!r} is not a recipe: {error}. Next: correct it.") from error
    except ValidationError as error:
        raise InvalidArgument(_all_of(error, f"recipe {name!r}", Recipe)) from error


def resolve(
    recipe: str,
    *,
    objective: Objective,
    options: Mapping[str, Any] | None = None,
    overrides: Iterable[str] = (),
) -> Settings:
    """The settings of a training from all their sources.

    Args:
        recipe: name or file.
        objective: of the command; the recipe has to be of this one.
        options: those that are `None` were not given.
        overrides: of `--set`, each `name=value`.

    Raises:
        InvalidArgument: with one line per mistake.
    """
    values = dict(read_recipe(recipe).settings)
    if values.get("objective") != objective:
        raise InvalidArgument(
            f"`--recipe` {recipe!r} is for 'noiseproof pretrain {values.get('objective')}', not "
            f"'{objective}'. Next: use that command, or one of: "
            f"{', '.join(name for name in recipe_names() if _objective_of(name) == objective)}."
        )
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise InvalidArgument(f"`--set` is {override!r}; allowed: name=value. Next: add the value.")
        values[key.strip()] = yaml.safe_load(text)
    values |= {key: value for key, value in (options or {}).items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise InvalidArgument(_all_of(error, f"recipe {recipe!r} and options", Settings)) from error


def _objective_of(name: str) -> str:
    return str(read_recipe(name).settings.get("objective"))


def _all_of(error: ValidationError, owner: str, model: type[BaseModel]) -> str:
    lines = []
    for one in error.errors():
        name = ".".join(map(str, one["loc"]))
        if one["type"] == "extra_forbidden":
            lines.append(f"`{name}`: {unknown_name('setting', name, model.model_fields)}")
        elif one["type"] == "missing":
            lines.append(f"`{name}` is not given and has no default")
        elif not one["loc"]:  # of several settings together
            lines.append(one["msg"].removeprefix("Value error, "))
        else:
            allowed = one["msg"].removeprefix("Input should be ")
            lines.append(f"`{name}` is {one['input']!r}; allowed: {allowed}")
    return f"{len(lines)} mistake(s) in the settings of {owner}: " + "; ".join(lines)
