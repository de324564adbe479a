"""Outliers beyond Marchenko and Pastur's edge and beyond a measured one."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from reference_matrices import with_spectrum
from scipy.sparse.linalg import aslinearoperator

from aniso import checks, matrices
from aniso.matrices import marchenko_pastur, spectral_density

ROWS, DIMENSION = 120, 60


def normal_spectrum(rng, deviations, rows=ROWS):
    """Eigenvalues of the centred covariance of rows with independent normal entries."""
    gradients = rng.normal(size=(rows, len(deviations))) * deviations
    gradients -= gradients.mean(axis=0)
    return np.linalg.svd(gradients, compute_uv=False) ** 2 / rows


@pytest.mark.parametrize(("rows", "dimension"), [(100, 25), (40, 90), (50, 50)])
def test_density_and_quantiles_integrate(rows, dimension):
    arguments = rows, dimension, 1.7
    low, high = matrices.marchenko_pastur_edges(*arguments)
    for share in (0.2, 0.5, 0.9):
        end = marchenko_pastur.marchenko_pastur_quantile(share, *arguments)
        # t = low + s^2 removes the root at the lower edge
        mass = scipy.integrate.quad(
            lambda s: 2 * s * matrices.marchenko_pastur_density([low + s * s], *arguments)[0],
            0,
            np.sqrt(end - low),
            epsabs=1e-10,
            limit=200,
        )[0]
        np.testing.assert_allclose(mass, share, atol=1e-7)
    # the mean of all D eigenvalues is the variance, zeros included
    mean = scipy.integrate.quad(
        lambda s: (
            2 * s * (low + s * s) * matrices.marchenko_pastur_density([low + s * s], *arguments)[0]
        ),
        0,
        np.sqrt(high - low),
        epsabs=1e-10,
        limit=200,
    )[0]
    np.testing.assert_allclose(mean * min(rows, dimension) / dimension, 1.7, rtol=1e-6)


def test_the_density_at_zero_is_its_limit():
    for rows, dimension, expected in ((5, 5, np.inf), (5, 4, 0.0), (4, 5, 0.0)):
        found = matrices.marchenko_pastur_density([0.0, -1.0, 9.0], rows, dimension, 1.0)
        assert found.tolist() == [expected, 0.0, 0.0]
    near = matrices.marchenko_pastur_density([1e-12, 1e-14], 5, 5, 1.0)
    np.testing.assert_allclose(near[1] / near[0], 10, rtol=1e-6)


def test_quantiles_of_the_tracy_widom_law():
    # tabulated upper quantiles of the law of real matrices
    rows, dimension = 1000, 500
    r, p = np.sqrt(rows - 0.5), np.sqrt(dimension - 0.5)
    for level, quantile in ((0.05, 0.9793), (0.01, 2.0234)):
        value = marchenko_pastur.largest_noise_eigenvalue(rows, dimension, 1.0, level) * rows
        found = (value - (r + p) ** 2) / ((r + p) * (1 / r + 1 / p) ** (1 / 3))
        assert abs(found - quantile) < 0.01


def test_noise_alone_has_an_outlier_at_the_stated_level(rng):
    runs, level = 400, 0.1
    found = sum(
        matrices.outliers_beyond_noise(
            normal_spectrum(rng, np.full(20, 1.5), 50), 50, 20, variance=2.25, level=level
        ).count
        > 0
        for _ in range(runs)
    )
    # the asymptotic law is within a few per cent of the level at this size
    low, high = scipy.stats.binom.interval(1 - 1e-4, runs, level)
    assert low - 0.03 * runs <= found <= high + 0.03 * runs


@pytest.mark.parametrize("dimension", [60, 300])
def test_planted_spikes_are_found_and_no_others(dimension, rng):
    deviations = np.full(dimension, 0.7)
    threshold = 1 + np.sqrt(dimension / ROWS)
    deviations[:3] *= np.sqrt(np.array([6.0, 5.0, 4.0]) * threshold)
    deviations[3] *= np.sqrt(0.5 * threshold)  # too small to be seen
    values = normal_spectrum(rng, deviations)
    made = matrices.outliers_beyond_noise(values, ROWS, dimension, level=1e-3)
    assert made.count == 3
    assert made.all_given
    np.testing.assert_array_equal(made.values, np.sort(values)[::-1][:3])
    # a spike of variance s lies near s (1 + c / (s - 1)), in units of the noise
    s = 6 * threshold
    expected = 0.49 * s * (1 + dimension / ROWS / (s - 1))
    assert abs(made.values[0] / expected - 1) < 5 * np.sqrt(2 / ROWS)
    # a wrong variance of the noise finds wrong numbers
    assert matrices.outliers_beyond_noise(values, ROWS, dimension, variance=0.1).count > 10
    few = matrices.outliers_beyond_noise(values[:2], ROWS, dimension, variance=0.49)
    assert (few.count, few.all_given) == (2, False)
    assert "at least 2" in repr(few)


def test_the_covariance_of_gradients_gives_its_eigenvalues(rng):
    rows = rng.normal(size=(30, 80))
    rows[:, 0] *= 8
    pairs = matrices.gradient_covariance(rows).leading_eigenpairs(29)
    made = matrices.outliers_beyond_noise(pairs.values, 30, 80, level=1e-3)
    assert made.count == 1


def test_a_measured_edge_leaves_the_planted_outliers(rng):
    spectrum = np.concatenate([np.linspace(-0.5, 1, 200), [3.0, 3.2, 5.0]])
    matrix = with_spectrum(rng, spectrum)
    matrix = (matrix + matrix.T) / 2
    exact = spectral_density.density_of_eigenvalues(spectrum, width=0.05)
    probed = matrices.lanczos_quadrature(
        aslinearoperator(matrix), num_probes=20, num_steps=60, rng=rng, width=0.05
    )
    leading = matrices.leading_eigenpairs(matrix, 6).values
    for density in (exact, probed):
        made = matrices.outliers_beyond_bulk(leading, density)
        np.testing.assert_allclose(made.values, [5.0, 3.2, 3.0], rtol=1e-8)
        assert 1 < made.edge < 1.5
        assert made.all_given
        # a larger width closes the gap below 3, so that 5 alone stands apart
    wide = spectral_density.density_of_eigenvalues(spectrum, width=0.45)
    assert matrices.outliers_beyond_bulk(leading, wide).count == 1
    # a gap within the bulk counts only above the quantile
    split = np.concatenate([np.zeros(100), np.linspace(2, 3, 100), [9.0]])
    density = spectral_density.density_of_eigenvalues(split, width=0.1)
    assert matrices.outliers_beyond_bulk(split, density, share=0.3).count == 101
    assert matrices.outliers_beyond_bulk(split, density, share=0.6).count == 1


def test_spectra_without_an_answer_are_refused(rng):
    spectrum = np.linspace(0, 1, 30)
    narrow = spectral_density.density_of_eigenvalues(spectrum, width=0.1, points=[0.0, 0.5, 1.0])
    inside = spectral_density.density_of_eigenvalues(
        spectrum, width=0.1, points=np.linspace(0, 1, 50)
    )
    rough = matrices.lanczos_quadrature(
        np.diag(spectrum), num_probes=3, num_steps=5, rng=rng, width=0.01
    )
    for density, match in (
        (narrow, "points of density are 0.483 apart"),
        (inside, "expected points beyond the spectrum"),
        (rough, "take more steps or a larger width"),
        (spectrum, "expected a SpectralDensity"),
    ):
        with pytest.raises(checks.InputError, match=match):
            matrices.outliers_beyond_bulk(spectrum, density)
    with pytest.raises(checks.InputError, match=r"min\(N - 1, D\)=20"):
        matrices.outliers_beyond_noise(spectrum[:5], 100, 20)
    with pytest.raises(checks.InputError, match="median of the 20 leading"):
        matrices.outliers_beyond_noise(np.zeros(20), 100, 20)
    with pytest.raises(checks.InputError, match=r"level=0\.7"):
        matrices.outliers_beyond_noise(spectrum, 100, 20, level=0.7)
