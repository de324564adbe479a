"""Traces of a sample covariance with standard errors, by the jackknife over the draws.

The estimate is ``T = sum_i q_i / (n - 1)`` with ``q_i = (g_i - g)^T A (g_i - g)``. Without draw i
it is ``(S - n q_i / (n - 1)) / (n - 2)``, S the sum of the q_i. The derivation is in
``docs/theory/estimates.md``.
"""

from aniso import estimates
from aniso.problems import jackknife_error


def without_one(forms):
    """Traces ``Tr(A Sigma)`` of the sample covariances without one draw, shape (n,).

    Parameters
    ----------
    forms : ndarray, shape (n,), n >= 3
        ``q_i = (g_i - g)^T A (g_i - g)``.

    Examples
    --------
    Draws 0, 1 and 5, whose pairs have the variances 8, 12.5 and 0.5:

    >>> import numpy as np
    >>> without_one(np.array([4.0, 1.0, 9.0]))
    array([ 8. , 12.5,  0.5])
    """
    count = len(forms)
    return (forms.sum() - count / (count - 1) * forms) / (count - 2)


def trace(forms):
    """``Tr(A Sigma)``, unbiased, with its standard error, an :class:`aniso.estimates.Estimate`.

    Parameters
    ----------
    forms : ndarray, shape (n,), n >= 3
        ``q_i = (g_i - g)^T A (g_i - g)``.

    Returns
    -------
    estimates.Estimate
    """
    value = float(forms.sum() / (len(forms) - 1))
    return estimates.Estimate(value, jackknife_error(without_one(forms)), len(forms))


def ratio(above, below, factor):
    """``factor Tr(A Sigma) / Tr(B Sigma)`` with its standard error, an Estimate.

    Parameters
    ----------
    above, below : ndarray, shape (n,), n >= 3
        The forms of A and of B.
    factor : float
        An exact number.

    Returns
    -------
    estimates.Estimate
    """
    value = factor * float(above.sum() / below.sum())
    error = jackknife_error(factor * without_one(above) / without_one(below))
    return estimates.Estimate(value, error, len(above))
