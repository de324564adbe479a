"""Batches of a weighted mean have a fixed denominator here, a ratio in PyTorch; it is said."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from aniso import diagnostics, frameworks  # noqa: E402

nn = torch.nn
IGNORED = -100


def sequences(lengths, classes):
    """Tokens that are all equal, and targets that count up to a length; class numbers by row."""
    tokens = torch.zeros(len(lengths), 20, dtype=torch.int64)
    counts = torch.arange(20) < torch.tensor(lengths)[:, None]
    return tokens, torch.where(counts, torch.tensor(classes)[:, None], IGNORED)


def problem_of(data, loss=None, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 3)).double()
    loss = loss or nn.CrossEntropyLoss()
    return frameworks.from_torch(model, loss, data, forward=lambda m, x: m(x).mT, **settings)


def ratio_variance(problem, weights, size, rng):
    """Trace of the covariance of PyTorch's batch gradients, by drawn batches, and of its terms."""
    theta = problem.initial_theta
    rows = problem.per_example_gradients(theta)  # w_i grad l_i / w
    weights = weights / weights.mean()
    batches = rng.integers(0, len(rows), (4000, size))
    sums, totals = rows[batches].sum(axis=1), weights[batches].sum(axis=1)
    drawn = np.var(sums / totals[:, None], axis=0).sum()
    gradient = rows.mean(axis=0)
    first_order = np.square(rows - weights[:, None] * gradient).sum(axis=1).mean() / size
    return drawn, first_order, problem.at(theta).noise.trace() / size


def test_the_noise_of_a_ratio_is_that_of_the_stated_terms(rng):
    lengths, classes = [2, 20] * 30, [1] * 58 + [0, 2]
    problem = problem_of(sequences(lengths, classes))
    drawn, first_order, fixed = ratio_variance(problem, np.array(lengths), 60, rng)
    assert drawn == pytest.approx(first_order, rel=0.15)
    assert fixed > 1.3 * drawn
    # equal sequences have no noise as a ratio, and some with a fixed denominator
    problem = problem_of(sequences(lengths, [1] * 60))
    drawn, first_order, fixed = ratio_variance(problem, np.array(lengths), 10, rng)
    gradient = problem.gradient(problem.initial_theta)
    assert max(drawn, first_order) < 1e-25
    assert fixed == pytest.approx(np.var(lengths) / 11**2 * (gradient @ gradient) / 10)


def diagnosed(problem, rng):
    return diagnostics.measure(problem, batch_size=5, replacement=True, rng=rng, num_pairs=2)


WEIGHTED = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0]).double())
CASES = {
    "unequal lengths": (sequences([2, 20] * 6, [0, 1, 2] * 4), {}, True),
    "equal lengths": (sequences([7] * 12, [0, 1, 2] * 4), {}, False),
    "class weights": (sequences([20] * 12, [0, 1, 2] * 4), {"loss": WEIGHTED}, True),
    "weighted tokens": (
        sequences([20] * 12, [0, 1, 2] * 4),
        {"loss": WEIGHTED, "example": "token"},
        True,
    ),
    "tokens": (sequences([2, 20] * 6, [0, 1, 2] * 4), {"example": "token"}, False),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_diagnosis_says_what_its_batches_divide_by(kind, rng):
    data, settings, differ = CASES[kind]
    problem = problem_of(data, **settings)
    assert ("fixed denominator in batches" in repr(problem)) == differ
    assert bool(problem.subset([0, 1]).batch_assumption) == differ
    found = diagnosed(problem, rng)
    for name in ("covariance_trace", "noise_scale", "alignment", "gradient_signal"):
        assert any("w_i (∇l_i − g) / w̄" in line for line in found[name].assumptions) == differ
    for name in ("loss", "gradient_norm", "hessian_trace"):
        assert not any("w̄" in line for line in found[name].assumptions)
