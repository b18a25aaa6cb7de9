import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.core.records import LabelledDataset
from noiseproof.data.shifts.shifts import NOISE_STD, SHIFTS, augmented, shifted
from noiseproof.data.sources import open_dataset
from noiseproof.data.splits import subset


def of(*images: Image.Image) -> LabelledDataset:
    n = len(images)
    ids = np.array([f"toy/{row}" for row in range(n)])
    return LabelledDataset("toy", "image", list(images), ids, np.zeros(n, np.int64), ("a",), "f")


def stripes(size: int = 96) -> Image.Image:
    """Black and white columns, each 1/12 of the width."""
    row = np.where(np.arange(size) * 12 // size % 2, 255, 0).astype(np.uint8)
    return Image.fromarray(np.tile(row, (size, 1))).convert("RGB")


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64)


def test_the_table_has_three_shifts():
    assert sorted(SHIFTS) == ["blur", "contrast", "noise"]


@pytest.mark.parametrize("kind", SHIFTS)
@pytest.mark.parametrize("size", [(8, 8), (96, 96), (300, 200), (5, 40)])
def test_every_shift_is_visible_rgb_and_repeatable_at_any_size(kind, size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))
    dataset = shifted(of(image), kind, seed=0)
    first, second = dataset.examples[0], dataset.examples[0]
    assert first.mode == "RGB"
    assert min(first.size) >= min(64, min(size) * 64)
    assert first.tobytes() == second.tobytes()
    plain = image.resize(first.size, Image.Resampling.BICUBIC)
    assert np.abs(pixels(first) - pixels(plain)).mean() > 5
    copy = pickle.loads(pickle.dumps(dataset.examples))
    assert copy[0].tobytes() == first.tobytes()


def test_small_images_are_enlarged_first():
    assert shifted(of(Image.new("RGB", (8, 16))), "contrast", seed=0).examples[0].size == (64, 128)


@pytest.mark.parametrize("size", [96, 384])
def test_blur_flattens_stripes_alike_at_any_size(size):
    blurred = pixels(shifted(of(stripes(size)), "blur", seed=0).examples[0])
    assert 0.2 < blurred.std() / pixels(stripes(size)).std() < 0.7


def test_contrast_is_two_fifths_around_grey():
    values = pixels(shifted(of(stripes()), "contrast", seed=0).examples[0])
    assert sorted(np.unique(values)) == pytest.approx([76.5, 178.5], abs=1)


@pytest.mark.parametrize("size", [64, 512])
def test_noise_keeps_its_strength_when_the_image_is_made_smaller(size):
    noisy = shifted(of(Image.new("RGB", (size, size), (128, 128, 128))), "noise", seed=0).examples[0]
    small = pixels(noisy.resize((64, 64), Image.Resampling.BOX))
    assert small.std() == pytest.approx(255 * NOISE_STD, rel=0.05)


def test_noise_depends_on_the_seed_and_the_id_not_on_the_place():
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    dataset = of(grey, grey)
    here = shifted(dataset, "noise", seed=0)
    assert here.examples[0].tobytes() != here.examples[1].tobytes()
    assert here.examples[1].tobytes() != shifted(dataset, "noise", seed=1).examples[1].tobytes()
    alone = shifted(subset(dataset, np.array([1])), "noise", seed=0)
    assert alone.examples[0].tobytes() == here.examples[1].tobytes()


def test_fingerprints_depend_on_all_that_changes_the_images():
    dataset = of(stripes())
    prints = [
        dataset.fingerprint,
        *(shifted(dataset, kind, seed=0).fingerprint for kind in SHIFTS),
        shifted(dataset, "noise", seed=1).fingerprint,
        augmented(dataset, view=0, seed=0).fingerprint,
        augmented(dataset, view=1, seed=0).fingerprint,
        augmented(dataset, view=0, seed=1).fingerprint,
        augmented(dataset, view=0, seed=0, scale=(0.5, 1.0)).fingerprint,
        augmented(dataset, view=0, seed=0, use_flip=False).fingerprint,
        augmented(replace(dataset, fingerprint="g"), view=0, seed=0).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert augmented(dataset, view=1, seed=0).fingerprint == prints[6]


def test_shifting_keeps_ids_and_labels():
    dataset = open_dataset("sklearn:digits")
    there = shifted(dataset, "blur", seed=0)
    assert there.name == "sklearn:digits (shift blur)"
    assert there.ids is dataset.ids
    assert there.given_labels is dataset.given_labels
    assert type(there) is type(dataset) is LabelledDataset


def ramp(width: int = 60, height: int = 40) -> Image.Image:
    """Red grows to the right, green downwards."""
    values = np.zeros((height, width, 3), np.uint8)
    values[..., 0] = np.linspace(0, 255, width)
    values[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(values)


def seen_share(image: Image.Image) -> float:
    """Share of the ramp's area that a crop of it shows, from the ranges of its two colours."""
    values = pixels(image) / 255
    return float(np.ptp(values[..., 0]) * np.ptp(values[..., 1]))


def test_crops_keep_most_of_the_image():
    shares = []
    for view in range(40):
        dataset = augmented(of(ramp()), view=view, seed=0)
        assert dataset.is_cropped
        image = dataset.examples[0]
        assert image.size <= (60, 40)
        shares.append(seen_share(image))
    assert min(shares) > 0.75  # 0.8 less what a pixel at each edge takes
    assert np.ptp(shares) > 0.1


def test_half_of_the_views_are_flipped():
    dataset = of(ramp())
    views = [pixels(augmented(dataset, view=view, seed=0).examples[0]) for view in range(100)]
    num_flipped = sum(view[0, 0, 0] > view[0, -1, 0] for view in views)
    assert 30 <= num_flipped <= 70  # four standard deviations around 50
    never = [augmented(dataset, view=v, seed=0, use_flip=False).examples[0] for v in range(30)]
    assert all(pixels(view)[0, 0, 0] < pixels(view)[0, -1, 0] for view in never)


def test_a_view_is_the_same_whenever_it_is_read():
    dataset = of(ramp(), ramp())
    view = augmented(dataset, view=3, seed=5)
    assert view.examples[1].tobytes() == view.examples[1].tobytes()
    assert view.examples[0].tobytes() != view.examples[1].tobytes()
    assert view.examples[0].tobytes() != augmented(dataset, view=4, seed=5).examples[0].tobytes()


def test_a_very_long_image_is_kept_whole():
    image = augmented(of(ramp(400, 10)), view=0, seed=0, use_flip=False).examples[0]
    assert image.tobytes() == ramp(400, 10).tobytes()


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.9, 0.8), (0.5, 1.1)])
def test_a_scale_outside_the_image_is_refused(scale):
    with pytest.raises(InvalidArgument, match=r"`scale` is \(.*\); allowed: least and largest share"):
        augmented(of(ramp()), view=0, seed=0, scale=scale)


def test_an_unknown_shift_gets_a_suggestion():
    with pytest.raises(
        UnknownName,
        match=r"Unknown shift 'blurr'\. Did you mean 'blur'\? Known: blur, brightness-3, contrast",
    ):
        shifted(of(ramp()), "blurr", seed=0)


def test_what_is_no_image_is_refused():
    text = replace(of(ramp()), kind="text", examples=["a"])
    with pytest.raises(BadData, match="'toy' holds text; allowed: images"):
        shifted(text, "blur", seed=0)
    with pytest.raises(BadData, match="'toy' holds text; allowed: images"):
        augmented(text, view=0, seed=0)
