import numpy as np
import pytest
import torch

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.diagnose.curvature import curvature, hessian_product, top_eigenvalues, trace_estimate


def network_loss(parameters, features, labels):
    """Summed cross-entropy of a small network."""
    hidden = torch.tanh(features @ parameters["first"])
    logits = hidden @ parameters["second"] + parameters["bias"]
    return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")


@pytest.fixture(scope="module")
def network():
    generator = torch.Generator().manual_seed(0)
    draw = {"generator": generator, "dtype": torch.float64}
    shapes = {"first": (5, 12), "second": (12, 3), "bias": (3,)}
    parameters = {name: torch.randn(*shape, **draw) for name, shape in shapes.items()}
    features = torch.randn(40, 5, **draw)
    labels = torch.randint(3, (40,), generator=generator)
    batches = [(features[:17], labels[:17]), (features[17:], labels[17:])]
    return parameters, batches, explicit_hessian(parameters, features, labels)


def explicit_hessian(parameters, features, labels):
    sizes = [value.numel() for value in parameters.values()]

    def of_vector(vector):
        pieces = vector.split(sizes)
        named = {n: p.view_as(v) for (n, v), p in zip(parameters.items(), pieces, strict=True)}
        return network_loss(named, features, labels) / len(features)

    flat = torch.cat([value.flatten() for value in parameters.values()])
    return torch.autograd.functional.hessian(of_vector, flat).numpy()


def test_products_are_those_of_the_explicit_hessian(network):
    parameters, batches, hessian = network
    product, p = hessian_product(network_loss, parameters, batches)
    assert p == len(hessian) == 99
    for seed in range(3):
        vector = np.random.default_rng(seed).normal(size=p)
        assert product(vector) == pytest.approx(hessian @ vector, abs=1e-12)


def test_eigenvalues_are_those_of_the_explicit_hessian(network):
    parameters, batches, hessian = network
    found = curvature(network_loss, parameters, batches, num_eigenvalues=6)
    assert found.eigenvalues == pytest.approx(np.linalg.eigvalsh(hessian)[::-1][:6], rel=1e-5)
    assert found.num_parameters == 99


def test_trace_is_met_within_its_standard_error(network):
    parameters, batches, hessian = network
    product, p = hessian_product(network_loss, parameters, batches)
    off = hessian - np.diag(np.diag(hessian))
    for num_probes in (50, 400):
        mean, error = trace_estimate(product, p, num_probes=num_probes, seed=1)
        # Of random signs the variance is twice the sum of squares off the diagonal (Hutchinson 1990).
        expected = np.sqrt(2 * (off**2).sum() / num_probes)
        assert error == pytest.approx(expected, rel=0.35)
        assert mean == pytest.approx(np.trace(hessian), abs=4 * expected)


def test_quadratic_by_hand():
    """x^2 + 3 y^2 - 2 z^2 / 2: eigenvalues 2, 6 and -2; the largest are 6 and 2, the trace 6."""

    def loss(parameters, ones):
        x, y, z = parameters["xyz"]
        return (x**2 + 3 * y**2 - z**2) * ones.sum()

    found = curvature(
        loss,
        {"xyz": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)},
        [(torch.ones(4),)],
        num_eigenvalues=2,
    )
    assert found.eigenvalues == pytest.approx([6, 2])
    assert found.trace == pytest.approx(6)
    assert found.trace_standard_error == pytest.approx(
        0, abs=1e-9
    )  # a diagonal Hessian: every probe is exact


def test_large_negative_curvature_is_not_the_largest():
    diagonal = np.concatenate([[-50.0], np.linspace(0, 1, 120)])
    values = top_eigenvalues(lambda v: diagonal * v, 121, num_eigenvalues=3, seed=0)
    assert values == pytest.approx(diagonal[-1:-4:-1], abs=1e-5)


def test_no_more_eigenvalues_than_parameters():
    assert top_eigenvalues(lambda v: 2 * v, 3, num_eigenvalues=10, seed=0).tolist() == [2, 2, 2]


def test_same_seed_gives_same_curvature(network):
    parameters, batches, _ = network
    one, other = (curvature(network_loss, parameters, batches, num_probes=3, seed=5) for _ in range(2))
    assert one.to_json() == other.to_json()
    assert curvature(network_loss, parameters, batches, num_probes=3, seed=6).trace != one.trace


def test_numbers_out_of_range_are_refused(network):
    parameters, batches, _ = network
    with pytest.raises(InvalidArgument, match="`num_eigenvalues` is 0; allowed: a whole number >= 1"):
        curvature(network_loss, parameters, batches, num_eigenvalues=0)
    with pytest.raises(InvalidArgument, match="`num_probes` is 1; allowed: a whole number >= 2"):
        curvature(network_loss, parameters, batches, num_probes=1)


def test_no_examples_have_no_curvature(network):
    with pytest.raises(BadData, match="`batches` has 0 rows"):
        curvature(network_loss, network[0], [])


def test_a_loss_that_is_not_smooth_there_is_told():
    def loss(parameters, ones):
        return torch.sqrt(parameters["x"]).sum() * ones.sum()

    with pytest.raises(BadData, match="second derivative of the loss is not finite"):
        curvature(loss, {"x": torch.zeros(2, dtype=torch.float64)}, [(torch.ones(1),)])


def chain(vector):
    """H v of a chain of springs: eigenvalues 2 - 2 cos(pi i / (p + 1)), the largest close together."""
    found = 2 * vector
    found[1:] -= vector[:-1]
    found[:-1] -= vector[1:]
    return found


def test_eigenvalues_close_together_are_all_found():
    p = 2000
    exact = 2 - 2 * np.cos(np.pi * np.arange(p, p - 6, -1) / (p + 1))
    found = top_eigenvalues(chain, p, num_eigenvalues=6, seed=0)
    assert found == pytest.approx(exact, rel=1e-5)
    assert (np.diff(found) <= 0).all()


def test_eigenvalues_that_do_not_converge_are_told(monkeypatch):
    monkeypatch.setattr("noiseproof.diagnose.curvature._ATTEMPTS", ((2, 2), (2, 10)))
    with pytest.raises(BadData, match=r"Only \d of the 6 largest eigenvalues of the Hessian converged in 10"):
        top_eigenvalues(chain, 2000, num_eigenvalues=6, seed=0)


def test_a_flat_loss_has_no_curvature():
    assert top_eigenvalues(np.zeros_like, 100, num_eigenvalues=3, seed=0).tolist() == [0, 0, 0]
