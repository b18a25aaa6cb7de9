"""What every public estimator does: weights of examples, and files that keep all it needs."""

import inspect
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, is_regressor

import noiseproof
from noiseproof.core.errors import BadData, CheckpointMismatch
from noiseproof.heads.saved_heads import EncoderNeed, HeadNeeds

PUBLIC = [getattr(noiseproof, name) for name in noiseproof.__all__]
ESTIMATORS = [one for one in PUBLIC if inspect.isclass(one) and issubclass(one, BaseEstimator)]
every_estimator = pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)
NEED = EncoderNeed(name="features:", kind="features", layer="given", weights_hash="x", transform="y")


def fitted(cls, *weights):
    """An estimator that learned little, and features."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 3
    features = (np.eye(3, 5)[labels] * 3 + rng.normal(size=(40, 5))).astype(np.float32)
    names = set(inspect.signature(cls).parameters)
    options = {"head": noiseproof.LinearProbe(epochs=2)} if "head" in names else {"epochs": 2}
    meta = {}
    if "meta_features" in inspect.signature(cls.fit).parameters:
        meta = {"meta_features": features + 1, "meta_labels": labels}
    return cls(**options).fit(features, labels, *weights, **meta), features


def test_there_are_classifiers_regressors_and_robust_ones():
    assert len(ESTIMATORS) >= 9
    assert sum(map(is_regressor, (cls() for cls in ESTIMATORS))) >= 3


@every_estimator
def test_equal_weights_are_no_weights(cls):
    plain, features = fitted(cls)
    equal, _ = fitted(cls, np.full(40, 0.3))
    assert equal.predict(features).tobytes() == plain.predict(features).tobytes()


@every_estimator
def test_a_saved_one_predicts_the_same_and_knows_what_it_needs(cls, tmp_path):
    estimator, features = fitted(cls)
    names = () if is_regressor(estimator) else ("ant", "bee", "cat")
    path = estimator.save(tmp_path / "deep" / "head", needs=HeadNeeds(class_names=names, encoders=(NEED,)))
    back = cls.load(path)
    assert str(back.get_params()) == str(estimator.get_params())
    assert back.predict(features).tobytes() == estimator.predict(features).tobytes()
    model = noiseproof.load(path)  # the head alone
    assert (model.kind, model.class_names) == ("features", names)
    table = model.predict(features)
    if is_regressor(estimator):
        assert table["prediction"].tolist() == estimator.predict(features).tolist()
    else:
        expected = estimator.predict_proba(features)
        assert table.filter(like="prob_").to_numpy().tobytes() == expected.tobytes()
    assert json.loads(path.with_suffix(".json").read_text())["needs"]["encoders"][0]["name"] == "features:"
    with pytest.raises(CheckpointMismatch, match=r"width 4.*takes 5. Next: use the encoder"):
        model.predict(features[:, :4])
    with pytest.raises(BadData, match=r"holds texts, and the head .* reads features"):
        model.predict(pd.DataFrame({"text": ["a"]}))


@every_estimator
def test_without_needs_its_classes_are_the_labels(cls, tmp_path):
    estimator, features = fitted(cls)
    model = noiseproof.load(estimator.save(tmp_path / "head"))
    assert model.class_names == (() if is_regressor(estimator) else ("0", "1", "2"))
    assert len(model.predict(features)) == 40
