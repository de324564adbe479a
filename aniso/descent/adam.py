"""Full-batch Adam, the optimiser of the trained networks of the one-hidden-layer experiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.descent.updates import Adam

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.typing import Array, ArrayLike


def adam_iterates(
    problem: Problem,
    theta: ArrayLike,
    learning_rates: Iterable[float],
    *,
    decay_rates: tuple[float, ...] = (0.9, 0.999),
    floor: float = 1e-8,
) -> Iterator[Array]:
    """Yield the iterates of Adam, ``theta <- theta - eta_k m_k / (sqrt(v_k) + floor)``.

    m and v are the bias-corrected running means of the gradient and of its square.

    Parameters
    ----------
    problem : problems.Problem
        Mean loss to minimise; only its gradient is used.
    theta : array_like, shape (D,)
        Start; it is not changed.
    learning_rates : iterable of float
        Step size of each iteration; its length is the number of iterations.
    decay_rates : tuple of float
        Decay rates of m and of v, each in [0, 1).
    floor : float
        Added to the root, in the units of the gradient. With 0, a coordinate whose root is 0 has
        not moved yet and stays.

    Yields
    ------
    ndarray, shape (D,)
        theta after each iteration, a new array every time.

    Raises
    ------
    InputError
        If theta or a setting breaks its rule.
    FloatingPointError
        If the gradient is no longer finite; the message names the iteration.

    Notes
    -----
    Source: Kingma & Ba 2015, Algorithm 1. Cost: one gradient an iteration. The bits are those of
    :meth:`aniso.descent.Adam.direction`, whose arrays are here made once.

    Examples
    --------
    The first step moves every coordinate by the learning rate against the sign of its gradient:

    >>> class Bowl:
    ...     def gradient(self, theta):
    ...         return 2 * theta
    >>> [theta.round(6).tolist() for theta in adam_iterates(Bowl(), [3.0, -1.0], [0.1])]
    [[2.9, -0.9]]
    """
    theta = checks.array("theta", theta, shape=(None,))
    adam = Adam(decay_rates, floor)
    state = adam.start(len(theta))
    work, direction = np.empty_like(theta), np.empty_like(theta)
    for count, learning_rate in enumerate(learning_rates, start=1):
        learning_rate = checks.number("learning_rate", learning_rate, low=0)
        gradient = problem.gradient(theta)
        if not np.isfinite(gradient).all():
            raise FloatingPointError(
                f"the gradient is not finite at iteration {count} of Adam; "
                "a smaller learning rate may help"
            )
        _write_direction(adam, gradient, state, count, work, direction)
        direction *= learning_rate
        theta = theta - direction
        yield theta


def _write_direction(adam, gradient, state, count, work, direction):
    """Update the means of `state` and write the direction; `work` is overwritten."""
    (first, second), mean, square = adam.decay_rates, state["mean"], state["square"]
    np.multiply(gradient, 1 - first, out=work)
    mean *= first
    mean += work
    np.multiply(gradient, gradient, out=work)
    work *= 1 - second
    square *= second
    square += work
    np.divide(square, 1 - second**count, out=work)
    np.sqrt(work, out=work)
    if adam.floor == 0:
        work[work == 0] = 1.0
    work += adam.floor
    np.divide(mean, 1 - first**count, out=direction)
    direction /= work
