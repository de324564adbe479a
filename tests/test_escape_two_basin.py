import numpy as np
import pytest
import seeds

from aniso import checks, escape
from aniso.escape import two_basin_exit
from aniso.problems import two_basin

ORIGIN = [[0.0, 0.0]]
HESSIAN = np.array([[110.0, 90.0], [90.0, 110.0]])  # 200 along (1, 1), 20 across


def test_sharp_and_flat_loss_are_equal_on_the_boundary():
    data = np.array([[0.02, -0.01], [0.04, 0.03]])
    points = two_basin_exit.sharp_basin_boundary(data, 40)
    p, q = points - data.mean(axis=0) - 1, points - data.mean(axis=0) + 1
    sharp = 5 * (p[:, 0] - p[:, 1]) ** 2 + 50 * (p[:, 0] + p[:, 1]) ** 2
    np.testing.assert_allclose(sharp, (q**2).sum(axis=1), rtol=1e-12)


def test_the_drift_is_minus_the_gradient_of_the_objective():
    data = two_basin.two_basin_data(seeds.generator(2), 20)
    objective = two_basin.two_basin_problem(data)
    points = np.array([[1.0, 1.0], [0.8, 0.9], [-1.0, -0.5]])
    np.testing.assert_allclose(
        two_basin_exit.mean_drift(data)(points),
        [-objective.gradient(point) for point in points],
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("covariance", [np.diag([1.0, 3.0]), np.array([[1.0, -0.8], [-0.8, 1.0]])])
def test_anisotropic_noise_leaves_where_the_linear_theory_says(covariance):
    boundary = two_basin_exit.sharp_basin_boundary(ORIGIN)
    linear = [escape.quasi_potential_at(HESSIAN, covariance, point - 1) for point in boundary]
    result = escape.exit_from_sharp_basin(ORIGIN, covariance, num_candidates=1)
    # the basin is linear up to its boundary; the midpoint rule is off by O(n^-2)
    assert result.action == pytest.approx(min(linear), rel=2e-3)
    np.testing.assert_allclose(result.path[-1], boundary[np.argmin(linear)])
    # not at the lowest point of the boundary, where isotropic noise leaves
    assert np.linalg.norm(result.path[-1] - 9 / 11) > 0.3


def test_spread_of_the_data_moves_the_exponent_a_little():
    data = two_basin.two_basin_data(seeds.generator(2), 10)
    spread = escape.exit_from_sharp_basin(data, 2 * np.eye(2), num_candidates=1, num_points=31)
    # the data scatter by 0.03 against a distance of 0.26 to the boundary
    assert spread.action == pytest.approx(800 / 121, rel=0.15)


def test_bad_input_is_refused():
    for arguments, message in (
        ((ORIGIN, np.diag([1.0, 0.0])), "singular"),
        ((ORIGIN, np.eye(3)), r"expected \(2, 2\)"),
        (([[0.0]], np.eye(2)), "data has shape"),
    ):
        with pytest.raises(checks.InputError, match=message):
            escape.exit_from_sharp_basin(*arguments)
