"""Inputs of `find_label_issues` as people have them: ids, columns in another order, class names."""

import numpy as np
import pandas as pd
import pytest
import torch

from noiseproof.core.errors import BadData
from noiseproof.detect.column_order import _sums, check_column_order
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.detect.transition_estimate import estimate_transition

N, K = 60, 3
TRUTH = np.arange(N) % K
GIVEN = np.where(np.arange(N) % 10 == 0, (TRUTH + 1) % K, TRUTH)
IS_WRONG = GIVEN != TRUTH
FEATURES = np.eye(K)[TRUTH] * 3 + np.random.default_rng(0).normal(size=(N, K)) * 0.3
PROBS = np.eye(K)[TRUTH] * 0.85 + 0.05
NAMES = np.array(["cat", "dog", "emu"])


# --- ids


def test_the_index_of_a_sampled_frame_is_the_id():
    frame = pd.DataFrame(FEATURES).assign(species=NAMES[GIVEN]).sample(frac=1, random_state=0)
    issues = find_label_issues(frame[[0, 1, 2]], frame["species"])
    flagged = issues.to_frame().query("is_issue")
    assert sorted(flagged["example_id"]) == np.flatnonzero(IS_WRONG).tolist()
    assert frame.loc[flagged["example_id"], "species"].tolist() == flagged["given_label"].tolist()


@pytest.mark.parametrize("of", ["features", "labels", "probs"])
def test_the_index_of_any_argument_is_the_id(of):
    index = [f"photo-{row}" for row in range(N)]
    features = pd.DataFrame(FEATURES, index=index) if of == "features" else FEATURES
    labels = pd.Series(GIVEN, index=index) if of == "labels" else GIVEN
    probs = pd.DataFrame(PROBS, index=index) if of == "probs" else PROBS
    assert find_label_issues(features, labels, probs=probs).ids.tolist() == index


def test_ids_of_the_user_win():
    frame = pd.DataFrame(FEATURES, index=range(100, 100 + N))
    ids = [f"x{row}" for row in range(N)]
    assert find_label_issues(frame, GIVEN, ids=ids).ids.tolist() == ids
    assert find_label_issues(frame, GIVEN, ids=torch.arange(N)).ids.tolist() == list(range(N))


def test_row_numbers_beside_an_index_are_the_same_rows():
    """`pd.DataFrame(array)` has lost the index that the labels still have."""
    labels = pd.Series(GIVEN, index=range(500, 500 + N))
    assert find_label_issues(pd.DataFrame(FEATURES), labels).ids.tolist() == labels.index.tolist()


@pytest.mark.parametrize("other", ["sorted", "shuffled", "other values"])
def test_two_indices_that_differ_are_refused(other):
    frame = pd.DataFrame(FEATURES).assign(label=GIVEN).sample(frac=1, random_state=0)
    labels = {
        "sorted": frame["label"].sort_index(),
        "shuffled": frame["label"].sample(frac=1, random_state=1),
        "other values": frame["label"].set_axis(range(900, 900 + N)),
    }[other]
    with pytest.raises(BadData, match=r"`\w+` and `\w+` have rows of different examples.*pass arrays"):
        find_label_issues(frame[[0, 1, 2]], labels)


def test_an_index_with_repeats_is_no_id_and_that_is_said():
    issues = find_label_issues(pd.DataFrame(FEATURES, index=[7] * N), GIVEN)
    assert issues.ids.tolist() == list(range(N))
    assert issues.notes[-1] == "The index has repeats or gaps, so `example_id` is the row number."


# --- columns of probabilities


@pytest.mark.parametrize(
    ("columns", "labels", "class_names"),
    [
        ([1, 0, 2], GIVEN.astype(float), ()),
        ([1, 0, 2], GIVEN, NAMES.tolist()),
        (["dog ", " cat", "EMU"], NAMES[GIVEN], ()),
        (["prob_dog", "prob_cat", "prob_emu"], NAMES[GIVEN], ()),
        (pd.MultiIndex.from_product([["p"], ["dog", "cat", "emu"]]), NAMES[GIVEN], ()),
        (["dog", "cat", "emu"], GIVEN, NAMES.tolist()),
    ],
)
def test_columns_are_matched_by_name(columns, labels, class_names):
    probs = pd.DataFrame(PROBS[:, [1, 0, 2]], columns=columns)
    found = find_label_issues(None, labels, probs=probs, class_names=class_names)
    assert np.array_equal(found.is_issue, IS_WRONG)


