"""Forecast of the escape of SGD from where it stands, by the quadratic model of the loss there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.closed_forms import diffusion
from aniso.escape import _model_moments as moments
from aniso.escape import _reduced_exits as exits
from aniso.escape import quadrature
from aniso.escape._example_chain import example_chain, is_of_examples
from aniso.escape._model_remainder import ModelRemainder
from aniso.escape.censoring import estimate_mean_exit_time
from aniso.escape.forecast_results import EscapeForecast, MotionForecast
from aniso.escape.leading_models import leading_model
from aniso.estimates import Estimate, NotConverged
from aniso.matrices import convention

if TYPE_CHECKING:
    from aniso.matrices import GradientCovariance
    from aniso.problems import LocalGeometry


_NUM_RECORDS = 24
_NUM_BOUNDARY_POINTS = 8
# exponent up to which a mean square may grow; fourth powers still fit into a float
_LARGEST_EXPONENT = 200.0
_SMALL_GROWTH = 1e-9


def forecast(
    geometry: LocalGeometry,
    noise: GradientCovariance,
    learning_rate: float,
    num_steps: int,
    rng: np.random.Generator,
    *,
    level: float | None = None,
    radius: float | None = None,
    num_pairs: int | None = None,
    num_paths: int = 1000,
    tolerance: float = 0.25,
    allow_negative: bool = True,
) -> EscapeForecast:
    """Forecast the loss of SGD and its exit from around theta, by the quadratic model there.

    Parameters
    ----------
    geometry : problems.LocalGeometry
        The loss near theta, ``problem.at(theta)`` of any problem.
    noise : GradientCovariance
        Covariance of a batch mean at theta, from :func:`aniso.matrices.minibatch_covariance`.
    learning_rate : float
        eta > 0.
    num_steps : int
        Number of steps that is asked for. The forecast ends earlier where the model does.
    rng : numpy.random.Generator
        Source of all random numbers.
    level : float, optional
        Loss at which SGD has left; above the loss at theta. Give this or `radius`.
    radius : float, optional
        Distance from theta at which SGD has left.
    num_pairs : int, optional
        Size of the subspace, see :func:`aniso.escape.leading_model`.
    num_paths : int
        Simulated paths of the chain and of the equation.
    tolerance : float
        Largest remainder, and largest error of the steps, relative to the quadratic term with which
        the model is meaningful. Also
        the largest share of the way to the boundary that noise outside of the subspace may go.
    allow_negative : bool
        Whether the Hessian may have negative eigenvalues.

    Returns
    -------
    EscapeForecast

    Raises
    ------
    InputError
        If an argument breaks its rule. If nothing can be said: eta times the largest eigenvalue is
        not below 2; an eigenvalue is negative where that is not allowed; the remainder exceeds the
        tolerance after one step, or the rise of the loss at the boundary; or noise outside of the
        subspace goes further towards the boundary than the tolerance.
    NotConverged
        If eigenvectors do not reach their tolerance.

    Notes
    -----
    The expected losses are closed forms; they are exact for a quadratic loss with constant noise.
    Bounds cover each distribution of noise and gradient over the directions outside. The exits are
    simulated in the subspace. Probabilities carry the error of sampling, of the equation also that
    of its points of time. Mean times of censored paths assume that exits go on at the same rate.

    The remainder is measured by evaluations of the loss at eight points that are drawn from the
    model, at up to eight numbers of steps and in a bisection. So it sees the terms that mix the
    directions of the subspace. The noise is evaluated at two of the points, at all of them where it
    is that of the chain on examples. Each point is also moved by one step of the problem; its error
    is propagated as the model does, so that a learning rate near the end of stability counts.

    Cost: that of :func:`aniso.escape.leading_model`; about a hundred losses; five products of
    (paths, k) with (k, k) and as many normal numbers a step.

    Examples
    --------
    >>> from aniso import matrices, problems
    >>> bowl = problems.quadratic_problem([[1.0]], [0.0], [[1.0], [-1.0]])
    >>> at = bowl.at([0.0])
    >>> batch = matrices.minibatch_covariance(at.noise, 1, replacement=True)
    >>> found = forecast(at, batch, 0.5, 2, np.random.default_rng(0), level=9.0, num_paths=10)
    >>> found.chain.loss  # 0.25 / 2 after one step, 1/4 of that more after the next
    array([0.     , 0.125  , 0.15625])
    """
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    num_steps = checks.integer("num_steps", num_steps, low=1)
    num_paths = checks.integer("num_paths", num_paths, low=2)
    tolerance = checks.number("tolerance", tolerance, low=0, strict=True)
    checks.flag("allow_negative", allow_negative)
    checks.generator("rng", rng)
    if (level is None) == (radius is None):
        raise checks.InputError(f"level={level!r}, radius={radius!r}; expected one of the two")
    seeds = rng.spawn(5)  # a longer simulation of one kind leaves the others as they are
    model = leading_model(geometry, noise, seeds[0], num_pairs=num_pairs)
    boundary = _boundary(model, level, radius)
    _require_stable(model, learning_rate)
    if not allow_negative and model.eigenvalues[-1] < 0:
        raise checks.InputError(
            f"the Hessian has the eigenvalue {model.eigenvalues[-1]:.6g}; expected none below 0, "
            "or allow_negative=True"
        )
    theta = np.array(transfer.to_numpy(geometry.theta), dtype=np.float64)
    problem = geometry.problem.on_host()
    examples = example_chain(problem, theta, noise, model)
    limit, largest = _model_limit(model, examples, learning_rate, num_steps)
    after = _moments_after(model, examples, learning_rate, largest)
    constant = examples is None and is_of_examples(problem, noise)
    measured = ModelRemainder(
        problem,
        theta,
        model,
        after,
        learning_rate,
        geometry.noise if constant else None,
        examples,
        _scale(noise),
        seeds[1],
    )
    until, (remainder, change, step_error), beyond = measured.steps_within(tolerance, largest)
    if beyond is not None:
        limit = (
            f"then the remainder is {beyond[0]:.2g} of the quadratic term, the noise "
            f"{beyond[1]:.3g} times that at the start, and the error of the steps {beyond[2]:.2g}"
        )
    if until == 0:
        raise checks.InputError(
            f"nothing can be said: after one step of learning_rate={learning_rate:g} the remainder "
            f"of the quadratic model is {beyond[0]:.3g} of its quadratic term, the noise "
            f"{beyond[1]:.3g} times that at the start, and the error of the steps {beyond[2]:.3g} "
            "of the quadratic term; expected changes of at most "
            f"tolerance={tolerance:g}: choose a smaller learning rate, less noise, or simulate "
            "with aniso.simulate_descent"
        )
    outside = _require_noise_inside(boundary, learning_rate, until, tolerance)
    counts = np.arange(until + 1)
    offsets = _offsets(boundary, _chain_rise, learning_rate, counts)
    arguments = boundary, learning_rate, offsets, num_paths
    chain, states = exits.chain_exits(*arguments, seeds[2])
    if examples is not None:
        of_examples, states, spread = examples.exits(*arguments, seeds[4])
    first = np.argsort(boundary.margin(states, offsets[-1]), kind="stable")
    at_boundary = measured.share_at_boundary(boundary, states[first[:_NUM_BOUNDARY_POINTS]])
    _require_boundary_within(at_boundary, level, radius)
    fine = np.arange(exits.SUBSTEPS * until + 1) / exits.SUBSTEPS
    fine = _offsets(boundary, moments.outside_rise_of_equation, learning_rate, fine)
    equation = exits.equation_exits(boundary, learning_rate, fine, num_paths, seeds[3])
    steps = np.unique(np.rint(np.geomspace(1, until, _NUM_RECORDS)).astype(int))
    steps = np.concatenate([[0], steps])
    usual, lower, upper = moments.outside_rise(model, learning_rate, steps)
    in_time = moments.outside_rise_of_equation(model, learning_rate, steps)
    of_chain, of_equation = (
        _curve(model, partial(moments_at, model, learning_rate), steps, rise)
        for moments_at, rise in (
            (moments.chain_moments, usual),
            (moments.equation_moments, in_time),
        )
    )
    motion_of_examples = None
    if examples is not None:
        loss, _ = _curve(model, after, steps, usual)
        motion_of_examples = _motion(of_examples, steps, 1.0, (loss, spread[steps]))
    return EscapeForecast(
        steps,
        motion_of_examples,
        _motion(chain, steps, 1.0, of_chain),
        _motion(equation, steps, 0.0, of_equation, _exact_mean(boundary, learning_rate)),
        usual - lower,
        upper - usual,
        level,
        radius,
        until,
        limit,
        remainder,
        at_boundary,
        outside,
        change,
        step_error,
        model,
        learning_rate,
        convention.convention_of(noise),
    )


def _boundary(model, level, radius):
    if radius is not None:
        radius = checks.number("radius", radius, low=0, strict=True)
        return exits.Boundary(model, None, radius)
    level = checks.number("level", level)
    if not level > model.loss:
        raise checks.InputError(
            f"level={level:g} is not above the loss {model.loss:.6g} at theta; expected "
            f"level > {model.loss:.6g}"
        )
    return exits.Boundary(model, level - model.loss, None)


def _require_stable(model, learning_rate):
    product = learning_rate * float(model.eigenvalues[0])
    if product >= 2:
        raise checks.InputError(
            f"learning_rate={learning_rate:g} times the largest eigenvalue "
            f"{model.eigenvalues[0]:.6g} of the Hessian is {product:.4g}: the mean square of the "
            "chain grows without bound; expected a product below 2, for instance "
            f"learning_rate={1 / model.eigenvalues[0]:.3g}"
        )


def _model_limit(model, examples, learning_rate, num_steps):
    """Return the reason that limits the number of steps without any remainder, and the limit."""
    lowest = min(float(model.eigenvalues[-1]), model.outside.smallest)
    until = diffusion.chain_quadratic_model_steps(
        np.diag(model.eigenvalues), model.covariance, learning_rate
    )
    limit = f"the loss falls along the eigenvalue {lowest:.3g} by more than noise can raise it"
    if lowest < 0:
        until = min(until, _LARGEST_EXPONENT / (-2 * learning_rate * lowest))
    growth = 1.0 if examples is None else examples.growth(learning_rate)
    # negative curvature grows by itself; this is what noise in the curvature adds
    own_growth = (1 + _SMALL_GROWTH) * max(1.0, (1 - learning_rate * lowest) ** 2)
    if growth > own_growth and 1 / np.log(growth) < until:
        until = 1 / np.log(growth)
        limit = (
            f"noise in the curvature multiplies the mean square by {growth:.4g} a step, and by e "
            "up to there"
        )
    if until >= num_steps:
        return "as many as were asked for", num_steps
    if until < 1:
        raise checks.InputError(
            f"nothing can be said: {limit}, within {until:.2g} steps of "
            f"learning_rate={learning_rate:g}; expected at least one step: choose a smaller "
            "learning rate"
        )
    return limit, int(until)


def _scale(noise):
    of = convention.convention_of(noise)
    return convention.minibatch_scale(of.num_examples, of.batch_size, replacement=of.replacement)


def _moments_after(model, examples, learning_rate, num_steps):
    """Moments of x as a function of the number of steps, up to `num_steps`."""
    if examples is None:
        return partial(moments.chain_moments, model, learning_rate)
    return list(examples.moments(learning_rate, range(num_steps + 1))).__getitem__


def _require_noise_inside(boundary, learning_rate, num_steps, tolerance):
    """Share of the way to the boundary that noise outside of the subspace goes, by its mean."""
    model, by_distance = boundary.model, boundary.radius is not None
    found = moments.outside_noise(model, learning_rate, num_steps, by_distance=by_distance)
    share = abs(found) / (boundary.radius**2 if by_distance else boundary.rise)
    if share > tolerance:
        raise checks.InputError(
            f"nothing can be said about the exit: in {num_steps} steps noise outside of the "
            f"{len(model.eigenvalues)} leading directions goes {share:.3g} of the way to the "
            f"boundary; expected at most tolerance={tolerance:g}: raise num_pairs, or choose a "
            "farther boundary or fewer steps"
        )
    return share


def _require_boundary_within(remainder, level, radius):
    if remainder > 1:
        where = f"level={level:g}" if level is not None else f"radius={radius:g}"
        raise checks.InputError(
            f"nothing can be said about the exit: at {where} the remainder of the quadratic model "
            f"is {remainder:.3g} of the rise of the loss; expected at most 1: choose a nearer "
            "boundary, or simulate with aniso.simulate_descent"
        )


def _curve(model, moments_after, steps, outside):
    found = [moments.expected_rise(model, moments_after(int(count))) for count in steps]
    means, deviations = np.array(found).T
    return model.loss + means + outside, deviations


def _chain_rise(*arguments):
    return moments.outside_rise(*arguments)[0]


def _offsets(boundary, rise, learning_rate, counts):
    if boundary.radius is not None:
        return moments.outside_square_distance(boundary.model, learning_rate, counts)
    return rise(boundary.model, learning_rate, counts)


def _motion(found, steps, step_size, curve, exact_mean=None):
    num_paths = len(found.times)
    errors = np.where(steps == 0, 0.0, found.standard_error[steps])
    probability = tuple(
        Estimate(float(value), float(error), num_paths)
        for value, error in zip(found.probability[steps], errors, strict=True)
    )
    time = estimate_mean_exit_time(found.times, found.exited, float(steps[-1]), step_size=step_size)
    change = abs(float(found.probability[-1] - found.coarse_probability[-1]))
    return MotionForecast(*curve, probability, time, change, exact_mean)


def _exact_mean(boundary, learning_rate):
    """Mean exit time of the equation by quadrature, in steps, where it has one dimension."""
    model = boundary.model
    if len(model.eigenvalues) > 1 or model.outside.num_directions:
        return None
    curvature, slope = float(model.eigenvalues[0]), float(model.gradient[0])
    variance = learning_rate * float(model.covariance[0, 0])
    ends = boundary.scales(np.array([[-1.0], [1.0]]))
    if variance == 0 or not np.isfinite(ends).all():
        return None
    try:
        found = quadrature.mean_exit_time(
            lambda x: -slope - curvature * x, variance, 0.0, -float(ends[0]), float(ends[1])
        )
    except (checks.InputError, NotConverged):
        return None  # beyond the largest number, for weak noise
    return quadrature.QuadratureExitTime(found.value / learning_rate, found.error / learning_rate)
