"""Estimators of one or two heads keep every bit of what they predict when they are saved and loaded."""

import json

import numpy as np
import pandas as pd
import pytest

from noiseproof import CoTeaching, DivideMix, LinearProbe, MetaWeightNet, MLPProbe
from noiseproof.core.errors import DamagedFile, InvalidArgument, UnknownName
from noiseproof.heads.saved_heads import EncoderNeed, HeadNeeds, read_head
from noiseproof.robust.robust_estimators import ROBUST, estimator_from
from rewritten import rewritten


def blobs():
    labels = np.arange(40) % 4
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 5)).astype(np.float32) + np.eye(4, 5, dtype=np.float32)[labels] * 3
    return features, np.array(["d", "a", "c", "b"])[labels]


def fitted(name):
    features, labels = blobs()
    head = MLPProbe(epochs=2, hidden_ratio=1.0) if name == "co_teaching" else LinearProbe(epochs=2, seed=3)
    if name == "meta_weight_net":
        return MetaWeightNet(head).fit(features, labels, meta_features=features + 1, meta_labels=labels)
    return ROBUST[name](head if name != "divide_mix" else None, ramp_epochs=2).fit(features, labels)


@pytest.mark.parametrize("name", ROBUST)
def test_round_trip_keeps_every_bit(name, tmp_path):
    features, _ = blobs()
    estimator = fitted(name)
    path = estimator.save(tmp_path / "deep" / "est")
    for back in (estimator_from(read_head(path), str(path)), type(estimator).load(tmp_path / "deep" / "est")):
        assert type(back) is type(estimator)
        assert back.predict_proba(features).tobytes() == estimator.predict_proba(features).tobytes()
        assert back.predict(features).tolist() == estimator.predict(features).tolist()
        assert str(back.get_params()) == str(estimator.get_params())
        own = {key: value for key, value in vars(estimator).items() if key.endswith("_") and key != "heads_"}
        for key, value in own.items():
            assert np.array_equal(getattr(back, key), value), key


def test_all_estimators_are_in_the_table():
    assert set(ROBUST.values()) == {CoTeaching, DivideMix, MetaWeightNet}


def test_needs_of_an_estimator_are_kept(tmp_path):
    encoder = EncoderNeed(name="features:", kind="features", layer="given", weights_hash="x", transform="y")
    needs = HeadNeeds(class_names=("a", "b", "c", "d"), encoders=(encoder,))
    path = fitted("co_teaching").save(tmp_path / "est", needs=needs)
    assert read_head(path).needs == needs


def test_names_of_columns_are_kept(tmp_path):
    features, labels = blobs()
    frame = pd.DataFrame(features, columns=list("abcde"))
    estimator = CoTeaching(LinearProbe(epochs=1), forget_rate=0.1).fit(frame, labels)
    back = CoTeaching.load(estimator.save(tmp_path / "est"))
    assert back.predict(frame).tolist() == estimator.predict(frame).tolist()
    with pytest.raises(ValueError, match="same order as they were in fit"):
        back.predict(frame[list("edcba")])


def test_another_class_is_refused(tmp_path):
    path = fitted("co_teaching").save(tmp_path / "est")
    with pytest.raises(InvalidArgument, match=r"a saved DivideMix.*holds a head 'co_teaching'"):
        DivideMix.load(path)


def test_an_unknown_class_is_refused(tmp_path):
    path = fitted("co_teaching").save(tmp_path / "est")
    rewritten(path.with_suffix(".json"), head="co_teching")
    with pytest.raises(UnknownName, match="co_teaching"):
        estimator_from(read_head(path), str(path))


def test_a_card_without_its_heads_is_damaged(tmp_path):
    path = fitted("co_teaching").save(tmp_path / "est")
    card = path.with_suffix(".json")
    options = json.loads(card.read_text())["options"]
    options.pop("heads_")
    rewritten(card, options=options)
    with pytest.raises(DamagedFile, match="no co_teaching"):
        estimator_from(read_head(path), str(path))
