"""One list of checks that every head, loss and detector passes; how many there are is asserted."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.errors import BadData
from noiseproof.detect import training_dynamics
from noiseproof.detect.detectors import TABLE
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.heads.estimators import HEADS
from noiseproof.losses.batch import batch_loss
from noiseproof.losses.losses import LOSSES, resolve_options


def blobs(n: int = 48, d: int = 6, k: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    features = (np.eye(k, d)[labels] * 3 + rng.normal(size=(n, d))).astype(np.float32)
    given = labels.copy()
    given[::7] = (given[::7] + 1 + np.arange(len(given[::7])) % 2) % k
    return features, given


def from_head(name):
    """What a fitted head says of its features: a row of numbers and a label per example, and all there is."""

    def say(features, labels, *, seed=0):
        head = HEADS[name](epochs=3, seed=seed, learning_rate=0.01).fit(features, labels)
        return head.predict_proba(features), head.predict(features), head

    return say


def from_detector(name):
    def say(features, labels, *, seed=0):
        issues = find_label_issues(features, labels, method=name, seed=seed)
        return issues.suspicion[:, None], issues.suggested_labels, issues

    return say


@pytest.fixture(autouse=True)
def _few_steps(request, monkeypatch):
    """Heads that detectors train take 200 steps or more, which one test needs."""
    if "finds_wrong_labels" not in request.node.name:
        monkeypatch.setattr(training_dynamics, "_LEAST_STEPS", 20)


COMPONENTS = {f"head {name}": from_head(name) for name in HEADS}
# Those that look at features; what the others are told is in tests/detect.
DETECTORS = [name for name in TABLE if name not in ("zero_shot", "prompts")]
COMPONENTS |= {f"detector {name}": from_detector(name) for name in (*DETECTORS, "auto")}
every_component = pytest.mark.parametrize("say", COMPONENTS.values(), ids=COMPONENTS.keys())
every_loss = pytest.mark.parametrize("loss", LOSSES.names)


@cache
def inputs_and_answer(say):
    features, given = blobs()
    return features, given, say(features, given)


def usual(say):
    """What a component says of the usual blobs."""
    return inputs_and_answer(say)[2]


@cache
def exact(say):
    """The same of float64 features that every type of numbers can hold."""
    features, given = blobs()
    return say(features.astype(np.float16).astype(np.float64), given)


def test_the_lists_hold_every_component():
    assert len(HEADS) == 3
    assert len(TABLE) == 11
    assert len(LOSSES.names) == 14
    assert len(COMPONENTS) == 13


# Heads and detectors


@every_component
def test_same_seed_gives_same_bytes(say):
    one, other = usual(say), say(*blobs(), seed=0)
    assert one[0].tobytes() == other[0].tobytes()
    assert one[1].tobytes() == other[1].tobytes()


@every_component
def test_one_number_per_example_in_the_unit_interval(say):
    _, given = blobs()
    scores, labels, _ = usual(say)
    assert len(scores) == len(labels) == len(given)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert set(labels) <= set(given)


@every_component
def test_names_of_classes_in_the_same_order_change_nothing(say):
    features, given = blobs()
    names = np.array(["ant", "bee", "cat"])
    by_id, by_name = usual(say), say(features, names[given])
    assert by_name[0].tobytes() == by_id[0].tobytes()
    assert by_name[1].tolist() == names[by_id[1]].tolist()


@pytest.mark.parametrize("name", ["leave_one_out", "transition", "confident_learning", "neighbours", "auto"])
def test_permuted_classes_permute_what_a_detector_says(name):
    """But for those that train heads, whose first weights are drawn per class."""
    features, given = blobs()
    permutation = np.array([2, 0, 1])
    one = find_label_issues(features, given, method=name)
    other = find_label_issues(features, permutation[given], method=name)
    assert other.suspicion == pytest.approx(one.suspicion, abs=1e-5)
    assert other.suggested_labels.tolist() == permutation[one.suggested_labels].tolist()
    assert other.probs[:, permutation] == pytest.approx(one.probs, abs=1e-5)
    assert other.joint[np.ix_(permutation, permutation)] == pytest.approx(one.joint, abs=1e-3)


@pytest.mark.parametrize("name", [*DETECTORS, "auto"])
def test_every_detector_fills_the_one_schema(name):
    _, given = blobs()
    found = usual(COMPONENTS[f"detector {name}"])[2]
    assert found.method == name or name == "auto"
    assert found.joint.sum() == pytest.approx(48)
    assert found.joint.sum(0) == pytest.approx(np.bincount(given))
    assert found.transition.sum(1) == pytest.approx(np.ones(3))
    assert 0 <= found.noise_rate <= 1
    assert found.class_table()["num_issues"].sum() == found.is_issue.sum()
    assert found.class_table()["num_examples"].sum() == 48


@pytest.mark.parametrize("name", [*DETECTORS, "auto"])
def test_every_detector_finds_wrong_labels_among_clear_classes(name):
    rng = np.random.default_rng(1)
    clean = np.arange(300) % 3
    features = (np.eye(3, 6)[clean] * 4 + rng.normal(size=(300, 6)) * 0.5).astype(np.float32)
    given = clean.copy()
    given[::10] = (given[::10] + 1 + rng.integers(2, size=30)) % 3
    found = find_label_issues(features, given, method=name)
    worst = np.argsort(-found.suspicion)[:30]
    least = 0.8 if name == "forgetting" else 0.9  # which counts to ten, and no further
    assert (given != clean)[worst].mean() >= least
    assert found.suggested_labels[found.is_issue & (given != clean)].tolist() == (
        clean[found.is_issue & (given != clean)].tolist()
    )


@pytest.mark.parametrize("name", HEADS)
def test_permuted_classes_permute_what_a_head_learns(name):
    """Initial weights are drawn per class, so the same up to training: labels agree on clear examples."""
    rng = np.random.default_rng(0)
    labels, permutation = np.arange(60) % 3, np.array([2, 0, 1])
    features = np.eye(3, 6)[labels] * 6 + rng.normal(size=(60, 6)) * 0.3
    options = {"epochs": 20, "learning_rate": 0.03, "batch_size": 10}
    one = HEADS[name](**options).fit(features, labels).predict(features)
    other = HEADS[name](**options).fit(features, permutation[labels]).predict(features)
    assert other.tolist() == permutation[one].tolist() == permutation[labels].tolist()


@every_component
def test_features_are_left_as_they_were(say):
    features, given, _ = inputs_and_answer(say)
    assert [one.tobytes() for one in (features, given)] == [one.tobytes() for one in blobs()]


@every_component
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_number_types_agree(say, dtype):
    features, given = blobs()
    features = features.astype(np.float16)  # what all of them can hold
    found = say(features.astype(dtype), given)
    assert found[0] == pytest.approx(exact(say)[0], abs=1e-3)


@every_component
@pytest.mark.parametrize("label", [0, "cat"])
def test_one_class_is_an_error_that_names_it(say, label):
    with pytest.raises(BadData, match=rf"one class only, {label!r}; allowed: two or more\. Next: check"):
        say(blobs()[0], np.array([label] * 48))


@every_component
def test_no_rows_is_an_error(say):
    with pytest.raises(ValueError, match=r"0 rows|0 sample"):
        say(np.zeros((0, 6), np.float32), np.zeros(0, np.int64))


@every_component
def test_one_row_is_an_error(say):
    features, given = blobs()
    with pytest.raises(BadData, match=r"one class only|1 rows"):
        say(features[:1], given[:1])


@every_component
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named(say, value):
    features, given = blobs()
    features[17, 2] = value
    with pytest.raises(BadData, match=r"`features` has NaN or infinity in row 17 .*Next: "):
        say(features, given)


@every_component
def test_lengths_that_differ_are_both_told(say):
    features, given = blobs()
    with pytest.raises(BadData, match=r"47 rows, .*features.* 48; they must agree"):
        say(features, given[:-1])


@every_component
def test_two_examples_are_enough(say, request):
    if request.node.callspec.id in ("detector neighbours", "detector fusion"):
        with pytest.raises(BadData, match=r"'a' has 1 example .*needs 2 or more of each"):
            say(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array(["a", "b"]))
        return
    scores, labels, _ = say(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array(["a", "b"]))
    assert np.isfinite(scores).all()
    assert set(labels) <= {"a", "b"}


# Losses

CAN_BE_NEGATIVE = {"backward", "peer", "elr"}
NOISE = {"transition": [[0.8, 0.1, 0.05, 0.05], [0.1, 0.7, 0.1, 0.1], [0, 0.2, 0.8, 0], [0.1, 0, 0.1, 0.8]]}


def told(loss, transition=NOISE["transition"]):
    return resolve_options(loss, {"transition": transition} if loss in ("forward", "backward") else None)


def value_of(loss, logits, labels, *, options=None, seeds=(0, 1)):
    """At the first step of a training, of which nothing is remembered and whose draws repeat."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    m, b, k = logits.shape
    rows = torch.arange(b).expand(m, b)
    options = told(loss) if options is None else options
    calculated = batch_loss(loss, options, num_examples=b, num_classes=k, generators=generators[:m])
    return calculated(logits.log_softmax(-1), labels, rows)


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 7, 4, generator=generator).to(dtype), torch.randint(4, (2, 7), generator=generator)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_is_one_number_per_example_of_the_same_type(loss, dtype):
    logits, labels = batch(dtype)
    value = value_of(loss, logits, labels)
    assert value.shape == labels.shape
    assert value.dtype == dtype
    assert (value >= 0).all() or loss in CAN_BE_NEGATIVE


