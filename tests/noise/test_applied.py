"""A manifest and the data set it is put to use on."""

from dataclasses import replace

import numpy as np
import pytest

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.noise.applied import captions_of_manifest, labels_of_manifest
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.noise.manifest import write_manifest

LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 1])
IDS = np.array([f"photos/{i}" for i in range(8)])
DATA = LabelledDataset("photos", "text", ["x"] * 8, IDS, LABELS, ("ant", "bee", "cat"), "f" * 64)


def part_of(data: LabelledDataset, rows) -> LabelledDataset:
    return replace(
        data, examples=["x"] * len(rows), ids=data.ids[rows], given_labels=data.given_labels[rows],
        fingerprint="0" * 64,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    noisy = corrupt_labels(LABELS, rate=0.5, num_classes=3, seed=0)
    write_manifest(
        tmp_path, noisy, ids=IDS, data_name="photos", data_fingerprint="f" * 64, class_names=DATA.class_names
    )
    return tmp_path


def test_a_part_has_its_own_rate_and_transition_matrix(folder):
    whole = labels_of_manifest(folder, DATA, whole=DATA)
    rows = np.flatnonzero(whole.flipped)[::-1]
    part = labels_of_manifest(folder, part_of(DATA, rows), whole=None)
    assert part.given.tolist() == whole.given[rows].tolist()
    assert (whole.realised_rate, part.realised_rate) == (0.5, 1.0)
    counts = np.zeros((3, 3))
    for clean, given in zip(LABELS[rows], whole.given[rows], strict=True):
        counts[clean, given] += 1
    occurring = counts.sum(axis=1) > 0
    expected = counts[occurring] / counts[occurring].sum(axis=1, keepdims=True)
    assert part.as_labels().transition[occurring] == pytest.approx(expected)


def test_another_data_set_is_refused_when_it_is_whole(folder):
    with pytest.raises(BadData, match=r"made for 'photos' with the fingerprint ffff.*has 0000"):
        labels_of_manifest(folder, DATA, whole=replace(DATA, fingerprint="0" * 64))


def test_labels_that_changed_since_are_refused(folder):
    labels = LABELS.copy()
    labels[5] = 0
    with pytest.raises(
        BadData, match=r"other labels: 'photos/5' had 'cat', in 'photos' it has 'ant' \(1 of 8 differ\)"
    ):
        labels_of_manifest(folder, replace(DATA, given_labels=labels), whole=DATA)


def test_known_true_labels_are_those_compared(folder):
    data = replace(DATA, given_labels=LABELS[::-1].copy(), clean_labels=LABELS)
    assert labels_of_manifest(folder, data, whole=data).realised_rate == 0.5


def test_real_noise_fits_either_of_its_columns(tmp_path):
    worker = np.roll(LABELS, 1)
    noisy = corrupt_labels(LABELS, kind="real", given=worker, num_classes=3, seed=0)
    write_manifest(tmp_path, noisy, ids=IDS, data_name="photos", data_fingerprint="f" * 64)
    for labels in (LABELS, worker):
        data = replace(DATA, given_labels=labels)
        assert labels_of_manifest(tmp_path, data, whole=data).given.tolist() == worker.tolist()
    with pytest.raises(BadData, match="other labels"):
        labels_of_manifest(tmp_path, replace(DATA, given_labels=np.zeros(8, int)), whole=DATA)


def test_captions_fit_before_and_after_the_swap_and_no_others(tmp_path):
    clean = [f"caption {i}\n" for i in range(8)]
    noisy = swap_captions(clean, rate=0.5, seed=0)
    write_manifest(tmp_path, noisy, ids=IDS, data_name="photos", data_fingerprint="f" * 64)
    for captions in ([text.strip() for text in clean], noisy.given, None):
        found = captions_of_manifest(tmp_path, DATA, captions, whole=DATA)
        assert found.given.tolist() == noisy.given.tolist()
    with pytest.raises(BadData, match=r"other captions: 'photos/0' had 'caption 0', in 'photos' it has 'x'"):
        captions_of_manifest(tmp_path, DATA, ["x"] * 8, whole=DATA)


def test_labels_are_no_captions(folder):
    with pytest.raises(BadData, match=r"which is of labels \(symmetric\); allowed: one of captions"):
        captions_of_manifest(folder, DATA, None, whole=DATA)
