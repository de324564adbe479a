"""Where a forecast of escape ends, and where nothing can be said."""

import autograd.numpy as anp
import numpy as np
import pytest
import seeds
from forecast_cases import batch_noise, bowl, quartic, regression

from aniso import checks, escape, matrices
from aniso.closed_forms import chain
from aniso.escape import _example_chain
from aniso.problems import AutogradProblem, quadratic_problem

# ---- how far the model reaches


def test_the_remainder_of_a_quartic_is_known(rng):
    for strength in (0.01, 0.1):
        at = quartic(strength).at(np.array([0.0]))
        found = escape.forecast(at, batch_noise(at), 0.1, 50, rng, level=0.5, num_paths=500)
        # at the boundary x^2 = 1, where the quadratic term is 1/2
        assert found.boundary_remainder == pytest.approx(2 * strength, rel=1e-6)
    at = quartic(1.2).at(np.array([0.0]))
    with pytest.raises(checks.InputError, match=r"level=0.5 the remainder .* is 2.4 of the rise"):
        escape.forecast(at, batch_noise(at), 0.1, 50, rng, level=0.5, tolerance=9.0)


def test_the_forecast_ends_where_the_remainder_is_too_large():
    ends = []
    for strength in (0.0, 0.2, 0.6):
        at = quartic(strength).at(np.array([0.0]))
        # the variance of x grows from 1e-4 to 5e-3: the remainder passes the tolerance in between
        found = escape.forecast(
            at,
            batch_noise(at),
            0.01,
            400,
            seeds.generator(3),
            level=0.1,
            num_paths=20,
            tolerance=1.2e-3,
        )
        assert found.remainder <= 1.2e-3
        assert found.steps[-1] == found.valid_until
        ends.append(found.valid_until)
    assert ends[0] == 400
    assert ends[0] > ends[2] > 0
    assert ends[1] >= ends[2]


def test_a_saddle_ends_the_forecast_or_is_refused(rng):
    hessian = np.diag([2.0, -0.5])
    problem = quadratic_problem(hessian, np.zeros(2), rng.standard_normal((8, 2)))
    at = problem.at(np.zeros(2))
    noise = batch_noise(at, 4)
    found = escape.forecast(at, noise, 0.1, 10_000, rng, level=1.0, num_paths=50)
    until = chain.chain_quadratic_model_steps(hessian, noise.to_dense(), 0.1)
    assert found.valid_until == int(until)
    assert "-0.5" in found.limit
    with pytest.raises(checks.InputError, match=r"the eigenvalue -0\.5; expected none below"):
        escape.forecast(at, noise, 0.1, 100, rng, level=1.0, allow_negative=False)


# ---- refusals


def arguments(generator, changes):
    at = bowl(generator).at(np.array([0.5, 0.1]))
    given = {
        "geometry": at,
        "noise": batch_noise(at),
        "learning_rate": 0.2,
        "num_steps": 5,
        "rng": generator,
        "level": at.loss + 9.0,
    }
    made = {name: value(at) if callable(value) else value for name, value in changes.items()}
    return given | made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"geometry": lambda at: at.problem}, "geometry is of type QuadraticProblem"),
        ({"noise": np.eye(2)}, "noise is of type ndarray and has no convention"),
        ({"noise": lambda at: at.noise}, "noise is the centred gradient covariance of one"),
        (
            {"noise": lambda at: matrices.diffusion_covariance(batch_noise(at), 0.1)},
            "expected the mini-batch covariance",
        ),
        (
            {"noise": lambda _: batch_noise(quartic(0.1).at(np.zeros(1)))},
            r"noise has shape \(1, 1\); expected \(2, 2\)",
        ),
        ({"level": lambda at: at.loss - 0.1}, "is not above the loss"),
        ({"level": lambda at: at.loss}, "is not above the loss"),
        ({"radius": 1.0}, "radius=1.0; expected one of the two"),
        ({"level": None}, "level=None, radius=None; expected one"),
        ({"radius": -1.0, "level": None}, "radius=-1.0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"learning_rate": 1.5}, "the mean square of the chain grows without bound"),
        ({"num_steps": 0}, "num_steps=0"),
        ({"num_paths": 1}, "num_paths=1"),
        ({"num_pairs": 3}, "num_pairs=3; expected an integer with 1 <= num_pairs <= D=2"),
        ({"tolerance": 0.0}, "tolerance=0.0"),
        ({"allow_negative": 1}, "allow_negative=1; expected True or False"),
        ({"rng": 7}, "rng=7; expected a numpy.random.Generator"),
    ],
)
def test_nothing_is_said_where_nothing_can_be(changes, message, rng):
    with pytest.raises(checks.InputError, match=message):
        escape.forecast(**arguments(rng, changes))


