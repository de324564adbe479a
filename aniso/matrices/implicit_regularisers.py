"""Implicit regularisers of SGD: the terms that the noise effectively adds to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks, memory
from aniso.estimates import NotConverged
from aniso.matrices import convention, exact_traces, operands, spectral_density
from aniso.matrices.eigenpairs import leading_eigenpairs
from aniso.matrices.factored import is_factored

if TYPE_CHECKING:
    from aniso.estimates import Estimate
    from aniso.typing import ArrayLike, Matrix


_LANCZOS_TOLERANCE = 1e-3


def minibatch_regulariser(
    gradient: ArrayLike, minibatch_covariance: Matrix, learning_rate: float
) -> float:
    """Implicit regulariser of mini-batches, ``(eta / 4) E|g_B|^2 = (eta / 4) (|g|^2 + Tr S)``.

    Parameters
    ----------
    gradient : array_like, shape (D,)
        g, the gradient of the mean loss.
    minibatch_covariance : array_like (D, D), LinearOperator or GradientCovariance
        S, the covariance of the batch mean, from :func:`aniso.matrices.minibatch_covariance`.
    learning_rate : float
        eta >= 0.

    Returns
    -------
    float
        In units of loss.

    Raises
    ------
    InputError
        If an argument breaks its rule, or the matrix has another convention.

    Notes
    -----
    The loss plus this term is the modified loss whose gradient flow follows the mean of SGD over an
    epoch of shuffled batches, to second order in eta. Source: Smith, Dherin, Barrett & De 2021.

    Examples
    --------
    >>> minibatch_regulariser([2.0], [[4.0]], 0.1)  # 0.025 * (4 + 4)
    0.2
    """
    convention.check_stage("minibatch_covariance", minibatch_covariance, "mini-batch")
    covariance = operands.covariance("minibatch_covariance", minibatch_covariance)
    gradient = operands.vector("gradient", gradient, covariance.shape[0])
    learning_rate = checks.number("learning_rate", learning_rate, low=0)
    return 0.25 * learning_rate * (float(gradient @ gradient) + exact_traces.trace(covariance))


def label_noise_regulariser(
    hessian: Matrix,
    label_variance: float,
    batch_size: int,
    learning_rate: float,
    *,
    max_products: int = operands.MAX_PRODUCTS,
) -> float:
    """Implicit regulariser of label noise, ``-(sigma^2 / 2B) log det(I - eta H / 2)``.

    Parameters
    ----------
    hessian : array_like (D, D), LinearOperator or factored matrix
        H, symmetric; for the squared loss ``|f - y|^2 / 2`` near zero loss, also its Gauss-Newton
        matrix.
    label_variance : float
        sigma^2 >= 0, the variance of the noise that is added to each label anew at each use.
    batch_size : int
        B >= 1.
    learning_rate : float
        eta > 0.
    max_products : int
        Largest number of products of an operator of unknown structure; D are needed.

    Returns
    -------
    float
        In units of loss.

    Raises
    ------
    InputError
        If an argument breaks its rule, ``eta lambda_max >= 2``, or more than `max_products`
        products would be needed; the message then names the estimator.
    AllocationRefused
        If the dense matrix does not fit.

    Notes
    -----
    Exact, from all eigenvalues: D^3 flops, or n^3 for a factored matrix of n < D rows. Source:
    Damian, Ma & Lee 2021. Derivation: docs/theory/noise.md.

    Examples
    --------
    >>> round(label_noise_regulariser(np.diag([1.0, 0.0]), 4.0, 2, 1.0), 12)  # -log(1 / 2)
    0.69314718056
    """
    hessian = operands.symmetric("hessian", hessian)
    scale, learning_rate = _label_noise(label_variance, batch_size, learning_rate)
    if is_factored(hessian) and hessian.num_rows < hessian.shape[0]:
        eigenvalues = np.linalg.eigvalsh(_gram(hessian))
    else:
        if not operands.is_dense(hessian) and not hasattr(hessian, "to_dense"):
            operands.require_products(
                hessian.shape[0], max_products, "label_noise_regulariser_estimated"
            )
        eigenvalues = np.linalg.eigvalsh(operands.to_dense(hessian, "hessian"))
    _require_stable(learning_rate, float(eigenvalues[-1]))
    return scale * float(-np.log1p(-0.5 * learning_rate * eigenvalues).sum())


def label_noise_regulariser_estimated(
    hessian: Matrix,
    label_variance: float,
    batch_size: int,
    learning_rate: float,
    *,
    num_probes: int,
    num_steps: int,
    rng: np.random.Generator,
) -> Estimate:
    """Estimate the regulariser of label noise by stochastic Lanczos quadrature.

    Parameters
    ----------
    hessian, label_variance, batch_size, learning_rate
        As for :func:`label_noise_regulariser`.
    num_probes, num_steps, rng
        As for :func:`aniso.matrices.lanczos_quadrature`.

    Returns
    -------
    Estimate
        The standard error is that over the probes.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``eta lambda_max >= 2``.
    NotConverged
        If half the steps give a value that differs by more than 0.1 %, or the leading eigenvalue is
        not found. `partial` is the estimate.
    AllocationRefused
        If the Lanczos vectors do not fit.

    Notes
    -----
    The quadrature lies below the true value of each probe, as all even derivatives of
    ``-log(1 - eta t / 2)`` are positive, and it rises with the steps. Cost: num_probes times
    1.5 num_steps products, and one leading eigenvalue.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = label_noise_regulariser_estimated(
    ...     np.eye(2), 4.0, 2, 1.0, num_probes=2, num_steps=2, rng=rng)
    >>> round(found.value, 12)  # -2 log(1 / 2), the same for every probe
    1.38629436112
    """
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    scale, learning_rate = _label_noise(label_variance, batch_size, learning_rate)
    num_steps = checks.integer("num_steps", num_steps, low=2, high=dimension, high_name="D")
    checks.generator("rng", rng)
    _require_stable(learning_rate, float(leading_eigenpairs(hessian, 1).values[0]))
    seed = rng.integers(2**63)
    found = []
    for steps in (num_steps, num_steps // 2):
        measure = spectral_density.lanczos_quadrature(
            hessian,
            num_probes=num_probes,
            num_steps=steps,
            rng=np.random.default_rng(seed),
            points=[0.0],
            width=1.0,
        )
        # a node may exceed the largest eigenvalue by rounding alone
        found.append(measure.mean_of(lambda t: -np.log1p(-0.5 * learning_rate * t)))
    estimate = found[0].scaled(scale * dimension)
    if abs(found[0].value - found[1].value) > _LANCZOS_TOLERANCE * abs(found[0].value):
        raise NotConverged(
            f"num_steps={num_steps} give {found[0].value:.6g} for each eigenvalue and half of them "
            f"{found[1].value:.6g}; expected a difference of at most {_LANCZOS_TOLERANCE:g}: take "
            "more steps",
            estimate,
        )
    return estimate


def _label_noise(label_variance, batch_size, learning_rate):
    label_variance = checks.number("label_variance", label_variance, low=0)
    batch_size = checks.integer("batch_size", batch_size, low=1)
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    return label_variance / (2 * batch_size), learning_rate


def _require_stable(learning_rate, largest):
    if not learning_rate * largest < 2:
        raise checks.InputError(
            f"learning_rate={learning_rate:g} times the largest eigenvalue {largest:.6g} of "
            f"hessian is {learning_rate * largest:.6g}; expected less than 2, where gradient "
            f"descent is stable, for instance learning_rate={1 / largest:.3g}"
        )


def _gram(factored):
    count = factored.num_rows
    memory.require(3 * 8 * count**2, f"the Gram matrix, {count} × {count}", "use fewer examples")
    gram = np.empty((count, count))
    largest = getattr(factored, "rows_at_once", None)
    for start, stop in operands.ranges(count, factored.shape[0], largest):
        gram[:, start:stop] = factored.project(factored.factor_rows(start, stop).T)
    return (gram + gram.T) / 2
