import pickle

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import convolve as slow_convolve

from noiseproof.core.errors import InvalidArgument, UnknownName
from noiseproof.core.records import Dataset
from noiseproof.data.shifts.blur import convolve, disc, line, sampled, zoom_blur
from noiseproof.data.shifts.corruptions import CORRUPTIONS, LARGEST_PX, SEVERITIES
from noiseproof.data.shifts.digital import (
    contrast,
    elastic_transform,
    gaussian_noise,
    impulse_noise,
    pixelate,
    saturate,
    shot_noise,
    to_pixels,
)
from noiseproof.data.shifts.shifts import SHIFTS, corrupted_names, shift_names, shifted
from noiseproof.data.shifts.weather import brightness, fog, snow
from noiseproof.data.sources import open_dataset
from noiseproof.data.splits import subset

KINDS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
    "snow", "fog", "brightness", "contrast", "saturate", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def scene(width: int = 32, height: int = 32) -> Image.Image:
    """Soft colours with a bright disc and a dark bar: something to blur, bend and compress."""
    rows, columns = np.mgrid[:height, :width] / min(width, height)
    pixels = np.stack([0.3 + 0.3 * columns, 0.6 - 0.3 * rows, 0.4 + 0.2 * np.sin(9 * rows)], axis=2)
    pixels[(rows - 0.4) ** 2 + (columns - 0.5) ** 2 < 0.06] = (0.9, 0.8, 0.2)
    pixels[(rows > 0.7) & (rows < 0.85)] = (0.1, 0.15, 0.2)
    return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def of(*images: Image.Image) -> Dataset:
    n = len(images)
    ids = np.array([f"toy/{row}" for row in range(n)])
    return Dataset("toy", "image", list(images), ids, np.zeros(n, np.int64), ("a",), "f")


def distance(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).mean())


def test_there_are_fifteen_kinds_of_five_severities():
    assert tuple(CORRUPTIONS) == KINDS
    assert len(shift_names()) == len(SHIFTS) + 15 * 5
    assert all(len(c.small) == len(c.large) == len(SEVERITIES) for c in CORRUPTIONS.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(32, 32), (8, 8), (1, 1), (5, 40), (128, 97)])
def test_every_corruption_gives_an_rgb_image_of_the_same_size(kind, size):
    dataset = shifted(of(scene(*size)), f"{kind}-5", seed=0)
    image = dataset.examples[0]
    assert (image.mode, image.size) == ("RGB", size)
    assert pickle.loads(pickle.dumps(dataset.examples))[0].tobytes() == image.tobytes()


def distances(kind: str, px: int) -> list[float]:
    """How far an image of this size is from itself at each severity, mean over its values."""
    plain = scene(px, px)
    return [distance(shifted(of(plain), f"{kind}-{s}", seed=0).examples[0], plain) for s in SEVERITIES]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"saturate", "glass_blur", "pixelate", "fog"}))
@pytest.mark.parametrize("px", [32, 224])
def test_a_higher_severity_changes_more(kind, px):
    far = distances(kind, px)
    assert far[0] > 0.5
    assert (np.diff(far) > 0).all(), far


@pytest.mark.parametrize("kind", ["glass_blur", "pixelate", "fog"])
@pytest.mark.parametrize("px", [32, 224])
def test_the_highest_severity_changes_more_than_the_lowest(kind, px):
    far = distances(kind, px)  # neighbours differ in grain and thickness, or in how blocks meet edges
    assert 0.3 < far[0] < far[4], far


def test_saturate_pales_at_1_and_2_and_colours_from_3():
    plain = scene()

    def spread(severity: int) -> float:
        image = shifted(of(plain), f"saturate-{severity}", seed=0).examples[0]
        return float(np.ptp(np.asarray(image, np.float64), axis=2).mean())

    pale, paler, strong, stronger, strongest = map(spread, SEVERITIES)
    own = float(np.ptp(np.asarray(plain, np.float64), axis=2).mean())
    assert paler < pale < own < strong < stronger < strongest


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_corrupted_the_same_way_whatever_is_around_it(kind):
    dataset = of(scene(), scene(), scene())
    whole = shifted(dataset, f"{kind}-3", seed=0)
    backwards = [whole.examples[row].tobytes() for row in (2, 1, 0)]
    alone = shifted(subset(dataset, np.array([1])), f"{kind}-3", seed=0)
    assert alone.examples[0].tobytes() == backwards[1] == whole.examples[1].tobytes()


