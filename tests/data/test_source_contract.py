"""One list of checks that every source passes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image
from tiny_sources import MAKERS, use_tiny_cifar

from noiseproof.core.records import LabelledDataset
from noiseproof.data.sources import SOURCES, open_dataset

# Label noise and new contents cannot be made in a data set that is built in.
CHANGEABLE = tuple(MAKERS)
ALL = (*CHANGEABLE, "sklearn")


@pytest.fixture
def opened(request, tmp_path_factory, monkeypatch):
    """Opens a fresh tiny example of one source."""

    def open_one(source: str, **content) -> LabelledDataset:
        if source == "sklearn":
            return open_dataset("sklearn:digits")
        if source == "cifarn":
            use_tiny_cifar(monkeypatch)
        root = tmp_path_factory.mktemp(source)
        monkeypatch.setenv("NOISEPROOF_DATA", str(root))
        return open_dataset(MAKERS[source](root, **content))

    return open_one


def test_the_contract_covers_every_source_of_the_table():
    assert sorted(ALL) == sorted(SOURCES.names)
    assert len(SOURCES.names) == 19


@pytest.mark.parametrize("source", ALL)
def test_two_openings_agree(source, opened):
    first, second = opened(source), opened(source)
    assert first.ids.tolist() == second.ids.tolist()
    assert len(set(first.ids.tolist())) == len(first)
    assert first.fingerprint == second.fingerprint
    assert first.given_labels.tolist() == second.given_labels.tolist()


@pytest.mark.parametrize("source", CHANGEABLE)
def test_labels_and_class_names_are_those_written(source, opened):
    dataset = opened(source)
    named = [dataset.class_names[label] for label in dataset.given_labels]
    first, second = {"torchvision": ("T-shirt/top", "Trouser"), "idx": ("0", "1")}.get(source, ("cat", "dog"))
    assert named == [first] * 2 + [second] * 2
    assert dataset.given_labels.dtype == np.int64


# In a folder of class folders and in Food-101N the class is part of the id.
@pytest.mark.parametrize("source", [each for each in CHANGEABLE if each not in ("folder", "food101n")])
def test_labels_are_no_part_of_the_fingerprint(source, opened):
    relabelled = opened(source, labels=("dog", "cat", "dog", "cat"))
    assert relabelled.fingerprint == opened(source).fingerprint
    first, second = np.unique(relabelled.given_labels)
    assert relabelled.given_labels.tolist() == [second, first, second, first]


@pytest.mark.parametrize("source", CHANGEABLE)
def test_contents_are_part_of_the_fingerprint(source, opened):
    assert opened(source, first=254).fingerprint != opened(source).fingerprint


@pytest.mark.parametrize("source", ALL)
def test_examples_are_rgb_pictures_or_rows(source, opened):
    dataset = opened(source)
    for example in (dataset.examples[0], dataset.examples[len(dataset) - 1], dataset.examples[-1]):
        if dataset.kind == "features":
            assert example.shape == (3,)
        else:
            assert isinstance(example, Image.Image)
            assert example.mode == "RGB"
    with pytest.raises(IndexError):
        dataset.examples[len(dataset)]


@pytest.mark.parametrize("source", ALL)
def test_a_pickled_copy_reads_the_same(source, opened):
    dataset = opened(source)
    copy = pickle.loads(pickle.dumps(dataset.examples))
    assert np.array_equal(np.asarray(copy[2]), np.asarray(dataset.examples[2]))


@pytest.mark.parametrize("source", ALL)
def test_limit_keeps_ids_order_and_contents(source, opened):
    whole = opened(source)
    name = whole.name
    part = open_dataset(name, limit=3, seed=1)
    rows = [whole.ids.tolist().index(example_id) for example_id in part.ids]
    assert rows == sorted(rows)
    assert len(part) == 3
    assert part.given_labels.tolist() == whole.given_labels[rows].tolist()
    assert np.array_equal(np.asarray(part.examples[1]), np.asarray(whole.examples[rows[1]]))
    assert part.fingerprint != whole.fingerprint
    assert part.fingerprint == open_dataset(name, limit=3, seed=1).fingerprint


@pytest.mark.parametrize("source", ALL)
def test_a_limit_beyond_the_end_takes_all(source, opened):
    whole = opened(source)
    assert open_dataset(whole.name, limit=10**6).fingerprint == whole.fingerprint


@pytest.mark.parametrize("source", ["folder", "sklearn", "torchvision"])
def test_options_that_mean_nothing_are_refused(source, opened):
    name = opened(source).name
    with pytest.raises(ValueError, match="`label` is 'kind'; allowed: nothing"):
        open_dataset(name, label="kind")
