import numpy as np
import pytest

from noiseproof.data.sources import open_dataset
from noiseproof.training.decoded_images import decode_all, prepare_all, prepared_blocks
from tiny_images import image_folder


@pytest.fixture
def dataset(tmp_path):
    return open_dataset(image_folder(tmp_path / "photos", per_class=5, size=8))


def negative(image):
    return 255 - np.asarray(image)


def test_all_images_are_prepared_in_order(dataset):
    found = prepare_all(dataset, negative, 8, quiet=True)
    np.testing.assert_array_equal(found, 255 - decode_all(dataset, 8, quiet=True))


@pytest.mark.parametrize("num_threads", [0, 3])
@pytest.mark.parametrize("block_size", [1, 9, 10, 11])
def test_blocks_are_the_whole_cut_into_pieces(dataset, block_size, num_threads):
    blocks = list(prepared_blocks(dataset, negative, block_size=block_size, num_threads=num_threads))
    assert all(len(block) == block_size for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), prepare_all(dataset, negative, 8, quiet=True))
