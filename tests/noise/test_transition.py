import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.checks import check_transition
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.noise.class_maps import CLASS_MAPS, named_map, targets_of
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.noise.transition import realised_transition, target_entropy_nats
from noiseproof.posterior.symmetric_noise import symmetric_transition

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def corrupted(labels, k, **asked):
    return corrupt_labels(labels, kind="asymmetric", num_classes=k, seed=0, **asked)


# Closed forms, and that the draws meet them


def symmetric_inclusive_transition(rate, num_classes):
    return (1 - rate) * np.eye(num_classes) + rate / num_classes


def pair_transition(rate, num_classes):
    identity = np.eye(num_classes)
    return (1 - rate) * identity + rate * np.roll(identity, 1, axis=1)


@pytest.mark.parametrize(
    ("kind", "matrix"),
    [
        ("symmetric", symmetric_transition),
        ("symmetric_inclusive", symmetric_inclusive_transition),
        ("pair", pair_transition),
    ],
)
def test_realised_matrices_meet_their_closed_form(kind, matrix):
    labels = np.repeat(np.arange(4), 10_000)
    noisy = corrupt_labels(labels, kind=kind, rate=0.4, num_classes=4, seed=0)
    # Five standard deviations of a share of 10,000: 5 * sqrt(.25 / 10,000) = 0.025.
    assert noisy.transition == pytest.approx(matrix(0.4, 4), abs=0.025)
    assert matrix(0.4, 4).sum(axis=1) == pytest.approx(np.ones(4))


def test_closed_forms_of_three_classes():
    assert symmetric_transition(0.4, 3) == pytest.approx(np.array([[6, 2, 2], [2, 6, 2], [2, 2, 6]]) / 10)
    assert symmetric_inclusive_transition(0.3, 3)[0] == pytest.approx([0.8, 0.1, 0.1])
    assert pair_transition(0.3, 3) == pytest.approx(np.array([[7, 3, 0], [0, 7, 3], [3, 0, 7]]) / 10)


def test_inclusive_noise_realises_less_than_was_asked():
    labels = np.arange(50_000) % 10
    noisy = corrupt_labels(labels, kind="symmetric_inclusive", rate=0.3, num_classes=10, seed=0)
    # 15,000 draws of which 1 in 10 returns: 13,500 flips, standard deviation 37.
    assert noisy.flipped.sum() == pytest.approx(13_500, abs=5 * 37)
    assert noisy.asked_rate == 0.3


def test_pair_noise_is_within_one_of_its_share_in_every_class():
    labels = np.repeat(np.arange(5), [3, 10, 17, 1, 50])
    noisy = corrupt_labels(labels, kind="pair", rate=0.37, num_classes=5, seed=0)
    for c in range(5):
        flips = noisy.flipped[labels == c].sum()
        assert abs(flips - 0.37 * (labels == c).sum()) < 1
        assert set(noisy.given[(labels == c) & noisy.flipped]) <= {(c + 1) % 5}


# Matrices of the user's own


@st.composite
def matrices(draw):
    k = draw(st.integers(1, 5))
    rows = draw(st.lists(st.lists(st.floats(0.01, 1), min_size=k, max_size=k), min_size=k, max_size=k))
    matrix = np.array(rows) * (
        np.array(draw(st.lists(st.booleans(), min_size=k, max_size=k))) | np.eye(k, dtype=bool)
    )
    labels = np.array(draw(st.lists(st.integers(0, k - 1), max_size=60)), np.int64)
    return matrix / matrix.sum(axis=1, keepdims=True), labels, draw(st.integers(0, 1000))


@given(case=matrices())
@settings(deadline=None)
def test_counts_are_within_one_of_what_the_matrix_says(case):
    matrix, labels, seed = case
    k = len(matrix)
    noisy = corrupt_labels(labels, kind="asymmetric", transition=matrix, num_classes=k, seed=seed)
    for i in range(k):
        of_class = noisy.given[labels == i]
        for j in range(k):
            assert abs((of_class == j).sum() - len(of_class) * matrix[i, j]) < 1 + 1e-9
    rates = [1 - matrix[label, label] for label in labels]
    assert noisy.asked_rate == pytest.approx(np.mean(rates) if rates else 0.0)


