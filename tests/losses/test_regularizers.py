"""Regularisers against the published formulation: an explicit d x d covariance and a full SVD."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.losses.regularizers import consistency, spectral_regularizers

# b < d, b > d, b = d, the smallest batches, and a last odd batch.
SHAPES = [(8, 20), (20, 8), (12, 12), (2, 7), (7, 1), (2, 2), (33, 16)]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_singular_values(b: int, d: int, values: list[float], seed: int = 0) -> torch.Tensor:
    left = torch.linalg.qr(normal(b, len(values), seed=seed))[0]
    right = torch.linalg.qr(normal(d, len(values), seed=seed + 1))[0]
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.T


def slow_consistency(f: torch.Tensor, z: torch.Tensor) -> float:
    total = 0.0
    for i in range(len(f)):
        total += sum(((f[i] / f[i].norm() - z[i] / z[i].norm()) ** 2).tolist())
    return total / len(f)


def slow_covariance(z: torch.Tensor) -> float:
    b, d = z.shape
    total = 0.0
    for i in range(d):
        for j in range(d):
            if i != j:
                x, y = z[:, i] - z[:, i].mean(), z[:, j] - z[:, j].mean()
                total += (float((x * y).sum()) / (b - 1)) ** 2
    return total / d


def published_covariance(z: torch.Tensor) -> torch.Tensor:
    centred = z - z.mean(0)
    c = centred.T @ centred / (len(z) - 1)
    off_diagonal = c - torch.diag(torch.diag(c))
    return off_diagonal.square().sum() / z.shape[1]


def published_dominance(z: torch.Tensor, num_top: int = 1) -> torch.Tensor:
    s = torch.linalg.svd(z, full_matrices=False)[1]
    return (s / s.sum())[:num_top].mean()


def gradient_of(term, z: torch.Tensor) -> torch.Tensor:
    z = z.clone().requires_grad_()
    return torch.autograd.grad(term(z), z)[0]


# Hand-solved


def test_consistency_of_a_right_angle_is_two():
    f = torch.tensor([[3.0, 0.0], [0.0, 5.0]])
    z = torch.tensor([[0.0, 0.1], [0.0, 9.0]])  # 90 degrees: |e1 - e2|^2 = 2; same direction: 0
    assert float(consistency(f, z)) == pytest.approx(1.0)


def test_consistency_of_opposite_vectors_is_four():
    f = torch.tensor([[1.0, 2.0, 2.0]])
    assert float(consistency(f, -0.5 * f)) == pytest.approx(4.0)


def test_covariance_of_two_features_by_hand():
    # Columns (0, 2, 4) and (0, 1, 5): covariance (2*2 + 2*3 + 0) / 2 = 5, so (5^2 + 5^2) / 2 = 25.
    z = torch.tensor([[0.0, 0.0], [2.0, 1.0], [4.0, 5.0]], dtype=torch.float64)
    assert float(spectral_regularizers(z)[0]) == pytest.approx(25.0)


def test_covariance_of_uncorrelated_features_is_zero():
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64) + 7
    assert float(spectral_regularizers(z)[0]) == pytest.approx(0.0, abs=1e-10)


def test_dominance_of_a_diagonal_matrix_by_hand():
    z = torch.diag(torch.tensor([6.0, 3.0, 1.0], dtype=torch.float64))
    assert float(spectral_regularizers(z)[1]) == pytest.approx(0.6)
    assert float(spectral_regularizers(z, num_top=2)[1]) == pytest.approx((0.6 + 0.3) / 2)


def test_dominance_is_of_the_uncentred_batch():
    # All rows equal: rank one before centring and nothing after.
    assert float(spectral_regularizers(torch.full((5, 3), 2.0))[1]) == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4)])
def test_dominance_lies_between_its_bounds(shape):
    flat = with_singular_values(*shape, [1.0] * 3)
    assert float(spectral_regularizers(flat)[1]) == pytest.approx(1 / 3)
    assert float(spectral_regularizers(flat, num_top=2)[1]) == pytest.approx(1 / 3)
    alone = with_singular_values(*shape, [5.0])
    assert float(spectral_regularizers(alone)[1]) == pytest.approx(1.0)
    assert float(spectral_regularizers(alone, num_top=2)[1]) == pytest.approx(1 / 2)


def test_more_top_values_than_there_are_means_all_of_them():
    assert float(spectral_regularizers(normal(3, 6), num_top=5)[1]) == pytest.approx(1 / 3)


def test_a_batch_of_one_example():
    z = normal(1, 6).requires_grad_()
    covariance, dominance = spectral_regularizers(z, num_top=5)
    assert covariance.item() == 0.0
    assert dominance.item() == pytest.approx(1.0)
    (gradient,) = torch.autograd.grad(covariance + dominance, z)
    assert gradient.abs().max().item() == pytest.approx(0.0, abs=1e-12)


def test_a_batch_of_zeros_has_finite_values_and_gradients():
    z = torch.zeros(4, 3, requires_grad=True)
    covariance, dominance = spectral_regularizers(z)
    assert (covariance.item(), dominance.item()) == (0.0, 0.0)
    assert torch.isfinite(torch.autograd.grad(covariance + dominance, z)[0]).all()


# Slow loops and the published formulation


@pytest.mark.parametrize("shape", SHAPES)
def test_values_equal_slow_loops(shape):
    f, z = normal(*shape, seed=1), normal(*shape, seed=2) + 0.5
    covariance, dominance = spectral_regularizers(z)
    assert float(consistency(f, z)) == pytest.approx(slow_consistency(f, z), rel=1e-12)
    assert float(covariance) == pytest.approx(slow_covariance(z), rel=1e-10, abs=1e-10)
    s = [math.sqrt(max(v, 0.0)) for v in torch.linalg.eigvalsh(z.T @ z).tolist()]
    assert float(dominance) == pytest.approx(max(s) / sum(s), rel=1e-6)


@pytest.mark.parametrize("num_top", [1, 5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_values_and_gradients_equal_the_published_formulation(shape, num_top, dtype, tolerance):
    z = normal(*shape, seed=3) + 0.3
    terms = [
        (lambda x: spectral_regularizers(x)[0], published_covariance),
        (
            lambda x: spectral_regularizers(x, num_top=num_top)[1],
            lambda x: published_dominance(x, num_top),
        ),
    ]
    for ours, published in terms:
        expected, by_z = published(z), gradient_of(published, z)
        assert float(ours(z.to(dtype))) == pytest.approx(float(expected), rel=tolerance, abs=tolerance)
        error = (gradient_of(ours, z.to(dtype)).double() - by_z).norm()
        assert float(error) <= tolerance * max(float(by_z.norm()), 1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(128, 32), (32, 128), (160, 96)])
def test_gradient_of_dominance_has_no_part_where_the_batch_has_none(shape, dtype):
    """Rank 6 with a strong first direction: rounding in the null space must not be blown up by 1 / s."""
    values = [300.0, 4.0, 3.0, 2.0, 1.0, 0.5]
    z = with_singular_values(*shape, values)
    u, _, vt = torch.linalg.svd(z, full_matrices=False)
    total = sum(values)
    expected = (torch.outer(u[:, 0], vt[0]) - (300.0 / total) * u[:, :6] @ vt[:6]) / total
    found = gradient_of(lambda x: spectral_regularizers(x)[1], z.to(dtype)).double()
    # float32 numbers are not exactly of rank 6: what they add has singular values near 1e-5, which are
    # theirs. So only the part inside the six directions is compared there.
    inside = u[:, :6] @ (u[:, :6].T @ found @ vt[:6].T) @ vt[:6]
    assert float((inside - expected).norm()) <= 1e-4 * float(expected.norm())
    if dtype == torch.float64:
        assert float((found - expected).norm()) <= 1e-6 * float(expected.norm())


@pytest.mark.parametrize("shape", [(512, 64), (200, 48)])
def test_gradient_of_dominance_of_a_tall_float32_batch(shape):
    """More examples than features, as in bounded schedules: b - d eigenvalues are zero but for rounding."""
    z = torch.relu(normal(*shape, seed=5) + 1.0).float()
    expected = gradient_of(published_dominance, z.double())
    found = gradient_of(lambda x: spectral_regularizers(x)[1], z).double()
    assert float((found - expected).norm()) <= 1e-4 * float(expected.norm())


@pytest.mark.parametrize("num_top", [1, 2])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (3, 3), (2, 5)])
def test_gradients_equal_finite_differences(shape, num_top):
    z = normal(*shape, seed=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spectral_regularizers(x, num_top=num_top), (z,))


def test_gradients_of_stacked_batches_equal_finite_differences():
    z = normal(2, 4, 3, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(spectral_regularizers, (z,))


def test_consistency_gradient_equals_finite_differences_and_spares_the_encoder():
    f, z = normal(4, 5, seed=6).requires_grad_(), normal(4, 5, seed=7).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: consistency(f.detach(), x), (z,))
    consistency(f, z).backward()
    assert f.grad is None


def test_gradient_weighs_both_terms_as_the_caller_does():
    z = normal(5, 4, seed=8)

    def mixed(x):
        covariance, dominance = spectral_regularizers(x)
        return 0.3 * covariance - 0.7 * dominance

    separate = 0.3 * gradient_of(published_covariance, z) - 0.7 * gradient_of(published_dominance, z)
    assert gradient_of(mixed, z).flatten().tolist() == pytest.approx(separate.flatten().tolist(), abs=1e-10)


def test_second_derivatives_are_refused():
    z = normal(4, 3).requires_grad_()
    (first,) = torch.autograd.grad(spectral_regularizers(z)[1], z, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()


# Invariances


@given(
    b=st.integers(2, 9), d=st.integers(1, 9), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99),
    num_top=st.integers(1, 6),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_scale_and_rotation(b, d, scale, seed, num_top):
    z = normal(b, d, seed=seed)
    left, right = torch.linalg.qr(normal(b, b, seed=seed))[0], torch.linalg.qr(normal(d, d, seed=seed))[0]
    covariance, dominance = spectral_regularizers(z, num_top=num_top)
    by_scale, same = spectral_regularizers(scale * z, num_top=num_top)
    assert float(same) == pytest.approx(float(dominance), rel=1e-9)
    assert float(by_scale) == pytest.approx(scale**4 * float(covariance), rel=1e-7, abs=scale**4 * 1e-12)
    rotated = spectral_regularizers(left @ z @ right, num_top=num_top)[1]
    assert float(rotated) == pytest.approx(float(dominance), rel=1e-7)
    shifted = spectral_regularizers(z + normal(d, seed=seed + 1))[0]
    assert float(shifted) == pytest.approx(float(covariance), rel=1e-7, abs=1e-10)


def test_consistency_does_not_see_lengths():
    f, z = normal(5, 4, seed=1), normal(5, 4, seed=2)
    stretched = consistency(3 * f, z * torch.tensor([[0.1], [1.0], [2.0], [30.0], [4.0]]))
    assert float(stretched) == pytest.approx(float(consistency(f, z)))


def test_stacked_batches_equal_each_alone():
    f, z = normal(3, 5, 4, seed=1), normal(3, 5, 4, seed=2)
    covariance, dominance = spectral_regularizers(z, num_top=2)
    together = consistency(f, z)
    assert covariance.shape == dominance.shape == together.shape == (3,)
    stacked = gradient_of(lambda x: sum(t.sum() for t in spectral_regularizers(x, num_top=2)), z)
    for i in range(3):
        alone = spectral_regularizers(z[i], num_top=2)
        assert float(covariance[i]) == pytest.approx(float(alone[0]), rel=1e-12)
        assert float(dominance[i]) == pytest.approx(float(alone[1]), rel=1e-12)
        assert float(together[i]) == pytest.approx(float(consistency(f[i], z[i])), rel=1e-12)
        gradient = gradient_of(lambda x: sum(spectral_regularizers(x, num_top=2)), z[i])
        assert stacked[i].flatten().tolist() == pytest.approx(gradient.flatten().tolist(), abs=1e-12)
