import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noiseproof import LinearProbe, MLPProbe, NMTune
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.heads.estimators import HEADS

ALL = [LinearProbe, MLPProbe, NMTune]
RESHAPING = [MLPProbe, NMTune]


def blobs(n: int = 60, d: int = 8, k: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    return (np.eye(k, d)[labels] * 5 + rng.normal(size=(n, d)) * 0.5).astype(np.float32), labels


def quick(head, **options):
    return head(**{"epochs": 20, "learning_rate": 0.05, "batch_size": 15} | options)


@pytest.mark.parametrize("head", ALL)
@pytest.mark.parametrize("names", [["emu", "cat", "dog"], [30, 10, 20], [7.0, 3.0, 5.0]])
def test_labels_come_back_as_they_were_given(head, names):
    features, labels = blobs()
    given = np.array(names)[labels]
    fitted = quick(head).fit(features, given)
    assert fitted.classes_.tolist() == sorted(names)
    assert fitted.predict(features).tolist() == given.tolist()
    assert fitted.predict(features).dtype == given.dtype
    assert fitted.score(features, given) == 1.0


@pytest.mark.parametrize("head", ALL)
def test_probabilities_sum_to_one_and_follow_classes(head):
    features, labels = blobs()
    given = np.array(["z", "m", "a"])[labels]
    fitted = quick(head).fit(features, given)
    probs = fitted.predict_proba(features)
    assert probs.shape == (60, 3)
    assert probs.sum(1) == pytest.approx(np.ones(60))
    assert (probs >= 0).all()
    assert fitted.classes_[probs.argmax(1)].tolist() == fitted.predict(features).tolist() == given.tolist()


def test_linear_probe_is_a_softmax_of_its_weights():
    features, labels = blobs()
    fitted = quick(LinearProbe).fit(features, labels)
    logits = features @ fitted.state_["classify.weight"].numpy().T + fitted.state_["classify.bias"].numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert fitted.predict_proba(features) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("head", RESHAPING)
def test_transform_gives_the_features_that_are_classified(head):
    features, labels = blobs()
    fitted = quick(head).fit(features, labels)
    z = fitted.transform(features)
    assert z.shape == features.shape
    assert z.dtype == np.float32
    logits = z @ fitted.state_["classify.weight"].numpy().T + fitted.state_["classify.bias"].numpy()
    assert fitted.classes_[logits.argmax(1)].tolist() == fitted.predict(features).tolist()
    assert fitted.get_feature_names_out()[0] == f"{head.__name__.lower()}0"


def test_linear_probe_does_not_transform():
    assert not hasattr(LinearProbe(), "transform")


@pytest.mark.parametrize("head", ALL)
def test_prediction_does_not_depend_on_the_rows_beside(head, monkeypatch):
    options = {"batch_norm": True, "dropout": 0.5} if head is not LinearProbe else {}
    features, labels = blobs()
    fitted = quick(head, **options).fit(features, labels)
    whole = fitted.predict_proba(features)
    alone = np.concatenate([fitted.predict_proba(row[None]) for row in features])
    assert alone == pytest.approx(whole, abs=1e-5)
    monkeypatch.setattr("noiseproof.heads.abstract._BLOCK_ROWS", 7)
    assert fitted.predict_proba(features) == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("head", ALL)
@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_features_of_other_number_types_are_the_same_numbers(head, dtype):
    features, labels = blobs()
    rounded = np.round(features * 4)
    one = quick(head, epochs=2).fit(rounded, labels)
    other = quick(head, epochs=2).fit(rounded.astype(dtype), labels)
    assert other.predict_proba(rounded.astype(dtype)).tobytes() == one.predict_proba(rounded).tobytes()


@pytest.mark.parametrize("head", ALL)
def test_inputs_of_any_memory_layout(head, tmp_path):
    features, labels = blobs()
    np.save(tmp_path / "f.npy", features)
    expected = quick(head, epochs=2).fit(features, labels).predict_proba(features)
    frozen = features.copy()
    frozen.flags.writeable = False
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    for same in (
        np.asfortranarray(features),
        features.tolist(),
        frozen,
        mapped,
        np.repeat(features, 2, 0)[::2],
    ):
        fitted = quick(head, epochs=2).fit(same, labels)
        assert fitted.predict_proba(same) == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(np.load(tmp_path / "f.npy"), features)


@pytest.mark.parametrize("head", ALL)
def test_heads_work_in_scikit_learn_tools(head):
    features, labels = blobs()
    search = GridSearchCV(quick(head, epochs=10), {"learning_rate": np.array([1e-7, 0.05])}, cv=2)
    search.fit(features, labels)
    assert search.best_params_["learning_rate"] == pytest.approx(0.05)
    piped = make_pipeline(StandardScaler(), clone(search.best_estimator_)).fit(features, labels)
    assert piped.score(features, labels) > 0.9
    frame = pd.DataFrame(features, columns=[f"f{i}" for i in range(8)])
    assert quick(head, epochs=1).fit(frame, pd.Series(labels)).feature_names_in_.tolist() == list(frame)


def test_defaults_are_those_of_the_papers():
    for head, rate, decay in ((LinearProbe, 0.01, 0.0), (MLPProbe, 0.001, 1e-4), (NMTune, 0.001, 1e-4)):
        training = head().spec().training
        assert (training.epochs, training.batch_size, training.warmup_steps) == (30, 64, 0)
        assert (training.learning_rate, training.weight_decay) == (rate, decay)
        assert (training.decay, training.max_steps, training.loss) == ("cosine", None, "cross_entropy")


def test_options_reach_the_architecture():
    options = {
        "hidden_layers": 2, "hidden_ratio": 1.5, "activation": "gelu", "batch_norm": True, "residual": True,
        "residual_scale": 0.5, "dropout": 0.1,
    }  # fmt: skip
    for head in RESHAPING:
        architecture = head(**options).spec().architecture
        assert (architecture.hidden_layers, architecture.hidden_ratio) == (2, 1.5)
        assert (architecture.activation, architecture.dropout) == ("gelu", 0.1)
        assert (architecture.use_batch_norm, architecture.use_residual) == (True, True)
        assert architecture.residual_scale == 0.5
    off = NMTune(recipe="released", batch_norm=False, residual=False).spec().architecture
    assert (off.use_batch_norm, off.use_residual) == (False, False)


# Errors. Options are set by set_params, since the run-time type checker of the suite guards constructors.

WHOLE = r"a whole number >= 1"
BAD_NUMBERS = [
    ("epochs", 0, WHOLE), ("epochs", 1.5, WHOLE), ("epochs", True, WHOLE), ("epochs", None, WHOLE),
    ("batch_size", 0, WHOLE), ("batch_size", "64", WHOLE),
    ("learning_rate", 0.0, "a number > 0"), ("learning_rate", -1.0, "a number > 0"),
    ("learning_rate", float("nan"), "a number > 0"), ("learning_rate", float("inf"), "a number > 0"),
    ("weight_decay", -0.1, "a number >= 0"), ("warmup_steps", -1, "a whole number >= 0"),
    ("max_steps", 0, WHOLE), ("min_steps", 0, WHOLE),
    ("seed", -1, "a whole number >= 0"), ("seed", None, "a whole number >= 0"),
]  # fmt: skip
BAD_SHAPES = [
    ("hidden_layers", 0, WHOLE), ("hidden_ratio", 0.0, "a number > 0"), ("residual_scale", "x", "a number"),
    ("dropout", 1.0, "a number >= 0 and < 1"), ("dropout", -0.1, "a number >= 0 and < 1"),
    ("batch_norm", "no", "True or False"), ("residual", 1, "True or False"),
]  # fmt: skip
BAD_WEIGHTS = [
    ("weight_mse", -1.0, "a number >= 0"), ("weight_cov", -1.0, "a number >= 0"),
    ("weight_svd", float("nan"), "a number >= 0"), ("num_singular_values", 0, WHOLE),
    ("noise_tolerant", 1, "True or False"), ("noise_tolerant", None, "True or False"),
]  # fmt: skip
BAD_OPTIONS = (
    [(head, *case) for head in ALL for case in BAD_NUMBERS]
    + [(head, *case) for head in RESHAPING for case in BAD_SHAPES]
    + [(NMTune, *case) for case in BAD_WEIGHTS]
)


@pytest.mark.parametrize(("head", "option", "value", "allowed"), BAD_OPTIONS)
def test_a_bad_option_is_named_with_its_value_and_what_is_allowed(head, option, value, allowed):
    shown = str(value if not isinstance(value, str) else repr(value))
    with pytest.raises(InvalidArgument, match=f"`{option}` is {shown}; allowed: {allowed}"):
        head().set_params(**{option: value}).fit(*blobs())


@pytest.mark.parametrize(
    ("head", "option", "value", "meant"),
    [(head, "loss", "cross_entrpy", "cross_entropy") for head in ALL]
    + [(head, "schedule", "cosin", "cosine") for head in ALL]
    + [(head, "recipe", "papr", "paper") for head in RESHAPING]
    + [(head, "activation", "rellu", "relu") for head in RESHAPING]
    + [(head, "loss_options", {"label_smothing": 0.1}, "label_smoothing") for head in ALL],
)
def test_a_name_that_is_not_known_is_answered_with_the_nearest(head, option, value, meant):
    given = value
    asked, value = ("option of .*", *value) if isinstance(value, dict) else (option, value)
    with pytest.raises(UnknownName, match=rf"Unknown {asked} '{value}'\. Did you mean '{meant}'\? Known: "):
        head().set_params(**{option: given}).fit(*blobs())


def test_every_option_of_every_head_was_given_a_bad_value():
    named = {"loss", "loss_options", "schedule", "recipe", "activation"}
    tested = {option for _, option, _, _ in BAD_OPTIONS} | named
    assert {name for head in ALL for name in head().get_params()} == tested


@pytest.mark.parametrize("head", ALL)
def test_options_are_checked_before_the_data(head):
    with pytest.raises(InvalidArgument, match="`epochs` is 0"):
        head(epochs=0).fit(None, None)


@pytest.mark.parametrize("head", ALL)
def test_labels_of_another_length(head):
    features, labels = blobs()
    with pytest.raises(BadData, match="The labels have 59 rows, the features 60; they must agree"):
        head().fit(features, labels[:-1])


@pytest.mark.parametrize("head", ALL)
def test_prediction_before_the_fit(head):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        head().predict(blobs()[0])


@pytest.mark.parametrize("head", ALL)
def test_prediction_of_other_features(head):
    features, labels = blobs()
    fitted = quick(head, epochs=1).fit(features, labels)
    with pytest.raises(ValueError, match=r"X has 7 features, but .* is expecting 8"):
        fitted.predict(features[:, :7])
    features[3, 2] = np.inf
    with pytest.raises(BadData, match="`features` has NaN or infinity in row 3 "):
        fitted.predict_proba(features)


def test_table_of_heads():
    assert list(HEADS.items()) == [("linear", LinearProbe), ("mlp", MLPProbe), ("nmtune", NMTune)]


def test_tensors_and_columns_of_lists_are_features():
    labels = np.arange(30) % 3
    features = np.eye(3)[labels] + np.random.default_rng(0).normal(scale=0.2, size=(30, 3))
    expected = LinearProbe(epochs=2, seed=0).fit(features, labels).predict_proba(features)
    for given in (torch.tensor(features, requires_grad=True), pd.Series(list(features))):
        head = LinearProbe(epochs=2, seed=0).fit(given, labels)
        np.testing.assert_allclose(head.predict_proba(given), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (pd.Series(["a", pd.NA, "b"] * 4, dtype="string"), "`y` has no label in row 1"),
        ([["a"], ["a", "b"], ["b"]] * 4, r"row 0.*multi-label"),
    ],
)
def test_labels_that_are_missing_or_several_are_named(labels, message):
    with pytest.raises(ValueError, match=message):
        LinearProbe(epochs=1).fit(np.eye(12), labels)