def test_a_class_of_few_examples_is_not_biased():
    matrix = np.array([[0.8, 0.1, 0.1], [0, 1, 0], [0, 0, 1]])
    given_labels = [
        corrupt_labels([0, 0], kind="asymmetric", transition=matrix, num_classes=3, seed=s).given
        for s in range(2000)
    ]
    # 4,000 labels, 400 each expected; standard deviation at most sqrt(2000 * .2 * .8) = 18.
    assert np.bincount(np.concatenate(given_labels)) == pytest.approx([3200, 400, 400], abs=90)


def test_row_that_does_not_sum_to_1_is_named():
    matrix = np.array([[0.9, 0.1], [0.3, 0.6]])
    with pytest.raises(
        InvalidArgument, match=r"`transition` .*row 1 sums to 0.9.*rows that sum to 1.*Divide each row"
    ):
        corrupted([0, 1], 2, transition=matrix)


def test_a_matrix_the_other_way_round_is_told():
    with pytest.raises(InvalidArgument, match="columns do sum to 1: transpose it"):
        check_transition([[0.9, 0.3], [0.1, 0.7]], 2)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_value_that_is_no_probability_is_named(value):
    with pytest.raises(
        InvalidArgument, match=r"`transition\[0, 1\]` is .*; allowed: a probability in \[0, 1\]"
    ):
        check_transition([[1, value], [0, 1]], 2)


@pytest.mark.parametrize("matrix", [np.eye(3), np.ones(2) / 2])
def test_a_matrix_of_another_shape_is_refused(matrix):
    with pytest.raises(InvalidArgument, match=r"`transition` is 'of shape .*; allowed: \(2, 2\)"):
        check_transition(matrix, 2)


def test_words_are_no_matrix():
    with pytest.raises(InvalidArgument, match="allowed: a matrix of numbers"):
        check_transition([["a", "b"], ["c", "d"]], 2)


def test_sums_that_are_off_by_rounding_are_taken():
    matrix = check_transition(np.full((3, 3), 0.333333 + 1e-7), 3)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-15)


# Maps


def test_the_map_of_cifar10_is_that_of_the_literature():
    labels = np.repeat(np.arange(10), 20)
    noisy = corrupted(labels, 10, rate=0.4, class_map="cifar10")
    expected = {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}
    for i, name in enumerate(CIFAR10):
        wrong = noisy.given[(labels == i) & noisy.flipped]
        assert len(wrong) == (8 if name in expected else 0)
        assert {CIFAR10[label] for label in wrong} <= {expected.get(name)}
    assert (noisy.asked_rate, noisy.realised_rate) == (0.4, 0.2)


def test_the_map_of_cifar100_goes_round_within_twenty_superclasses():
    following, classes = named_map("cifar100")
    assert len(classes) == len(set(following.values())) == 100
    assert list(classes) == sorted(classes)
    assert (classes[0], classes[51], classes[99]) == ("apple", "mushroom", "worm")
    for name in classes:
        path = [name]
        for _ in range(5):
            path.append(following[path[-1]])
        assert path[5] == name
        assert len(set(path)) == 5
    assert following["beaver"] == "dolphin"
    assert following["whale"] == "beaver"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", {"2": "7", "3": "8", "5": "6", "6": "5", "7": "1"}),
        (
            "fashion-mnist",
            {"Shirt": "T-shirt/top", "T-shirt/top": "Shirt", "Pullover": "Coat", "Coat": "Pullover",
             "Ankle_boot": "Sneaker"},
        ),
    ],
)  # fmt: skip
def test_maps_of_ten_classes_take_five_for_another(name, expected):
    found, classes = named_map(name)
    assert found == expected
    assert len(classes) == 10
    targets = targets_of(name, 10, [each.replace("_", " ") for each in classes])  # as the data sets have them
    assert {classes[i]: classes[j] for i, j in enumerate(targets) if i != j} == expected


def test_named_maps_follow_the_names_of_the_classes():
    classes = named_map("cifar100")[1][::-1]
    targets = targets_of("cifar100", 100, [name.replace("_", " ") for name in classes])
    assert classes[targets[classes.index("maple_tree")]] == "oak_tree"


def test_maps_by_name_and_by_id_are_the_same():
    labels, names = np.arange(60) % 3, ("ant", "bee", "cat")
    by_id = corrupted(labels, 3, rate=0.5, class_map={0: 2})
    by_name = corrupted(labels, 3, rate=0.5, class_map={"ant": "cat"}, class_names=names)
    assert by_name.given.tolist() == by_id.given.tolist()
    assert set(by_id.given[by_id.flipped]) == {2}
    assert by_id.flipped.sum() == 10


