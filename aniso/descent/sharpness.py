"""Expected sharpness: how much the loss rises under small isotropic perturbations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.estimates import Estimate
from aniso.problems import require_problem

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.typing import ArrayLike


def expected_sharpness(
    problem: Problem,
    theta: ArrayLike,
    radius: float,
    num_draws: int,
    rng: np.random.Generator,
    *,
    antithetic: bool = True,
) -> Estimate:
    """Expected sharpness ``E L(theta + nu) - L(theta)``, ``nu ~ N(0, radius^2 I)``.

    Parameters
    ----------
    problem : problems.Problem
        A network may be on another device.
    theta : array_like, shape (D,)
        Point in parameter space.
    radius : float
        Standard deviation delta of every coordinate of nu.
    num_draws : int
        Evaluations of the loss at perturbed parameters; even where `antithetic`.
    rng : numpy.random.Generator
        Source of the random numbers.
    antithetic : bool
        Draws in pairs nu and -nu, whose mean has no term of first order: the same expectation
        with a smaller error bar, most of all where the gradient is not zero.

    Returns
    -------
    Estimate
        Its samples are pairs where `antithetic`.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    ``radius^2 Tr H / 2`` to leading order. Cost: one forward pass a draw, one for L(theta).

    Examples
    --------
    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[2.0]], [0.0], [[0.0]])
    >>> sharpness = expected_sharpness(bowl, [0.0], 0.1, 10_000, np.random.default_rng(0))
    >>> abs(sharpness.z_score(0.01)) < 4
    True
    """
    problem = require_problem("problem", problem).on_host()
    theta = checks.array("theta", transfer.to_numpy(theta), shape=(None,))
    radius = checks.number("radius", radius, low=0)
    num_draws = checks.integer("num_draws", num_draws, low=2)
    checks.generator("rng", rng)
    if antithetic:
        require_pairs(num_draws)
    rest = problem.loss(theta)
    samples = np.empty(num_draws // 2 if antithetic else num_draws)
    for sample in range(len(samples)):
        shift = radius * rng.standard_normal(theta.size)
        risen = problem.loss(theta + shift)
        if antithetic:
            risen = (risen + problem.loss(theta - shift)) / 2
        samples[sample] = risen - rest
    return Estimate.from_samples(samples)


def require_pairs(num_draws):
    """Refuse an odd number of draws, which leaves one without its opposite.

    Raises
    ------
    InputError
        If the number is odd.
    """
    if num_draws % 2:
        raise checks.InputError(
            f"num_draws={num_draws}; expected an even number for pairs of opposite draws"
        )
