import numba
import numpy as np
import pytest
import reference_langevin as reference
import seeds

from aniso import checks, langevin
from aniso.langevin import cells, covariance_factor

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_linear_chain")
NUM_PATHS = 20_000 if FAST else 70


def problem(dimension, rank, seed=0):
    """A symmetric Hessian of both signs and a covariance of the given rank."""
    rng = seeds.generator(seed)
    a = rng.standard_normal((dimension, dimension))
    b = rng.standard_normal((dimension, rank))
    return (a + a.T) / 2, b @ b.T


def exact_covariance(hessian, covariance, learning_rate, num_steps):
    """Covariance after `num_steps`, by stepping the recursion ``C <- A C A + eta^2 S``."""
    a = np.eye(len(hessian)) - learning_rate * hessian
    c = np.zeros_like(covariance)
    for _ in range(num_steps):
        c = a @ c @ a.T + learning_rate**2 * covariance
    return c


@pytest.mark.parametrize(("dimension", "rank"), [(1, 1), (3, 3), (7, 2), (12, 12)])
def test_moments_follow_the_recursion(dimension, rank):
    hessian, covariance = problem(dimension, rank)
    steps = [1, 10, 25] if FAST else [1, 3]
    ensemble = langevin.simulate_linear_chain(hessian, covariance, 0.1, steps, NUM_PATHS, SEED)
    for t, step in enumerate(steps):
        exact = exact_covariance(hessian, covariance, 0.1, step)
        # standard error of a Gaussian second moment: sqrt((C_ii C_jj + C_ij^2) / n)
        error = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / NUM_PATHS)
        assert np.abs((ensemble.covariance[t] - exact) / error).max() < 5
        assert abs(ensemble.loss[t].z_score(0.5 * np.trace(hessian @ exact))) < 5
        np.testing.assert_array_equal(ensemble.covariance[t], ensemble.covariance[t].T)


@pytest.mark.skipif(not FAST, reason="needs many paths")
def test_a_hessian_five_per_cent_off_is_seen():
    hessian, covariance = np.diag([1.0, 2.0]), np.eye(2)
    ensemble = langevin.simulate_linear_chain(hessian, covariance, 0.2, [40], 200_000, SEED)
    wrong = exact_covariance(1.05 * hessian, covariance, 0.2, 40)
    right = exact_covariance(hessian, covariance, 0.2, 40)
    assert abs(ensemble.loss[0].z_score(0.5 * np.trace(hessian @ right))) < 4.5
    # and the continuous formula, which is off by (1 - eta lambda / 2), is seen as well
    assert abs(ensemble.loss[0].z_score(0.5 * np.trace(hessian @ wrong))) > 4.5
    assert abs(ensemble.loss[0].z_score(0.25 * 0.2 * 2)) > 4.5


def test_paths_are_those_of_the_reference():
    hessian, covariance = problem(3, 3)
    factor = 0.1 * covariance_factor.full(covariance)
    propagator = np.eye(3) - 0.1 * hessian
    ensemble = langevin.simulate_linear_chain(hessian, covariance, 0.1, [0, 2, 5], 3, SEED)
    paths = np.array(
        [reference.linear_chain(propagator, factor, np.zeros(3), SEED, p, 5) for p in range(3)]
    )[:, [0, 2, 5]]
    losses = 0.5 * np.einsum("pti,ij,ptj->pt", paths, hessian, paths)
    # rounding of a dozen products, and 2e-14 of the normals
    second = np.einsum("pti,ptj->tij", paths, paths) / 3
    np.testing.assert_allclose(ensemble.covariance, second, rtol=0, atol=1e-12)
    for t in range(3):
        assert ensemble.loss[t].value == pytest.approx(losses[:, t].mean(), abs=1e-12)
        expected = losses[:, t].std(ddof=1) / np.sqrt(3)
        assert ensemble.loss[t].standard_error == pytest.approx(expected, abs=1e-9)


def test_bits_do_not_depend_on_threads_or_on_recorded_steps():
    hessian, covariance = problem(4, 3)
    paths = 2000 if FAST else 300
    runs = [
        langevin.simulate_linear_chain(hessian, covariance, 0.1, steps, paths, SEED, threads)
        for steps, threads in (([2, 4], 1), ([2, 4], 2), ([2, 4], 5), ([0, 1, 2, 3, 4], 3))
    ]
    for run in runs[1:]:
        keep = np.isin(run.steps, [2, 4])
        np.testing.assert_array_equal(run.covariance[keep], runs[0].covariance)
        assert tuple(np.array(run.loss, object)[keep]) == runs[0].loss


def test_cells_come_in_order_and_an_error_stops_the_rest():
    def begin(first, count):
        return {"cell": (first, count), "left": [5], "_scratch": 0}

    def advance(first, count, arrays, num_steps):
        assert arrays["cell"] == (first, count)
        arrays["left"][0] -= num_steps
        return arrays["left"][0] <= 0

    def of_cells(*arguments, **options):
        return [arrays["cell"] for arrays in cells.in_order(*arguments, **options)]

    work = cells.Work(begin, advance)
    assert of_cells(work, 600, 3) == [(0, 256), (256, 256), (512, 88)]
    assert of_cells(work, 600, 2, first_cell=2) == [(512, 88)]
    assert all("_scratch" not in arrays for arrays in cells.in_order(work, 600))

    def fails(first, *arguments):
        if first == 512:
            raise ValueError("cell 2")
        return advance(first, *arguments)

    with pytest.raises(ValueError, match="cell 2"):
        of_cells(cells.Work(begin, fails), 256 * 50, 2)


def test_degenerate_problems():
    none = langevin.simulate_linear_chain(np.eye(2), np.zeros((2, 2)), 0.1, [3], 10, SEED)
    assert not none.covariance.any()
    flat = langevin.simulate_linear_chain(np.zeros((2, 2)), np.eye(2), 0.1, [3], 10, SEED)
    assert flat.loss[0].value == 0
    assert flat.covariance.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0}, "learning_rate=0; expected a finite number with 0 < learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"hessian": [[1.0, 2.0], [0.0, 1.0]]}, "hessian is not symmetric"),
        ({"minibatch_covariance": -np.eye(2)}, "not positive semi-definite"),
        ({"minibatch_covariance": np.eye(3)}, r"expected \(2, 2\)"),
        ({"record_steps": []}, "record_steps"),
        ({"record_steps": [0.5]}, "whole numbers"),
        ({"record_steps": [-1, 2]}, "from 0 on"),
        ({"num_paths": 1}, "num_paths=1"),
        ({"seed": -3}, "seed=-3"),
        ({"num_threads": 0}, "num_threads=0"),
        ({"hessian": 1e6 * np.eye(2), "record_steps": [60]}, "grew past the largest"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {
        "hessian": np.eye(2),
        "minibatch_covariance": np.eye(2),
        "learning_rate": 0.1,
        "record_steps": [1],
        "num_paths": 10,
        "seed": 1,
    }
    with pytest.raises(checks.InputError, match=message):
        langevin.simulate_linear_chain(**(arguments | change))