@pytest.mark.parametrize(
    "kind",
    [
        "gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "snow", "fog",
        "elastic_transform",
    ],
)  # fmt: skip
def test_random_corruptions_depend_on_the_id_and_the_seed(kind):
    dataset = of(scene(), scene())
    here = shifted(dataset, f"{kind}-3", seed=0).examples
    assert here[0].tobytes() != here[1].tobytes()
    assert here[0].tobytes() != shifted(dataset, f"{kind}-3", seed=1).examples[0].tobytes()


def test_large_images_are_reduced_first_so_that_their_noise_survives_an_encoder():
    image = shifted(of(Image.new("RGB", (1024, 512), (128, 128, 128))), "gaussian_noise-3", seed=0).examples[
        0
    ]
    assert image.size == (2 * LARGEST_PX, LARGEST_PX)
    assert np.asarray(image, np.float64).std() == pytest.approx(255 * 0.18, rel=0.02)


def test_gaussian_noise_has_its_standard_deviation():
    noisy = gaussian_noise(np.full((100, 100, 3), 0.5), 0.08, rng())
    assert noisy.std() == pytest.approx(0.08, rel=0.02)
    assert noisy.mean() == pytest.approx(0.5, abs=0.002)


def test_shot_noise_is_a_count_of_photons():
    noisy = shot_noise(np.full((100, 100, 3), 0.25), 100.0, rng())
    assert noisy.mean() == pytest.approx(0.25, abs=0.001)
    assert noisy.var() == pytest.approx(0.25 / 100, rel=0.03)  # of a Poisson count, divided by 100^2
    assert np.allclose(noisy * 100, np.rint(noisy * 100))


def test_impulse_noise_hits_its_share_and_keeps_the_hits_of_lower_severities():
    grey = np.full((100, 100, 3), 0.5)
    few, many = (impulse_noise(grey, share, rng()) for share in (0.05, 0.2))
    assert (many != 0.5).mean() == pytest.approx(0.2, abs=0.01)
    assert set(np.unique(many)) == {0.0, 0.5, 1.0}
    assert (many == 1).sum() == pytest.approx((many == 0).sum(), rel=0.1)
    assert (few[few != 0.5] == many[few != 0.5]).all()


def test_a_disc_has_the_share_of_each_pixel_that_it_covers():
    assert disc(0.3).tolist() == [[1.0]]
    small = disc(1.0)
    # The corner pixel of a unit disc: the area of the disc in [0.5, 1]^2, by integration.
    xs = np.linspace(0.5, np.sqrt(0.75), 20001)
    corner = np.trapezoid(np.sqrt(1 - xs**2) - 0.5, xs)
    assert small.shape == (3, 3)
    assert small[0, 0] == pytest.approx(corner / np.pi, abs=0.004)
    assert small.sum() == pytest.approx(1.0)
    assert np.allclose(small, small.T)


def test_a_line_is_as_long_as_it_says_and_lies_at_its_angle():
    flat = line(4.0, 0.0)
    assert flat.shape == (5, 5)
    assert flat[2].sum() == pytest.approx(1.0)
    assert flat[2, 2] == pytest.approx(flat[2, 1])
    assert flat[2, 0] == pytest.approx(flat[2, 1] / 2, rel=0.3)  # half a pixel of it is covered
    slanted = line(4.0, np.pi / 4)
    assert np.allclose(slanted, slanted[::-1, ::-1])
    assert np.trace(slanted[::-1]) > 0.5


