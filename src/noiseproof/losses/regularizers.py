r"""The regularisers of NMTune, with closed-form gradients from one Gram matrix.

Z is a batch of reshaped features, b x d, with singular values s. The b x b matrix G = Z Z^T is sufficient:
s = sqrt(eig(G)), and with Gc the double-centred G, $\|C\|_F = \|G_c\|_F / (b-1)$ for the covariance C. So
neither the d x d covariance nor a singular value decomposition is computed.

Source: Chen, Wang et al. 2024, "Understanding and Mitigating the Label Noise in Pre-training on
Downstream Tasks", ICLR 2024, arXiv:2309.17002, Eqs. 3-5.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def consistency(features: Float[Tensor, "*m b d"], reshaped: Float[Tensor, "*m b d"]) -> Float[Tensor, "*m"]:
    r"""Distance between the directions of the reshaped features and the encoder's features.

    $\frac1b \sum_i \| f_i/\|f_i\| - z_i/\|z_i\| \|^2 = \frac2b \sum_i (1 - \cos(f_i, z_i))$, in [0, 4].

    Args:
        features: of the frozen encoder; without gradient.
        reshaped: of the same examples ("paper") or of their second view ("released").

    Source: Eq. 3 of the paper, as the squared norm per example.
    Differs: the released code averages over d as well, which `heads/fit.py` does for that recipe.
    """
    target = F.normalize(features.detach(), dim=-1)
    return (target - F.normalize(reshaped, dim=-1)).square().sum(-1).mean(-1)


def spectral_regularizers(
    reshaped: Float[Tensor, "*m b d"], *, num_top: int = 1
) -> tuple[Float[Tensor, "*m"], Float[Tensor, "*m"]]:
    r"""Covariance and dominance of each batch, from one b x b eigendecomposition.

    covariance = $\frac1d \sum_{i \ne j} C_{ij}^2$ with $C = \frac{1}{b-1} \bar Z^T \bar Z$, Z-bar centred;
    dominance = $\frac1K \sum_{i \le K} s_i / \sum_j s_j$ over the K largest singular values of Z, uncentred.

    With G = U diag(s^2) U^T, S = sum s and rho the dominance, the gradients are one product with Z:
    $\partial\rho/\partial Z = \frac1S \left(\frac1K \sum_{i \le K} \frac{u_i u_i^T}{s_i}
    - \rho \sum_i \frac{u_i u_i^T}{s_i}\right) Z$ and
    $\partial\,\mathrm{cov}/\partial Z
    = \frac4d \left(\frac{G_c Z}{(b-1)^2} - \frac{\bar Z\,\mathrm{diag}(C)}{b-1}\right)$.

    Args:
        reshaped: batches Z; leading axes are independent batches. One gradient only, no second order.
        num_top: singular values counted as dominant, K = min(num_top, b, d): 1 in the paper, 5 in the
            released code.

    Returns:
        covariance, in the fourth power of the features' unit, and dominance, in [1/min(b, d), 1/K].
        A batch of one example has covariance 0, a batch of zeros dominance 0.

    Source: Eqs. 4 and 5 of the paper.
    Differs: singular values below sqrt(b float64-eps) of the largest count as zero with zero gradient.
    """
    covariance, dominance = _Spectral.apply(reshaped, num_top)
    return covariance, dominance


class _Spectral(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, reshaped: Tensor, num_top: int) -> tuple[Tensor, Tensor]:
        # float64 for b x b matrices: squaring in float32 would lose every s below 3e-4 of the largest.
        z = reshaped.double()
        b, d = z.shape[-2:]
        gram = z @ z.mT
        centred = (
            gram
            - gram.mean(-1, keepdim=True)
            - gram.mean(-2, keepdim=True)
            + gram.mean((-1, -2), keepdim=True)
        )
        variance = z.var(-2, correction=1) if b > 1 else torch.zeros_like(z[..., 0, :])
        free = max(b - 1, 1)
        covariance = (centred.square().sum((-1, -2)) / free**2 - variance.square().sum(-1)) / d

        eigenvalues, vectors = torch.linalg.eigh(gram)
        s = eigenvalues.clamp_min(0).sqrt()
        # Rounding turns zero eigenvalues into values near b eps times the largest.
        is_kept = eigenvalues > eigenvalues[..., -1:] * (b * torch.finfo(torch.float64).eps)
        is_kept[..., : max(b - d, 0)] = False
        s = s * is_kept
        total = s.sum(-1).clamp_min(torch.finfo(torch.float64).tiny)
        k = min(num_top, b, d)
        dominance = s[..., -k:].sum(-1) / (k * total)

        inverse = torch.where(is_kept, 1 / s.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
        pull = -dominance[..., None] * inverse
        pull[..., -k:] += inverse[..., -k:] / k
        pull = pull / total[..., None]
        dominance_factor = (vectors * pull[..., None, :]) @ vectors.mT
        covariance_factor = centred * (4 / (d * free**2))
        ctx.save_for_backward(reshaped, variance * (4 / (d * free)), covariance_factor, dominance_factor)
        return covariance.to(reshaped.dtype), dominance.to(reshaped.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_covariance: Tensor, by_dominance: Tensor) -> tuple[Tensor, None]:
        reshaped, variance, covariance_factor, dominance_factor = ctx.saved_tensors
        left = (
            by_covariance[..., None, None] * covariance_factor
            + by_dominance[..., None, None] * dominance_factor
        )
        shrink = (by_covariance[..., None] * variance)[..., None, :].to(reshaped.dtype)
        centred = reshaped - reshaped.mean(-2, keepdim=True)
        # In float64: the large 1 / s of small directions must cancel against Z itself.
        return (left @ reshaped.double()).to(reshaped.dtype) - centred * shrink, None
