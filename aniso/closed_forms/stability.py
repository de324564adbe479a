"""Mean-square stability of SGD at a minimum: the exact threshold of the learning rate.

At a minimum that every example shares, SGD is ``theta <- (I - eta H_B) theta`` to first order,
where H_B is the mean Hessian of the batch. Its second moment M = E[theta theta^T] obeys

    M  <-  M - eta (H M + M H) + eta^2 D(M),     D(M) = H M H + p mean_i (H_i - H) M (H_i - H)

with p = 1/B, or (N - B)/(B (N - 1)) without replacement. M stays bounded up to
``eta* = 2/lambda_max(C^+ D)``, ``C(M) = (H M + M H)/2``. Derivation, momentum and other names of
these quantities: docs/theory/stability.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.linalg

from aniso import checks, memory
from aniso.closed_forms._second_moments import PackedMap
from aniso.estimates import NotConverged, exponent_of
from aniso.matrices import ExampleCurvatures, leading_eigenpairs, minibatch_scale

# Up to so many rows of the packed map LAPACK is faster than Lanczos.
_DENSE_ROWS = 300
_TOLERANCE = 1e-10
# Curvatures from 2^-200 to 2^200 have squares that are numbers.
_USUAL_EXPONENT = 200


@dataclass(frozen=True, repr=False)
class StabilityThreshold:
    """Learning rate up to which the second moment of SGD stays bounded.

    Attributes
    ----------
    learning_rate : float
        eta*, the end of the stable range. Without momentum the second moment grows without bound
        at every larger rate.
    error_bound : float
        The exact value lies between ``learning_rate - error_bound`` and ``learning_rate``, up to
        rounding. It comes from the measured residual of the eigenpair.
    residual : float
        ``|A x - mu x| / mu`` of the leading eigenpair ``(mu, x)``, ``|x| = 1``.
    num_products : int
        Products of the map D that it took; 0 where none was needed.
    full_batch : float
        ``2 (1 + beta)/lambda_max(H)``, the threshold without gradient noise.
    direction : ndarray, shape (D,)
        Unit vector along which the second moment at the threshold is largest.
    num_examples, batch_size : int
        N and B.
    replacement : bool
        Whether a batch may contain an example twice.
    momentum : float
        beta of the heavy ball; 0 for plain SGD.
    dimension : int
        Dimension n of the span of the examples' Hessians.
    """

    learning_rate: float
    error_bound: float
    residual: float
    num_products: int
    full_batch: float
    direction: np.ndarray
    num_examples: int
    batch_size: int
    replacement: bool
    momentum: float
    dimension: int

    @property
    def sharpness(self) -> float:
        """``2/learning_rate``, the number to compare with a sharpness."""
        return 2 / self.learning_rate

    def __float__(self):
        return self.learning_rate

    def __repr__(self):
        drawn = "with" if self.replacement else "without"
        momentum = f", momentum {self.momentum:g}" if self.momentum else ""
        return (
            f"<StabilityThreshold: learning rate {self.learning_rate:.6g} (error <= "
            f"{self.error_bound:.2g}), full batch {self.full_batch:.6g}; batches of "
            f"{self.batch_size} of {self.num_examples} {drawn} replacement{momentum}; span "
            f"{self.dimension}, {self.num_products} products>"
        )


def stability_threshold(
    curvatures: ExampleCurvatures,
    batch_size: int,
    *,
    replacement: bool,
    momentum: float = 0.0,
    method: Literal["auto", "dense", "iterative"] = "auto",
    tolerance: float | None = None,
    max_products: int = 10_000,
) -> StabilityThreshold:
    """Return the exact mean-square threshold of SGD, ``eta* = 2/lambda_max(C^+ D)``.

    Parameters
    ----------
    curvatures : ExampleCurvatures
        Hessians H_i of the examples, from ``problem.at(theta).example_curvatures``,
        :func:`aniso.matrices.example_curvatures` or :func:`aniso.matrices.curvatures_from_factors`.
    batch_size : int
        B; at most N without replacement.
    replacement : bool
        Whether a batch may contain an example twice. No default: the two differ.
    momentum : float
        beta of the heavy ball ``theta_{t+1} = theta_t - eta g_B + beta (theta_t - theta_{t-1})``,
        0 <= beta < 1.
    method : {"auto", "dense", "iterative"}
        "dense": the map is formed as a matrix of n (n + 1)/2 rows. "iterative": Lanczos with
        products of n x n matrices. "auto": dense up to n = 23.
    tolerance : float, optional
        Largest residual of the eigenpair, relative to the norm of the map, which is mu unless
        there is momentum or an indefinite H_i; 1e-10 if not given.
    max_products : int
        Bound on the iteration.

    Returns
    -------
    StabilityThreshold

    Raises
    ------
    InputError
        If an argument breaks its rule, every H_i is zero, or no learning rate is stable because the
        mean has a negative eigenvalue or is zero where an H_i is not.
    NotConverged
        If the residual stays above the tolerance; `partial` holds the eigenpairs found.
    AllocationRefused
        If the span does not fit.

    Notes
    -----
    Assumes a minimum of all examples together, independent batches and the linearised motion. At
    any other minimum the same threshold separates bounded from unbounded second moments.

    A product costs 2 n^2 R flops for R factors in a span of dimension n; the span costs R^2 D. With
    ten classes and D = 11,330 that is 10 s for 300 examples near zero loss, and it grows as the
    cube of their number: take a subset of more. The iteration starts from the identity, which
    overlaps with the leading eigenvector for certain, since that is positive semi-definite. The
    error of the value is of second order in the residual.

    Source: Mulayoff & Michaeli 2024 (arXiv:2306.07850) without momentum; with it, derived in
    docs/theory/stability.md.

    Examples
    --------
    In one dimension ``eta* = 2 a/(a^2 + p s^2)``, with the mean a = 2 and variance s^2 = 1 of h:

    >>> from aniso.matrices import example_curvatures
    >>> one = example_curvatures([[[1.0]], [[3.0]]])
    >>> round(stability_threshold(one, 1, replacement=True).learning_rate, 12)
    0.8
    >>> full = stability_threshold(one, 2, replacement=False)  # the full batch, 2/a
    >>> round(full.learning_rate, 12)
    1.0
    """
    fraction, curvatures, exponent = _checked(curvatures, batch_size, replacement)
    span, momentum = curvatures.span, checked_momentum(momentum)
    checks.one_of("method", method, ["auto", "dense", "iterative"])
    values = span.eigenvalues
    full_batch = 2 * (1 + momentum) / float(values[-1])
    sums = values[:, None] + values
    differences = values[:, None] - values
    # D_beta(M) = q o M + p (mean H_i M H_i - H M H), C_beta(M) = (sums / 2) o M
    q = (1 - momentum) / (1 + momentum) * sums**2 / 4
    q -= (1 + momentum) / (1 - momentum) * differences**2 / 4
    scales = np.sqrt(2 / sums)
    entries = (q - fraction * values[:, None] * values) * scales**2
    operator = PackedMap(span, entries, fraction, scales)
    if fraction == 0:  # q / C is largest at the largest eigenvalue, twice
        value, residual, num_products = 2 * (1 - momentum) / full_batch, 0.0, 0
        moment = np.diag(np.eye(len(values))[-1])
    else:
        start = operator.packed(np.diag(1 / scales.diagonal()))  # M = I
        pairs = _leading(operator, start, method, tolerance, max_products)
        _require_positive(pairs)
        value, num_products = float(pairs.values[0]), pairs.num_products
        residual = float(pairs.residuals[0]) / value
        moment = operator.unpacked(pairs.vectors[:, 0]) * scales
    learning_rate = float(np.ldexp(2 * (1 - momentum) / value, -exponent))
    return StabilityThreshold(
        learning_rate=learning_rate,
        error_bound=learning_rate * residual / (1 + residual),
        residual=residual,
        num_products=num_products,
        full_batch=float(np.ldexp(full_batch, -exponent)),
        direction=_main_direction(curvatures, moment),
        num_examples=curvatures.num_examples,
        batch_size=int(batch_size),
        replacement=bool(replacement),
        momentum=momentum,
        dimension=span.dimension,
    )


def second_moment_growth(
    curvatures: ExampleCurvatures,
    learning_rate: float,
    batch_size: int,
    *,
    replacement: bool,
    tolerance: float | None = None,
    max_products: int = 10_000,
) -> float:
    """Spectral radius of ``E[(I - eta H_B) x (I - eta H_B)]``, growth of M at each step.

    Parameters
    ----------
    curvatures, batch_size, replacement, tolerance, max_products
        As for :func:`stability_threshold`.
    learning_rate : float
        eta > 0.

    Returns
    -------
    float
        Below 1 the second moment decays, above 1 it grows, in the span of the H_i. Directions
        outside the span never move.

    Raises
    ------
    InputError, NotConverged, AllocationRefused
        As :func:`stability_threshold`; or if a step is so long that its square is no number.

    Examples
    --------
    ``E(1 - eta h)^2`` for h = 1 or 3 and eta = 1:

    >>> from aniso.matrices import example_curvatures
    >>> one = example_curvatures([[[1.0]], [[3.0]]])
    >>> round(second_moment_growth(one, 1.0, 1, replacement=True), 12)
    2.0
    """
    rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    fraction, curvatures, exponent = _checked(
        curvatures, batch_size, replacement, is_rescaled=rate > 1e100
    )
    span, values = curvatures.span, curvatures.span.eigenvalues
    with np.errstate(over="ignore"):
        rate = float(np.ldexp(rate, exponent))
    if not rate * values[-1] < 1e140:
        raise checks.InputError(
            f"learning_rate={learning_rate!r} makes steps whose squares leave the range of floats; "
            "expected learning_rate times the largest eigenvalue of the mean Hessian below 1e140"
        )
    entries = 1 - rate * (values[:, None] + values)
    entries += rate**2 * (1 - fraction) * values[:, None] * values
    operator = PackedMap(span, entries, rate**2 * fraction)
    start = operator.packed(np.eye(len(values)))
    growth = float(_leading(operator, start, "auto", tolerance, max_products).values[0])
    return max(growth, 0.0)  # the map keeps covariances, so that a negative value is rounding


def _checked(curvatures, batch_size, replacement, *, is_rescaled=False):
    """Return p, the curvatures in units of a power of two, and its exponent.

    The unit is 1 unless squares of curvatures would leave the range of floats, or it is asked for.
    The span of the curvatures is not zero.
    """
    require_curvatures(curvatures)
    fraction = minibatch_scale(curvatures.num_examples, batch_size, replacement=replacement)
    rows, weights = curvatures.rows, curvatures.weights
    half, weight = exponent_of(rows), 0 if weights is None else exponent_of(weights)
    exponent = 2 * half + weight
    if abs(exponent) < _USUAL_EXPONENT and not is_rescaled:
        exponent = 0
    else:
        weights = None if weights is None else checks.frozen(np.ldexp(weights, -weight))
        curvatures = ExampleCurvatures(checks.frozen(np.ldexp(rows, -half)), weights)
    if _span_of(curvatures, exponent).dimension == 0:
        raise checks.InputError(
            "every example's Hessian is zero, so that every learning rate is stable; expected a "
            "curvature"
        )
    return fraction, curvatures, exponent


def _span_of(curvatures, exponent):
    try:
        return curvatures.span
    except checks.InputError as error:
        if exponent == 0:
            raise
        raise checks.InputError(f"in units of 2^{exponent}, {error}") from None


def checked_momentum(momentum):
    """Return the momentum of the heavy ball, a float with 0 <= momentum < 1.

    Raises
    ------
    InputError
        If it is outside the range.
    """
    momentum = checks.number("momentum", momentum, low=0)
    if momentum >= 1:
        raise checks.InputError(f"momentum={momentum!r}; expected 0 <= momentum < 1")
    return momentum


def require_curvatures(curvatures):
    """Refuse an argument that is no ExampleCurvatures.

    Raises
    ------
    InputError
        If it is of another type.
    """
    if not isinstance(curvatures, ExampleCurvatures):
        raise checks.InputError(
            f"curvatures is of type {type(curvatures).__name__}; expected the result of "
            "matrices.example_curvatures, matrices.curvatures_from_factors, or "
            "problem.at(theta).example_curvatures"
        )


def _leading(operator, start, method, tolerance, max_products):
    size = operator.shape[0]
    if method == "auto":
        method = "dense" if size <= _DENSE_ROWS else "iterative"
    tolerance = _TOLERANCE if tolerance is None else tolerance
    if method == "iterative":
        options = {"block_size": 1, "start": start, "max_products": max_products}
        return leading_eigenpairs(operator, 1, tolerance=tolerance, **options)
    memory.require(32 * size**2, f"the dense matrix, {size} × {size}", "use method='iterative'")
    # symmetric by construction, also where the rounding of its entries is all there is
    dense = operator @ np.eye(size)
    pairs = leading_eigenpairs((dense + dense.T) / 2, 1, tolerance=tolerance, method="dense")
    return replace(pairs, num_products=size)


def _require_positive(pairs):
    if not pairs.values[0] > 0:
        raise NotConverged(
            f"the leading eigenvalue is {pairs.values[0]:.3g}, which is not positive; expected "
            "curvatures whose squares do not underflow (the partial result holds the pair)",
            pairs,
        )


def _main_direction(curvatures, moment):
    """Return the leading eigenvector of a second moment (n, n) as a unit vector (D,)."""
    last = len(moment) - 1
    moment = moment * np.sign(np.trace(moment))  # an eigenvector has either sign
    vector = scipy.linalg.eigh(moment, subset_by_index=[last, last])[1][:, 0]
    return checks.frozen(curvatures.in_parameters(vector))
