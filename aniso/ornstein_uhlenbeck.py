"""Closed forms of Definition 1 on a quadratic: covariance and escaping efficiency at any time.

Continuous time, ``dtheta = -H theta dt + Sigma^{1/2} dW`` from theta_0 = 0, (lambda, u) the
eigenpairs of H and ``s_i = u_i^T Sigma u_i``:

    C_ij(t)           = Sigma_ij (1 - exp(-(lambda_i + lambda_j) t)) / (lambda_i + lambda_j)
    E[L_t] - L_0      = 1/2 Tr(H C_t) = 1/4 sum_i (1 - exp(-2 lambda_i t)) s_i
    stationary        H C + C H = Sigma

Discrete time, k steps of ``theta <- (I - eta H) theta + eta eps``, Cov eps = S, q = 1 - eta lambda:

    C_ij(k)           = eta^2 S_ij (1 - (q_i q_j)^k) / (1 - q_i q_j)
    E[L_k] - L_0      = 1/2 Tr(H C_k)
    stationary        C_ij = eta S_ij / (lambda_i + lambda_j - eta lambda_i lambda_j)

H may have zero and negative eigenvalues: each finite-time formula has a finite limit there and
grows exponentially, downhill in loss, where the curvature is negative. The functions named
`chain_*` are the discrete ones and take the covariance of the batch mean; the others take the
diffusion covariance of the SDE (learning rate times that of the batch mean, for SGD).
"""

import numpy as np

from aniso import checks, operands
from aniso.exponential_sums import exponential_integral, geometric_sum


def covariance_at(hessian, covariance, time):
    """Covariance of the diffusion at time t, ``C_t = int_0^t exp(-Hs) Sigma exp(-Hs) ds``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric, with eigenvalues of any sign.
    covariance : array_like, shape (D, D), or an operator with `to_dense`
        Diffusion covariance Sigma.
    time : float
        t >= 0.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``-2 lambda_min t`` exceeds 700.

    Notes
    -----
    Cost: one eigendecomposition of H and four products of D x D. The relative error is that of
    rounding, at rates near 0 too.

    Examples
    --------
    >>> covariance_at([[0.0]], [[2.0]], 3.0)
    array([[6.]])
    """
    values, vectors, rotated = _in_eigenbasis(hessian, covariance)
    time = checks.number("time", time, low=0)
    factors = exponential_integral(values[:, None] + values, time)
    return _back(vectors, rotated * factors)


def stationary_covariance(hessian, covariance):
    """Stationary covariance of the diffusion, the solution C of ``H C + C H = Sigma``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric positive definite.
    covariance : array_like, shape (D, D), or an operator with `to_dense`
        Diffusion covariance Sigma.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, or H is not positive definite to rounding: the diffusion
        then has no stationary distribution.

    Examples
    --------
    >>> stationary_covariance([[2.0]], [[8.0]])
    array([[2.]])
    """
    values, vectors, rotated = _in_eigenbasis(hessian, covariance)
    _check_definite(values)
    return _back(vectors, rotated / (values[:, None] + values))


def escaping_efficiency(hessian, covariance, times):
    """Escaping efficiency ``E[L_t] - L_0 = 1/4 Tr((I - exp(-2Ht)) Sigma)`` of the diffusion.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric, with eigenvalues of any sign.
    covariance : array_like, shape (D, D), or LinearOperator
        Diffusion covariance Sigma.
    times : float or array_like
        Times t >= 0.

    Returns
    -------
    ndarray
        Of the shape of `times`, in units of loss.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``-2 lambda_min t`` exceeds 700.

    Notes
    -----
    Cost: one eigendecomposition of H, one product of Sigma with D vectors, D exponentials a time.

    Examples
    --------
    >>> escaping_efficiency([[0.5]], [[8.0]], [0.0, np.log(2.0)])  # 1/4 * 8 * (1 - 1/2)
    array([0., 1.])
    """
    values, variances = _projected(hessian, covariance)
    return escaping_efficiency_of_spectrum(values, variances, times)


