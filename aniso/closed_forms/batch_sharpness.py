"""Batch sharpness, two quantities that the literature gives one name.

::

    mean of ratios     E[ g_B^T H_B g_B / |g_B|^2 ]
    ratio of means     E[ g_B^T H_B g_B ] / E |g_B|^2

g_B and H_B are gradient and Hessian of a batch. Neither is the limit of stability, which is
``2/eta*`` of :func:`aniso.closed_forms.stability_threshold`. See "Batch sharpness" in
docs/theory/stability.md.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks, memory
from aniso.arrays import transfer
from aniso.closed_forms.stability import require_curvatures
from aniso.estimates import Estimate, exponent_of, power_of_two
from aniso.matrices import (
    ExampleGradients,
    alignment,
    convention,
    curvature_span,
    exact_traces,
    minibatch_scale,
    operands,
)

if TYPE_CHECKING:
    from aniso.matrices import ExampleCurvatures, GradientCovariance
    from aniso.typing import ArrayLike, Matrix


_ROUNDING = 16 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class BatchSharpness:
    """Both batch sharpnesses, from the same batches.

    Attributes
    ----------
    mean_of_ratios : Estimate
        ``E[g_B^T H_B g_B / |g_B|^2]``.
    ratio_of_means : Estimate
        ``E[g_B^T H_B g_B] / E|g_B|^2``.
    """

    mean_of_ratios: Estimate
    ratio_of_means: Estimate

    def __repr__(self):
        return (
            f"<BatchSharpness: mean of ratios {self.mean_of_ratios}, ratio of means "
            f"{self.ratio_of_means}, from {self.ratio_of_means.num_samples} batches>"
        )


def batch_sharpness_of_draws(curvatures: ArrayLike, square_norms: ArrayLike) -> BatchSharpness:
    """Return both batch sharpnesses from independent batches, with standard errors.

    Parameters
    ----------
    curvatures, square_norms : array_like, shape (n,)
        ``g_B^T H_B g_B`` and ``|g_B|^2 > 0`` of each batch, from any framework; n >= 2.

    Returns
    -------
    BatchSharpness

    Raises
    ------
    InputError
        If an argument breaks its rule, or a batch has a zero gradient.

    Notes
    -----
    The standard error of the ratio of means comes from the residuals ``c_k - R s_k`` (delta
    method). Its bias is of order 1/n, below the standard error of order ``1/sqrt(n)``.

    Examples
    --------
    >>> made = batch_sharpness_of_draws([1.0, 27.0], [1.0, 9.0])
    >>> made.mean_of_ratios.value, made.ratio_of_means.value
    (2.0, 2.8)
    >>> made
    <BatchSharpness: mean of ratios 2 ± 1, ratio of means 2.8 ± 0.36, from 2 batches>
    """
    curvatures = checks.array("curvatures", curvatures, shape=(None,))
    square_norms = checks.array("square_norms", square_norms, shape=curvatures.shape)
    count = curvatures.size
    if count < 2:
        raise checks.InputError(f"curvatures has {count} entries; expected at least two batches")
    if not square_norms.min() > 0:
        raise checks.InputError(
            f"square_norms has the entry {float(square_norms.min())} at index "
            f"{int(square_norms.argmin())}; expected positive numbers, because the sharpness along "
            "a zero gradient is not defined: choose another theta or a larger batch"
        )
    mean_of_ratios = Estimate.from_samples(curvatures / square_norms)
    units = power_of_two(curvatures), power_of_two(square_norms)
    curvatures, square_norms = curvatures / units[0], square_norms / units[1]
    ratio = float(curvatures.mean() / square_norms.mean())
    residuals = curvatures - ratio * square_norms
    error = float(residuals.std(ddof=1) / (math.sqrt(count) * square_norms.mean()))
    ratio_of_means = Estimate(ratio, error, count).scaled(units[0] / units[1])
    return BatchSharpness(mean_of_ratios, ratio_of_means)


def batch_sharpness_with_shared_hessian(
    hessian: Matrix, gradient: ArrayLike, minibatch_covariance: ArrayLike | GradientCovariance
) -> float:
    """Ratio of means where every batch has one Hessian, ``(g^T H g + Tr(HS)) / (|g|^2 + Tr S)``.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        H, the same for every batch. The mean Hessian gives the interaction-aware sharpness.
    gradient : array_like, shape (D,)
        Mean gradient g.
    minibatch_covariance : array_like (D, D) or GradientCovariance
        S, the covariance of the gradient of a batch.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an argument breaks its rule, S has another convention, all gradients are zero, or
        ``|g|^2 + Tr S`` is not between 1e-150 and 1e150.

    Notes
    -----
    Exact: ``E g_B g_B^T = g g^T + S``. The interaction-aware sharpness is of Lee & Jang 2023.

    Examples
    --------
    At a minimum it is ``Tr(HS)/Tr S``, here (2 * 1 + 1 * 3)/4:

    >>> batch_sharpness_with_shared_hessian(np.diag([2.0, 1.0]), [0.0, 0.0], np.diag([1.0, 3.0]))
    1.25
    """
    hessian = operands.symmetric("hessian", hessian)
    gradient = checks.array("gradient", gradient, shape=(hessian.shape[0],))
    convention.check_stage("minibatch_covariance", minibatch_covariance, "mini-batch")
    covariance = operands.covariance(
        "minibatch_covariance", minibatch_covariance, size=hessian.shape[0]
    )
    with np.errstate(over="ignore"):
        square_norm = float(gradient @ gradient) + exact_traces.trace(covariance)
    _require_gradients(square_norm)
    if not 1e-150 < square_norm < 1e150:
        raise checks.InputError(
            f"|g|^2 + Tr S = {square_norm:.3g}; expected a number from 1e-150 to 1e150, so that no "
            "product loses digits: scale g by c and S by c^2, which leaves the sharpness as it is"
        )
    curvature = float(gradient @ (hessian @ gradient)) + alignment(hessian, covariance)
    return curvature / square_norm


def batch_sharpness_ratio_of_means(
    curvatures: ExampleCurvatures,
    per_example_gradients: ArrayLike | ExampleGradients,
    batch_size: int,
    *,
    replacement: bool,
) -> float:
    """Exact ratio of means of all batches, ``E[g_B^T H_B g_B] / E|g_B|^2``.

    Parameters
    ----------
    curvatures : ExampleCurvatures
        Hessians H_i of the examples.
    per_example_gradients : array_like, shape (N, D), or ExampleGradients
        Row i is g_i; for instance ``at.example_gradients``.
    batch_size : int
        B; at most N without replacement.
    replacement : bool
        Whether a batch may contain an example twice. No default: the two differ.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an argument breaks its rule, or all gradients are zero.
    AllocationRefused
        If the gradients do not fit.

    Notes
    -----
    2 N^2 r D flops in matrix products. The expectation is a sum over the moments of the gradients
    and Hessians around their means, of the orders one, two and three. Nothing cancels near a
    minimum. There a batch of all N examples keeps the digits of the mean gradient: with ``|g_i|``
    of size 1 and the mean ``|g|`` the relative error is about ``1e-16/|g|``.

    Examples
    --------
    In one dimension with ``g_i = h_i theta`` and single examples, ``E h^3 / E h^2``:

    >>> from aniso.matrices import example_curvatures
    >>> one = example_curvatures([[[1.0]], [[3.0]]])
    >>> round(batch_sharpness_ratio_of_means(one, [[1.0], [3.0]], 1, replacement=True), 12)
    2.8
    """
    gradients = _checked(curvatures, per_example_gradients, batch_size, replacement=replacement)
    mean = gradients.mean(axis=0)
    centred = gradients - mean
    fraction = minibatch_scale(len(gradients), batch_size, replacement=replacement)
    square_norm = float(mean @ mean) + fraction * float(np.mean((centred**2).sum(axis=1)))
    # the mean carries the rounding of the gradients that it is taken of
    size = math.sqrt(np.mean((gradients**2).sum(axis=1)))
    _require_gradients(math.sqrt(square_norm), _ROUNDING * size)
    third = _third_moment_scale(len(gradients), batch_size, replacement=replacement)
    return _mean_curvature(curvatures, mean, centred, fraction, third) / square_norm


def batch_sharpness_mean_of_ratios(
    curvatures: ExampleCurvatures,
    per_example_gradients: ArrayLike,
    batch_size: int,
    *,
    replacement: bool,
    max_batches: int = 20_000,
) -> float:
    """Exact mean of ratios over all batches, ``E[g_B^T H_B g_B / |g_B|^2]``.

    Parameters
    ----------
    curvatures, per_example_gradients, batch_size, replacement
        As for :func:`batch_sharpness_ratio_of_means`.
    max_batches : int
        Largest number of different batches that may be enumerated.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an argument breaks its rule, there are more batches, or a batch has a gradient that is
        zero up to rounding.
    AllocationRefused
        If the gradients do not fit.

    Notes
    -----
    No closed form exists, so that every batch is visited. For more batches
    :func:`aniso.descent.sample_batch_sharpness` samples them.

    Examples
    --------
    In one dimension with ``g_i = h_i theta`` and single examples, ``E h``:

    >>> from aniso.matrices import example_curvatures
    >>> one = example_curvatures([[[1.0]], [[3.0]]])
    >>> round(batch_sharpness_mean_of_ratios(one, [[1.0], [3.0]], 1, replacement=True), 12)
    2.0
    """
    gradients = _checked(curvatures, per_example_gradients, batch_size, replacement=replacement)
    count = len(gradients)
    number = math.comb(count + batch_size - 1 if replacement else count, batch_size)
    if number > checks.integer("max_batches", max_batches, low=1):
        raise checks.InputError(
            f"batch_size={batch_size} of N={count} examples makes {number} batches; expected at "
            f"most max_batches={max_batches}: use descent.sample_batch_sharpness, or raise it"
        )
    choose = itertools.combinations_with_replacement if replacement else itertools.combinations
    total = 0.0
    sizes = np.linalg.norm(gradients, axis=1)
    for batch in choose(range(count), batch_size):
        members, repeats = np.unique(batch, return_counts=True)
        shares = repeats / batch_size
        gradient = shares @ gradients[members]
        square_norm = float(gradient @ gradient)
        if not math.sqrt(square_norm) > _ROUNDING * (shares @ sizes[members]):
            raise checks.InputError(
                f"the batch of the examples {[int(i) for i in batch]} has a zero gradient, up to "
                "rounding, along which no sharpness is defined; expected another theta or a larger "
                "batch"
            )
        images = curvatures.rows[members] @ gradient
        weights = None if curvatures.weights is None else curvatures.weights[members]
        turned = curvature_span.weighted(weights, images[:, :, None])[:, :, 0]
        # orders of the draws, by logarithms, because factorials overflow
        orders = math.lgamma(batch_size + 1) - sum(math.lgamma(r + 1) for r in repeats.tolist())
        weight = math.exp(orders - batch_size * math.log(count)) if replacement else 1 / number
        total += weight * float(shares @ np.einsum("ia,ia->i", images, turned)) / square_norm
    return total


def _checked(curvatures, per_example_gradients, batch_size, *, replacement):
    """Return the gradients over a power of two, which changes no sharpness, shape (N, D)."""
    require_curvatures(curvatures)
    shape = (curvatures.num_examples, curvatures.num_parameters)
    if isinstance(per_example_gradients, ExampleGradients):
        if per_example_gradients.shape != shape:
            raise checks.InputError(
                f"per_example_gradients has shape {per_example_gradients.shape}; expected {shape}"
            )
        memory.require(
            8 * shape[0] * shape[1],
            "the gradients of all examples",
            "use descent.sample_batch_sharpness",
        )
        per_example_gradients = transfer.to_numpy(per_example_gradients.rows(0, shape[0]))
    gradients = checks.array("per_example_gradients", per_example_gradients, shape=shape)
    minibatch_scale(shape[0], batch_size, replacement=replacement)  # refuses a size out of range
    # squares of very small or large gradients leave the floating-point numbers
    return np.ldexp(gradients, -exponent_of(gradients))


def _mean_curvature(curvatures, mean, centred, second, third):
    """Return ``E[g_B^T H_B g_B]`` from the mean gradient g and the centred ones ``d_i = g_i - g``.

    ::

        g^T H g + c_2 mean_i(d_i^T H d_i + 2 g^T H_i d_i) + c_3 mean_i(d_i^T (H_i - H) d_i)
    """
    rows, weights, count = curvatures.rows, curvatures.weights, len(centred)
    at_mean = rows @ mean
    around_mean = curvature_span.weighted(weights, at_mean[:, :, None])[:, :, 0]
    result = float(np.vdot(around_mean, at_mean)) / count
    if second == 0:  # every batch is the whole set
        return result
    own = np.einsum("iad,id->ia", rows, centred)
    left = curvature_span.weighted(weights, own[:, :, None])[:, :, 0]
    outer = 0.0
    for start, stop in operands.ranges(count, rows.shape[0] * rows.shape[1]):
        images = rows @ centred[start:stop].T
        outer += float(np.vdot(images, curvature_span.weighted(weights, images)))
    outer /= count**2
    result += second * (outer + 2 * float(np.vdot(left, at_mean)) / count)
    return result + third * (float(np.vdot(left, own)) / count - outer)


def _third_moment_scale(count, size, *, replacement):
    """Factor from the third central moment of one example to that of the mean of a batch."""
    if replacement or size == 1:
        return 1 / size**2
    if size == count:
        return 0.0
    return (count - size) * (count - 2 * size) / (size**2 * (count - 1) * (count - 2))


def _require_gradients(size, rounding=0.0):
    if not size > rounding:
        raise checks.InputError(
            "every gradient is zero, or the mean of a batch of all examples up to rounding, so "
            "that no direction has a batch sharpness; expected a theta at which examples have "
            "gradients"
        )
