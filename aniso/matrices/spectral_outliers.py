"""Outliers of a spectrum: eigenvalues beyond the edge of its bulk, each by a stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import marchenko_pastur
from aniso.matrices.spectral_density import SpectralDensity

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


_SHOWN = 10


@dataclass(frozen=True, repr=False)
class SpectralOutliers:
    """Eigenvalues above the upper edge of the bulk.

    Attributes
    ----------
    values : ndarray, shape (k,)
        The outliers, in decreasing order.
    edge : float
        Edge of the bulk by the rule.
    rule : str
        The rule in words, with its numbers.
    all_given : bool
        Whether the given eigenvalues reach below the edge, so that no outlier is missing.

    Examples
    --------
    >>> SpectralOutliers(np.array([5.0, 3.0]), 2.0, "chosen edge", True)
    <SpectralOutliers: 2 above the edge 2 (chosen edge): 5, 3>
    """

    values: np.ndarray
    edge: float
    rule: str
    all_given: bool

    @property
    def count(self) -> int:
        """Number of outliers; a lower bound where `all_given` is False."""
        return len(self.values)

    def __repr__(self):
        shown = ", ".join(f"{value:.4g}" for value in self.values[:_SHOWN])
        more = ", ..." if self.count > _SHOWN else ""
        least = "" if self.all_given else "at least "
        return (
            f"<SpectralOutliers: {least}{self.count} above the edge {self.edge:.4g} ({self.rule})"
            f"{': ' if self.count else ''}{shown}{more}>"
        )


def outliers_beyond_noise(
    eigenvalues: ArrayLike,
    num_examples: int,
    dimension: int,
    *,
    variance: float | None = None,
    level: float = 0.01,
) -> SpectralOutliers:
    """Return the eigenvalues of a gradient covariance that isotropic noise does not explain.

    Parameters
    ----------
    eigenvalues : array_like, shape (k,)
        Eigenvalues of ``Sigma_1``, the centred covariance of one example, in any order. All
        min(N - 1, D) non-zero ones if `variance` is not given; leading ones suffice otherwise.
    num_examples : int
        N >= 3.
    dimension : int
        D.
    variance : float, optional
        Variance v of the noise in each parameter. If not given, the one for which the median of the
        law is the median of the given eigenvalues.
    level : float
        Probability within (0, 1/2) that isotropic normal noise of the given variance, without any
        structure, has an outlier.

    Returns
    -------
    SpectralOutliers

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    The rule: an outlier exceeds the upper quantile of the largest eigenvalue of N - 1 rows of
    isotropic normal noise, :func:`largest_noise_eigenvalue`. The level holds for a given variance.
    The sampling of the median adds to it: at level 0.05 pure noise had outliers in 19 % of samples
    with N = 4 and D = 3, and in 10 % with N and D from 20 to 100. A direction of true variance
    below ``v (1 + sqrt(D/N))`` leaves no outlier. Gradient noise is far from isotropic as a rule.
    An outlier then means structure, which may be a continuous spectrum:
    :func:`outliers_beyond_bulk` asks for a gap instead. Formulas: docs/theory/estimates.md.

    Examples
    --------
    >>> found = outliers_beyond_noise([9.0, 2.0, 1.0], 401, 100, variance=1.0)
    >>> found.values
    array([9.])
    """
    eigenvalues = _decreasing("eigenvalues", eigenvalues)
    num_examples = checks.integer("num_examples", num_examples, low=3)
    dimension = checks.integer("dimension", dimension, low=1)
    level = checks.number("level", level, low=0, high=0.5, strict=True)
    num_rows = num_examples - 1
    stated = "given variance"
    if variance is None:
        stated = "variance from the median"
        variance = _variance_from_median(eigenvalues, num_rows, dimension, num_examples)
    variance = checks.number("variance", variance, low=0, strict=True)
    edge = marchenko_pastur.largest_noise_eigenvalue(num_rows, dimension, variance, level)
    # Sigma_1 has the divisor N
    edge *= num_rows / num_examples
    rule = f"isotropic noise of variance {variance:.4g} at level {level:g}, {stated}"
    complete = len(eigenvalues) >= min(num_rows, dimension)
    return _beyond(eigenvalues, float(edge), rule, complete)


def outliers_beyond_bulk(
    eigenvalues: ArrayLike,
    density: SpectralDensity,
    *,
    share: float = 0.5,
    confidence: float = 0.95,
) -> SpectralOutliers:
    """Return the eigenvalues above the measured edge of the bulk of a spectral density.

    Parameters
    ----------
    eigenvalues : array_like, shape (k,)
        Leading eigenvalues of the same matrix, as many as may be outliers and one more.
    density : SpectralDensity
        From :func:`aniso.matrices.lanczos_quadrature`, or
        :func:`aniso.matrices.density_of_eigenvalues`.
    share : float
        Within (0, 1). The bulk holds the quantile of the spectrum at this share.
    confidence : float
        Confidence of the upper band of the density, within (0, 1).

    Returns
    -------
    SpectralOutliers

    Raises
    ------
    InputError
        If an argument breaks its rule. If the points of the density are further apart than its
        width, or do not reach beyond the edge. If the quadrature nodes are further apart than three
        widths, which leaves gaps that the spectrum does not have.

    Notes
    -----
    The rule: go up from the quantile at `share`. The edge is the first point at which the upper
    band of the density falls below half the height of a single eigenvalue,
    ``1 / (2 D width sqrt(2 pi))``. So no eigenvalue lies within 1.18 widths of the edge. The answer
    depends on the width, which sets the least gap; the rule states it. For the lower edge, give the
    eigenvalues and the density of the matrix times -1.

    Examples
    --------
    >>> from aniso.matrices.spectral_density import density_of_eigenvalues
    >>> spectrum = [0.0, 0.1, 0.2, 0.3, 0.4, 3.0]
    >>> found = outliers_beyond_bulk(spectrum, density_of_eigenvalues(spectrum, width=0.1))
    >>> found.values
    array([3.])
    """
    eigenvalues = _decreasing("eigenvalues", eigenvalues)
    if not isinstance(density, SpectralDensity):
        raise checks.InputError(
            f"density is a {type(density).__name__}; expected a SpectralDensity, from "
            "matrices.lanczos_quadrature or matrices.density_of_eigenvalues"
        )
    share = checks.number("share", share, low=0, high=1, strict=True)
    _require_smooth(density)
    order = np.argsort(density.points)
    points, upper = density.points[order], density.band(confidence)[1][order]
    start = _quantile(density, share)
    above = points > start
    largest_step = float(np.diff(points[points >= start], prepend=start).max(initial=0.0))
    if largest_step > density.width:
        raise checks.InputError(
            f"the points of density are {largest_step:.3g} apart; expected at most its width "
            f"{density.width:.3g}: give more points"
        )
    height = 1 / (2 * density.dimension * density.width * np.sqrt(2 * np.pi))
    empty = above & (upper < height)
    if not empty.any():
        raise checks.InputError(
            f"the upper band of the density stays above {height:.3g}, half the height of one "
            f"eigenvalue, up to the last point {points[-1]:.4g}; expected points beyond the "
            "spectrum, a smaller width, or more probes"
        )
    edge = float(points[int(np.argmax(empty))])
    rule = (
        f"gap of the density of width {density.width:.3g} above its quantile at {share:g}, band at "
        f"{confidence:g}"
    )
    complete = len(eigenvalues) == density.dimension
    return _beyond(eigenvalues, edge, rule, complete)


def _beyond(eigenvalues, edge, rule, complete):
    values = eigenvalues[eigenvalues > edge]
    return SpectralOutliers(values, edge, rule, complete or len(values) < len(eigenvalues))


def _decreasing(name, value):
    value = checks.array(name, value, shape=(None,))
    if value.size == 0:
        raise checks.InputError(f"{name} is empty; expected at least one eigenvalue")
    return np.sort(value)[::-1]


def _variance_from_median(eigenvalues, num_rows, dimension, num_examples):
    expected = min(num_rows, dimension)
    if len(eigenvalues) < expected:
        raise checks.InputError(
            f"eigenvalues has {len(eigenvalues)} entries; expected all min(N - 1, D)={expected} "
            "non-zero ones, or the variance of the noise"
        )
    # beyond the rank there are zeros, which the law does not contain
    median = float(np.median(eigenvalues[:expected]))
    if not median > 0:
        raise checks.InputError(
            f"the median of the {expected} leading eigenvalues is {median:g}; expected a positive "
            "one, or the variance of the noise"
        )
    unit = marchenko_pastur.marchenko_pastur_quantile(0.5, num_rows, dimension, 1.0)
    return median / unit * num_examples / num_rows


def _require_smooth(density):
    if density.exact:
        return
    spacings = [
        np.diff(np.sort(nodes[weights > 0]))
        for nodes, weights in zip(density.nodes, density.weights, strict=True)
    ]
    spacing = float(np.median(np.concatenate(spacings))) if max(map(len, spacings)) else 0.0
    if spacing > 3 * density.width:
        raise checks.InputError(
            f"the nodes of a probe are {spacing:.3g} apart in the median; expected at most three "
            f"widths, width={density.width:.3g}: take more steps or a larger width"
        )


def _quantile(density, share):
    nodes = density.nodes.ravel()
    order = np.argsort(nodes)
    mass = np.cumsum(density.weights.ravel()[order]) / len(density.nodes)
    index = min(int(np.searchsorted(mass, share)), len(order) - 1)
    return float(nodes[order][index])
