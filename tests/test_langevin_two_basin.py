import numba
import numpy as np
import pytest
import reference_langevin as reference
import seeds

from aniso import checks
from aniso.langevin import two_basin_dynamics as two_basin
from aniso.problems.two_basin import two_basin_data

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_two_basin")
DATA = two_basin_data(seeds.generator(5), 100 if FAST else 7)


@pytest.mark.parametrize("dynamics", two_basin.DYNAMICS)
def test_each_step_moves_as_the_reference_says(dynamics):
    steps, norm, rate = 40, 0.01, 0.005
    runs = two_basin.simulate_two_basin(
        dynamics, DATA, 3, SEED, num_steps=steps, store_paths=True, start=(0.9, 1.1)
    )
    np.testing.assert_array_equal(runs.paths[:, -1], runs.ends)
    for path in range(3):
        for step in range(steps):
            w = runs.paths[path, step]
            gradients, _ = reference.two_basin_gradients(w, DATA)
            covariance, hessian = reference.two_basin_covariance(dynamics, w, DATA, norm)
            # alignment along the run
            assert runs.alignments[path, step] == pytest.approx(
                np.trace(hessian @ covariance), rel=1e-8, abs=1e-12
            )
            noise = runs.paths[path, step + 1] - w + rate * gradients.mean(axis=0)
            if dynamics == "gd":
                np.testing.assert_allclose(noise, 0, atol=1e-12)
            elif dynamics == "sgd":
                # one of the data, scaled
                spread = gradients - gradients.mean(axis=0)
                scaled = spread * np.sqrt(norm / np.trace(np.cov(spread.T, bias=True)))
                assert np.abs(scaled - noise).max(axis=1).min() < 1e-9
            else:
                # the normals of the step, coloured by some square root of the covariance:
                # noise^T C^+ noise = |z|^2 on the range of C
                z = np.array(reference.normal_pair(SEED, path, step))
                z = z[1:] if dynamics == "gld_first_eigenvector" else z
                inverse = np.linalg.pinv(covariance, rcond=1e-9)
                assert noise @ inverse @ noise == pytest.approx(z @ z, rel=1e-5)


@pytest.mark.skipif(not FAST, reason="needs many runs")
@pytest.mark.parametrize("dynamics", list(two_basin.DYNAMICS)[1:])
def test_noise_has_the_stated_size_and_shape(dynamics):
    # one step from (1, 1): second moment of the noise against the covariance
    count = 100_000
    runs = two_basin.simulate_two_basin(dynamics, DATA, count, SEED, num_steps=1)
    gradients, _ = reference.two_basin_gradients(np.ones(2), DATA)
    noise = runs.ends - 1 + 0.005 * gradients.mean(axis=0)
    covariance, _ = reference.two_basin_covariance(dynamics, np.ones(2), DATA, 0.01)
    products = noise[:, :, None] * noise[:, None, :]
    errors = products.std(axis=0) / np.sqrt(count) + 1e-15
    assert (np.abs(products.mean(axis=0) - covariance) / errors).max() < 5
    # planted: isotropic noise fails; but the data's axes are at 45 degrees, so that their diagonal
    # part is nearly isotropic
    if dynamics not in ("gld_constant", "gld_diagonal"):
        wrong = 0.005 * np.eye(2)
        assert (np.abs(products.mean(axis=0) - wrong) / errors).max() > 5


@pytest.mark.skipif(not FAST, reason="needs many runs")
def test_aligned_noise_leaves_the_sharp_minimum_more_often():
    rates = {
        dynamics: two_basin.simulate_two_basin(dynamics, DATA, 4000, SEED).success_rate(0.9999)
        for dynamics in two_basin.FIGURE_DYNAMICS
    }
    assert rates["gd"][0] == 0
    for aligned in ("gld_leading", "gld_hessian", "gld_first_eigenvector"):
        for other in ("gld_constant", "gld_diagonal"):
            assert rates[aligned][1] > rates[other][2]  # intervals do not meet


def test_bits_do_not_depend_on_threads():
    runs = [
        two_basin.simulate_two_basin("gld_leading", DATA, 150, SEED, num_steps=9, num_threads=n)
        for n in (1, 2, 3)
    ]
    np.testing.assert_array_equal(runs[0].ends, runs[1].ends)
    np.testing.assert_array_equal(runs[0].ends, runs[2].ends)
    fewer = two_basin.simulate_two_basin("gld_leading", DATA, 5, SEED, num_steps=9)
    np.testing.assert_array_equal(runs[0].ends[:5], fewer.ends)


def test_one_datum_has_no_gradient_noise():
    for dynamics in ("gld_leading", "gld_diagonal", "sgd"):
        runs = two_basin.simulate_two_basin(dynamics, [[0.0, 0.0]], 2, SEED, num_steps=3)
        np.testing.assert_array_equal(runs.ends, 1.0)


def test_success_rates_have_exact_binomial_intervals():
    ends = np.array([[-1.0, -1.0]] * 3 + [[1.0, -1.0]] * 7)
    rate, low, high = two_basin.TwoBasinRuns(ends, None, None).success_rate()
    # Clopper and Pearson's interval for 3 of 10, from their tables
    assert (rate, round(low, 3), round(high, 3)) == (0.3, 0.067, 0.652)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gld", DATA, 1, 1), "dynamics='gld'"),
        (("gd", np.zeros((0, 2)), 1, 1), "data is empty"),
        (("gd", DATA, 0, 1), "num_runs=0"),
        (("gd", DATA, 1, -1), "seed=-1"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(checks.InputError, match=message):
        two_basin.simulate_two_basin(*arguments)
