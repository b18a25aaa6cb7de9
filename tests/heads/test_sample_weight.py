"""Weights of examples: in one batch a weight of 2 is an example that is there twice."""

import numpy as np
import pytest
import torch

from noiseproof import LinearProbe, LinearProbeRegressor, MLPProbe, NMTune, NMTuneRegressor
from noiseproof.core.errors import BadData
from noiseproof.heads.fit import TrainingExamples, _weighted
from noiseproof.heads.training_data import weights_of

WHOLE = {"batch_size": 1000, "epochs": 15, "seed": 0}  # one batch holds all examples


def clouds(n=40, d=5):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return (np.eye(3, d)[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


def predictions(head, features):
    return head.predict_proba(features) if hasattr(head, "predict_proba") else head.predict(features)


def test_a_hand_solved_case():
    weights, rows = weights_of([1, 0, 3], 3)
    assert weights.tolist() == [0.5, 1.5]
    assert rows.tolist() == [0, 2]


def test_the_loss_of_each_example_is_multiplied():
    rng = np.random.default_rng(0)
    weights, rows = rng.random(7), rng.integers(7, size=(2, 3))
    losses = torch.from_numpy(rng.random((2, 6)))  # of two views
    features = torch.zeros(7, 4)
    labels = torch.zeros(7, dtype=torch.int64)
    examples = TrainingExamples((features, features), labels, 3, None, torch.from_numpy(weights).float())
    loss = _weighted(lambda outputs, labels, rows: losses, examples)
    found = loss(torch.zeros(2, 6, 3), torch.zeros(2, 6, dtype=torch.int64), torch.from_numpy(rows))
    for member in range(2):
        for place in range(6):
            expected = weights[rows[member, place % 3]] * losses[member, place]
            assert found[member, place] == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("head", [LinearProbe, LinearProbeRegressor])
def test_in_one_batch_a_weight_is_a_number_of_copies(head):
    features, labels = clouds()
    counts = np.random.default_rng(1).integers(0, 4, 40)
    weighted = head(**WHOLE).fit(features, labels, counts)
    repeated = head(**WHOLE).fit(features.repeat(counts, 0), labels.repeat(counts))
    assert predictions(weighted, features) == pytest.approx(predictions(repeated, features), abs=5e-4)
    plain = head(**WHOLE).fit(features, labels)
    assert np.abs(predictions(plain, features) - predictions(weighted, features)).max() > 5e-3


@pytest.mark.parametrize("head", [LinearProbe, MLPProbe, NMTune, NMTuneRegressor])
def test_only_ratios_count_and_a_weight_of_zero_leaves_an_example_out(head):
    features, labels = clouds()
    options = {"batch_size": 16, "epochs": 2, "seed": 0}
    weights = np.where(np.arange(40) < 25, 2.0, 0.0)
    left_out = head(**options).fit(features[:25], labels[:25])
    for scale in (1, 1e-300, 1e300):
        found = head(**options).fit(features, labels, sample_weight=scale * weights)
        assert predictions(found, features) == pytest.approx(predictions(left_out, features), abs=1e-6)


def test_rows_of_weight_zero_are_left_out_of_the_second_view_too():
    features, labels = clouds()
    options = {"recipe": "released", "batch_size": 16, "epochs": 2, "seed": 0}
    view = features + 0.1
    weights = np.arange(40) < 25
    left_out = NMTune(**options).fit(features[:25], labels[:25], second_view=view[:25])
    found = NMTune(**options).fit(features, labels, weights, second_view=view)
    assert predictions(found, features) == pytest.approx(predictions(left_out, features), abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(39), r"shape \(39,\) and type float64, of 40 examples; allowed: \(40,\) numbers"),
        (np.ones((40, 1)), r"shape \(40, 1\)"),
        (["a"] * 40, r"type <U1, of 40 examples"),
        (np.r_[np.ones(39), -1], r"has -1.0 in row 39; allowed: finite numbers of at least 0"),
        (np.r_[np.nan, np.ones(39)], r"has nan in row 0"),
        (np.r_[np.ones(5), np.inf, np.ones(34)], r"has inf in row 5"),
        (np.zeros(40), r"is zero for all examples"),
        (2.0, r"shape \(\) and type float64"),
        ([[1.0], [1.0, 2.0]], r"shape \(2,\) and type object"),
    ],
)
def test_other_weights_are_refused(weights, message):
    features, labels = clouds()
    with pytest.raises(BadData, match=message):
        LinearProbe(epochs=1).fit(features, labels, sample_weight=weights)


def test_one_class_left_by_the_weights_is_refused():
    features, labels = clouds()
    with pytest.raises(BadData, match="one class only"):
        LinearProbe(epochs=1).fit(features, labels, sample_weight=labels == 1)
