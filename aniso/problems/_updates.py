"""An update of theta, and values of the loss along it."""

import math

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.problems.problem import require_problem
from aniso.problems.problem_checks import LossFailed


def checked_update(problem, theta, update):
    """Return a problem on the host, theta, and the update, the gradient if None.

    Raises
    ------
    InputError
        If an argument breaks its rule, or the update is zero.
    """
    problem = require_problem("problem", problem).on_host()
    checks.refuse_loss_of_meaning("theta", theta)
    theta = problem.check_theta(transfer.to_numpy(theta))
    if update is None:
        update = problem.gradient(theta)
    else:
        checks.refuse_loss_of_meaning("update", update)
        update = checks.array("update", transfer.to_numpy(update), shape=theta.shape)
    if not np.any(update):
        raise checks.InputError("update is 0; expected a direction that is not zero")
    return problem, theta, np.asarray(update, dtype=np.float64)


def rounding_of_loss(problem, theta):
    """Return about the rounding of the mean loss at theta.

    Losses of the examples may cancel in the mean, whose rounding is theirs.
    """
    size = float(np.abs(problem.losses(theta)).mean())
    return 2 * float(np.finfo(problem.dtype).eps) * size


def loss_or_infinity(problem, theta):
    """Return the mean loss, infinity where theta or the loss is not finite."""
    if not np.isfinite(theta).all():
        return math.inf
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            value = float(problem.loss(theta))
        except LossFailed:
            raise
        except checks.InputError:
            return math.inf
    return value if math.isfinite(value) else math.inf


def finite_loss(problem, theta):
    """Return the mean loss; refuse one that is not finite.

    Raises
    ------
    InputError
        If the loss is not finite.
    """
    value = float(problem.loss(theta))
    if not math.isfinite(value):
        raise checks.InputError(f"the loss is {value}; expected a finite loss at theta and nearby")
    return value
