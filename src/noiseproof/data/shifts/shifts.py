"""Changed copies of image data sets, made when an image is read: shifts for evaluation, training views."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from noiseproof.core.errors import BadData, UnknownName, invalid
from noiseproof.core.records import AnyDataset, LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.core.rng import stream
from noiseproof.data.examples import Transformed
from noiseproof.data.fingerprints import derived_fingerprint
from noiseproof.data.request import Request
from noiseproof.data.shifts.corruptions import CORRUPTIONS, SEVERITIES, corrupted_image
from noiseproof.data.sources import open_request

# Images smaller than this are enlarged first: on 8 x 8 pixels no blur is mild.
SHIFT_MIN_PX = 64
BLUR_RADIUS = 0.06  # of the shorter side
CONTRAST_KEPT = 0.4
NOISE_STD = 0.1  # of the range black to white
_ASPECT = (3 / 4, 4 / 3)
_CROP_TRIES = 10


def blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Gaussian blur as wide as 6 % of the shorter side."""
    del rng  # every image alike
    return image.filter(ImageFilter.GaussianBlur(BLUR_RADIUS * min(image.size)))


def contrast(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Two fifths of the contrast around mid-grey."""
    del rng  # every image alike
    return image.point(lambda value: 127.5 + (value - 127.5) * CONTRAST_KEPT)


def noise(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Gaussian noise with a grain of 1/64 of the shorter side, so that a later resize does not hide it."""
    scale = SHIFT_MIN_PX / min(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    grain = rng.normal(0.0, 255 * NOISE_STD, (height, width, 3))
    rows = np.arange(image.height) * height // image.height
    columns = np.arange(image.width) * width // image.width
    noisy = np.asarray(image, np.float64) + grain[rows][:, columns]
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


# With the strength, a part of the fingerprint: features of another strength are other features.
SHIFTS: dict[str, tuple[Callable[[Image.Image, np.random.Generator], Image.Image], float]] = {
    "blur": (blur, BLUR_RADIUS),
    "contrast": (contrast, CONTRAST_KEPT),
    "noise": (noise, NOISE_STD),
}


def shift_names() -> tuple[str, ...]:
    """Everything `shifted` knows: the plain shifts, and each corruption with its severities."""
    return (*SHIFTS, *(f"{kind}-{severity}" for kind in CORRUPTIONS for severity in SEVERITIES))


def shifted(dataset: AnyDataset, kind: str, *, seed: int) -> AnyDataset:
    """Apply a visible shift to images, e.g. for an out-of-domain set.

    Args:
        dataset: of images.
        kind: a key of `SHIFTS`, or a common corruption with its severity, such as `fog-3`.
        seed: an image changes the same way whenever it is read: by seed and id.

    Raises:
        UnknownName: no such shift.
        BadData: the data set has no images.
    """
    change = _change(kind, seed=seed)
    return _transformed(dataset, change, f"shift {kind} seed={seed} strength={change.strength}")


def corrupted_names(name: str, *, severity: int) -> tuple[str, ...]:
    """Names for `open_dataset` of one data set under every corruption, such as the 15 of CIFAR-10's test set.

    Raises:
        InvalidArgument: no such severity, 1 (mild) to 5.
    """
    if severity not in SEVERITIES:
        raise invalid("severity", severity, "an integer from 1 (mild) to 5")
    return tuple(f"shift:{kind}-{severity}:{name}" for kind in CORRUPTIONS)


def open_shift(address: str, request: Request) -> LabelledDataset:
    """`shift:KIND:DATASET`, e.g. `shift:fog-3:photos/`: the data set with its images changed.

    Raises:
        InvalidArgument: no data set is named.
        UnknownName: no such shift.
    """
    kind, _, inner = address.partition(":")
    if not inner:
        raise invalid("data set", request.name, "shift:KIND:DATASET, e.g. shift:fog-3:photos/")
    _change(kind, seed=0)  # before anything large is read
    dataset = open_request(replace(request, name=inner))
    return replace(shifted(dataset, kind, seed=request.seed), name=request.name)


def augmented(
    dataset: AnyDataset,
    *,
    view: int,
    seed: int,
    scale: tuple[float, float] = (0.8, 1.0),
    use_flip: bool = True,
) -> AnyDataset:
    """Random crops of the images, flipped left to right half of the time; each view has its own.

    Two such views of an image are what the released code of Chen, Wang et al. 2024 compares. The crops have
    the sizes they have; an encoder resizes them to its input and cuts nothing more off.

    Args:
        dataset: of images.
        view: number of the view.
        seed: an image changes the same way whenever it is read: by seed, view and id.
        scale: least and largest share of the area a crop keeps, in (0, 1].
        use_flip: off where left and right mean something, as in digits.

    Raises:
        InvalidArgument: `scale` is no range inside (0, 1].
        BadData: the data set has no images.
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise invalid("scale", scale, "least and largest share of the area, 0 < least <= largest <= 1")
    change = _Augmentation(view, seed, scale, use_flip)
    crops = _transformed(dataset, change, f"view {view} seed={seed} scale={scale} flip={use_flip}")
    return replace(crops, is_cropped=True)


@dataclass(frozen=True)
class _Shift:
    kind: str
    seed: int

    @property
    def strength(self) -> float:
        return SHIFTS[self.kind][1]

    def __call__(self, image: Image.Image, example_id: str) -> Image.Image:
        short = min(image.size)
        if short < SHIFT_MIN_PX:
            image = ImageOps.scale(image, SHIFT_MIN_PX / short, Image.Resampling.BICUBIC)
        change, _ = SHIFTS[self.kind]
        return change(image, stream(self.seed, "shift", self.kind, example_id))


@dataclass(frozen=True)
class _Corruption:
    kind: str
    severity: int
    seed: int

    @property
    def strength(self) -> str:
        table = CORRUPTIONS[self.kind]
        return f"{table.small[self.severity - 1]} {table.large[self.severity - 1]}"

    def __call__(self, image: Image.Image, example_id: str) -> Image.Image:
        # Without the severity: a stronger one is the same noise, only more of it.
        rng = stream(self.seed, "corruption", self.kind, example_id)
        return corrupted_image(image, self.kind, self.severity, rng)


@dataclass(frozen=True)
class _Augmentation:
    view: int
    seed: int
    scale: tuple[float, float]
    use_flip: bool

    def __call__(self, image: Image.Image, example_id: str) -> Image.Image:
        rng = stream(self.seed, "augment", self.view, example_id)
        image = image.crop(self._box(image.size, rng))
        is_flipped = self.use_flip and rng.random() < 0.5
        return ImageOps.mirror(image) if is_flipped else image

    def _box(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
        """A rectangle of random area and shape that lies inside the image; left, top, right, bottom."""
        width, height = size
        for _ in range(_CROP_TRIES):
            area = width * height * rng.uniform(*self.scale)
            aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                left, top = (int(rng.integers(0, room + 1)) for room in (width - w, height - h))
                return left, top, left + w, top + h
        return 0, 0, width, height  # a shape too long for such a crop is kept whole


def _change(kind: str, *, seed: int) -> _Shift | _Corruption:
    if kind in SHIFTS:
        return _Shift(kind, seed)
    name, _, severity = kind.rpartition("-")
    if kind in shift_names():
        return _Corruption(name, int(severity), seed)
    if name in CORRUPTIONS:
        raise UnknownName(f"Unknown severity {severity!r} of {kind!r}. Known: {name}-1 (mild) to {name}-5.")
    known = (*SHIFTS, *(f"{each}-3" for each in CORRUPTIONS))
    raise unknown_name("shift", kind, known, "The number is the severity, 1 (mild) to 5.")


def _transformed(
    dataset: AnyDataset, change: _Shift | _Corruption | _Augmentation, description: str
) -> AnyDataset:
    if dataset.kind != "image":
        raise BadData(
            f"{dataset.name!r} holds {dataset.kind}; allowed: images. "
            "Next: leave views and shifts out for it."
        )
    return replace(
        dataset,
        name=f"{dataset.name} ({description.split(' seed=')[0]})",
        examples=Transformed(dataset.examples, dataset.ids, change),
        fingerprint=derived_fingerprint(dataset.fingerprint, description),
    )