@every_loss
def test_a_loss_is_the_same_whatever_the_classes_are_called(loss):
    logits, labels = batch()
    permutation = torch.tensor([2, 0, 3, 1])
    moved = torch.empty_like(logits)
    moved[..., permutation] = logits
    back = permutation.argsort().numpy()
    options = told(loss, np.array(NOISE["transition"])[np.ix_(back, back)])
    one, other = value_of(loss, logits, labels), value_of(loss, moved, permutation[labels], options=options)
    assert other.flatten().tolist() == pytest.approx(one.flatten().tolist())


@every_loss
def test_a_loss_of_stacked_heads_is_each_heads_own(loss):
    logits, labels = batch()
    stacked = value_of(loss, logits, labels)
    for i in range(2):
        alone = value_of(loss, logits[i : i + 1], labels[i : i + 1], seeds=(i,))
        assert stacked[i].tolist() == pytest.approx(alone[0].tolist())


@every_loss
def test_gradient_of_a_loss_equals_finite_differences(loss):
    if loss == "elr":
        pytest.skip(
            "its targets move with the logits and take no gradient: tests/losses/test_early_learning.py"
        )
    logits, labels = batch()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: value_of(loss, x, labels), (logits,))


@every_loss
def test_a_surer_right_answer_costs_less(loss):
    labels = torch.zeros(1, 1, dtype=torch.int64)
    rows, least = torch.tensor([[-2.0, 0.0, 1.0, 4.0]]), {"peer": 0.5}
    options = resolve_options(loss, {"alpha": least[loss]}) if loss in least else told(loss)
    costs = [
        float(value_of(loss, torch.tensor([[[lead, 0.0, 0.0, 0.0]]]), labels, options=options))
        for lead in rows[0].tolist()
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


@every_loss
def test_a_loss_of_no_examples_is_empty(loss):
    assert value_of(loss, torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64)).shape == (2, 0)


EXTREME = st.floats(-1e4, 1e4, width=32) | st.sampled_from([-1e4, -200.0, -90.0, 0.0, 90.0, 200.0, 1e4])


@every_loss
@settings(max_examples=60, deadline=None)
@given(
    logits=st.lists(st.tuples(EXTREME, EXTREME, EXTREME, EXTREME), min_size=1, max_size=4),
    label=st.integers(0, 3),
)
def test_no_logits_make_a_loss_or_its_gradient_infinite(loss, logits, label):
    x = torch.tensor([logits], dtype=torch.float32, requires_grad=True)
    value = value_of(loss, x, torch.full((1, len(logits)), label))
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(x.grad).all()
