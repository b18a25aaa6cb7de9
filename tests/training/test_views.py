import colorsys

import numpy as np
import pytest
import torch
from PIL import Image

from noiseproof.training.views import ColourChanges, SimCLRViews, grey, turn_hue


def pixels(n=8, size=16):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    big = [np.asarray(Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC)) for each in small]
    return np.stack(big)


def drawn(n, **values):
    """Draws that change nothing but what is given."""
    neutral = {
        "box": np.tile([0.0, 0.0, 1.0, 1.0], (n, 1)),
        "flip": np.zeros(n, bool),
        "factors": np.ones((n, 3)),
        "hue": np.zeros(n),
        "jitter": np.ones(n, bool),
        "grey": np.zeros(n, bool),
        "order": np.tile(np.arange(4), (n, 1)),
    }
    return neutral | values


def test_neutral_draws_change_nothing():
    images = pixels()
    changed = SimCLRViews().apply(images, drawn(8))
    assert np.abs(changed.astype(int) - images).max() <= 1


def test_a_flip_mirrors():
    images = pixels()
    changed = SimCLRViews().apply(images, drawn(8, flip=np.ones(8, bool)))
    assert np.abs(changed.astype(int) - images[:, :, ::-1]).max() <= 1


def test_a_crop_of_the_left_third_shows_only_that_third():
    images = np.zeros((1, 16, 16, 3), np.uint8)
    images[:, :, :8] = 200
    box = np.array([[0.0, 0.0, 0.3, 1.0]])
    assert (SimCLRViews().apply(images, drawn(1, box=box)) == 200).all()
    right = np.array([[0.7, 0.0, 0.3, 1.0]])
    assert (SimCLRViews().apply(images, drawn(1, box=right)) == 0).all()


def test_hue_turns_as_the_standard_library_does():
    images = torch.from_numpy(pixels(2)).permute(0, 3, 1, 2).float() / 255
    turned = turn_hue(images, torch.tensor([0.3, -0.1]))
    for row, turn in enumerate((0.3, -0.1)):
        for y, x in ((0, 0), (5, 9), (15, 15)):
            hue, saturation, value = colorsys.rgb_to_hsv(*images[row, :, y, x].tolist())
            expected = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
            assert turned[row, :, y, x].tolist() == pytest.approx(expected, abs=1e-5)


def test_grey_images_have_three_equal_channels_with_the_luma_of_the_standard():
    images = pixels()
    changed = SimCLRViews().apply(images, drawn(8, grey=np.ones(8, bool)))
    assert (changed == changed[..., :1]).all()
    by_pillow = np.stack([np.asarray(Image.fromarray(each).convert("L")) for each in images])
    assert np.abs(changed[..., 0].astype(int) - by_pillow).max() <= 1
    assert grey(torch.ones(1, 3, 1, 1)).item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("column", "expected"), [(0, (50, 100)), (1, (125, 175)), (2, (100, 200))], ids=["dark", "flat", "pale"]
)
def test_half_brightness_contrast_and_saturation_by_hand(column, expected):
    """Greys of 100 and 200: halfway to black; halfway to their mean of 150; grey has no colour to lose."""
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[:, 0], images[:, 1] = 100, 200
    factors = np.ones((1, 3))
    factors[0, column] = 0.5
    changed = SimCLRViews().apply(images, drawn(1, factors=factors))
    assert (changed[0, 0, 0, 0], changed[0, 1, 0, 0]) == pytest.approx(expected, abs=1)


def test_boxes_lie_inside_the_image_and_keep_the_asked_area():
    box = SimCLRViews(least_scale=0.3).draw(np.random.default_rng(0), 500)["box"]
    left, top, width, height = box.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 1 + 1e-9).all()
    assert (top + height <= 1 + 1e-9).all()
    area = width * height
    assert area.min() >= 0.3 - 1e-9
    assert area.max() > 0.9


def test_shares_of_jitter_and_grey_are_those_of_the_paper():
    draws = SimCLRViews().draw(np.random.default_rng(0), 4000)
    assert draws["jitter"].mean() == pytest.approx(0.8, abs=0.03)
    assert draws["grey"].mean() == pytest.approx(0.2, abs=0.03)
    assert draws["flip"].mean() == pytest.approx(0.5, abs=0.03)
    assert draws["factors"].min() >= 0.6
    assert draws["factors"].max() <= 1.4
    assert np.abs(draws["hue"]).max() <= 0.1


def test_colours_alone_change_as_they_do_after_a_crop_of_everything():
    images = pixels()
    draws = ColourChanges(0.5).draw(np.random.default_rng(0), 8)
    assert set(draws) == {"factors", "hue", "jitter", "grey", "order"}
    alone = ColourChanges(0.5).apply(images, draws)
    after = SimCLRViews().apply(images, drawn(8, **draws))
    assert np.abs(alone.astype(int) - after).max() <= 1
    assert np.abs(alone.astype(int) - images).max() > 50
