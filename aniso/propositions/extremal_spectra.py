"""Spectra at the limit of the assumptions of Proposition 1, and the bound for them.

Only the eigenvalues of H and the variances ``u_i^T Sigma u_i`` along its eigenvectors enter
``Tr(H Sigma)``, so a million dimensions are two vectors.
"""

import numpy as np

from aniso import checks


def spectrum(num_parameters, num_leading, decay):
    """Return the largest eigenvalues that Proposition 1 allows: 1 for j <= k, then ``D^-d``.

    Parameters
    ----------
    num_parameters : int
        D.
    num_leading : int
        k, at most D.
    decay : float
        d, positive.

    Returns
    -------
    ndarray, shape (D,)

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Examples
    --------
    >>> spectrum(4, 1, 0.5).tolist()
    [1.0, 0.5, 0.5, 0.5]
    """
    checks.integer("num_parameters", num_parameters, low=1)
    checks.integer("num_leading", num_leading, low=0, high=num_parameters, high_name="D")
    checks.number("decay", decay, low=0, strict=True)
    values = np.full(num_parameters, float(num_parameters) ** -decay)
    values[:num_leading] = 1.0
    return values


def least_aligned_noise(eigenvalues, coefficient):
    """Return the noise variances along the eigenvectors of H that are least aligned at a given a.

    Their sum is 1.

    ``u_1^T Sigma u_1 = a lambda_1 / Tr H``, the rest in the direction of the smallest eigenvalue.

    Parameters
    ----------
    eigenvalues : ndarray, shape (D,)
        In decreasing order, not negative.
    coefficient : float
        a, at most ``Tr H / lambda_1``.

    Returns
    -------
    ndarray, shape (D,)

    Examples
    --------
    >>> least_aligned_noise(np.array([1.0, 0.5, 0.5]), 0.5).tolist()
    [0.25, 0.0, 0.75]
    """
    variances = np.zeros_like(eigenvalues)
    variances[0] = coefficient * eigenvalues[0] / eigenvalues.sum()
    variances[-1] += 1 - variances[0]
    return variances


def spectral_trace_ratio(eigenvalues, variances):
    """``D sum lambda_i s_i / (sum lambda_i sum s_i)``: Tr(H Sigma)/Tr(H Sigma_bar) by spectra.

    Parameters
    ----------
    eigenvalues : ndarray, shape (D,)
        Eigenvalues of H.
    variances : ndarray, shape (D,)
        ``u_i^T Sigma u_i`` along its eigenvectors.

    Returns
    -------
    float

    Examples
    --------
    >>> float(spectral_trace_ratio(np.array([2.0, 0.0]), np.array([1.0, 0.0])))
    2.0
    """
    return len(eigenvalues) * (eigenvalues @ variances) / (eigenvalues.sum() * variances.sum())


def guaranteed_ratio(num_parameters, num_leading, decay, coefficient):
    """``a D / (k + (D-k) D^-d)^2``, the right side of Proposition 1.

    Parameters
    ----------
    num_parameters, num_leading : int
        D and k.
    decay, coefficient : float
        d and a.

    Returns
    -------
    float

    Examples
    --------
    >>> guaranteed_ratio(4, 1, 0.5, 1.0)
    0.64
    """
    size = float(num_parameters)
    return coefficient * size / (num_leading + (size - num_leading) * size**-decay) ** 2
