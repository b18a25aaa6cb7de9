"""Which examples are kept as pictures."""

import numpy as np

from noiseproof.core.records import LabelIssues
from noiseproof.export import thumbnails


def test_the_most_suspicious_come_first_then_examples_of_frequent_pairs(monkeypatch):
    monkeypatch.setattr(thumbnails, "NUM_THUMBNAILS", 3)
    monkeypatch.setattr(thumbnails, "NUM_PAIRS", 1)
    monkeypatch.setattr(thumbnails, "NUM_OF_PAIR", 2)
    suspicion = np.array([0.95, 0.9, 0.6, 0.7, 0.8, 0.1, 0.99])
    given, suggested = np.array([0, 0, 1, 1, 1, 0, 0]), np.array([1, 2, 0, 0, 0, 0, 2])
    issues = LabelIssues(
        np.arange(7), given, suggested, suspicion, suspicion > 0.5, "auto", np.eye(3), np.arange(3)
    )
    # 6, 0, 1 are the most suspicious; 1 -> 0 comes three times, and 4 and 3 are its most suspicious ones.
    assert thumbnails._rows(issues) == [6, 0, 1, 4, 3]
    monkeypatch.setattr(thumbnails, "NUM_THUMBNAILS", 100)
    assert thumbnails._rows(issues) == [6, 0, 1, 4, 3, 2, 5]