def test_convolving_agrees_with_the_direct_sum():
    pixels = rng().uniform(size=(9, 7, 3))
    kernel = rng().uniform(size=(3, 5))
    kernel += kernel[::-1, ::-1]  # the same way round for a sum and a convolution
    expected = np.stack([slow_convolve(pixels[..., c], kernel, mode="reflect") for c in range(3)], axis=2)
    assert np.allclose(convolve(pixels, kernel), expected)


def test_sampling_agrees_with_a_loop():
    pixels = rng().uniform(size=(4, 5, 3))
    rows, columns = rng().uniform(0, 3, (4, 5)), rng().uniform(0, 4, (4, 5))
    found = sampled(pixels, rows, columns)
    for i in range(4):
        for j in range(5):
            r, c = int(rows[i, j]), int(columns[i, j])
            dr, dc = rows[i, j] - r, columns[i, j] - c
            r2, c2 = min(r + 1, 3), min(c + 1, 4)
            top = pixels[r, c] * (1 - dc) + pixels[r, c2] * dc
            bottom = pixels[r2, c] * (1 - dc) + pixels[r2, c2] * dc
            assert found[i, j] == pytest.approx(top * (1 - dr) + bottom * dr)


def test_zoom_keeps_the_centre_and_smears_the_border():
    pixels = np.zeros((33, 33, 3))
    pixels[16, 16] = 1.0
    pixels[16, 30] = 1.0
    zoomed = zoom_blur(pixels, 0.2, rng())
    assert zoomed[16, 16].tolist() == pytest.approx([1.0] * 3)
    assert zoomed[16, 30, 0] < 0.5


def test_zooming_agrees_with_sampling_one_zoom_after_the_other():
    pixels = rng().uniform(size=(6, 9, 3))
    expected = np.zeros_like(pixels)
    for factor in np.linspace(1.0, 1.3, 8):
        rows = 2.5 + (np.arange(6) - 2.5) / factor
        columns = 4.0 + (np.arange(9) - 4.0) / factor
        expected += sampled(pixels, *np.meshgrid(rows, columns, indexing="ij")) / 8
    assert np.allclose(zoom_blur(pixels, 0.3, rng()), expected)


def test_brightness_adds_to_the_largest_channel_and_keeps_the_hue():
    pixels = np.array([[[0.4, 0.2, 0.1], [0.0, 0.0, 0.0], [0.9, 0.9, 0.3]]])
    found = brightness(pixels, 0.2, rng())
    assert found[0, 0] == pytest.approx([0.6, 0.3, 0.15])
    assert found[0, 1] == pytest.approx([0.2] * 3)
    assert found[0, 2] == pytest.approx([1.0, 1.0, 1 / 3])


def test_contrast_draws_each_channel_to_its_mean():
    pixels = np.array([[[0.2, 0.0, 1.0], [0.6, 0.0, 0.5]]])
    found = contrast(pixels, 0.5, rng())
    assert found[0, 0] == pytest.approx([0.3, 0.0, 0.875])
    assert found[0, 1] == pytest.approx([0.5, 0.0, 0.625])


def test_saturate_scales_the_saturation_and_leaves_grey_alone():
    pixels = np.array([[[0.8, 0.6, 0.4], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]])
    halved = saturate(pixels, (0.5, 0.0), rng())  # S = 0.5 -> 0.25
    assert halved[0, 0] == pytest.approx([0.8, 0.7, 0.6])
    most = saturate(pixels, (20.0, 0.2), rng())  # S is at most 1
    assert most[0, 0] == pytest.approx([0.8, 0.4, 0.0])
    assert np.array_equal(most[0, 1:], pixels[0, 1:])


def test_fog_is_a_cloud_that_keeps_the_maximum():
    white = fog(np.ones((16, 24, 3)), (1.0, 2.0), rng())
    assert white.max() == pytest.approx(1.0)  # (1 + 1) * 1 / (1 + 1) where the cloud is thickest
    assert white.min() == pytest.approx(0.5)  # (1 + 0) / 2 where there is none
    assert np.array_equal(white[..., 0], white[..., 2])
    assert fog(np.zeros((4, 4, 3)), (1.0, 2.0), rng()).max() == 0.0