def escaping_efficiency_of_spectrum(eigenvalues, noise_variances, times):
    """Escaping efficiency ``1/4 sum_i (1 - exp(-2 lambda_i t)) s_i`` from the spectrum alone.

    Parameters
    ----------
    eigenvalues : array_like, shape (D,)
        Eigenvalues lambda of H.
    noise_variances : array_like, shape (D,)
        ``s_i = u_i^T Sigma u_i``, non-negative.
    times : float or array_like
        Times t >= 0.

    Returns
    -------
    ndarray
        Of the shape of `times`.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``-2 lambda_min t`` exceeds 700.

    Examples
    --------
    >>> escaping_efficiency_of_spectrum([0.0, 1.0], [5.0, 4.0], [0.0, np.log(2.0)])
    array([0.  , 0.75])
    """
    eigenvalues, noise_variances = _spectrum(eigenvalues, noise_variances)
    times = _non_negative("times", times)
    weights = 0.5 * eigenvalues * noise_variances
    return _per_time(
        times, lambda time: weights @ exponential_integral(2 * eigenvalues, float(time))
    )


def stationary_escaping_efficiency(hessian, covariance):
    """Plateau of the escaping efficiency of the diffusion, ``Tr(Sigma) / 4`` for every H > 0.

    Parameters
    ----------
    hessian, covariance
        As for :func:`stationary_covariance`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        As :func:`stationary_covariance`.

    Examples
    --------
    >>> stationary_escaping_efficiency([[2.0, 0.0], [0.0, 9.0]], [[3.0, 0.0], [0.0, 5.0]])
    2.0
    """
    values, variances = _projected(hessian, covariance)
    _check_definite(values)
    return float(variances.sum() / 4)


def chain_covariance_at(hessian, minibatch_covariance, learning_rate, num_steps):
    """Covariance after k steps of ``theta <- (I - eta H) theta + eta eps``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric, with eigenvalues of any sign.
    minibatch_covariance : array_like, shape (D, D), or an operator with `to_dense`
        Cov eps, without the learning rate.
    learning_rate : float
        eta > 0.
    num_steps : int
        k >= 0.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``k log|q_i q_j|`` exceeds 700 (an unstable step).

    Examples
    --------
    >>> chain_covariance_at([[1.0]], [[4.0]], 0.5, 2)  # 0.25*4 * (1 + 0.25)
    array([[1.25]])
    """
    values, vectors, rotated = _in_eigenbasis(hessian, minibatch_covariance)
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    num_steps = checks.integer("num_steps", num_steps, low=0)
    sums = geometric_sum(_chain_deficits(values, learning_rate), num_steps)
    return _back(vectors, learning_rate**2 * rotated * sums)


def chain_stationary_covariance(hessian, minibatch_covariance, learning_rate):
    """Stationary covariance of the chain, ``C = (I - eta H) C (I - eta H) + eta^2 S``.

    Parameters
    ----------
    hessian, minibatch_covariance, learning_rate
        As for :func:`chain_covariance_at`; H positive definite and ``eta lambda_max < 2``.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, H is not positive definite, or the step is unstable.

    Examples
    --------
    >>> chain_stationary_covariance([[1.0]], [[3.0]], 0.5)  # 0.5*3 / (2 - 0.5)
    array([[1.]])
    """
    values, vectors, rotated = _in_eigenbasis(hessian, minibatch_covariance)
    learning_rate = _stable_learning_rate(learning_rate, values)
    deficits = _chain_deficits(values, learning_rate)
    return _back(vectors, learning_rate**2 * rotated / deficits)


def chain_escaping_efficiency(hessian, minibatch_covariance, learning_rate, num_steps):
    """Escaping efficiency after k steps of the chain, ``E[L_k] - L_0 = 1/2 Tr(H C_k)``.

    Parameters
    ----------
    hessian, learning_rate
        As for :func:`chain_covariance_at`.
    minibatch_covariance : array_like, shape (D, D), or LinearOperator
        Cov eps, without the learning rate.
    num_steps : int or array_like of int
        Steps k >= 0.

    Returns
    -------
    ndarray
        Of the shape of `num_steps`, in units of loss.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``2 k log|q|`` exceeds 700.

    Examples
    --------
    >>> chain_escaping_efficiency([[1.0]], [[4.0]], 0.5, [0, 1, 2])
    array([0.   , 0.5  , 0.625])
    """
    values, variances = _projected(hessian, minibatch_covariance)
    return chain_escaping_efficiency_of_spectrum(values, variances, learning_rate, num_steps)


