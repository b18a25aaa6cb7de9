import numpy as np
import pytest
import torch

from noiseproof import LinearProbe, MetaWeightNet, MLPProbe, NMTune
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.robust.meta_gradient import DenseStep

QUICK = {"epochs": 30, "batch_size": 40, "learning_rate": 0.02}
BRIEF = QUICK | {"epochs": 5}  # where what is learned does not matter


def blobs(n=240, clean=40, d=8, k=4, wrong=0.5, seed=0):
    """Features of k classes; half of the given labels are wrong, those of the last `clean` rows are not."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n + clean) % k
    features = (np.eye(k, d)[labels] * 2 + rng.normal(size=(n + clean, d))).astype(np.float32)
    is_wrong = (rng.random(n + clean) < wrong) & (np.arange(n + clean) < n)
    given = np.where(is_wrong, (labels + rng.integers(1, k, n + clean)) % k, labels)
    meta = {"meta_features": features[n:], "meta_labels": given[n:]}
    return features[:n], given[:n], meta, is_wrong[:n], labels[:n]


def fitted(head=None, **options):
    features, given, meta, *_ = blobs()
    head = LinearProbe(**QUICK) if head is None else head
    return MetaWeightNet(head, **{"meta_learning_rate": 0.01, **options}).fit(features, given, **meta)


# A head with enough capacity to learn wrong labels by heart, or there would be nothing to see in the losses.
MLP = {"epochs": 30, "batch_size": 40, "learning_rate": 0.003}
SHORT = MLP | {"epochs": 15}
HEADS = {
    "plain": MLPProbe(**MLP),
    "batch norm": MLPProbe(**MLP, batch_norm=True),
    "dropout": MLPProbe(**MLP, dropout=0.3),
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_wrong_labels_count_less_and_the_head_is_better_than_alone(head):
    features, given, _, is_wrong, labels = blobs()
    with_weights = fitted(head)
    weights = with_weights.example_weights_
    assert weights.shape == (240,)
    assert ((weights >= 0) & (weights <= 1)).all()
    assert weights[~is_wrong].mean() > 2 * weights[is_wrong].mean()
    assert with_weights.score(features, labels) > head.fit(features, given).score(features, labels) + 0.05


@pytest.mark.slow_but_first
@pytest.mark.parametrize("options", [
    {"normalise_weights": True},
    {"meta_optimizer": "sgd", "meta_learning_rate": 0.3, "head": MLPProbe(**MLP)},  # slower
    {"meta_loss": "mae", "inner_rate": 1.0}, {"update_every": 2}, {"meta_batch_size": 10},
    {"head": MLPProbe(**SHORT, loss="gce", loss_options={"q": 0.3})},
])  # fmt: skip
def test_every_variant_tells_right_from_wrong_labels(options):
    _, _, _, is_wrong, _ = blobs()
    weights = fitted(**{"head": MLPProbe(**SHORT), **options}).example_weights_
    assert weights[~is_wrong].mean() > weights[is_wrong].mean()


@pytest.mark.parametrize(("inner_rate", "expected"), [(0.3, [0.3, 0.3]), (None, [0.02, 0.0])])
def test_inner_rate_is_constant_or_follows_the_heads_schedule(monkeypatch, inner_rate, expected):
    rates, slopes = [], DenseStep.slopes

    def watched(self, *batches, rate):
        rates.append(rate)
        return slopes(self, *batches, rate=rate)

    monkeypatch.setattr(DenseStep, "slopes", watched)
    fitted(LinearProbe(**BRIEF), inner_rate=inner_rate)
    assert len(rates) == 30
    assert [rates[0], rates[-1]] == pytest.approx(expected, abs=1e-4)


def test_history_has_weights_and_the_gradient_of_the_weight_net():
    history = fitted(LinearProbe(**BRIEF), log_steps=10).history_
    assert [row["step"] for row in history] == [10, 20, 30]
    for row in history:
        assert sum(row["weight_histogram"]) == 40
        assert row["weight_gradient_norm"] > 0
        assert row["skipped_steps"] == row["skipped_updates"] == 0


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    features, *_ = blobs()
    one, same, other = (fitted(LinearProbe(**BRIEF, seed=seed)).predict_proba(features) for seed in (3, 3, 4))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


def test_it_is_a_scikit_learn_classifier_that_keeps_names_of_classes():
    features, given, meta, _, _ = blobs()
    names = np.array(["ant", "bee", "cat", "dog"])
    meta["meta_labels"] = names[meta["meta_labels"]]
    model = MetaWeightNet(LinearProbe(**BRIEF)).fit(features, names[given], **meta)
    assert set(model.predict(features)) == set(names)
    assert model.predict_proba(features).sum(1) == pytest.approx(np.ones(240))
    assert model.get_params()["head__epochs"] == 5
    assert model.n_features_in_ == 8
    assert model.predict(features).tolist() == model.heads_[0].predict(features).tolist()


def test_the_fitted_head_can_be_kept(tmp_path):
    features, *_ = blobs()
    model = fitted(LinearProbe(**BRIEF))
    model.heads_[0].save(tmp_path / "head")
    assert LinearProbe.load(tmp_path / "head").predict(features).tolist() == model.predict(features).tolist()


def test_what_it_is_given_stays_as_it_was():
    features, given, meta, _, _ = blobs()
    head = LinearProbe(**BRIEF)
    before = features.tobytes(), given.tobytes(), meta["meta_features"].tobytes()
    MetaWeightNet(head).fit(features, given, **meta)
    assert (features.tobytes(), given.tobytes(), meta["meta_features"].tobytes()) == before
    assert not hasattr(head, "state_")


def test_steps_whose_weights_are_all_zero_are_skipped_and_counted(monkeypatch):
    from noiseproof.robust.weight_net import WeightNet

    features, *_ = blobs()
    forward = WeightNet.forward
    monkeypatch.setattr(WeightNet, "forward", lambda self, losses: forward(self, losses) - 1e4)
    model = fitted(LinearProbe(**BRIEF), log_steps=30)
    assert model.history_[-1]["skipped_steps"] == 30
    assert np.isfinite(model.predict_proba(features)).all()


def test_an_overlap_with_the_training_set_is_found_by_content_and_by_id():
    features, given, meta, _, _ = blobs()
    model = MetaWeightNet()
    both = {"meta_features": features[:30], "meta_labels": given[:30]}
    with pytest.raises(BadData, match=r"shares 30 of its 30 .*for example 'row 0'; .*pass `ids` and"):
        model.fit(features, given, **both)
    ids, meta_ids = np.arange(240), np.arange(239, 279)
    with pytest.raises(BadData, match=r"shares 1 of its 40 examples with the training set, for example 239"):
        model.fit(features, given, **meta, ids=ids, meta_ids=meta_ids)
    with pytest.raises(BadData, match="`ids` requires `meta_ids` and the reverse; allowed: both or neither"):
        model.fit(features, given, **meta, ids=ids)


def test_rows_that_differ_in_the_sign_of_zero_are_the_same_example():
    features, given, *_ = blobs()
    features[:, 0] = 0
    both = {"meta_features": features[:30] * np.array([-1] + [1] * 7), "meta_labels": given[:30]}
    with pytest.raises(BadData, match="shares 30 of its 30"):
        MetaWeightNet().fit(features, given, **both)


@pytest.mark.parametrize(("ids", "meta_ids", "message"), [
    (range(1000, 1005), range(20), r"`ids` has the shape \(5,\), .* 240 rows; allowed: one id per row"),
    (range(1000, 1240), range(3), r"`meta_ids` has the shape \(3,\), its features have 20 rows"),
    (np.ones((240, 2)), range(20), r"`ids` has the shape \(240, 2\)"),
    ([7] * 240, range(20, 40), "'ids' has duplicate ids: 7 and 0 more"),
    (range(1000, 1240), ["a"] * 20, "has duplicate ids: 'a' and 0 more"),
])  # fmt: skip
def test_ids_that_are_not_one_per_example_do_not_switch_the_check_off(ids, meta_ids, message):
    features, given, *_ = blobs()
    with pytest.raises(BadData, match=message):
        MetaWeightNet().fit(features, given, meta_features=features[:20], meta_labels=given[:20], ids=ids,
                            meta_ids=meta_ids)  # fmt: skip


def test_a_meta_set_that_cannot_teach_is_refused():
    features, given, meta, _, _ = blobs()
    model = MetaWeightNet(least_per_class=3)
    with pytest.raises(BadData, match=r"`meta_features` and `meta_labels` are required.*Next: check some"):
        model.fit(features, given)
    rows = meta["meta_labels"] != 2
    with pytest.raises(BadData, match="0 clean examples of class 2; allowed: 3 or more of each class"):
        model.fit(features, given, meta_features=meta["meta_features"][rows],
                  meta_labels=meta["meta_labels"][rows])  # fmt: skip
    with pytest.raises(BadData, match=r"`meta_labels` has the class .*7.*, which no training example has"):
        model.fit(features, given, meta_features=meta["meta_features"], meta_labels=np.full(40, 7))
    with pytest.raises(BadData, match="`meta_labels` has 39 rows, `meta_features` 40; they must agree"):
        model.fit(features, given, meta_features=meta["meta_features"], meta_labels=meta["meta_labels"][1:])
    with pytest.raises(BadData, match=r"the class '0', which .*Next: give both as one type; these are <U21, "
                                      "those of training int64"):  # fmt: skip
        model.fit(features, given, meta_features=meta["meta_features"],
                  meta_labels=meta["meta_labels"].astype(str))  # fmt: skip
    broken = meta["meta_features"].copy()
    broken[4, 0] = np.nan
    with pytest.raises(BadData, match="NaN or infinity in row 4"):
        model.fit(features, given, meta_features=broken, meta_labels=meta["meta_labels"])


def test_options_out_of_range_are_named():
    with pytest.raises(InvalidArgument, match=r"`inner_rate` is 0\.0; allowed: a number > 0, or None"):
        fitted(inner_rate=0.0)
    with pytest.raises(InvalidArgument, match="`meta_batch_size` is 0; allowed: a whole number >= 1"):
        fitted(meta_batch_size=0)
    with pytest.raises(InvalidArgument, match=r"`loss` is 'elr'; allowed: a loss of one example at a time"):
        fitted(LinearProbe(**QUICK, loss="elr"))
    with pytest.raises(UnknownName, match=r"Unknown meta loss 'mea'. Did you mean 'mae'"):
        fitted(meta_loss="mea")
    with pytest.raises(InvalidArgument, match="`head` is 'NMTune'; allowed: LinearProbe or"):
        fitted(NMTune())
    with pytest.raises(InvalidArgument, match=r"`dropout` is 0\.3; allowed: 0 with batch_norm or residual"):
        fitted(MLPProbe(dropout=0.3, residual=True))


@pytest.mark.parametrize(("name", "value"), [
    ("meta_batch_size", 2.5), ("update_every", 1.5), ("log_steps", 2.5), ("inner_rate", np.inf),
    ("inner_rate", "a"), ("least_per_class", 0), ("meta_weight_decay", -1.0), ("meta_learning_rate", np.inf),
    ("normalise_weights", "no"),
])  # fmt: skip
def test_options_that_are_no_such_number_are_named(name, value):
    with pytest.raises(InvalidArgument, match=f"`{name}` is {value!r}; allowed: (a|True)"):
        MetaWeightNet().set_params(**{name: value}).check_options()


@pytest.mark.parametrize(("labels", "message"), [
    ([None] * 40, "has the class None, which no training"),
    (np.zeros((40, 1), int), r"has the shape \(40, 1\); allowed: \(l,\)"),
])  # fmt: skip
def test_meta_labels_that_are_none_are_refused(labels, message):
    features, given, meta, *_ = blobs()
    with pytest.raises(BadData, match=message):
        MetaWeightNet().fit(features, given, meta_features=meta["meta_features"], meta_labels=labels)


def test_weights_of_impossible_losses_are_finite():
    """A label whose probability underflows has an infinite loss; its weight is a number all the same."""
    features, given, meta, _, _ = blobs()
    model = MetaWeightNet(LinearProbe(**BRIEF)).fit(features * 1000, given,
                                                    meta_features=meta["meta_features"] * 1000,
                                                    meta_labels=meta["meta_labels"])  # fmt: skip
    assert np.isfinite(model.example_weights_).all()
    assert torch.isfinite(torch.tensor(model.predict_proba(features * 1000))).all()