def test_snow_only_brightens():
    pixels = to_pixels(scene(64, 64))
    snowed = snow(pixels, (0.05, 1 / 32, 4 / 32, 0.3), rng())
    assert (snowed >= pixels - 1e-12).all()
    assert snowed.mean() > pixels.mean() + 0.02


def test_elastic_shifts_have_the_size_they_say():
    # In a ramp that rises by 1/64 per column, the change of a value is the shift.
    ramp = np.tile(np.arange(64) / 64, (64, 1))[..., None]
    moved = elastic_transform(ramp, (2 / 64, 6 / 64), rng())
    inner = ((moved - ramp) * 64)[8:-8, 8:-8]
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(2.0, rel=0.3)
    assert np.abs(np.diff(inner[..., 0], axis=1)).max() < 1.5  # smooth


def test_pixelate_makes_blocks():
    pixels = rng().uniform(size=(8, 8, 3))
    found = pixelate(pixels, 0.25, rng())
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 4
    assert found[0, 0] == pytest.approx(pixels[:4, :4].mean((0, 1)), abs=0.005)


def test_fingerprints_tell_kind_severity_and_seed_apart():
    dataset = of(scene())
    prints = {shifted(dataset, kind, seed=0).fingerprint for kind in shift_names()}
    assert len(prints) == len(shift_names())
    assert shifted(dataset, "fog-3", seed=1).fingerprint not in prints
    assert shifted(dataset, "fog-3", seed=0).fingerprint in prints


def test_a_shift_is_named_in_front_of_any_data_set():
    name = "shift:fog-3:sklearn:digits"
    there, plain = open_dataset(name, limit=5, seed=2), open_dataset("sklearn:digits", limit=5, seed=2)
    assert there.name == name
    assert there.ids.tolist() == plain.ids.tolist()
    assert there.given_labels.tolist() == plain.given_labels.tolist()
    by_hand = shifted(plain, "fog-3", seed=2)
    assert there.examples[3].tobytes() == by_hand.examples[3].tobytes()
    twice = open_dataset(f"shift:pixelate-5:{name}", limit=5, seed=2)
    assert twice.fingerprint != there.fingerprint


def test_a_shift_needs_a_data_set_behind_it():
    with pytest.raises(InvalidArgument, match="`data set` is 'shift:fog-3'; allowed: shift:KIND:DATASET"):
        open_dataset("shift:fog-3")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("fog-6", r"Unknown severity '6' of 'fog-6'\. Known: fog-1 \(mild\) to fog-5"),
        ("fog", r"Unknown shift 'fog'\. Did you mean 'fog-3'\?"),
        ("gausian_noise-3", r"Unknown shift 'gausian_noise-3'\. Did you mean 'gaussian_noise-3'\?"),
    ],
)
def test_an_unknown_corruption_or_severity_is_explained(kind, message):
    with pytest.raises(UnknownName, match=message):
        open_dataset(f"shift:{kind}:sklearn:digits")


def test_all_corruptions_of_a_data_set_make_one_suite():
    names = corrupted_names("sklearn:digits", severity=3)
    assert names[0] == "shift:gaussian_noise-3:sklearn:digits"
    opened = [open_dataset(name, limit=2) for name in names]
    assert len({dataset.fingerprint for dataset in opened}) == 15
    with pytest.raises(InvalidArgument, match=r"`severity` is 0; allowed: an integer from 1 \(mild\) to 5"):
        corrupted_names("sklearn:digits", severity=0)


def test_options_of_the_data_set_behind_a_shift_are_its_own(tmp_path):
    scene().save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("image,colour,kind\na.png,red,x\n")
    dataset = open_dataset(f"shift:fog-3:{tmp_path / 'table.csv'}", label="kind")
    assert dataset.class_names == ("x",)
    (tmp_path / "broken.png").write_bytes(b"")
    with (tmp_path / "table.csv").open("a") as file:
        file.write("broken.png,red,x\n")
    skipped = open_dataset(f"shift:fog-3:{tmp_path / 'table.csv'}", label="kind", on_error="skip")
    assert (len(skipped), skipped.num_skipped) == (1, 1)
