"""Two-dimensional toy with a sharp and a flat minimum (Zhu et al. 2019, Figure 2)."""

from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.problems.autograd_problem import AutogradProblem

ROOT_TWO = 1.4142135623730951
ROTATION = np.array([[1.0, -1.0], [1.0, 1.0]]) / ROOT_TWO


def basin_terms(along, across):
    """Loss, gradient and basin of one datum in the axes of the toy, (loss, g_a, g_b, is_sharp).

    With a and b the components of w - x along (1, -1) / sqrt 2 and (1, 1) / sqrt 2, the sharp basin
    is ``s = 10 a^2 + 100 (b - sqrt 2)^2``, the flat one ``f = a^2 + (b + sqrt 2)^2``, and the loss
    ``min(s, f)``.

    Parameters
    ----------
    along, across : float or array
        a and b. Only arithmetic is done: numbers, arrays, autograd's and numba's all serve.

    Returns
    -------
    loss, g_a, g_b : float or array
        The loss and its derivatives in a and b.
    is_sharp : bool or array of bool
        Whether s < f.

    Examples
    --------
    >>> basin_terms(0.5, ROOT_TWO)
    (2.5, 10.0, 0.0, True)
    """
    to_sharp, to_flat = across - ROOT_TWO, across + ROOT_TWO
    sharp = 10.0 * along * along + 100.0 * to_sharp * to_sharp
    flat = along * along + to_flat * to_flat
    is_sharp = sharp < flat
    in_sharp = 1.0 * is_sharp
    in_flat = 1.0 - in_sharp
    loss = in_sharp * sharp + in_flat * flat
    slope_along = (20.0 * in_sharp + 2.0 * in_flat) * along
    slope_across = 200.0 * in_sharp * to_sharp + 2.0 * in_flat * to_flat
    return loss, slope_along, slope_across, is_sharp


def two_basin_gradient(offsets):
    """Gradient of the loss of one datum at offsets ``w - x``, shape (..., 2), in w.

    Parameters
    ----------
    offsets : array_like, shape (..., 2)

    Returns
    -------
    ndarray, shape (..., 2)

    Examples
    --------
    >>> two_basin_gradient([0.0, 0.0])
    array([2., 2.])
    """
    rotated = np.asarray(offsets) @ ROTATION.T
    _, slope_along, slope_across, _ = basin_terms(rotated[..., 0], rotated[..., 1])
    return np.stack([slope_along, slope_across], axis=-1) @ ROTATION


@dataclass(frozen=True)
class TwoBasinLoss:
    """Loss of one datum x, ``l = min(s, f)``, of a sharp basin s and a flat one f.

    With p = w - x - 1 and q = w - x + 1 (component-wise),
    ``s = 10 ((p_1 - p_2) / sqrt 2)^2 + 100 ((p_1 + p_2) / sqrt 2)^2`` and ``f = q_1^2 + q_2^2``.

    Notes
    -----
    Without spread in the data the sharp minimum is at (1, 1), Hessian eigenvalues 200 and 20, the
    flat one at (-1, -1), eigenvalues 2 and 2. Where s = f the derivative is that of f.

    Examples
    --------
    >>> loss = TwoBasinLoss()
    >>> loss(np.array([1.0, 1.0]), np.zeros((1, 2)), np.zeros(1)).round(12)
    array([0.])
    >>> loss(np.array([0.0, 0.0]), np.zeros((1, 2)), np.zeros(1)).round(12)
    array([2.])
    """

    def __call__(self, theta, inputs, targets):  # noqa: ARG002
        first = theta[..., None, 0] - inputs[..., 0]
        second = theta[..., None, 1] - inputs[..., 1]
        return basin_terms((first - second) / ROOT_TWO, (first + second) / ROOT_TWO)[0]


def two_basin_data(rng, num_examples=100):
    """Data of the toy, ``(sqrt(10) z_1, z_2) K / 100``, z standard normal, shape (N, 2).

    K is the rotation by 45 degrees, ``[[cos, -sin], [sin, cos]]``.

    Parameters
    ----------
    rng : numpy.random.Generator
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


def two_basin_problem(data):
    """Mean of :class:`TwoBasinLoss` over data of shape (N, 2), an AutogradProblem with D = 2.

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
