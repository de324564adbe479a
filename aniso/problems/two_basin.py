"""Two-dimensional toy with a sharp and a flat minimum (Zhu et al. 2019, Figure 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import autograd.numpy as anp
import numpy as np

from aniso import checks
from aniso.problems.autograd_problem import AutogradProblem

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike


ROTATION = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2.0)


def _basins(first, second):
    """Sharp and flat loss of one datum at the components of ``w - x``."""
    sharp = 5 * (first - second) ** 2 + 50 * (first + second - 2) ** 2
    return sharp, (first + 1) ** 2 + (second + 1) ** 2


@dataclass(frozen=True)
class TwoBasinLoss:
    """Loss of one datum x, ``l = min(s, f)``, of a sharp basin s and a flat one f.

    With p = w - x - 1 and q = w - x + 1 (component-wise),
    ``s = 10 ((p_1 - p_2) / sqrt 2)^2 + 100 ((p_1 + p_2) / sqrt 2)^2`` and ``f = q_1^2 + q_2^2``.

    Notes
    -----
    Without spread in the data the sharp minimum is at (1, 1) with Hessian eigenvalues 200 and 20.
    The flat minimum is at (-1, -1) with eigenvalues 2 and 2. Where s = f, the derivative is the
    mean of both.

    Examples
    --------
    >>> loss = TwoBasinLoss()
    >>> loss(np.array([1.0, 1.0]), np.zeros((1, 2)), np.zeros(1))
    array([0.])
    >>> loss(np.array([0.0, 0.0]), np.zeros((1, 2)), np.zeros(1))
    array([2.])
    """

    def __call__(self, theta, inputs, targets):  # noqa: ARG002
        offset = theta[..., None, :] - inputs
        return anp.minimum(*_basins(offset[..., 0], offset[..., 1]))


def two_basin_data(rng: np.random.Generator, num_examples: int = 100) -> Array:
    """Data of the toy, ``(sqrt(10) z_1, z_2) K / 100``, z standard normal, shape (N, 2).

    K is the rotation by 45 degrees, ``[[cos, -sin], [sin, cos]]``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the random numbers.
    num_examples : int
        N; the paper takes 100.

    Returns
    -------
    ndarray, shape (N, 2)

    Raises
    ------
    InputError
        If `rng` is not a Generator or N < 1.
    """
    checks.generator("rng", rng)
    checks.integer("num_examples", num_examples, low=1)
    normal = rng.standard_normal((num_examples, 2))
    return normal * np.array([np.sqrt(10.0), 1.0]) @ ROTATION / 100


def two_basin_problem(data: ArrayLike) -> AutogradProblem:
    """Return the mean of :class:`TwoBasinLoss` over data, a problem with D = 2.

    Parameters
    ----------
    data : array_like, shape (N, 2)
        One datum a row, as from :func:`two_basin_data`.

    Returns
    -------
    AutogradProblem

    Raises
    ------
    InputError
        If the data are not finite or not (N, 2), N >= 1.

    Examples
    --------
    >>> problem = two_basin_problem(np.zeros((1, 2)))
    >>> np.linalg.eigvalsh(problem.hessian([1.0, 1.0])).round(9)
    array([ 20., 200.])
    """
    data = checks.array("data", data, shape=(None, 2))
    return AutogradProblem(TwoBasinLoss(), data, np.zeros(len(data)), num_parameters=2)
