"""Covariances of noise along a path, and the metric of their inverses."""

import numpy as np

from aniso import checks


def covariances(function, points, size):
    """Return Sigma at points, (n, D, D), after checking that each is positive definite.

    Parameters
    ----------
    function : callable
        Sigma, vectorised over points: (n, D) -> (n, D, D).
    points : numpy.ndarray, shape (n, D)
    size : int
        D.

    Raises
    ------
    InputError
        If the shape is another one, or a matrix is not finite, symmetric and positive definite;
        the message names the point.

    Examples
    --------
    >>> covariances(lambda x: (1 + x**2)[:, :, None], np.array([[2.0]]), 1).tolist()
    [[[5.0]]]
    """
    found = checks.real_array("the result of diffusion_covariance", function(points))
    if found.shape != (len(points), size, size):
        raise checks.InputError(
            f"diffusion_covariance gives shape {found.shape} for points of shape {points.shape}; "
            f"expected ({len(points)}, {size}, {size}), one matrix per point"
        )
    found = np.asarray(found, dtype=float)
    finite = np.isfinite(found).all(axis=(1, 2))
    if not finite.all():
        raise checks.InputError(
            f"diffusion_covariance is not finite at theta={points[np.argmin(finite)].tolist()}; "
            "expected finite numbers wherever the path goes"
        )
    apart = np.abs(found - np.swapaxes(found, 1, 2)).max(axis=(1, 2))
    skew = apart > 1e-9 * np.abs(found).max(axis=(1, 2))
    if skew.any():
        raise checks.InputError(
            f"diffusion_covariance is not symmetric at theta={points[np.argmax(skew)].tolist()}; "
            "expected a covariance"
        )
    values = np.linalg.eigvalsh(found)
    singular = ~(values[:, 0] > 8 * size * np.finfo(float).eps * values[:, -1])
    if singular.any():
        first = int(np.argmax(singular))
        raise checks.InputError(
            f"diffusion_covariance has the eigenvalues "
            f"{[float(f'{value:.6g}') for value in values[first]]} at "
            f"theta={points[first].tolist()}, a point of the path; expected a positive definite "
            "matrix there: without noise in a direction the action may be infinite. Another "
            "initial_path may avoid the point"
        )
    return found


def of_function(function, size):
    """Return the metric of a covariance: a function of points (n, D) that gives Sigma^{-1}.

    Examples
    --------
    >>> of_function(lambda x: (1 + x**2)[:, :, None], 1)(np.array([[2.0]])).tolist()
    [[[0.2]]]
    """
    return lambda points: np.linalg.inv(covariances(function, points, size))


def whitening(matrix):
    """Return the matrix W of coordinates W theta in which the matrix is the identity.

    Raises
    ------
    InputError
        If the matrix, the covariance of the noise, is not positive definite.

    Examples
    --------
    >>> whitening(np.array([[4.0]])).tolist()
    [[0.5]]
    """
    if np.linalg.eigvalsh(matrix)[0] <= 0:
        raise checks.InputError(
            "diffusion_covariance is singular; expected a positive definite one: without noise in "
            "a direction the action of a path may be infinite"
        )
    return np.linalg.inv(np.linalg.cholesky(matrix))