def test_a_map_that_names_an_unknown_class_is_told():
    with pytest.raises(UnknownName, match=r"Unknown class in `class_map`: 'bea'. Did you mean 'bee'"):
        corrupted([0, 1], 2, rate=0.5, class_map={"ant": "bea"}, class_names=("ant", "bee"))
    with pytest.raises(UnknownName, match=r"Unknown class id in `class_map`: '2'.*Known: 0 to 1"):
        corrupted([0, 1], 2, rate=0.5, class_map={0: 2})
    with pytest.raises(InvalidArgument, match=r"names the class 'ant'.*Give `class_names`"):
        corrupted([0, 1], 2, rate=0.5, class_map={"ant": "bee"})


def test_an_unknown_map_is_told():
    with pytest.raises(
        UnknownName, match=r"Unknown class map 'cifar1000'. Did you mean 'cifar10.*Known: cifar10, cifar100"
    ):
        corrupted([0, 1], 2, rate=0.5, class_map="cifar1000")
    assert CLASS_MAPS == ("cifar10", "cifar100", "mnist", "fashion-mnist")


def test_a_named_map_needs_its_classes():
    with pytest.raises(InvalidArgument, match="`num_classes` is 7; allowed: 10"):
        corrupted([0, 1], 7, rate=0.5, class_map="cifar10")


@pytest.mark.parametrize("class_map", [{}, {1: 1}])
def test_a_map_that_moves_nothing_is_refused(class_map):
    with pytest.raises(InvalidArgument, match=r"`class_map` is .*allowed: a"):
        corrupted([0, 1], 2, rate=0.5, class_map=class_map)


def test_a_rate_without_examples_to_change_is_impossible():
    with pytest.raises(
        BadData, match=r"`rate` is 0.5, and no label can change: no class of `class_map` has exam"
    ):
        corrupted([0, 1], 3, rate=0.5, class_map={2: 0})


def test_map_and_matrix_exclude_each_other():
    with pytest.raises(
        InvalidArgument, match="`class_map` is None; allowed: a map, or a matrix as `transition`"
    ):
        corrupted([0, 1], 2, rate=0.5)
    with pytest.raises(InvalidArgument, match="one of the two"):
        corrupted([0, 1], 2, class_map={0: 1}, transition=np.eye(2))
    with pytest.raises(InvalidArgument, match=r"`rate` is 0.5; allowed: nothing beside `transition`"):
        corrupted([0, 1], 2, rate=0.5, transition=np.eye(2))
    with pytest.raises(InvalidArgument, match="`rate` is None; allowed: a share"):
        corrupted([0, 1], 2, class_map={0: 1})


# What was realised


def test_entropy_of_targets_by_hand():
    clean = np.array([0, 0, 0, 0, 1, 1, 2])
    given_labels = np.array([1, 2, 0, 0, 2, 2, 2])
    # Class 0: two flips to two targets, ln 2 nats; class 1: two flips to one, 0.
    assert target_entropy_nats(clean, given_labels, 3) == pytest.approx(np.log(2) / 2)
    assert target_entropy_nats(clean, clean, 3) == 0.0


def test_realised_matrix_by_hand():
    matrix = realised_transition(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 3)
    assert matrix.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]


# Labels that people gave


def test_real_labels_are_taken_as_they_are():
    noisy = corrupt_labels([0, 1, 2, 1], kind="real", given=[0, 2, 2, 1], num_classes=3, seed=0)
    assert noisy.given.tolist() == [0, 2, 2, 1]
    assert noisy.asked_rate == noisy.realised_rate == 0.25


def test_real_labels_have_to_fit():
    with pytest.raises(BadData, match="`given` has 1 labels, `labels` 2"):
        corrupt_labels([0, 1], kind="real", given=[0], num_classes=2, seed=0)
    with pytest.raises(BadData, match="Label 2 in row 1 of 'given' is outside the classes"):
        corrupt_labels([0, 1], kind="real", given=[0, 2], num_classes=2, seed=0)
    with pytest.raises(InvalidArgument, match=r"`given` is .*allowed: integers"):
        corrupt_labels([0, 1], kind="real", given=["a", "b"], num_classes=2, seed=0)
