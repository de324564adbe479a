"""Noise scales: the batch sizes at which noise and gradient matter equally, with error bars.

::

    simple              Tr S_1 / |g|^2
    curvature-weighted  Tr(H S_1) / g^T H g
    elementwise         (sum_j sqrt(S_1)_jj / sum_j |g_j|)^2

S_1 is the covariance of one example's gradient. The N examples are taken in two ways: as all
examples there are, which makes the scale an exact number, and as a sample of a distribution.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import noise, operands
from aniso.matrices._noise_scale import NoiseScale, scale_of_parts
from aniso.matrices.gradients import example_gradients

if TYPE_CHECKING:
    from aniso.matrices.gradients import ExampleGradients
    from aniso.typing import ArrayLike, Matrix


__all__ = [
    "NoiseScale",
    "curvature_noise_scale",
    "elementwise_noise_scale",
    "simple_noise_scale",
]


def simple_noise_scale(per_example_gradients: ArrayLike | ExampleGradients) -> NoiseScale:
    """Simple noise scale ``Tr S_1 / |g|^2``, in examples.

    Parameters
    ----------
    per_example_gradients : array_like, shape (N, D), or ExampleGradients
        Gradients of N >= 3 examples, for instance ``at.example_gradients``.

    Returns
    -------
    NoiseScale
        Its parts are unbiased: ``Tr S_1`` with the divisor N - 1, ``|g|^2`` less the trace over N.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    AllocationRefused
        If the gradients do not fit.

    Notes
    -----
    The standard errors of the parts are those of the jackknife over examples. The ratio has the
    error of the delta method, and Fieller's interval. Cost: one pass over the gradients.
    Source: McCandlish et al. 2018; formulas: docs/theory/noise.md.

    Examples
    --------
    >>> scale = simple_noise_scale([[0.0], [1.0], [2.0], [5.0]])
    >>> scale.of_examples  # variance 3.5 over 2^2
    0.875
    >>> scale.noise.value, round(scale.signal.value, 12)  # 14 / 3 and 4 - 14 / 12
    (4.666666666666667, 2.833333333333)
    """
    covariance, gradient = _noise_and_mean(per_example_gradients)
    return _quadratic_scale("simple", covariance, gradient, lambda rows: rows)


def curvature_noise_scale(
    per_example_gradients: ArrayLike | ExampleGradients,
    hessian: Matrix,
    *,
    max_products: int = operands.MAX_PRODUCTS,
) -> NoiseScale:
    """Curvature-weighted noise scale ``Tr(H S_1) / g^T H g``, in examples.

    Parameters
    ----------
    per_example_gradients : array_like, shape (N, D), or ExampleGradients
        Gradients of N >= 3 examples.
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    max_products : int
        Largest number of products of an operator; N are needed.

    Returns
    -------
    NoiseScale
        Its signal ``g^T H g`` may be negative; then there is no scale.

    Raises
    ------
    InputError
        If an argument breaks its rule, or N exceeds `max_products`.
    AllocationRefused
        If the gradients do not fit.

    Notes
    -----
    The error bars take H as given: they do not contain the sampling of H. With
    :func:`aniso.problems.jackknife_over_examples` the Hessian is sampled too. Of many examples,
    take a part: ``problem.subset(indices).at(theta)``. Source: McCandlish et al. 2018.

    Examples
    --------
    >>> curvature_noise_scale([[1.0, 1.0], [3.0, 1.0], [1.0, 4.0], [3.0, 4.0]],
    ...     np.diag([3.0, 0.0])).of_examples  # 3 * 1 over 3 * 2^2
    0.25
    """
    covariance, gradient = _noise_and_mean(per_example_gradients)
    hessian = operands.symmetric("hessian", hessian, size=len(gradient))
    if not operands.is_dense(hessian):
        max_products = checks.integer("max_products", max_products, low=1)
        if covariance.num_rows > max_products:
            raise checks.InputError(
                f"the noise scale needs N={covariance.num_rows} products of hessian, more than "
                f"max_products={max_products}; raise max_products, or take part of the examples: "
                "problem.subset(indices).at(theta)"
            )
    return _quadratic_scale(
        "curvature-weighted", covariance, gradient, lambda rows: (hessian @ rows.T).T
    )


def elementwise_noise_scale(per_example_gradients: ArrayLike | ExampleGradients) -> NoiseScale:
    """Elementwise noise scale ``(sum_j sqrt(S_1)_jj / sum_j |g_j|)^2``, in examples.

    Parameters
    ----------
    per_example_gradients : array_like, shape (N, D), or ExampleGradients
        Gradients of N >= 3 examples.

    Returns
    -------
    NoiseScale
        Its parts are the two sums; the scale is the square of their ratio.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    AllocationRefused
        If the gradients do not fit.

    Notes
    -----
    It belongs to steps along the sign of the gradient. The expected slope of such a step is at
    least ``|g|_1 (1 - 2 sqrt(scale / B))`` with batches of B. Entries of g that are smaller than
    their error bias ``|g|_1`` upwards; `signal_bias` bounds that. Cost: two passes and 10 N D
    flops. Source: Naganuma et al. 2026; derivation: docs/theory/noise.md.

    Examples
    --------
    >>> elementwise_noise_scale([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]]).of_examples > 0
    True
    >>> elementwise_noise_scale([[1.0], [3.0], [1.0], [3.0]]).of_examples  # (1 / 2)^2
    0.25
    """
    covariance, gradient = _noise_and_mean(per_example_gradients)
    count = covariance.num_rows
    squares = count * np.asarray(covariance.diagonal(), dtype=np.float64)
    left_out = np.empty((2, count))
    for start, stop, rows in _deviations(covariance):
        without = squares - rows**2 * (count / (count - 1))
        np.maximum(without, 0.0, out=without)
        left_out[0, start:stop] = np.sqrt(without, out=without).sum(axis=1)
        left_out[1, start:stop] = np.abs(gradient - rows / (count - 1)).sum(axis=1)
    left_out[0] /= math.sqrt(count - 2)
    total, size = float(np.sqrt(squares).sum()), float(np.abs(gradient).sum())
    spread = total / math.sqrt(count - 1)
    return scale_of_parts(
        "elementwise",
        spread,
        size,
        left_out,
        power=2,
        in_sample=(total / math.sqrt(count), size),
        # E|x| - |E x| of a normal x is at most its standard deviation times sqrt(2 / pi)
        signal_bias=spread * math.sqrt(2 / (math.pi * count)),
    )


def _noise_and_mean(gradients):
    gradients = example_gradients(gradients)
    if gradients.shape[0] < 3:
        raise checks.InputError(
            f"gradients has shape {gradients.shape}; expected N >= 3 examples, which a standard "
            "error needs"
        )
    covariance = noise.gradient_covariance(gradients)
    return covariance, operands.vector("gradients.mean()", gradients.mean(), gradients.shape[1])


def _deviations(covariance):
    # blocks (start, stop, g_i - g) of rows in double precision
    root = math.sqrt(covariance.num_rows)
    largest = getattr(covariance, "rows_at_once", None)
    for start, stop in operands.ranges(covariance.num_rows, covariance.shape[0], largest):
        yield start, stop, root * np.asarray(covariance.factor_rows(start, stop), np.float64)


def _quadratic_scale(kind, covariance, gradient, weighted):
    # noise and signal in the inner product x^T A y, where A = I or A = H
    count = covariance.num_rows
    squares, products = np.empty(count), np.empty(count)
    for start, stop, rows in _deviations(covariance):
        images = operands.finite_products(np.asarray(weighted(rows), dtype=np.float64))
        squares[start:stop] = np.einsum("ij,ij->i", rows, images)
        products[start:stop] = images @ gradient
    total = float(squares.sum())
    size = float(gradient @ np.asarray(weighted(gradient[None]))[0])
    spread = total / (count - 1)
    left_out = np.empty((2, count))
    left_out[0] = (total - squares * (count / (count - 1))) / (count - 2)
    means = size - 2 * products / (count - 1) + squares / (count - 1) ** 2
    left_out[1] = means - left_out[0] / (count - 1)
    return scale_of_parts(
        kind, spread, size - spread / count, left_out, in_sample=(total / count, size)
    )
