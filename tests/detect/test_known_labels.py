import numpy as np

from noiseproof.core.records import LabelIssues
from noiseproof.detect.known_labels import DecidedLabels, find_with_known_labels


def test_labels_that_were_all_judged_in_a_class_of_before_give_no_expectation():
    def find(labels):
        return LabelIssues(
            np.arange(120), labels, labels, np.full(120, 0.1), np.zeros(120, bool), "m", np.eye(2) * 60,
            np.arange(2),
        )  # fmt: skip

    given, rows = np.arange(120) % 2, np.arange(60)
    known = DecidedLabels(rows, given[:60], given[:60], np.full(60, -1), np.array([], int))
    issues, summary = find_with_known_labels(find, given, known)
    assert not issues.is_issue.any()
    assert (summary.num_checked, summary.num_wrong, summary.num_corrected) == (60, 60, 60)
    assert summary.rate is None
    assert summary.next_wrong is None
