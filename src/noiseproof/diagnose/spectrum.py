r"""The singular-value spectrum of features, from one streaming pass.

F is (n, d) with singular values s and p = s / sum s. Only the d x d Gram matrix and the column sums are kept,
so memory does not grow with n and parts of a data set can be merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float

from noiseproof.core.arrays import as_matrix
from noiseproof.core.checks import check_finite, check_matrix
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import SpectrumCard
from noiseproof.core.row_blocks import row_blocks
from noiseproof.core.threads import one_thread

# eig(F^T F) in float64 has an absolute error of eps s_1^2, so a singular value of s_1 / 3e4 still has six
# correct digits. Smaller singular values are computed from F itself, by QR.
_GRAM_RANGE = 3e4
_LEAST_SQUARE = 1e-290  # smaller squares lose digits in float64


def spectrum(
    features: Any, *, is_centred: bool = False, block_rows: int = 8192, is_refined: bool = True
) -> SpectrumCard:
    r"""Singular values of a feature matrix, and the entropy and ratios derived from them.

    $\mathrm{SVE} = -\sum_i p_i \ln p_i$, $\mathrm{LSVR} = -\ln p_1$, effective rank = exp(SVE).

    Args:
        features: (n, d) array-like that can be sliced by rows, memory-mapped or not.
        is_centred: subtract the mean row first. Features after a ReLU are non-negative, so the raw s_1 mainly
            measures their mean; the paper uses raw features.
        block_rows: rows read at once.
        is_refined: recompute by QR, with a second pass, if the spectrum is so steep that the Gram matrix
            loses the smallest singular values. It costs about n d^2 more.

    Returns:
        All min(n, d) singular values, descending.

    Raises:
        BadData: NaN or infinity (the row is named), or no rows.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, Section 2.3, Eqs. 1 and 2 (SVE, LSVR); Roy & Vetterli
    2007 (effective rank).
    """
    return _cards(features, (is_centred,), block_rows=block_rows, is_refined=is_refined)[0]


def _in_rows(features: Any) -> Any:
    """Rows that are read when touched, such as a matrix on disk, as they are; everything else as an array."""
    has_rows = hasattr(features, "shape") and not isinstance(features, np.ma.MaskedArray)
    is_other = any(hasattr(features, name) for name in ("detach", "toarray", "iloc"))
    return features if has_rows and not is_other else as_matrix(features, "features")


def spectra(features: Any, *, block_rows: int = 8192) -> tuple[SpectrumCard, SpectrumCard]:
    """The raw and the centred spectrum, from the same pass; see `spectrum`."""
    raw, centred = _cards(features, (False, True), block_rows=block_rows, is_refined=True)
    return raw, centred


class SpectrumAccumulator:
    """Gram matrix of the rows added so far; shards can be accumulated separately and merged."""

    def __init__(self) -> None:
        self.num_examples = 0
        self._gram: np.ndarray | None = None
        self._is_zero = True
        self._sum = np.zeros(0)

    @property
    def dim(self) -> int:
        """d, after the first block."""
        return len(self._sum)

    def update(self, block: Any) -> None:
        """Add rows.

        Raises:
            BadData: NaN or infinity (the row among all rows added is named), or a different width.
        """
        block = np.asarray(block)
        check_matrix(block)
        rows = block.astype(np.float64, copy=False)
        with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs
            is_suspect = not np.isfinite(rows.sum())
        if is_suspect:
            check_finite(rows, first_row=self.num_examples)
        if self._gram is None:
            d = rows.shape[1]
            self._gram, self._sum = np.zeros((d, d)), np.zeros(d)
        self._check_width(rows.shape[1])
        with np.errstate(over="ignore"):
            self._gram += rows.T @ rows
        if not np.isfinite(self._gram.trace()):
            raise BadData(
                f"`features` are too large to be squared: up to {np.abs(rows).max():.1e}; allowed: below "
                "1e150. Next: divide them by their largest."
            )
        self._sum += rows.sum(0)
        self._is_zero = self._is_zero and not rows.any()
        self.num_examples += len(rows)

    def merge(self, other: SpectrumAccumulator) -> None:
        """Add all rows of another accumulator."""
        if other._gram is None:
            return
        if self._gram is None:
            self._gram, self._sum = np.zeros_like(other._gram), np.zeros_like(other._sum)
        self._check_width(other.dim)
        self._gram += other._gram
        self._is_zero = self._is_zero and other._is_zero
        self._sum += other._sum
        self.num_examples += other.num_examples

    @property
    def gram(self) -> Float[np.ndarray, "d d"]:
        """F^T F of all rows; of no columns before the first block."""
        return np.zeros((0, 0)) if self._gram is None else self._gram

    def mean(self) -> Float[np.ndarray, " d"]:
        """Mean row."""
        return self._sum / max(self.num_examples, 1)

    def singular_values(self, *, is_centred: bool = False) -> Float[np.ndarray, " r"]:
        """min(n, d) singular values, descending, from the eigenvalues of the Gram matrix."""
        if self._gram is None or self.num_examples == 0:
            raise BadData("`features` has 0 rows; allowed: one row or more.")
        if not self._is_zero and self._gram.trace() < _LEAST_SQUARE:
            raise BadData(
                "`features` are too small to be squared; allowed: above 1e-150. Next: divide them by their "
                "largest."
            )
        gram = self._gram
        if is_centred:
            gram = gram - np.outer(self._sum, self._sum) / self.num_examples
        return singular_values_of_gram(gram)[: min(self.num_examples, self.dim)]

    def _check_width(self, d: int) -> None:
        if d != self.dim:
            raise BadData(f"`features` has {d} columns after {self.dim} before; all rows must agree.")


def singular_values_of_gram(gram: Float[np.ndarray, "d d"]) -> Float[np.ndarray, " d"]:
    """Singular values of F from F^T F, descending; 0 for values below the rounding error."""
    # A feature that is always zero adds an exact zero, which rounding would make larger.
    live = np.flatnonzero(np.diag(gram))
    values = np.zeros(len(gram))
    if len(live):
        with one_thread():
            eigenvalues = scipy.linalg.eigvalsh(gram[np.ix_(live, live)], check_finite=False)[::-1]
        # Absolute error of the eigenvalues, which the square root would magnify.
        lost = max(eigenvalues[0], 0.0) * len(gram) * np.finfo(np.float64).eps
        values[: len(live)] = np.sqrt(np.where(eigenvalues > lost, eigenvalues, 0.0))
    return values


def entropy_nats(singular_values: Float[np.ndarray, " r"]) -> float:
    """SVE: Shannon entropy of the normalised singular values, with 0 ln 0 = 0; 0 if all are zero."""
    p = singular_values[singular_values > 0]
    p = p / p.sum() if len(p) else p
    return float(-(p * np.log(p)).sum()) + 0.0


def largest_ratio(singular_values: Float[np.ndarray, " r"]) -> float:
    """LSVR: -ln of the share of the largest singular value in the sum, >= 0."""
    total = singular_values.sum()
    return float(-np.log(singular_values[0] / total)) + 0.0 if total > 0 else 0.0


def _cards(
    features: Any, centrings: tuple[bool, ...], *, block_rows: int, is_refined: bool
) -> list[SpectrumCard]:
    features, parts = _in_rows(features), SpectrumAccumulator()
    for block in _blocks(features, block_rows):
        parts.update(block)
    cards = []
    for is_centred in centrings:
        if is_refined and _needs_rows(parts, is_centred=is_centred):
            values = _from_rows(features, parts.mean() if is_centred else None, block_rows)
        else:
            values = parts.singular_values(is_centred=is_centred)
        cards.append(_card(values, parts, is_centred=is_centred))
    return cards


def _card(values: np.ndarray, parts: SpectrumAccumulator, *, is_centred: bool) -> SpectrumCard:
    entropy = entropy_nats(values)
    return SpectrumCard(
        num_examples=parts.num_examples,
        dim=parts.dim,
        singular_values=values,
        entropy_nats=entropy,
        largest_ratio=largest_ratio(values),
        effective_rank=float(np.exp(entropy)),
        is_centred=is_centred,
    )


def _needs_rows(parts: SpectrumAccumulator, *, is_centred: bool) -> bool:
    """Whether the Gram matrix is too inexact for the smallest singular values."""
    if parts.num_examples <= parts.dim:  # few rows: QR is also faster, and centred rows are dependent
        return parts.num_examples > 0
    num_live = np.count_nonzero(np.diag(parts.gram))  # features that are not zero in every row
    smallest = parts.singular_values(is_centred=is_centred)[:num_live].min(initial=np.inf)
    # The Gram matrix is uncentred, so the norm of the raw rows determines the rounding error.
    return bool(smallest * _GRAM_RANGE < np.sqrt(np.trace(parts.gram)))


def _from_rows(features: Any, mean: np.ndarray | None, block_rows: int) -> np.ndarray:
    """Singular values of F itself, reduced to d rows by QR block by block, without squaring."""
    kept: np.ndarray | None = None
    n = 0
    for block in _blocks(features, block_rows):
        rows = np.asarray(block, dtype=np.float64)
        rows = rows if mean is None else rows - mean
        n += len(rows)
        kept = rows if kept is None else np.vstack([kept, rows])
        if len(kept) > kept.shape[1]:
            with one_thread():
                (upper,) = scipy.linalg.qr(kept, mode="r", check_finite=False)
            kept = upper[: kept.shape[1]]
    assert kept is not None
    with one_thread():
        return scipy.linalg.svdvals(kept, check_finite=False)[: min(n, kept.shape[1])]


def _blocks(features: Any, block_rows: int) -> Iterator[Any]:
    if block_rows < 1:
        raise invalid("block_rows", block_rows, "a whole number >= 1")
    if len(features.shape) == 0:
        check_matrix(features)
    for rows in row_blocks(len(features), block_rows):
        yield features[rows]
