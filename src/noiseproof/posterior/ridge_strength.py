r"""The ridge strength by generalised cross-validation, before any row is predicted.

Notation: X (n, d) and Y (n, k) centred, G = X^T X, M = X^T Y, ridge head W = (G + ridge I)^{-1} M,
$H = X (G + \text{ridge} I)^{-1} X^T + 1/n$.

The chosen strength minimises $n \|Y - X W\|^2 / (n - \operatorname{tr} H)^2$, the mean squared leave-one-out
error if all rows had the same leverage. It needs G and M, but no row of X. The tridiagonal form G = Q T Q^T
takes a third of the work of eigenvectors, and then each strength costs O(d k).

Source: Golub, Heath & Wahba 1979, Eq. 1.4.
Differs: an unpenalised intercept; their strength is ours divided by n.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from jaxtyping import Float

from noiseproof.core.threads import one_thread

# Candidate strengths, in units of the mean eigenvalue of G.
STRENGTHS = np.geomspace(1e-3, 1e2, 13)
_BLOCK = 64  # block size of LAPACK, in columns
# A strength must exceed the error of an eigenvalue, in units of the rounding error of the largest; below it
# neither the trace nor a Cholesky factor is accurate.
_ROUNDINGS = 32


def best_ridge(
    gram: Float[np.ndarray, "d d"],
    moments: Float[np.ndarray, "d k"],
    *,
    num_examples: int | float,
    total: float,
) -> tuple[float, float]:
    r"""The candidate strength with the least generalised cross-validation error, and that error per example.

    Args:
        gram: G; its type is used for the expensive arithmetic.
        moments: M.
        num_examples: n.
        total: $\|Y\|^2$.
    """
    diagonal, off_diagonal, moments = _tridiagonal(gram, moments)
    eigenvalues = scipy.linalg.eigvalsh_tridiagonal(diagonal, off_diagonal, lapack_driver="sterf")
    eigenvalues = np.maximum(eigenvalues, 0.0)

    def error(ridge: float) -> float:
        band = np.stack([np.append(0.0, off_diagonal), diagonal + ridge])
        head = scipy.linalg.solveh_banded(band[-min(2, len(diagonal)) :], moments)
        # G W = M - ridge W, so that ||Y - X W||^2 needs neither X nor Y.
        squares = total - (head * moments).sum() - ridge * np.square(head).sum()
        return squares / (num_examples - 1 - (eigenvalues / (eigenvalues + ridge)).sum()) ** 2

    # Equal features have no scale; every strength then gives the same result.
    ridges = STRENGTHS * (eigenvalues.mean() or 1.0)
    rounding = _ROUNDINGS * np.finfo(gram.dtype).eps * eigenvalues.max()
    best = float(min(ridges[ridges > rounding], key=error))
    return best, float(num_examples * error(best))


def _tridiagonal(
    gram: np.ndarray, moments: np.ndarray
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d-1"], Float[np.ndarray, "d k"]]:
    """Diagonal and off-diagonal of T, and Q^T M, in float64."""
    reduce, rotate = scipy.linalg.get_lapack_funcs(("sytrd", "ormqr"), (gram,))
    size = _BLOCK * len(gram)
    rotated = moments.copy()
    with one_thread():
        packed, diagonal, off_diagonal, tau, _ = reduce(gram, lower=1, lwork=size)
        if len(gram) > 1:
            # Q does not change the first coordinate; its reflectors are stored below the diagonal, as in QR.
            rotated[1:] = rotate("L", "T", packed[1:, :-1], tau, rotated[1:], lwork=size)[0]
    return diagonal.astype(np.float64), off_diagonal.astype(np.float64), rotated.astype(np.float64)