def test_noise_outside_of_the_subspace_forbids_a_word_about_the_exit(rng):
    problem = quadratic_problem(
        np.diag([3.0, 1.0, 1.0, 1.0]), np.zeros(4), rng.standard_normal((9, 4))
    )
    at = problem.at(np.zeros(4))
    noise = batch_noise(at, 1)
    with pytest.raises(checks.InputError, match="raise num_pairs, or choose a farther boundary"):
        escape.forecast(at, noise, 0.3, 20, rng, radius=0.5, num_pairs=1)
    assert escape.forecast(at, noise, 0.3, 20, rng, radius=0.5, num_paths=20).outside_share == 0


def test_a_model_that_is_wrong_after_one_step_says_nothing(rng):
    at = quartic(500.0).at(np.array([0.0]))
    with pytest.raises(checks.InputError, match="nothing can be said: after one step"):
        escape.forecast(at, batch_noise(at), 0.5, 5, rng, level=9.0)


def test_a_loss_that_overflows_is_no_quadratic(rng):
    def loss(theta, inputs, targets):  # noqa: ARG001
        return anp.exp(theta[..., 0, None] ** 2) - inputs * theta[..., 0, None]

    at = AutogradProblem(loss, [9e4, -9e4], [0.0, 0.0]).at(np.array([0.0]))
    with pytest.raises(checks.InputError, match=r"after one step .* the remainder .* is inf"):
        escape.forecast(at, batch_noise(at), 0.5, 5, rng, level=9.0)


def test_a_steep_ridge_without_noise_overflows_nowhere(rng):
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]])
    at = quadratic_problem(np.diag([1.0, -4.0]), np.zeros(2), rows).at(np.array([0.0, 1e-9]))
    found = escape.forecast(at, batch_noise(at), 0.3, 10_000, rng, level=9.0, num_paths=9)
    assert found.valid_until == int(200 / (2 * 0.3 * 4.0))
    assert np.isfinite(found.chain.loss).all()


def test_a_mean_exit_time_beyond_all_numbers_is_left_out(rng):
    at = quadratic_problem([[1.0]], [0.0], [[1e-3], [-1e-3]]).at(np.array([0.0]))
    found = escape.forecast(at, batch_noise(at), 0.1, 5, rng, level=9.0, num_paths=9)
    assert found.equation.exact_mean is None
    assert found.equation.mean_time.mean is None
    assert found.equation.probability[-1].value < 1e-9
    assert found.equation.probability[-1].standard_error == pytest.approx(1 / 11)


def test_noise_in_the_curvature_ends_the_forecast(rng):
    # slopes of the gradient 0 and 4: a step multiplies the mean square by (1 - 2 eta)^2 + 4 eta^2
    def loss(theta, inputs, targets):
        return inputs * theta[..., 0, None] ** 2 / 2 - targets * theta[..., 0, None]

    at = AutogradProblem(loss, [0.0, 4.0], [1.0, -1.0]).at(np.array([0.0]))
    growth = (1 - 2 * 0.6) ** 2 + 4 * 0.6**2
    found = escape.forecast(at, batch_noise(at), 0.6, 50, rng, level=9.0, num_paths=20)
    assert found.valid_until == int(1 / np.log(growth))
    assert f"{growth:.4g} a step" in found.limit
    stable = escape.forecast(at, batch_noise(at), 0.45, 50, rng, level=9.0, num_paths=20)
    assert stable.valid_until == 50


def test_without_the_examples_the_change_of_the_noise_ends_the_forecast(monkeypatch):
    at = regression(seeds.fixed(2), 6).at(np.array([0.5, 0.1]))
    given = {"level": at.loss + 50.0, "num_paths": 9}
    whole = escape.forecast(at, batch_noise(at), 0.05, 60, seeds.generator(1), **given)
    assert whole.examples is not None
    assert (whole.valid_until, whole.noise_change) == (60, 1.0)
    monkeypatch.setattr(_example_chain, "LARGEST_NUMBER", 5)
    part = escape.forecast(at, batch_noise(at), 0.05, 60, seeds.generator(1), **given)
    assert part.examples is None
    assert 0 < part.valid_until < 60
    assert abs(part.noise_change - 1) <= 0.25
    assert "the noise" in part.limit
    strict = escape.forecast(
        at, batch_noise(at), 0.05, 60, seeds.generator(1), tolerance=0.1, **given
    )
    assert strict.valid_until <= part.valid_until


def test_structured_noise_is_taken_as_constant_and_the_same_seed_gives_the_same(rng):
    at = regression(rng).at(np.array([0.5, 0.1]))
    noise = batch_noise(at)
    dense = noise.to_dense()
    given = (0.2, 5)
    ends = [
        escape.forecast(at, covariance, *given, seeds.generator(1), level=99.0, num_paths=50)
        for covariance in (noise, noise, dense)
    ]
    assert ends[2].examples is None
    assert "noise constant" in repr(ends[2])
    assert repr(ends[0]) == repr(ends[1])
    np.testing.assert_allclose(ends[2].chain.loss, ends[0].chain.loss, rtol=1e-12)
