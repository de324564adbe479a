"""The pair of matrices that is searched for Proposition 1, with its derivatives written out.

H is diagonal without loss of generality, since the claim is invariant under rotation:
``lambda = (1, caps / (1 + exp(-y)))``. With ``Sigma = F^T F``, ``s_j = sum_i F_ij^2``.
"""

import numpy as np
from autograd.extend import defvjp, primitive


@primitive
def sides(x, caps):
    """Return the trace ratio, the projection coefficient, and ``Tr H``.

    Parameters
    ----------
    x : array, shape (D - 1 + D^2,)
        y and F; may be traced by autograd.
    caps : ndarray, shape (D - 1,)
        Largest eigenvalues of H beside the first.

    Returns
    -------
    ndarray, shape (3,)
        ``D sum lambda_j s_j / (Tr H Tr Sigma)``, ``s_1 Tr H / Tr Sigma``, ``Tr H``.

    Examples
    --------
    H = diag(1, 1/2) and Sigma = diag(1, 4):

    >>> sides(np.array([0.0, 1.0, 0.0, 0.0, 2.0]), np.array([1.0])).tolist()
    [0.8, 0.3, 1.5]
    """
    eigenvalues, _, variances = _spectra(x, caps)
    trace, total = eigenvalues.sum(), variances.sum()
    ratio = len(eigenvalues) * (eigenvalues @ variances) / (trace * total)
    return np.array([ratio, variances[0] * trace / total, trace])


def _spectra(x, caps):
    size = len(caps) + 1
    eigenvalues = np.concatenate([[1.0], caps / (1 + np.exp(-x[: size - 1]))])
    factor = x[size - 1 :].reshape(size, size)
    return eigenvalues, factor, np.square(factor).sum(axis=0)


def _pull_back(values, x, caps):
    eigenvalues, factor, variances = _spectra(x, caps)
    ratio, coefficient, trace = values
    total = variances.sum()
    scale = len(eigenvalues) / (trace * total)

    def pull(cotangent):
        to_ratio, to_coefficient, to_trace = cotangent
        of_eigenvalues = to_ratio * (scale * variances - ratio / trace)
        of_eigenvalues += to_coefficient * variances[0] / total + to_trace
        of_variances = to_ratio * (scale * eigenvalues - ratio / total)
        of_variances -= to_coefficient * coefficient / total
        of_variances[0] += to_coefficient * trace / total
        tail = eigenvalues[1:]
        of_y = of_eigenvalues[1:] * tail * (1 - tail / caps)
        return np.concatenate([of_y, (2 * factor * of_variances).ravel()])

    return pull


defvjp(sides, _pull_back, None)
