import numpy as np
import pytest

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.classes import align_labels, check_trainable


def labelled(names: list[str], labels: list[int], clean: list[int] | None = None) -> LabelledDataset:
    n = len(labels)
    return LabelledDataset(
        name="toy",
        kind="text",
        examples=["x"] * n,
        ids=np.array([f"toy/{row}" for row in range(n)]),
        given_labels=np.array(labels, np.int64),
        class_names=tuple(names),
        fingerprint="f",
        clean_labels=None if clean is None else np.array(clean, np.int64),
    )


def test_aligned_labels_mean_the_same_classes():
    aligned = align_labels(labelled(["ant", "cow"], [0, 1, 1], clean=[1, 1, 0]), ["cow", "bee", "ant"])
    assert aligned.class_names == ("cow", "bee", "ant")
    assert aligned.given_labels.tolist() == [2, 0, 0]
    assert aligned.clean_labels.tolist() == [0, 0, 2]
    assert aligned.fingerprint == "f"


def test_unknown_classes_are_listed():
    said = "'toy' has classes that the training set does not have: dog, emu. Allowed: ant, bee"
    with pytest.raises(BadData, match=said):
        align_labels(labelled(["ant", "dog", "emu"], [0, 1, 2]), ["ant", "bee"])


def test_unknown_classes_of_the_clean_labels_count_too():
    with pytest.raises(BadData, match="does not have: dog"):
        align_labels(labelled(["ant", "dog"], [0, 0], clean=[0, 1]), ["ant", "bee"])


def test_an_unknown_class_without_examples_does_no_harm():
    assert align_labels(labelled(["dog", "ant"], [1, 1]), ["bee", "ant"]).given_labels.tolist() == [1, 1]


def test_long_lists_of_classes_are_cut():
    names = [f"c{i:02d}" for i in range(30)]
    with pytest.raises(BadData, match=r"c11 and 18 more. Allowed: ant"):
        align_labels(labelled(names, list(range(30))), ["ant"])


def test_two_examples_per_class_are_enough_to_train():
    check_trainable(labelled(["a", "b"], [0, 1, 1, 0]))


@pytest.mark.parametrize(
    ("names", "labels", "said"),
    [
        (["a"], [0, 0, 0], "one class only .'a'.; allowed for training: two or more"),
        (["a", "b"], [1, 1], "one class only .'b'."),
        (["a", "b", "c"], [0, 0, 1, 2, 2], "fewer than 2 examples: 'b' .1.. Allowed: 2 or more each"),
        (["a", "b", "c"], [0, 0, 1, 1], "fewer than 2 examples: 'c' .0."),
    ],
)
def test_labels_nobody_can_train_on_are_refused(names, labels, said):
    with pytest.raises(BadData, match=said):
        check_trainable(labelled(names, labels))


def test_a_class_that_only_true_labels_have_is_named():
    dataset = labelled(["a", "b", "c"], [0, 0, 1, 1, 1], clean=[0, 0, 1, 1, 2])
    with pytest.raises(
        BadData, match=r"occur only among its true labels, never among those given: c\. Allowed"
    ):
        check_trainable(dataset)


def test_the_least_number_per_class_is_an_option():
    with pytest.raises(BadData, match=r"fewer than 3 examples: 'a' .2., 'b' .2."):
        check_trainable(labelled(["a", "b"], [0, 1, 1, 0]), min_per_class=3)


def test_blanks_and_forms_of_letters_are_no_other_class():
    aligned = align_labels(labelled(["cafe\u0301", "dog "], [0, 1, 1]), ["dog", "caf\u00e9"])
    assert aligned.given_labels.tolist() == [1, 0, 0]
    with pytest.raises(BadData, match="does not have: dog "):
        align_labels(labelled(["dog "], [0]), ["dog", " dog"])  # which of the two is not known
