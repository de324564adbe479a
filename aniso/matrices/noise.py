"""The covariance of the stochastic gradient, factored through per-example gradients.

    Sigma_1 = (1/N) sum_i (g_i - g)(g_i - g)^T        one example (centred)
    F       = (1/N) sum_i g_i g_i^T                   empirical Fisher matrix (uncentred)
    Sigma   = Sigma_1 / m                             mean of a batch of m, with replacement
    Sigma   = Sigma_1 / m * (N - m)/(N - 1)           without replacement
    eta * Sigma                                       diffusion of dtheta = -grad L dt + ...

Each is a :class:`GradientCovariance`, which knows which of them it is.
"""

import numpy as np

from aniso import checks, memory
from aniso.matrices import convention as noise_conventions
from aniso.matrices import operators
from aniso.matrices.factored import FactoredCovariance


class GradientCovariance(FactoredCovariance):
    """Factored matrix of gradient noise ``scale * sum_i c_i c_i^T`` with its convention.

    Multiplied by a number, it states the factor. What else is computed from it has an unknown
    convention.

    Made by :func:`gradient_covariance`, :func:`empirical_fisher`, :func:`minibatch_covariance`
    and :func:`diffusion_covariance`. A SciPy `LinearOperator` of shape (D, D); `trace`,
    `diagonal`, products, `leading_eigenpairs`, `quadratic_form` and `sample` never form D x D.

    Attributes
    ----------
    rows : ndarray, shape (N, D)
        Gradients c_i, centred or not, read-only, shared between conventions.
    scale : float
        Factor of ``rows^T rows``.
    convention : noise_conventions.Convention
        What the matrix is the covariance of; ``str(convention)`` says it in words.

    Notes
    -----
    A Gaussian sample is ``sqrt(scale) sum_i xi_i c_i`` with standard normal xi_i; for a batch mean
    with replacement ``(1/sqrt(N m)) sum_i xi_i (g_i - g)``: one weighted sum over the examples.
    """

    def __repr__(self):
        return f"<{self.shape[0]}x{self.shape[1]} GradientCovariance: {self.convention}>"


def gradient_covariance(per_example_gradients):
    """Centred gradient covariance of one example, ``(1/N) sum_i (g_i - g)(g_i - g)^T``.

    Parameters
    ----------
    per_example_gradients : array_like, shape (N, D)
        Row i is the gradient g_i of the loss of example i.

    Returns
    -------
    GradientCovariance

    Raises
    ------
    InputError
        If the array is not finite or not (N, D) with N, D >= 1.
    AllocationRefused
        If the centred copy, 8 N D bytes, would not fit.

    Notes
    -----
    The gradients are centred before any product, so that a large mean gradient costs no digits.
    Deviations that are together no larger than the rounding of the mean are zero.

    Examples
    --------
    >>> covariance = gradient_covariance([[1.0, 0.0], [3.0, 0.0]])
    >>> covariance.to_dense()
    CovarianceArray([[1., 0.],
                     [0., 0.]])
    >>> print(covariance.convention)
    centred gradient covariance of one example of 2
    """
    given = checks.real_array("per_example_gradients", per_example_gradients)
    gradients = _gradients(given)
    memory.require(
        gradients.nbytes, "the centred copy of the per-example gradients", "use fewer examples"
    )
    centred = _centred(gradients, operators.rounding(given))
    convention = noise_conventions.Convention(len(gradients))
    return GradientCovariance(centred, 1 / len(gradients), convention)


def empirical_fisher(per_example_gradients):
    """Empirical Fisher matrix, the uncentred ``(1/N) sum_i g_i g_i^T`` with the data's labels.

    Parameters
    ----------
    per_example_gradients : array_like, shape (N, D)
        Row i is the gradient g_i; copied.

    Returns
    -------
    GradientCovariance
        With ``convention.centred`` False: it converts to no batch covariance.

    Raises
    ------
    InputError
        If the array is not finite or not (N, D) with N, D >= 1.
    AllocationRefused
        If the copy, 8 N D bytes, would not fit.

    Examples
    --------
    >>> empirical_fisher([[1.0, 0.0], [3.0, 0.0]]).trace()
    5.0
    """
    gradients = _gradients(per_example_gradients)
    memory.require(gradients.nbytes, "the copy of the per-example gradients", "use fewer examples")
    convention = noise_conventions.Convention(len(gradients), centred=False)
    return GradientCovariance(gradients, 1 / len(gradients), convention)


def minibatch_covariance(covariance, batch_size, *, replacement):
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
        If the matrix is uncentred or already that of a batch, or m is out of range.

    Examples
    --------
    >>> one = gradient_covariance([[1.0], [3.0], [5.0]])
    >>> pair = minibatch_covariance(one, 2, replacement=False)
    >>> one.trace(), pair.trace()  # 8/3 and 8/3 / 2 * (3 - 2)/(3 - 1)
    (2.6666666666666665, 0.6666666666666666)
    """
    convention = _convention(covariance).minibatch(batch_size, replacement=replacement)
    scale = noise_conventions.minibatch_scale(
        convention.num_examples, batch_size, replacement=replacement
    )
    return covariance.rescaled(scale, convention)


def diffusion_covariance(covariance, learning_rate):
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


def _centred(gradients, eps):
    """Deviations from the mean gradient; zero where they are nothing but its rounding."""
    count, mean = len(gradients), gradients.mean(axis=0)
    centred = gradients - mean
    # the error of a sum of N terms, and of numbers that were given in single precision
    relative = (count + 8) * np.finfo(np.float64).eps
    if eps > np.finfo(np.float64).eps:
        relative += 8 * eps
    rounding = count * float(mean @ mean) * relative**2
    # the first deviation alone excludes nearly every case
    if centred[0] @ centred[0] <= rounding and np.einsum("ij,ij->", centred, centred) <= rounding:
        centred[:] = 0.0
    return centred


def _gradients(per_example_gradients):
    gradients = checks.array("per_example_gradients", per_example_gradients, shape=(None, None))
    if 0 in gradients.shape:
        raise checks.InputError(
            f"per_example_gradients has shape {gradients.shape}; expected (N, D), N >= 1, D >= 1"
        )
    return gradients


def _convention(covariance):
    convention = noise_conventions.convention_of(covariance)
    unknown = isinstance(convention, noise_conventions.UnknownConvention)
    if not unknown and (convention is None or not hasattr(covariance, "rescaled")):
        raise checks.InputError(
            f"covariance is of type {type(covariance).__name__}, which states no convention to "
            "convert; expected "
            "the result of gradient_noise.gradient_covariance (for an array, multiply by "
            f"noise_conventions.minibatch_scale; shape {np.shape(covariance)})"
        )
    return convention
