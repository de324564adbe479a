"""The Marchenko-Pastur law: eigenvalues of the sample covariance of isotropic noise.

Of n independent rows in R^D with entries of variance v, the matrix ``(1/n) sum_i x_i x_i^T`` has
for large n and D, ratio ``c = D / n``, its min(n, D) non-zero eigenvalues between
``v (1 - sqrt c)^2`` and ``v (1 + sqrt c)^2``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import scipy.optimize
import scipy.special

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike


# moments of the Tracy-Widom law of real matrices, as a shifted Gamma law (Chiani 2014)
_SHAPE, _SCALE, _SHIFT = 46.446, 0.186054, 9.84801


def marchenko_pastur_edges(num_rows: int, dimension: int, variance: float) -> tuple[float, float]:
    """Edges of the Marchenko-Pastur law, ``v (1 -+ sqrt(D/n))^2``.

    Parameters
    ----------
    num_rows : int
        n, the independent rows; N - 1 for the centred gradients of N examples.
    dimension : int
        D.
    variance : float
        v, the variance of each entry.

    Returns
    -------
    low, high : float
        Of the non-zero eigenvalues.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Examples
    --------
    >>> marchenko_pastur_edges(400, 100, 2.0)  # 2 * (1 -+ 1/2)^2
    (0.5, 4.5)
    """
    num_rows, dimension, variance = _checked(num_rows, dimension, variance)
    root = math.sqrt(dimension / num_rows)
    return variance * (1 - root) ** 2, variance * (1 + root) ** 2


def marchenko_pastur_density(
    points: ArrayLike, num_rows: int, dimension: int, variance: float
) -> Array:
    """Density of the non-zero eigenvalues under the Marchenko-Pastur law, of integral 1.

    Parameters
    ----------
    points : array_like
        Eigenvalues t.
    num_rows, dimension, variance
        As for :func:`marchenko_pastur_edges`.

    Returns
    -------
    ndarray
        Array of the shape of `points`; infinite at 0 where n = D.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    ``sqrt((t - low)(high - t)) / (2 pi v min(c, 1) t)`` between the edges, 0 outside. Where n = D,
    low = 0 and the density grows like ``1 / sqrt(t)`` towards 0.

    Examples
    --------
    >>> marchenko_pastur_density([0.0, 1.0, 5.0], 100, 100, 1.0).round(6)  # sqrt(3) / (2 pi)
    array([     inf, 0.275664, 0.      ])
    """
    points = checks.array("points", points)
    low, high = marchenko_pastur_edges(num_rows, dimension, variance)
    scale = 2 * np.pi * variance * min(dimension / num_rows, 1.0)
    inside = (points > low) & (points < high)
    result = np.zeros(points.shape)
    chosen = points[inside]
    result[inside] = np.sqrt((chosen - low) * (high - chosen)) / (scale * chosen)
    if low == 0:
        result[points == 0] = np.inf
    return result


def marchenko_pastur_quantile(share, num_rows, dimension, variance):
    """Return the eigenvalue below which a share of the non-zero ones lies under the law.

    Parameters
    ----------
    share : float
        Within (0, 1); 1/2 for the median.
    num_rows, dimension, variance
        As for :func:`marchenko_pastur_edges`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Examples
    --------
    >>> round(marchenko_pastur_quantile(0.5, 100, 100, 1.0), 4)
    0.6528
    """
    share = checks.number("share", share, low=0, high=1, strict=True)
    low, high = marchenko_pastur_edges(num_rows, dimension, variance)
    middle, half = (low + high) / 2, (high - low) / 2
    scale = 2 * np.pi * variance * min(dimension / num_rows, 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(64)

    def mass(angle):
        # t = middle - half cos(a) makes the integrand half^2 sin(a)^2 / t
        angles = 0.5 * angle * (nodes + 1)
        values = (half * np.sin(angles)) ** 2 / np.maximum(middle - half * np.cos(angles), 1e-300)
        return 0.5 * angle * float(weights @ values) / scale

    total = mass(np.pi)
    angle = scipy.optimize.brentq(lambda a: mass(a) - share * total, 0.0, np.pi, xtol=1e-14)
    return middle - half * math.cos(angle)


def largest_noise_eigenvalue(num_rows, dimension, variance, level):
    """Return the value that the largest eigenvalue of isotropic normal noise exceeds at a level.

    ``(v/n) (m + q s)`` with ``r = sqrt(n - 1/2)``, ``p = sqrt(D - 1/2)``, ``m = (r + p)^2``,
    ``s = (r + p) (1/r + 1/p)^(1/3)`` and q the upper quantile of the Tracy-Widom law.

    Parameters
    ----------
    num_rows, dimension, variance
        As for :func:`marchenko_pastur_edges`.
    level : float
        Probability within (0, 1/2) with which noise alone exceeds the value.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Sources: Johnstone 2001, Ma 2012 for the corrections by 1/2, Chiani 2014 for the quantile, which
    is that of a shifted Gamma law with the moments of the Tracy-Widom law.

    Examples
    --------
    >>> value = largest_noise_eigenvalue(400, 100, 1.0, 0.01)
    >>> 2.25 < value < 2.45  # the edge is 2.25
    True
    """
    num_rows, dimension, variance = _checked(num_rows, dimension, variance)
    level = checks.number("level", level, low=0, high=0.5, strict=True)
    rows, columns = math.sqrt(num_rows - 0.5), math.sqrt(dimension - 0.5)
    centre = (rows + columns) ** 2
    scale = (rows + columns) * (1 / rows + 1 / columns) ** (1 / 3)
    quantile = _SCALE * float(scipy.special.gammaincinv(_SHAPE, 1 - level)) - _SHIFT
    return variance * (centre + quantile * scale) / num_rows


def _checked(num_rows, dimension, variance):
    return (
        checks.integer("num_rows", num_rows, low=1),
        checks.integer("dimension", dimension, low=1),
        checks.number("variance", variance, low=0, strict=True),
    )
