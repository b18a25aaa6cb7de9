"""Label match by an image-text model itself: by hand, by a slow loop, and what is refused."""

import math

import numpy as np
import pytest
import torch

from noiseproof import find_label_issues
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.detect.zero_shot import zero_shot_probs


class Tower:
    class_names, context_dim = ("a", "b", "c"), 4

    def __init__(self, directions, scale):
        self._directions, self.scale = torch.tensor(directions, dtype=torch.float32), scale

    def encode(self, contexts):
        raise AssertionError("label match learns nothing")

    def directions(self):
        return self._directions


AXES = np.eye(3, 2) + np.array([[0, 0], [0, 0], [-0.6, -0.8]])


def test_probabilities_by_hand():
    # An image of any length along the first axis: cosines 1, 0, -0.6; with scale ln 2: powers 2, 1, 2^-0.6.
    found = zero_shot_probs(np.array([[7.0, 0.0]]), Tower(AXES, math.log(2)))
    powers = np.array([2.0, 1.0, 2**-0.6])
    assert found == pytest.approx(powers[None] / powers.sum(), rel=1e-6)


def test_probabilities_against_a_slow_loop():
    rng = np.random.default_rng(0)
    rows, directions = rng.normal(size=(20, 5)), rng.normal(size=(3, 5))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = zero_shot_probs(rows, Tower(directions, 30.0))
    for row, own in zip(rows, found, strict=True):
        cosines = [
            sum(a * b for a, b in zip(row, each, strict=True)) / math.hypot(*row) for each in directions
        ]
        powers = [math.exp(30 * (one - max(cosines))) for one in cosines]
        assert own == pytest.approx([power / sum(powers) for power in powers], rel=1e-4, abs=1e-7)


def test_label_match_of_a_tower_is_that_of_its_probabilities():
    rng = np.random.default_rng(0)
    rows, labels, tower = rng.normal(size=(30, 2)), np.arange(30) % 3, Tower(AXES, 5.0)
    own = find_label_issues(rows, labels, method="zero_shot", text_tower=tower)
    given = find_label_issues(None, labels, method="zero_shot", zero_shot=zero_shot_probs(rows, tower))
    assert own.suspicion.tolist() == given.suspicion.tolist()
    assert own.is_issue.tolist() == given.is_issue.tolist()
    assert own.suggested_labels.tolist() == given.suggested_labels.tolist()


def test_probabilities_that_are_given_come_before_a_tower():
    labels, probs = np.arange(6) % 3, np.eye(3)[np.arange(6) % 3]
    tower = Tower(-AXES, 50.0)
    found = find_label_issues(np.eye(6, 2), labels, method="zero_shot", text_tower=tower, zero_shot=probs)
    assert not found.is_issue.any()


def test_features_of_another_space_are_refused():
    with pytest.raises(
        InvalidArgument, match=r"`features` is .*allowed: \(n, 2\), as wide as the directions of the text"
    ):
        zero_shot_probs(np.ones((3, 5)), Tower(AXES, 1.0))
    with pytest.raises(BadData, match="row 1"):
        zero_shot_probs(np.array([[1.0, 0.0], [np.nan, 0.0]]), Tower(AXES, 1.0))