def chain_escaping_efficiency_of_spectrum(eigenvalues, noise_variances, learning_rate, num_steps):
    """Escaping efficiency of the chain from the spectrum, ``1/2 sum_i lambda_i C_ii(k)``.

    Parameters
    ----------
    eigenvalues, noise_variances : array_like, shape (D,)
        Eigenvalues of H and ``u_i^T S u_i``, S the covariance of the batch mean.
    learning_rate : float
        eta > 0.
    num_steps : int or array_like of int
        Steps k >= 0.

    Returns
    -------
    ndarray
        Of the shape of `num_steps`.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``2 k log|q|`` exceeds 700.

    Examples
    --------
    >>> chain_escaping_efficiency_of_spectrum([1.0, 0.0], [4.0, 9.0], 0.5, 2)
    array(0.625)
    """
    eigenvalues, noise_variances = _spectrum(eigenvalues, noise_variances)
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    num_steps = _non_negative("num_steps", num_steps)
    if (num_steps != np.floor(num_steps)).any():
        raise checks.InputError("num_steps has a fractional entry; expected integers >= 0")
    scaled = learning_rate * eigenvalues
    weights = 0.5 * learning_rate * scaled * noise_variances
    deficits = scaled * (2 - scaled)
    return _per_time(num_steps, lambda count: weights @ geometric_sum(deficits, float(count)))


def chain_stationary_escaping_efficiency(hessian, minibatch_covariance, learning_rate):
    """Plateau of the chain's escaping efficiency, ``(eta/2) Tr((2I - eta H)^{-1} S)``.

    Parameters
    ----------
    hessian, minibatch_covariance, learning_rate
        As for :func:`chain_stationary_covariance`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        As :func:`chain_stationary_covariance`.

    Examples
    --------
    >>> chain_stationary_escaping_efficiency([[1.0]], [[3.0]], 0.5)  # 0.25 * 3 / 1.5
    0.5
    """
    values, variances = _projected(hessian, minibatch_covariance)
    learning_rate = _stable_learning_rate(learning_rate, values)
    return float(0.5 * learning_rate * np.sum(variances / (2 - learning_rate * values)))


def _in_eigenbasis(hessian, covariance):
    hessian = checks.symmetric_matrix("hessian", hessian)
    covariance = operands.covariance("covariance", covariance, size=len(hessian))
    covariance = checks.covariance_matrix("covariance", operands.to_dense(covariance))
    values, vectors = np.linalg.eigh(hessian)
    return values, vectors, vectors.T @ covariance @ vectors


def _projected(hessian, covariance):
    hessian = checks.symmetric_matrix("hessian", hessian)
    covariance = operands.covariance("covariance", covariance, size=len(hessian))
    values, vectors = np.linalg.eigh(hessian)
    variances = np.sum(vectors * (covariance @ vectors), axis=0)
    if variances.min() < -1e-8 * np.abs(variances).max():
        raise checks.InputError(
            "covariance is not positive semi-definite: along an eigenvector of hessian it is "
            f"{float(variances.min())}; expected a covariance matrix"
        )
    return values, np.maximum(variances, 0.0)


def _back(vectors, rotated):
    result = vectors @ rotated @ vectors.T
    return (result + result.T) / 2


def _spectrum(eigenvalues, noise_variances):
    eigenvalues = checks.array("eigenvalues", eigenvalues, shape=(None,))
    noise_variances = checks.array("noise_variances", noise_variances, shape=eigenvalues.shape)
    if noise_variances.min(initial=0.0) < 0:
        raise checks.InputError(
            f"noise_variances has the entry {float(noise_variances.min())}; expected numbers >= 0"
        )
    return eigenvalues, noise_variances


def _non_negative(name, value):
    value = checks.array(name, value)
    if value.min(initial=0.0) < 0:
        raise checks.InputError(f"{name} has the entry {float(value.min())}; expected numbers >= 0")
    return value


def _per_time(times, function):
    return np.array([function(time) for time in times.ravel()]).reshape(times.shape)


def _chain_deficits(values, learning_rate):
    scaled = learning_rate * values
    return scaled[:, None] + scaled - scaled[:, None] * scaled


def _check_definite(values):
    if values[0] <= 8 * len(values) * np.finfo(np.float64).eps * np.abs(values).max():
        raise checks.InputError(
            f"the smallest eigenvalue of hessian is {float(values[0]):.3g}; expected a positive "
            "definite one: otherwise there is no stationary distribution"
        )


def _stable_learning_rate(learning_rate, values):
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    _check_definite(values)
    if learning_rate * values[-1] >= 2:
        raise checks.InputError(
            f"learning_rate={learning_rate!r} times the largest eigenvalue {float(values[-1]):.6g} "
            f"of hessian is {learning_rate * float(values[-1]):.6g}; expected less than 2, for "
            f"instance learning_rate={1 / float(values[-1]):.3g}"
        )
    return learning_rate
