"""Copies that a training and an evaluation set share."""

import json

import numpy as np
from blobs import save_blobs

from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.inputs.inputs import open_parts


def copies_in(card):
    return [note for note in card["notes"] if "copies or near duplicates" in note]


def test_copies_across_the_held_out_split_and_another_set_are_counted(configured, blobs, tmp_path):
    with np.load(blobs) as archive:
        arrays = dict(archive)
    arrays["features"][45:] = arrays["features"][:45]  # every example twice, with the same label
    np.savez(blobs, **arrays)
    other = save_blobs(tmp_path / "third.npz", n=30, seed=4)
    with np.load(other) as archive:
        foreign = dict(archive)
    config = configured(heads="linear", ood=[str(other)], noise=None)
    parts = open_parts(config)
    foreign["features"][[3, 8]] = arrays["features"][parts.train.rows[:2]]
    np.savez(other, **foreign)
    card = pipeline.run(config).card
    held_out = parts.tests[0].rows
    num_straddling = int(np.isin(held_out % 45, parts.train.rows % 45).sum())
    assert num_straddling > 0
    assert [note.partition(" are")[0] for note in copies_in(card)] == [
        f"{num_straddling} of the 18 examples of train.npz (held out)",
        "2 of the 30 examples of third.npz",
    ]
    assert json.loads((config.out / "copies.json").read_text())["sets"] == {
        "train.npz (held out)": [num_straddling, 18], "third.npz": [2, 30],
    }  # fmt: skip


def test_sets_without_copies_have_no_note(configured):
    assert copies_in(pipeline.run(configured(heads="linear")).card) == []


def test_a_whole_equal_set_has_a_note_of_its_own_only(configured, blobs):
    card = pipeline.run(configured(heads="linear", ood=[str(blobs)])).card
    assert copies_in(card) == []
    assert any("the same examples as the training set" in note for note in card["notes"])
