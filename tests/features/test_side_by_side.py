"""Features of several encoders as one matrix."""

import numpy as np
import pytest
from tiny_encoders import matrix_dataset

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.base import EncoderIdentity
from noiseproof.features.extract import extract
from noiseproof.features.side_by_side import EncodersSideBySide, side_by_side

RAW = (
    np.array([[3, 4], [0, 5], [1, 0], [0, 0]], np.float32),
    np.array([[1, 2, 2], [0, 0, 4], [6, 0, 8], [1, 0, 0]], np.float32),
)
UNIT = np.array(
    [[0.6, 0.8, 1 / 3, 2 / 3, 2 / 3], [0, 1, 0, 0, 1], [1, 0, 0.6, 0, 0.8], [0, 0, 1, 0, 0]], np.float32
)  # by hand; a row of zeros stays


@pytest.fixture
def stored(tmp_path):
    """Features of four examples by two encoders."""
    encoder = open_backbone("features:")
    return [extract(matrix_dataset(rows), encoder, store=tmp_path / "store", quiet=True) for rows in RAW]


def test_rows_of_each_encoder_have_unit_length(stored):
    joint = side_by_side(stored)
    np.testing.assert_allclose(np.asarray(joint.features), UNIT, rtol=1e-6)
    assert joint.features.shape == (4, 5)
    assert joint.manifest.dim == 5
    assert joint.ids.tolist() == stored[0].ids.tolist()


@pytest.mark.parametrize("rows", [slice(1, 3), [3, 0], np.array([True, False, True, False]), 2])
def test_rows_are_taken_as_from_one_matrix(stored, rows):
    features = side_by_side(stored).features
    np.testing.assert_allclose(features[rows], UNIT[rows], rtol=1e-6)
    if not isinstance(rows, int | slice):
        np.testing.assert_allclose(np.asarray(features.rows(np.array(rows))), UNIT[rows], rtol=1e-6)


def test_key_is_that_of_all_encoders_in_their_order(stored):
    keys = {side_by_side(order).manifest.key for order in (stored, stored[::-1], stored[:1] * 2)}
    assert len(keys) == 3
    assert side_by_side(stored).manifest.key == side_by_side(stored).manifest.key


def test_identity_names_all_of_them():
    class Encoder:
        def __init__(self, name):
            self.identity = EncoderIdentity(
                name=name, kind="image", layer="pooled", weights_hash=name * 2, transform=f"to {name}"
            )

    identity = EncodersSideBySide([Encoder("a"), Encoder("b")]).identity
    assert (identity.name, identity.transform) == ("a + b", "to a + to b")
    assert identity.weights_hash != EncodersSideBySide([Encoder("b"), Encoder("a")]).identity.weights_hash
