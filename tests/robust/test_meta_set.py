import numpy as np
import pytest

from noiseproof.core.errors import BadData
from noiseproof.robust.meta_set import check_meta_set

IDS, LABELS = np.array(["a", "b", "c", "d"]), np.array([0, 0, 1, 1])


def test_a_meta_set_of_its_own_with_every_class_passes():
    check_meta_set(
        IDS, LABELS, num_classes=2, others={"training set": np.array(["e", "f"])}, least_per_class=2
    )


@pytest.mark.parametrize("name", ["first set", "second set"])  # who passes which sets is their callers' test
def test_an_example_that_is_in_any_of_the_other_sets_is_named(name):
    others = {"first set": np.array(["x"]), "second set": np.array(["y"])} | {name: np.array(["z", "c"])}
    with pytest.raises(
        BadData,
        match=rf"shares 1 of its 4 examples with the {name}, for example 'c'; allowed: none",
    ):
        check_meta_set(IDS, LABELS, num_classes=2, others=others)


def test_a_class_with_too_few_examples_is_named():
    with pytest.raises(BadData, match=r"0 clean examples of class 2; allowed: 1 or more.*Next: check some"):
        check_meta_set(IDS, LABELS, num_classes=3, others={})
    with pytest.raises(BadData, match=r"2 clean examples of class 0; allowed: 3 or more"):
        check_meta_set(IDS, LABELS, num_classes=2, others={}, least_per_class=3)


def test_an_example_that_counts_twice_is_refused():
    with pytest.raises(BadData, match=r"'meta set' has duplicate ids: 'a'"):
        check_meta_set(np.array(["a", "a", "c", "d"]), LABELS, num_classes=2, others={})
