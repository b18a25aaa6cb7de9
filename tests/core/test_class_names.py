"""Names of classes: one text per label, hints, and columns found by name."""

import numpy as np
import pandas as pd
import pytest

from noiseproof.core.class_names import columns_of_classes, in_order, label_text, name_hints
from noiseproof.core.errors import BadData


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "True"), (np.bool_(False), "False"), (1.0, "1"), (np.float32(2), "2"), (2.5, "2.5"), (3, "3"),
        (np.int8(-4), "-4"), ("cat", "cat"), (b"cat", "cat"), ("1.0", "1.0"), (np.str_("a b"), "a b"),
    ],
)  # fmt: skip
def test_a_label_has_one_text_whatever_its_type(value, text):
    assert label_text(value) == text


def test_numbers_sort_as_numbers_and_words_as_text():
    assert in_order(map(str, range(12))) == [str(n) for n in range(12)]
    assert in_order(["10.5", "9", "-1", "0.25"]) == ["-1", "0.25", "9", "10.5"]
    assert in_order(["10", "2", "b"]) == ["10", "2", "b"]
    assert in_order(["02", "10", "1"]) == ["02", "1", "10"]  # "02" is a name


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["cat", "cat ", "dog"], "'cat' and 'cat ' differ only in blanks"),
        (["Cat", "cat"], "'Cat' and 'cat' differ only in blanks, capitals"),
        (["caf\u00e9", "cafe\u0301"], "differ only in blanks, capitals or the form of a letter"),
        (["person;outdoor", "cat"], "'person;outdoor' reads like a list of labels"),
        (["a|b", "c"], "'a|b' reads like a list"),
        (["a", "b", "a, b"], "'a, b' reads like a list"),
        (["a", "b", "['a', 'b']"], "reads like a list"),
        (["nan", "cat"], "'nan' reads like a missing label"),
    ],
)
def test_probable_mistakes_are_named(names, hint):
    assert any(hint in each for each in name_hints(names))


@pytest.mark.parametrize(
    "names",
    [["cat", "dog"], list(range(10)), ["tench, Tinca tinca", "crane"], ["T-shirt/top", "Trouser"], [True,
     False], ["class_1", "class_10"], ["a;", "b"], [0.5, 1.5]],
)  # fmt: skip
def test_ordinary_names_get_no_hint(names):
    assert name_hints(names) == []


@pytest.mark.parametrize(
    ("columns", "classes", "places"),
    [
        (["b", "a"], ["a", "b"], [1, 0]),
        ([1, 0], [0.0, 1.0], [1, 0]),
        (["1.0", "0.0"], [0, 1], [1, 0]),
        ([True, False], [False, True], [1, 0]),
        (["true", "false"], [False, True], [1, 0]),
        ([" b", "a "], ["a", "b"], [1, 0]),
        (["B", "A"], ["a", "b"], [1, 0]),
        (["caf\u00e9", "x"], ["x", "cafe\u0301"], [1, 0]),
        (["prob_b", "prob_a"], ["a", "b"], [1, 0]),
        (["P(cow)", "P(cat)"], ["cat", "cow"], [1, 0]),
        (["cow_prob", "cat_prob"], ["cat", "cow"], [1, 0]),
        (["p_11", "p_1", "p_2"], [1, 2, 11], [1, 2, 0]),
        ([("p", "b"), ("p", "a")], ["a", "b"], [1, 0]),
        ([("b", "p"), ("a", "p")], ["a", "b"], [1, 0]),
        ([1, 0], ["cat", "dog"], [1, 0]),  # class ids
        ([0, 1], ["cat", "dog"], None),  # only numbered
        (["0", "1"], ["cat", "dog"], None),
        ([0, 1], [1, 2], None),
        (["a", "A"], ["A", "a"], [1, 0]),
    ],
)  # fmt: skip
def test_columns_are_found_by_name(columns, classes, places):
    assert columns_of_classes(columns, classes, "probs") == places


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", "z"], r"`probs` has no column for the class 'b' \(1 such\); .* a, b, in any order.*: a, z"),
        (["a", "b", "id"], "`probs` has a column 'id' that is no class"),
        (["a", "b", "b "], "`probs` has a class in more than one column"),
        (["a"], "no column for the class 'b'"),
        ([2, 1], "no column for the class 'a'"),
        ([], "no column for the class 'a'"),
    ],
)
def test_other_columns_are_refused(columns, message):
    with pytest.raises(BadData, match=message):
        columns_of_classes(columns, ["a", "b"], "probs")


def test_the_columns_of_a_data_frame_are_names():
    frame = pd.DataFrame([[0.1, 0.9]], columns=pd.MultiIndex.from_product([["probs"], ["b", "a"]]))
    assert columns_of_classes(list(frame.columns), ["a", "b"], "probs") == [1, 0]
