import numpy as np
import pytest
import torch
from toy_training import GREY, toy_batches

from noiseproof.training.augment import PadCropFlip, Unchanged
from noiseproof.training.order import Share


def pixels(n=6, size=8):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def test_normalising_is_the_formula_per_channel():
    images = pixels(2)
    expected = (images.astype(np.float64) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(GREY(images).permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


def test_shares_of_two_processes_make_the_batch_of_one():
    whole = list(toy_batches(views=2).iterate(range(3), Share()))
    parts = [list(toy_batches(views=2).iterate(range(3), Share(rank, 2))) for rank in range(2)]
    assert set(whole[0]) == {"given_labels", "images_0", "images_1"}
    for step in range(3):
        for name, values in whole[step].items():
            for rank in range(2):
                torch.testing.assert_close(parts[rank][step][name], values[rank::2])


def test_two_views_of_an_image_differ():
    (batch,) = toy_batches(views=2).iterate(range(1), Share())
    assert not torch.equal(batch["images_0"], batch["images_1"])


def test_a_later_begin_gives_the_same_batches():
    whole, late = (
        list(toy_batches().iterate(range(5), Share())),
        list(toy_batches().iterate(range(3, 5), Share())),
    )
    for one, other in zip(whole[3:], late, strict=True):
        torch.testing.assert_close(one, other)


def test_pad_crop_flip_is_what_a_slow_loop_does():
    images, change = pixels(), PadCropFlip(2)
    draws = change.draw(np.random.default_rng(1), len(images))
    assert draws["flip"].any()
    expected = np.empty_like(images)
    for row, image in enumerate(images):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
        down, right = draws["shift"][row]
        cut = padded[down : down + 8, right : right + 8]
        expected[row] = cut[:, ::-1] if draws["flip"][row] else cut
    np.testing.assert_array_equal(change.apply(images, draws), expected)


def test_without_padding_and_flips_images_stay():
    images = pixels()
    for change in (PadCropFlip(0, use_flip=False), Unchanged()):
        draws = change.draw(np.random.default_rng(0), len(images))
        np.testing.assert_array_equal(change.apply(images, draws), images)


@pytest.mark.parametrize("share", [slice(0, 6, 2), slice(1, 6, 2)])
def test_changes_of_some_rows_are_those_of_all_rows(share):
    images, change = pixels(), PadCropFlip(3)
    draws = change.draw(np.random.default_rng(2), 6)
    own = {name: values[share] for name, values in draws.items()}
    np.testing.assert_array_equal(change.apply(images[share], own), change.apply(images, draws)[share])
