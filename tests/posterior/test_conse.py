import numpy as np
import pytest

from noiseproof.posterior.conse import convex_combination

WORDS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def test_by_hand():
    probs = np.array([[0.5, 0.3, 0.2]])
    assert convex_combination(probs, WORDS).tolist()[0] == pytest.approx([0.7, 0.5])
    assert convex_combination(probs, WORDS, most_classes=2).tolist()[0] == pytest.approx([0.625, 0.375])
    assert convex_combination(probs, WORDS, most_classes=1).tolist() == [[1.0, 0.0]]
    assert probs.tolist() == [[0.5, 0.3, 0.2]]


@pytest.mark.parametrize("most", [None, 1, 4, 7, 9])
def test_equals_a_slow_loop(most):
    rng = np.random.default_rng(0)
    probs, words = rng.dirichlet(np.ones(7), size=20), rng.normal(size=(7, 3))
    expected = []
    for row in probs:
        best = sorted(range(7), key=lambda j: -row[j])[: most or 7]
        total = sum(row[j] for j in best)
        expected.append(sum(row[j] * words[j] for j in best) / total)
    np.testing.assert_allclose(convex_combination(probs, words, most_classes=most), expected, rtol=1e-12)
