"""Indicators of how the noise is aligned with the curvature: ``Tr(H Sigma)`` and what follows.

Each takes the curvature H and the covariance Sigma as arrays, as SciPy `LinearOperator` objects or
as a :class:`aniso.matrices.noise.GradientCovariance`, in any combination, and is exact. H may be a
Hessian, a Gauss–Newton or a Fisher matrix; Sigma any positive semi-definite matrix, an uncentred
empirical Fisher matrix included: the indicator is then that of the matrix that was given. The
overlaps of subspaces are defined in :mod:`aniso.matrices.subspaces`.
"""

import numpy as np

from aniso import checks
from aniso.matrices import convention, eigenpairs, exact_traces, operands
from aniso.matrices.factored import quadratic_form
from aniso.matrices.subspaces import captured_share, principal_cosines, subspace_overlap

__all__ = [
    "alignment",
    "captured_share",
    "escape_rate",
    "principal_cosines",
    "projection_coefficient",
    "subspace_overlap",
    "trace_ratio",
]


def alignment(hessian, covariance, *, max_products=operands.MAX_PRODUCTS):
    """Alignment of curvature and noise, ``Tr(H Sigma)``.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    max_products : int
        Largest number of products of an operator of unknown structure.

    Returns
    -------
    float
        In units of (loss / theta^2) times those of the covariance.

    Raises
    ------
    InputError
        If a matrix breaks its rule, or more than `max_products` products would be needed; the
        message then names the estimator.

    Notes
    -----
    Cost: D^2 for two arrays; n products of H for a covariance of n factor rows (N for one of N
    examples); D products otherwise. With the centred factor no digits are lost where the mean
    gradient is large.

    Examples
    --------
    >>> alignment([[4.0, 0.0], [0.0, 1.0]], [[2.0, 1.0], [1.0, 3.0]])
    11.0
    """
    hessian, covariance = _pair(hessian, covariance)
    return exact_traces.trace_of_product(hessian, covariance, max_products=max_products)


def escape_rate(hessian, covariance, *, max_products=operands.MAX_PRODUCTS):
    """Slope of the escaping efficiency at time 0, ``Tr(H Sigma) / 2``.

    Parameters
    ----------
    hessian, covariance, max_products
        As for :func:`alignment`; `covariance` is the diffusion of the SDE
        ``dtheta = -grad L dt + Sigma^{1/2} dW``
        (:func:`aniso.matrices.noise.diffusion_covariance` for SGD).

    Returns
    -------
    float
        In units of loss per time.

    Raises
    ------
    InputError
        As :func:`alignment`, and for a GradientCovariance in another convention.

    Examples
    --------
    >>> escape_rate([[4.0, 0.0], [0.0, 1.0]], [[2.0, 1.0], [1.0, 3.0]])
    5.5
    """
    convention.check_stage("covariance", covariance, "diffusion")
    return 0.5 * alignment(hessian, covariance, max_products=max_products)


def trace_ratio(hessian, covariance, *, max_products=operands.MAX_PRODUCTS):
    """Alignment relative to isotropic noise of equal trace, ``D Tr(H Sigma) / (Tr H Tr Sigma)``.

    Parameters
    ----------
    hessian, covariance, max_products
        As for :func:`alignment`.

    Returns
    -------
    float
        1 for isotropic noise; at most ``lambda_1 D / Tr H`` where Tr H > 0.

    Raises
    ------
    InputError
        As :func:`alignment`, and where Tr H or Tr Sigma is zero to rounding: there is no isotropic
        alignment to compare with.

    Examples
    --------
    >>> trace_ratio([[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]])
    1.5
    """
    hessian, covariance = _pair(hessian, covariance)
    hessian_trace = exact_traces.nonzero_trace("hessian", hessian, max_products=max_products)
    covariance_trace = exact_traces.nonzero_trace(
        "covariance", covariance, max_products=max_products
    )
    aligned = exact_traces.trace_of_product(hessian, covariance, max_products=max_products)
    return hessian.shape[0] * aligned / (hessian_trace * covariance_trace)


def projection_coefficient(
    hessian, covariance, *, leading=None, max_products=operands.MAX_PRODUCTS
):
    """Projection coefficient ``u^T Sigma u Tr H / (lambda Tr Sigma)``, (lambda, u) leading in H.

    Parameters
    ----------
    hessian, covariance, max_products
        As for :func:`alignment`.
    leading : spectra.EigenPairs, optional
        Leading eigenpair of H; the first is used. Computed if not given.

    Returns
    -------
    float
        At most ``Tr H / lambda``; free of the scale of either matrix.

    Raises
    ------
    InputError
        As :func:`trace_ratio`; where lambda is not positive; and where the leading eigenvalue is
        multiple to rounding and no `leading` is given, because the value then depends on which
        vector of the eigenspace is taken.
    NotConverged
        If the leading eigenpair of an operator is not found.

    Examples
    --------
    >>> projection_coefficient([[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])  # 1*4 / (3*2)
    0.6666666666666666
    """
    hessian, covariance = _pair(hessian, covariance)
    hessian_trace = exact_traces.nonzero_trace("hessian", hessian, max_products=max_products)
    covariance_trace = exact_traces.nonzero_trace(
        "covariance", covariance, max_products=max_products
    )
    value, vector = _leading(hessian) if leading is None else _given(leading, hessian.shape[0])
    if not value > 0:
        raise checks.InputError(
            f"the leading eigenvalue of hessian is {value}; expected a positive one: the "
            "projection coefficient divides by it"
        )
    projected = float(quadratic_form(covariance, vector[:, None])[0])
    return projected * hessian_trace / (value * covariance_trace)


def _pair(hessian, covariance):
    hessian = operands.symmetric("hessian", hessian)
    return hessian, operands.covariance("covariance", covariance, size=hessian.shape[0])


def _leading(hessian):
    dimension = hessian.shape[0]
    pairs = eigenpairs.leading_eigenpairs(hessian, min(2, dimension))
    if dimension > 1:
        gap = float(pairs.values[0] - pairs.values[1])
        scale = float(np.abs(pairs.values).max())
        if gap <= 8 * dimension * np.finfo(np.float64).eps * scale:
            raise checks.InputError(
                f"the leading eigenvalue {pairs.values[0]:g} of hessian is multiple (gap "
                f"{gap:.1e}); the coefficient depends on the vector within its eigenspace: "
                "expected a simple one, or the chosen pair as leading=spectra.EigenPairs(...)"
            )
    return float(pairs.values[0]), pairs.vectors[:, 0]


def _given(leading, dimension):
    given = isinstance(leading, eigenpairs.EigenPairs) and len(leading.values) > 0
    if not given or leading.vectors.shape[0] != dimension:
        raise checks.InputError(
            f"leading must be a spectra.EigenPairs with vectors of shape ({dimension}, k), k >= 1"
        )
    return float(leading.values[0]), leading.vectors[:, 0]
