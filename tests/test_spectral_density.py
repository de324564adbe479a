"""Stochastic Lanczos quadrature: exact where it must be, within its error band elsewhere."""

import numpy as np
import pytest
import seeds
from problem_cases import Architecture, ProblemCase
from tolerances import assert_within_sampling_error

from aniso import checks, networks
from aniso.matrices import spectral_density
from aniso.problems import AutogradModel, losses


def test_full_steps_are_each_probes_exact_measure(rng):
    eigenvalues = np.sort(rng.normal(size=6))
    density = spectral_density.lanczos_quadrature(
        np.diag(eigenvalues), num_probes=3, num_steps=6, rng=rng
    )
    np.testing.assert_allclose(density.nodes, np.tile(eigenvalues, (3, 1)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(density.weights.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_few_steps_are_exact_for_low_moments_of_each_probe():
    # m nodes integrate polynomials of degree 2 m - 1: moments 0..3 of two steps
    matrix = np.diag([0.0, 1.0, 3.0, 4.0])
    seed = 5
    density = spectral_density.lanczos_quadrature(
        matrix, num_probes=2, num_steps=2, rng=seeds.generator(seed)
    )
    probes = seeds.generator(seed).standard_normal((2, 4))
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    for power in range(4):
        expected = (probes**2) @ (np.diag(matrix) ** power)
        actual = (density.weights * density.nodes**power).sum(axis=1)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-11)


def test_estimates_hold_within_their_error(rng):
    eigenvalues = np.linspace(0, 1, 300)
    density = spectral_density.lanczos_quadrature(
        np.diag(eigenvalues), num_probes=120, num_steps=30, rng=rng
    )
    assert_within_sampling_error(density.mean_of(lambda t: t), eigenvalues.mean())
    assert abs(np.trapezoid(density.values, density.points) - 1) < 1e-3
    # in the middle the smoothed density of equally spaced eigenvalues is 1
    middle = np.argmin(np.abs(density.points - 0.5))
    wide = spectral_density.lanczos_quadrature(
        np.diag(eigenvalues), num_probes=120, num_steps=60, rng=rng, points=[0.5], width=0.1
    )
    assert_within_sampling_error(wide.values, 1.0, wide.standard_errors)
    assert density.standard_errors[middle] > 0
    assert abs(density.share_above(0.5).value - 0.5) < 0.1


def test_a_probe_in_an_invariant_subspace_has_its_measure_early(rng):
    density = spectral_density.lanczos_quadrature(np.eye(4), num_probes=2, num_steps=4, rng=rng)
    np.testing.assert_allclose(density.mean_of(lambda t: t).value, 1, rtol=0, atol=1e-12)


def test_bands_over_probes_cover_the_smoothed_density(rng):
    eigenvalues = np.concatenate([rng.normal(size=60), [6.0, 7.0]])
    points = np.linspace(-2, 7, 10)
    exact = spectral_density.density_of_eigenvalues(eigenvalues, points=points, width=0.4)
    kernels = np.exp(-0.5 * ((points[:, None] - eigenvalues) / 0.4) ** 2) / 0.4 / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(exact.values, kernels.mean(axis=1), rtol=1e-12)
    hits = 0
    for _ in range(60):
        made = spectral_density.lanczos_quadrature(
            np.diag(eigenvalues), num_probes=20, num_steps=40, rng=rng, points=points, width=0.4
        )
        low, high = made.band(0.9)
        hits += (low <= exact.values) & (exact.values <= high)
    # binomial error of 600 dependent checks; the densities of few eigenvalues are skewed
    assert 0.8 < hits.mean() / 60 < 0.97
    wide, narrow = made.band(0.99), made.band(0.5)
    assert ((wide[0] <= narrow[0]) & (narrow[1] <= wide[1])).all()
    assert (exact.band()[0] == exact.values).all()
    assert exact.mean_of(lambda t: t).standard_error == 0


def test_covariances_and_gauss_newton_matrices_have_densities(rng):
    case = ProblemCase("mlp", Architecture((2, 3, 2), "tanh"), losses.SoftmaxCrossEntropy(), 6)
    for form in (AutogradModel, networks.Network):
        problem, theta = case.problem_and_theta(rng, form)
        at = problem.at(theta)
        for matrix in (at.noise, at.gauss_newton, at.hessian):
            dense = np.asarray(matrix.to_dense())
            values = np.linalg.eigvalsh((dense + dense.T) / 2)
            made = spectral_density.lanczos_quadrature(
                matrix, num_probes=40, num_steps=len(values), rng=rng, width=0.1
            )
            assert_within_sampling_error(made.mean_of(lambda t: t), values.mean())
            assert_within_sampling_error(made.mean_of(lambda t: t**2), np.mean(values**2))
            assert made.dimension == len(values)
            assert abs(made.nodes[made.weights > 1e-8].max() - values[-1]) < 1e-8
        # N gradients leave D - N + 1 zeros
        zeros = spectral_density.lanczos_quadrature(
            at.noise, num_probes=40, num_steps=12, rng=rng
        ).mean_of(lambda t: (np.abs(t) < 1e-9).astype(float))
        assert_within_sampling_error(zeros, 1 - 5 / at.num_parameters)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"num_probes": 1}, "num_probes=1"),
        ({"num_steps": 4}, "num_steps=4"),
        ({"rng": 3}, "rng"),
        ({"width": 0.0}, "width"),
    ],
)
def test_bad_arguments_are_refused(change, rule, rng):
    given = {"num_probes": 2, "num_steps": 2, "rng": rng, **change}
    with pytest.raises(checks.InputError, match=rule):
        spectral_density.lanczos_quadrature(np.eye(3), **given)
