"""Heads for scores: they predict in the unit of the scores, and learn the squared error."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from noiseproof import LinearProbeRegressor, MLPProbeRegressor, NMTune, NMTuneRegressor
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.heads.estimators import load_head
from noiseproof.heads.regressors import REGRESSORS
from noiseproof.losses.squared_error import squared_error

ALL = [LinearProbeRegressor, MLPProbeRegressor, NMTuneRegressor]


def plane(n: int = 80, d: int = 6, seed: int = 0):
    """Features and scores that are a linear function of them, in a unit of its own."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)).astype(np.float32)
    return features, 1000 + 50 * features @ np.linspace(-1, 1, d)


def quick(head, **options):
    return head(**{"epochs": 40, "learning_rate": 0.02, "batch_size": 20} | options)


def test_squared_error_of_a_hand_solved_case():
    found = squared_error(torch.tensor([1.0, 2.0, -1.0]), torch.tensor([1.0, 4.0, 2.0]))
    assert found.tolist() == [0.0, 4.0, 9.0]
    slow = [(p - y) ** 2 for p, y in zip([1.0, 2.0, -1.0], [1.0, 4.0, 2.0], strict=True)]
    assert found.tolist() == slow


@pytest.mark.parametrize("head", ALL)
def test_scores_are_predicted_in_their_own_unit(head):
    features, scores = plane()
    fitted = quick(head).fit(features, scores)
    predicted = fitted.predict(features)
    assert predicted.shape == (80,)
    assert fitted.score(features, scores) > 0.9
    assert abs(predicted.mean() - scores.mean()) < 10


@pytest.mark.parametrize("head", ALL)
def test_the_unit_of_the_scores_does_not_matter(head):
    features, scores = plane()
    one = quick(head, epochs=5).fit(features, scores).predict(features)
    other = quick(head, epochs=5).fit(features, scores * 0.01 - 7).predict(features)
    assert other == pytest.approx(one * 0.01 - 7, abs=1e-3)


def test_linear_regressor_approaches_least_squares():
    features, scores = plane()
    scores = scores + np.random.default_rng(1).normal(size=80) * 20
    design = np.hstack([features, np.ones((80, 1))])
    expected = design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    fitted = quick(LinearProbeRegressor, epochs=200).fit(features, scores)
    assert pearsonr(fitted.predict(features), expected).statistic > 0.9999


@pytest.mark.parametrize("head", ALL)
def test_saved_regressor_predicts_the_same(head, tmp_path):
    features, scores = plane()
    fitted = quick(head, epochs=3).fit(features, scores)
    fitted.save(tmp_path / "head")
    loaded = load_head(tmp_path / "head")
    assert type(loaded) is head
    assert (loaded.predict(features) == fitted.predict(features)).all()


def test_regularisers_change_what_nmtune_learns():
    features, scores = plane()
    found = [
        quick(NMTuneRegressor, epochs=3, weight_mse=weight).fit(features, scores).predict(features)
        for weight in (0.0, 1.0)
    ]
    assert not np.allclose(*found)


def test_reshaped_features_have_the_width_of_the_features():
    features, scores = plane()
    assert quick(MLPProbeRegressor, epochs=1).fit(features, scores).transform(features).shape == (80, 6)


def test_regressors_and_classifiers_go_by_the_same_names():
    assert list(REGRESSORS) == ["linear", "mlp", "nmtune"]
    classifier = set(NMTune().get_params()) - {"loss", "loss_options", "noise_tolerant"}
    assert set(NMTuneRegressor().get_params()) == classifier


def test_scores_that_are_no_numbers_are_refused():
    features, scores = plane(n=8)
    scores[3] = np.nan
    with pytest.raises(BadData, match="row 3"):
        LinearProbeRegressor().fit(features, scores)
    with pytest.raises(BadData, match=r"`y` has 'good' in row 1; allowed for a regressor: numbers"):
        LinearProbeRegressor().fit(features, ["1.5", "good", *"345678"])
    with pytest.raises(BadData, match=r"`y` has NaN or infinity in row 2"):
        LinearProbeRegressor().fit(features, [1.0, 2.0, np.inf, *range(5)])


@pytest.mark.parametrize(
    ("scale", "shift"), [(1, 1e9), (1, -1e12), (1e50, 0), (1e200, 0), (1e-60, 0), (0, 1e50)]
)
def test_scores_that_float32_cannot_tell_apart_are_refused(scale, shift):
    features, scores = plane(n=8)
    with pytest.raises(BadData, match=r"`y` has scores around .* that vary by .* Next: subtract the"):
        LinearProbeRegressor().fit(features, scores * scale + shift * 50)


@pytest.mark.parametrize("scores", [np.full(8, 0.1), np.full(8, 1e9), np.zeros(8)])
def test_scores_that_are_all_one_number_are_predicted(scores):
    fitted = LinearProbeRegressor(epochs=1).fit(plane(n=8)[0], scores)
    assert fitted.predict(plane(n=8)[0]) == pytest.approx(scores)


def test_options_of_regressors_are_checked():
    features, scores = plane(n=8)
    with pytest.raises(InvalidArgument, match=r"`learning_rate` is -1\.0"):
        LinearProbeRegressor(learning_rate=-1.0).fit(features, scores)
    with pytest.raises(UnknownName, match="cosin"):
        NMTuneRegressor(schedule="cosin").fit(features, scores)
