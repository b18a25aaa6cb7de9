"""cleanlab as a detector, to compare with in the same run on the same features."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.checks import Range
from noiseproof.core.errors import missing_extra
from noiseproof.core.records import LabelIssues

CLEANLAB = "cleanlab-5-fold"  # its name in a recipe
CLEANLAB_OPTIONS = {"C": Range(0.0, excludes_low=True)}
NUM_FOLDS = 5
_MAX_STEPS = 200  # of lbfgs; more change the ranking little and take longer


def cleanlab_issues(
    features: Float[np.ndarray, "n d"],
    given_labels: Int[np.ndarray, " n"],
    class_names: tuple[str, ...],
    *,
    C: float | int = 1.0,  # in YAML 1 is whole
) -> LabelIssues:
    """What cleanlab's users do: probabilities by logistic regression in five folds, judged by cleanlab.

    The suspicion is 1 less cleanlab's label quality, issues are those of its `find_label_issues`, both as
    they come; the joint is its `estimate_joint`.

    Args:
        features: as they are, not scaled.
        given_labels: class ids.
        class_names: k names.
        C: inverse strength of the shrinkage, scikit-learn's.

    Raises:
        MissingExtra: cleanlab is not installed.

    Source: Northcutt, Jiang & Chuang 2021, arXiv:1911.00068; cleanlab's tutorial for tabular data.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    cleanlab = import_cleanlab()
    classes, encoded = np.unique(given_labels, return_inverse=True)
    head = LogisticRegression(C=C, max_iter=_MAX_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs stops at its bound, a class may be smaller than the folds
        probs = cross_val_predict(head, features, encoded, cv=NUM_FOLDS, method="predict_proba")
        quality = cleanlab.rank.get_label_quality_scores(encoded, probs)
        is_issue = cleanlab.filter.find_label_issues(encoded, probs, n_jobs=1)
        shares = cleanlab.count.estimate_joint(encoded, probs)  # rows are given labels
    k = len(class_names)
    joint = np.zeros((k, k))
    joint[np.ix_(classes, classes)] = shares.T * len(encoded)
    return LabelIssues(
        ids=np.arange(len(encoded)), given_labels=given_labels, suggested_labels=classes[probs.argmax(1)],
        suspicion=np.clip(1.0 - quality, 0.0, 1.0), is_issue=np.asarray(is_issue, bool),
        method=CLEANLAB, joint=joint, classes=np.arange(k), class_names=class_names,
    )  # fmt: skip


def import_cleanlab() -> Any:
    """The package with the modules that are used.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import cleanlab.count
        import cleanlab.filter
        import cleanlab.rank
    except ImportError as error:
        raise missing_extra("cleanlab", "peers", f"The detector {CLEANLAB!r} of a study") from error
    return cleanlab
