"""Weights of examples in estimators with a training scheme of their own."""

import numpy as np
import pytest
import sklearn
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from noiseproof import CoTeaching, DivideMix, LinearProbe, MetaWeightNet, MLPProbe
from noiseproof.core.errors import BadData
from noiseproof.heads.fit import TrainingExamples
from noiseproof.robust.divide_mix import _DivideMixRun
from noiseproof.robust.robust_estimators import ROBUST

every_estimator = pytest.mark.parametrize("name", ROBUST)
LEARNED = {"divide_mix": "clean_probability_", "meta_weight_net": "example_weights_"}


def clouds(n=40, d=5):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return (np.eye(3, d)[labels] * 2 + rng.normal(size=(n, d))).astype(np.float32), labels


def fit_data(name):
    """What `fit` takes besides features and labels."""
    features, labels = clouds(12)
    return {"meta_features": features + 9, "meta_labels": labels} if name == "meta_weight_net" else {}


def made(name, head=None, **options):
    head = LinearProbe(epochs=4, batch_size=16) if head is None else head
    return ROBUST[name](head, **({"ramp_epochs": 2} if name != "meta_weight_net" else {}), **options)


@every_estimator
@pytest.mark.parametrize("head", [None, MLPProbe(epochs=4, batch_size=16, batch_norm=True)])
def test_equal_weights_are_no_weights(name, head):
    features, labels = clouds()
    plain = made(name, head).fit(features, labels, **fit_data(name))
    equal = made(name, head).fit(features, labels, np.full(40, 3.0), **fit_data(name))
    assert equal.predict_proba(features).tobytes() == plain.predict_proba(features).tobytes()
    if name in LEARNED:
        assert getattr(equal, LEARNED[name]).tobytes() == getattr(plain, LEARNED[name]).tobytes()


@every_estimator
def test_a_weight_of_zero_leaves_an_example_out_and_others_count(name):
    features, labels = clouds()
    weights = np.where(np.arange(40) % 5 < 3, 2.0, 0.0)
    left_out = made(name).fit(features[weights > 0], labels[weights > 0], **fit_data(name))
    found = made(name).fit(features, labels, sample_weight=weights, **fit_data(name))
    assert found.predict_proba(features).tobytes() == left_out.predict_proba(features).tobytes()
    if name in LEARNED:
        learned = getattr(found, LEARNED[name])
        assert np.isnan(learned[weights == 0]).all()
        assert learned[weights > 0].tolist() == getattr(left_out, LEARNED[name]).tolist()
    uneven = made(name).fit(features, labels, sample_weight=1.0 + 30 * (labels == 0), **fit_data(name))
    plain = made(name).fit(features, labels, **fit_data(name))
    assert uneven.predict_proba(features)[:, 0].mean() > plain.predict_proba(features)[:, 0].mean() + 1e-3


@every_estimator
def test_in_one_batch_a_weight_is_a_number_of_copies(name):
    """Before a scheme selects or mixes; the learned weights of Meta-Weight-Net are learned meanwhile."""
    features, labels = clouds()
    counts = np.random.default_rng(1).integers(0, 4, 40)
    whole = LinearProbe(epochs=15, batch_size=1000)
    options = {"co_teaching": {"forget_rate": 0.0}, "divide_mix": {"warmup_epochs": 15}}.get(name, {})
    weighted = made(name, whole, **options).fit(features, labels, counts, **fit_data(name))
    rows = np.arange(40).repeat(counts)
    ids = {"ids": np.arange(len(rows)), "meta_ids": -1 - np.arange(12)} if name == "meta_weight_net" else {}
    repeated = made(name, whole, **options).fit(features[rows], labels[rows], **fit_data(name), **ids)
    assert weighted.predict_proba(features) == pytest.approx(repeated.predict_proba(features), abs=5e-4)
    if name == "meta_weight_net":
        assert weighted.example_weights_[rows] == pytest.approx(repeated.example_weights_, abs=5e-4)


def test_weights_are_mixed_as_features_are():
    features = torch.arange(4.0)[None, :, None].expand(2, -1, -1)
    examples = TrainingExamples((features[0],), torch.zeros(4, dtype=torch.int64), 2)
    run = _DivideMixRun(DivideMix(), examples, seed=0, loss=lambda *_: None)
    mixed, targets, weights = run._mixed(features, features, torch.arange(4.0))
    assert mixed[0, :, 0].tolist() == targets[0, :, 0].tolist() == pytest.approx(weights.tolist())
    assert weights.tolist() != [0, 1, 2, 3]


def test_ids_of_meta_weight_net_are_those_of_all_rows():
    features, labels = clouds()
    weights = np.r_[0.0, np.ones(39)]
    meta = fit_data("meta_weight_net") | {"ids": np.arange(40), "meta_ids": np.r_[0, 100 + np.arange(11)]}
    made("meta_weight_net").fit(features, labels, weights, **meta)  # the example in both is left out
    with pytest.raises(BadData, match="shares 1 of its 12 examples"):
        made("meta_weight_net").fit(features, labels, **meta)


@every_estimator
def test_a_pipeline_of_scikit_learn_passes_weights_on(name):
    features, labels = clouds()
    weights = np.linspace(0.1, 2, 40)
    with sklearn.config_context(enable_metadata_routing=True):
        names = {"sample_weight": True} | dict.fromkeys(fit_data(name), True)
        pipeline = make_pipeline(Normalizer(), made(name).set_fit_request(**names))
        pipeline.fit(features, labels, sample_weight=weights, **fit_data(name))
    scaled = Normalizer().fit_transform(features)
    direct = made(name).fit(scaled, labels, weights, **fit_data(name))
    assert pipeline.predict_proba(features).tobytes() == direct.predict_proba(scaled).tobytes()


@every_estimator
def test_weights_that_are_none_are_refused(name):
    features, labels = clouds()
    with pytest.raises(BadData, match=r"`sample_weight` has -1.0 in row 39; allowed: finite numbers of at"):
        made(name).fit(features, labels, np.r_[np.ones(39), -1], **fit_data(name))
    with pytest.raises(BadData, match="one class only"):
        made(name).fit(features, labels, labels == 1, **fit_data(name))


def test_all_estimators_have_weights():
    assert set(ROBUST.values()) == {CoTeaching, DivideMix, MetaWeightNet}
