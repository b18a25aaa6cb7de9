r"""Curvature of a loss: the largest eigenvalues and the trace of its Hessian, without forming the matrix.

Only products H v are used, each at the cost of about two gradients. Sharp directions of a head's loss show
how well labels can be fitted by small changes of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.rng import stream

Parameters = Mapping[str, Tensor]
Product = Callable[[Float[np.ndarray, " p"]], Float[np.ndarray, " p"]]
_TOLERANCE = 1e-6  # relative, of the eigenvalues
_DENSE_UP_TO = 64  # parameters; ARPACK needs more parameters than eigenvalues
_ATTEMPTS = ((2, 300), (6, 3000))  # vectors kept for each eigenvalue, restarts


@dataclass(frozen=True, eq=False)
class Curvature:
    """Largest eigenvalues and trace of the Hessian of a mean loss.

    Attributes:
        eigenvalues: descending; nats per squared unit of the parameters.
        trace: estimate of the sum of all eigenvalues.
        trace_standard_error: of that estimate, over probes; 0 where it is exact.
        num_parameters: p.
    """

    eigenvalues: Float[np.ndarray, " r"]
    trace: float
    trace_standard_error: float
    num_parameters: int

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return vars(self) | {"eigenvalues": self.eigenvalues.tolist()}


def curvature(
    summed_loss: Callable[..., Tensor],
    parameters: Parameters,
    batches: Sequence[tuple[Tensor, ...]],
    *,
    num_eigenvalues: int = 10,
    num_probes: int = 50,
    seed: int = 0,
) -> Curvature:
    """Largest Hessian eigenvalues and trace of a mean loss.

    Args:
        summed_loss: (parameters, *batch) -> loss summed over the examples of the batch, twice differentiable.
        parameters: point at which the Hessian is taken; their precision is that of the result.
        batches: all examples; the first axis of the first tensor counts them.
        num_eigenvalues: number of largest eigenvalues.
        num_probes: random vectors for the trace; the standard error falls with their square root. Up to 64
            parameters the trace is exact.
        seed: of the starting vector and the probes.

    Raises:
        InvalidArgument: `num_eigenvalues` is below 1 or `num_probes` below 2.
        BadData: no examples, or the second derivative of the loss is not finite at these parameters.

    Source: eigenvalues by Lanczos 1950, as restarted by Sorensen 1992 (ARPACK); trace by Hutchinson 1990;
    H v by Pearlmutter 1994. Yao et al. 2020, arXiv:1912.07145 (PyHessian) use the same three on networks.
    Differs: they compute eigenvalues one by one with power iteration.
    """
    if num_eigenvalues < 1:
        raise invalid("num_eigenvalues", num_eigenvalues, "a whole number >= 1")
    if num_probes < 2:
        raise invalid("num_probes", num_probes, "a whole number >= 2, so that the trace has a standard error")
    product, p = hessian_product(summed_loss, parameters, batches)
    if p <= _DENSE_UP_TO:  # fewer products than eigenvalues and probes take, and no error
        matrix = _dense(product, p)
        return Curvature(np.linalg.eigvalsh(matrix)[::-1][:num_eigenvalues], float(np.trace(matrix)), 0.0, p)
    values = top_eigenvalues(product, p, num_eigenvalues=num_eigenvalues, seed=seed)
    trace, error = trace_estimate(product, p, num_probes=num_probes, seed=seed)
    return Curvature(values, trace, error, p)


def hessian_product(
    summed_loss: Callable[..., Tensor], parameters: Parameters, batches: Sequence[tuple[Tensor, ...]]
) -> tuple[Product, int]:
    """The function v -> H v for the Hessian of the mean loss, and the number of parameters.

    Computes the derivative of the gradient along v batch by batch; memory is that of a few gradients.

    Source: Pearlmutter 1994.
    """
    num_examples = sum(len(batch[0]) for batch in batches)
    if num_examples == 0:
        raise BadData("`batches` has 0 rows; allowed: one example or more.")
    where = {name: value.detach() for name, value in parameters.items()}
    sizes = [value.numel() for value in where.values()]

    def along(batch: tuple[Tensor, ...], direction: dict[str, Tensor]) -> dict[str, Tensor]:
        # H is symmetric, so v^T H equals H v and needs only reverse mode.
        gradient = torch.func.grad(lambda at: summed_loss(at, *batch))
        pull_back = torch.func.vjp(gradient, where)[1]
        return pull_back(direction)[0]

    def product(vector: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        pieces = torch.from_numpy(np.ascontiguousarray(vector)).split(sizes)
        direction = {
            name: piece.view_as(value).to(value)
            for (name, value), piece in zip(where.items(), pieces, strict=True)
        }
        total = np.zeros(len(vector))
        for batch in batches:
            found = along(batch, direction)
            total += torch.cat([found[name].flatten() for name in where]).double().cpu().numpy()
        if not np.isfinite(total).all():
            raise BadData(
                "The second derivative of the loss is not finite at these parameters; allowed: a smooth loss "
                "and finite features. Next: check the features, or fit the head again."
            )
        return total / num_examples

    return product, sum(sizes)


def top_eigenvalues(
    product: Product, num_parameters: int, *, num_eigenvalues: int, seed: int
) -> Float[np.ndarray, " r"]:
    """The largest eigenvalues of a symmetric matrix that is given by its products, descending.

    Args:
        product: v -> H v.
        num_parameters: p.
        num_eigenvalues: r; at most p are returned.
        seed: of the starting vector.

    Raises:
        BadData: not all of them converged.
    """
    r = min(num_eigenvalues, num_parameters)
    if num_parameters <= max(_DENSE_UP_TO, r + 1):
        return np.linalg.eigvalsh(_dense(product, num_parameters))[::-1][:r].copy()
    start = stream(seed, "curvature", "start").standard_normal(num_parameters)
    if not product(start).any():  # ARPACK cannot continue from a zero vector
        return np.zeros(r)
    operator = LinearOperator((num_parameters, num_parameters), matvec=product, dtype=np.float64)
    for vectors_each, num_restarts in _ATTEMPTS:
        try:
            # Algebraically largest: a large negative eigenvalue is not a sharp direction of a minimum.
            values = eigsh(
                operator, k=r, which="LA", v0=start, tol=_TOLERANCE, return_eigenvectors=False,
                ncv=min(num_parameters, max(20, vectors_each * r + 1)), maxiter=num_restarts,
            )  # fmt: skip
            return np.sort(values)[::-1].copy()
        except ArpackNoConvergence as error:
            num_converged = len(error.eigenvalues)
    raise BadData(
        f"Only {num_converged} of the {r} largest eigenvalues of the Hessian converged in "
        f"{_ATTEMPTS[-1][1]} restarts of the Lanczos method; allowed: all of them. Next: ask for fewer with "
        "`num_eigenvalues`, or use features of another scale."
    )


def _dense(product: Product, num_parameters: int) -> Float[np.ndarray, "p p"]:
    columns = np.stack([product(unit) for unit in np.eye(num_parameters)])
    return (columns + columns.T) / 2


def trace_estimate(
    product: Product, num_parameters: int, *, num_probes: int, seed: int
) -> tuple[float, float]:
    """Mean of v^T H v over random signs v, whose expectation is the trace, and its standard error.

    Source: Hutchinson 1990.
    """
    rng = stream(seed, "curvature", "probes")
    found = np.empty(num_probes)
    for i in range(num_probes):
        probe = rng.integers(0, 2, num_parameters) * 2.0 - 1.0
        found[i] = probe @ product(probe)
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(num_probes))