@pytest.mark.parametrize("argument", ["probs", "zero_shot"])
def test_an_array_in_another_order_of_columns_is_refused(argument):
    with pytest.raises(
        BadData,
        match=rf"columns of `{argument}` seem to be in another order.* in the order cat, dog, emu the given "
        r"labels get a mean probability of 0\.\d+, in the order emu, cat, dog 0\.8",
    ):
        find_label_issues(None, NAMES[GIVEN], **{argument: PROBS[:, [2, 0, 1]]})


def test_texts_of_numbers_in_the_order_of_numbers_are_refused_too():
    labels = np.arange(240) % 12
    probs = np.eye(12)[labels] * 0.9 + 0.1 / 12
    assert not find_label_issues(None, labels, probs=probs).is_issue.any()
    for given, columns in ((labels.astype(str), range(12)), (labels, sorted(range(12), key=str))):
        with pytest.raises(BadData, match="seem to be in another order"):
            find_label_issues(None, given, probs=probs[:, list(columns)])
    with pytest.raises(BadData, match="seem to be in another order"):
        estimate_transition(None, labels.astype(str), probs=probs)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("probs", ["of chance", "of a weak model", "under pair noise of 45 %"])
def test_no_other_order_is_seen_where_there_is_none(seed, probs):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 8, 200)
    if probs == "of chance":
        matrix = rng.dirichlet(np.ones(8), 200)
    elif probs == "of a weak model":
        matrix = rng.dirichlet(np.ones(8), 200) * 0.8 + np.eye(8)[labels] * 0.2
    else:
        matrix = np.eye(8)[labels] * 0.9 + 0.1 / 8
        labels = np.where(rng.random(200) < 0.45, (labels + 1) % 8, labels)
    find_label_issues(None, labels, probs=matrix)


def test_a_named_column_is_believed():
    """The way out where most labels are wrong."""
    probs = pd.DataFrame(PROBS[:, [2, 0, 1]], columns=NAMES)
    assert find_label_issues(None, NAMES[GIVEN], probs=probs).is_issue.sum() > 40


# --- class names


@pytest.mark.parametrize("labels", [GIVEN.astype(float), GIVEN.astype(">i8"), torch.tensor(GIVEN)])
def test_class_ids_of_any_type_get_their_names(labels):
    issues = find_label_issues(FEATURES, labels, class_names=NAMES.tolist())
    assert issues.to_frame()["given_label"].tolist() == NAMES[GIVEN].tolist()


def test_booleans_are_class_ids():
    issues = find_label_issues(FEATURES, GIVEN > 0, class_names=["no", "yes"])
    assert set(issues.to_frame()["given_label"]) == {"no", "yes"}


def test_class_names_that_are_probably_mistakes_are_noted():
    issues = find_label_issues(FEATURES, np.array(["cat", "cat ", "person;outdoor"])[GIVEN])
    assert any("'cat' and 'cat ' differ only in blanks" in note for note in issues.notes)
    assert any("'person;outdoor' reads like a list of labels" in note for note in issues.notes)


def test_sums_by_class_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    labels, probs, rows = rng.integers(0, 4, 30), rng.dirichlet(np.ones(4), 30), np.arange(0, 30, 3)
    expected = np.zeros((4, 4))
    for row in rows:
        expected[labels[row]] += probs[row]
    np.testing.assert_allclose(_sums(probs, labels, rows), expected)


def test_the_order_of_many_columns_is_checked_in_seconds():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 300, 3000)
    probs = np.full((3000, 300), 0.5 / 300, np.float32)
    probs[np.arange(3000), (labels + 1) % 300] += 0.5
    with pytest.raises(BadData, match=r"in the order 0, 1, .* 0\.00, in the order 299, 0, 1, .* 0\.50"):
        check_column_order(probs, labels, range(300), "probs")
    check_column_order(np.roll(probs, -1, axis=1), labels, range(300), "probs")


def test_ids_in_place_of_labels_are_refused():
    features = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(BadData, match=r"another label for each of the 20 examples; .* may hold ids"):
        find_label_issues(features, np.arange(20))
