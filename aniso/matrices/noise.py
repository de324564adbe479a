"""The covariance of the stochastic gradient, factored through per-example gradients.

    Sigma_1 = (1/N) sum_i (g_i - g)(g_i - g)^T        one example (centred)
    F       = (1/N) sum_i g_i g_i^T                   empirical Fisher matrix (uncentred)
    Sigma   = Sigma_1 / m                             mean of a batch of m, with replacement
    Sigma   = Sigma_1 / m * (N - m)/(N - 1)           without replacement
    eta * Sigma                                       diffusion of dtheta = -grad L dt + ...

Each is a :class:`GradientCovariance`, whose `convention` distinguishes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices.convention import (
    Convention,
    UnknownConvention,
    convention_of,
    minibatch_scale,
)
from aniso.matrices.factored import FactoredCovariance
from aniso.matrices.gradients import centred_gradients, example_gradients

if TYPE_CHECKING:
    from aniso.matrices.gradients import ExampleGradients
    from aniso.typing import ArrayLike


class GradientCovariance(FactoredCovariance):
    """Matrix of gradient noise ``scale * sum_i c_i c_i^T`` with its convention.

    It is made by :func:`gradient_covariance`, :func:`empirical_fisher`,
    :func:`minibatch_covariance` and :func:`diffusion_covariance`. The gradients are an array, or
    are kept as factors, or are recomputed for every product. The matrix is a SciPy
    `LinearOperator` of shape (D, D). `trace`, `diagonal`, products, `leading_eigenpairs`,
    `quadratic_form` and `sample` never form D x D.

    Attributes
    ----------
    gradients : ExampleGradients
        The g_i, shared between conventions. For an array these are the deviations, which are
        centred before any product.
    mean : array, shape (D,), or None
        Vector that is subtracted from each gradient.
    rows : ndarray, shape (N, D)
        The c_i, centred or not.
    scale : float
        Factor of the sum.
    convention : Convention
        Random vector whose covariance the matrix is; ``str(convention)`` gives it in words. A
        product with a number keeps the factor. Any other result has an unknown convention.

    Notes
    -----
    A Gaussian sample is ``sqrt(scale) sum_i xi_i c_i`` with standard normal xi_i; for a batch mean
    with replacement ``(1/sqrt(N m)) sum_i xi_i (g_i - g)``: one weighted sum over the examples.
    """

    def __repr__(self):
        return f"<GradientCovariance, D = {self.shape[0]}, N = {self.num_rows}: {self.convention}>"


def gradient_covariance(per_example_gradients: ArrayLike | ExampleGradients) -> GradientCovariance:
    """Centred gradient covariance of one example, ``(1/N) sum_i (g_i - g)(g_i - g)^T``.

    Parameters
    ----------
    per_example_gradients : array_like, shape (N, D), or ExampleGradients
        Row i is the gradient g_i of the loss of example i. A network gives
        ``network.example_gradients(theta)``.

    Returns
    -------
    GradientCovariance

    Raises
    ------
    InputError
        If an array is not finite or not (N, D) with N, D >= 1, or an object is no
        ExampleGradients.
    AllocationRefused
        If the centred copy of an array, 8 N D bytes, would not fit.

    Notes
    -----
    An array is centred before any product, so that a large mean gradient costs no digits.
    Deviations that are together no larger than the rounding of the mean are zero. Of other
    gradients, the products of the mean are subtracted (see :class:`FactoredCovariance`).

    Examples
    --------
    >>> covariance = gradient_covariance([[1.0, 0.0], [3.0, 0.0]])
    >>> covariance.to_dense()
    CovarianceArray([[1., 0.],
                     [0., 0.]])
    >>> covariance
    <GradientCovariance, D = 2, N = 2: centred gradient covariance of one example of 2>
    """
    gradients, mean = centred_gradients(per_example_gradients)
    count = gradients.shape[0]
    return GradientCovariance(gradients, 1 / count, Convention(count), mean)


def empirical_fisher(per_example_gradients: ArrayLike | ExampleGradients) -> GradientCovariance:
    """Empirical Fisher matrix, the uncentred ``(1/N) sum_i g_i g_i^T`` with the data's labels.

    Parameters
    ----------
    per_example_gradients : array_like, shape (N, D), or ExampleGradients
        Row i is the gradient g_i; an array is copied.

    Returns
    -------
    GradientCovariance
        With ``convention.centred`` False: it converts to no batch covariance.

    Raises
    ------
    InputError
        As :func:`gradient_covariance`.
    AllocationRefused
        If the copy of an array, 8 N D bytes, would not fit.

    Examples
    --------
    >>> empirical_fisher([[1.0, 0.0], [3.0, 0.0]]).trace()
    5.0
    """
    gradients = example_gradients(per_example_gradients)
    count = gradients.shape[0]
    return GradientCovariance(gradients, 1 / count, Convention(count, centred=False))


def minibatch_covariance(
    covariance: GradientCovariance, batch_size: int, *, replacement: bool
) -> GradientCovariance:
    """Covariance of a batch mean, ``Sigma_1/m``, times ``(N - m)/(N - 1)`` without replacement.

    Parameters
    ----------
    covariance : GradientCovariance
        Centred covariance of one example, or any object with its `convention` and `rescaled`.
    batch_size : int
        m; at most N without replacement.
    replacement : bool
        Whether a batch may contain an example twice. No default: the two differ.

    Returns
    -------
    GradientCovariance
        Shares the factor. Zero for m = N without replacement, N = 1 included.

    Raises
    ------
    InputError
        If the matrix is uncentred, already the covariance of a batch, or m is out of range.

    Examples
    --------
    >>> one = gradient_covariance([[1.0], [3.0], [5.0]])
    >>> pair = minibatch_covariance(one, 2, replacement=False)
    >>> one.trace(), pair.trace()  # 8/3 and 8/3 / 2 * (3 - 2)/(3 - 1)
    (2.6666666666666665, 0.6666666666666666)
    """
    convention = _convention(covariance).minibatch(batch_size, replacement=replacement)
    scale = minibatch_scale(convention.num_examples, batch_size, replacement=replacement)
    return covariance.rescaled(scale, convention)


def diffusion_covariance(
    covariance: GradientCovariance, learning_rate: float
) -> GradientCovariance:
    """Diffusion of the SDE whose Euler–Maruyama step of size eta is SGD, ``eta * Sigma``.

    Parameters
    ----------
    covariance : GradientCovariance
        Covariance of a batch mean, from :func:`minibatch_covariance`.
    learning_rate : float
        eta >= 0.

    Returns
    -------
    GradientCovariance
        Shares the factor.

    Raises
    ------
    InputError
        If the matrix is not the covariance of a batch mean, or eta is negative.

    Examples
    --------
    >>> one = gradient_covariance([[1.0], [3.0]])
    >>> diffusion_covariance(minibatch_covariance(one, 2, replacement=True), 0.5).trace()
    0.25
    """
    convention = _convention(covariance).diffusion(learning_rate)
    return covariance.rescaled(convention.learning_rate, convention)


def _convention(covariance):
    convention = convention_of(covariance)
    unknown = isinstance(convention, UnknownConvention)
    if not unknown and (convention is None or not hasattr(covariance, "rescaled")):
        raise checks.InputError(
            f"covariance is of type {type(covariance).__name__}, which states no convention to "
            "convert; expected "
            "the result of matrices.gradient_covariance (for an array, multiply by "
            f"matrices.minibatch_scale; shape {np.shape(covariance)})"
        )
    return convention
