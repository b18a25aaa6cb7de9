"""What a recipe means for each head."""

from __future__ import annotations

import numpy as np
import pytest

from noiseproof import LinearProbe, MLPProbe, NMTune
from noiseproof.core.errors import BadData


def hidden_width(head, d):
    rng = np.random.default_rng(0)
    head.set_params(epochs=1).fit(rng.normal(size=(8, d)).astype(np.float32), [0, 1] * 4)
    return head.state_["reshape.hidden.0.weight"].shape[0]


@pytest.mark.parametrize("kind", [MLPProbe, NMTune])
def test_only_the_default_recipe_widens_narrow_heads(kind):
    assert hidden_width(kind(), 16) == 128
    assert hidden_width(kind(recipe="paper"), 16) == 64
    assert hidden_width(kind(recipe="released").set_params(**off(kind)), 16) == 64


def off(kind):
    return {"weight_mse": 0.0} if kind is NMTune else {}  # one view is enough then


def test_a_ratio_that_was_asked_for_is_kept():
    assert hidden_width(MLPProbe(hidden_ratio=2.0), 16) == 32


@pytest.mark.parametrize(("recipe", "expected"), [("default", 0.0), ("paper", 0.0), ("released", 1e-4)])
def test_weight_decay_of_the_linear_probe_is_the_recipes(recipe, expected):
    assert LinearProbe(recipe=recipe).spec().training.weight_decay == expected
    assert LinearProbe(recipe=recipe, weight_decay=0.5).spec().training.weight_decay == 0.5


@pytest.mark.parametrize(("recipe", "expected"), [("default", 0.01), ("paper", 0.1), ("released", 0.01)])
def test_learning_rate_of_the_linear_probe_is_the_recipes(recipe, expected):
    assert LinearProbe(recipe=recipe).spec().training.learning_rate == expected
    assert LinearProbe(recipe=recipe, learning_rate=0.5).spec().training.learning_rate == 0.5
    assert MLPProbe(recipe=recipe).spec().training.learning_rate == 0.001


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_label_is_named_by_its_row(missing):
    labels = np.array(["a", missing, "b", "a"], dtype=object)
    with pytest.raises(BadData, match="`y` has no label in row 1"):
        LinearProbe().fit(np.eye(4, dtype=np.float32), labels)
