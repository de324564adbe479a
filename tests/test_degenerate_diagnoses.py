"""Diagnoses at the edges: few of many examples, equal eigenvalues, no curvature, no noise."""

import numpy as np
import pytest

from aniso import diagnostics, matrices
from aniso.problems import quadratic_problem


def measured(problem, theta, rng, *quantities, **more):
    settings = {"batch_size": 2, "replacement": True} | more
    return diagnostics.measure(problem, theta, rng=rng, quantities=list(quantities), **settings)


def test_the_rank_of_the_noise_of_few_examples_is_that_of_all(rng):
    noise = rng.normal(size=(2000, 100))
    problem = quadratic_problem(np.eye(100), np.zeros(100), noise)
    theta = np.full(100, 0.1)
    values = np.linalg.eigvalsh(np.cov(noise.T, ddof=0))
    exact = values.sum() ** 2 / (values**2).sum()
    whole = measured(problem, theta, rng, "noise_rank")["noise_rank"]
    assert whole.value == pytest.approx(exact, rel=1e-9)
    few = measured(problem, theta, rng, "noise_rank", num_examples=200)["noise_rank"]
    assert abs(few.value - exact) <= 5 * few.standard_error < 0.2 * exact
    assert "corrected to that of all 2000" in few.assumptions[-1]


@pytest.mark.parametrize("scale", [0.0, 1e-170])
def test_one_quantity_is_refused_and_the_others_are_kept(scale, rng):
    problem = quadratic_problem(scale * np.eye(2), np.zeros(2), rng.normal(size=(6, 2)))
    found = measured(problem, np.ones(2), rng, "loss", "hessian_rank", "noise_rank")
    assert {"loss", "noise_rank"} <= set(found)
    if scale:
        assert found["hessian_rank"].value == pytest.approx(2)
    else:
        assert "Tr H^2 is 0" in str(found.refused["hessian_rank"])


@pytest.mark.parametrize("size", [5, 500])
def test_where_all_curvature_is_negative_steps_grow(size, rng):
    problem = quadratic_problem(-np.eye(size), np.zeros(size), rng.normal(size=(20, size)))
    told = measured(problem, np.full(size, 0.1), rng, "leading_eigenvalue", learning_rate=0.1)[
        "leading_eigenvalue"
    ].sentence
    assert "steps grow along every direction" in told
    assert "stable" not in told


def test_equal_examples_have_no_noise_at_any_size(rng):
    problem = quadratic_problem(np.diag([4.0, 1.0]), np.zeros(2), np.ones((6, 2)))
    found = measured(problem, np.ones(2), rng, "noise_scale")["noise_scale"]
    assert found.sentence.endswith("there is no noise at any size.")


def test_noise_that_lowers_the_loss_has_no_size_of_a_batch(rng):
    noise = np.zeros((10, 4))
    noise[:, 1:] = rng.normal(size=(10, 3))
    problem = quadratic_problem(np.diag([5.0, -1.0, -1.0, -1.0]), np.zeros(4), noise)
    theta = np.array([1.0, 0.0, 0.0, 0.0])
    found = measured(problem, theta, rng, "curvature_noise_scale")["curvature_noise_scale"]
    assert found.value < 0
    assert "It is no number of examples" in found.sentence


def test_a_probe_that_ends_early_adds_no_eigenvalue(rng):
    density = matrices.lanczos_quadrature(5 * np.eye(60), num_probes=4, num_steps=20, rng=rng)
    np.testing.assert_allclose(density.nodes, 5, rtol=1e-12)
    assert density.mean_of(np.log).value == pytest.approx(np.log(5))
    assert density.width == pytest.approx(0.05)
    two = np.diag(np.repeat([1.0, 2.0], 30))
    density = matrices.lanczos_quadrature(two, num_probes=4, num_steps=20, rng=rng)
    assert density.nodes.min() == pytest.approx(1)
    assert density.mean_of(lambda nodes: 1 / nodes).value == pytest.approx(0.75, abs=0.1)


def test_the_width_of_equal_eigenvalues_has_their_unit():
    for unit in (1e-6, 1e6):
        density = matrices.density_of_eigenvalues([unit] * 4)
        assert matrices.outliers_beyond_bulk([unit] * 4, density).edge < 1.1 * unit
