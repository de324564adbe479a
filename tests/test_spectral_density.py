"""Stochastic Lanczos quadrature: exact where it must be, within its error band elsewhere."""

import numpy as np
import pytest
import seeds
from tolerances import assert_within_sampling_error

from aniso import checks
from aniso.matrices import spectral_density


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
