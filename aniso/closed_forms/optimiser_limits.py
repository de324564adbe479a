"""Largest sharpness at which an optimiser is stable on a quadratic, without gradient noise.

==========  ====================================================  ===============================
form        step                                                  limit of lambda_max(P^-1 H)
==========  ====================================================  ===============================
heavy_ball  ``v <- b v + g``, ``theta <- theta - eta v``          ``2 (1 + b) / eta``
nesterov    ``v <- b v + g``, ``theta <- theta - eta (g + b v)``  ``2 (1 + b) / ((1 + 2 b) eta)``
averaged    ``m <- b m + (1 - b) g``, ``theta <- theta - eta m``  ``2 (1 + b) / ((1 - b) eta)``
==========  ====================================================  ===============================

Adam with a frozen preconditioner P is "averaged", and RMSprop is the heavy ball with b = 0. Both
compare the largest eigenvalue of ``P^{-1/2} H P^{-1/2}``. See "Limits of optimisers" in
docs/theory/stability.md.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aniso import checks
from aniso.closed_forms.stability import checked_momentum
from aniso.matrices import SymmetricOperator, curvatures, leading_eigenpairs, operands

if TYPE_CHECKING:
    from aniso.matrices import EigenPairs
    from aniso.typing import Array, ArrayLike, Matrix


FORMS = ("heavy_ball", "nesterov", "averaged")
"""Forms of momentum."""


def sharpness_limit(
    learning_rate: float,
    *,
    momentum: float = 0.0,
    form: Literal["heavy_ball", "nesterov", "averaged"] = "heavy_ball",
) -> float:
    """Largest stable sharpness of an optimiser, ``2 (1 + b)/eta`` for the heavy ball.

    Parameters
    ----------
    learning_rate : float
        eta > 0.
    momentum : float
        b, 0 <= b < 1; beta_1 of Adam.
    form : {"heavy_ball", "nesterov", "averaged"}
        "averaged" for Adam, whose momentum is a running mean.

    Returns
    -------
    float
        In the units of ``1/eta``, to compare with :func:`preconditioned_sharpness`.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Source: Cohen et al. 2021 (arXiv:2103.00065) for heavy ball and Nesterov, Cohen et al. 2022
    (arXiv:2207.14484) for Adam.

    Examples
    --------
    >>> sharpness_limit(0.5), sharpness_limit(0.5, momentum=0.9)
    (4.0, 7.6)
    >>> round(sharpness_limit(1.0, momentum=0.9, form="averaged"), 9)
    38.0
    """
    rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    momentum = checked_momentum(momentum)
    checks.one_of("form", form, FORMS)
    divisor = {"heavy_ball": 1.0, "nesterov": 1 + 2 * momentum, "averaged": 1 - momentum}[form]
    return 2 * (1 + momentum) / (divisor * rate)


def adam_preconditioner(
    second_moments: ArrayLike,
    *,
    decay_rates: tuple[float, ...] = (0.9, 0.999),
    num_steps: int | None = None,
    floor: float = 1e-8,
) -> Array:
    """Diagonal of Adam's preconditioner, ``(1 - b1^t) (sqrt(v/(1 - b2^t)) + floor)``.

    Parameters
    ----------
    second_moments : array_like, shape (D,)
        Running mean v of the squared gradients as the optimiser keeps it, not bias-corrected.
    decay_rates : tuple of float
        b1 and b2, each in [0, 1).
    num_steps : int, optional
        Steps t >= 1 that were made. Without it the bias corrections are 1, as after many steps, and
        as for RMSprop.
    floor : float
        Added to the root, in the units of the gradient.

    Returns
    -------
    ndarray, shape (D,)
        P in the step ``-eta P^{-1} m`` with the running mean m of the gradients.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Source: Kingma & Ba 2015; Cohen et al. 2022 (arXiv:2207.14484).

    Examples
    --------
    >>> adam_preconditioner([4.0, 9.0], floor=0.5)
    array([2.5, 3.5])
    >>> adam_preconditioner([4.0], decay_rates=(0.5, 0.75), num_steps=1, floor=0.0)
    array([2.])
    """
    squares = checks.array("second_moments", second_moments, shape=(None,))
    if squares.size == 0 or squares.min() < 0:
        raise checks.InputError(
            f"second_moments has {squares.size} entries, the least "
            f"{squares.min(initial=np.inf):.6g}; expected D >= 1 numbers >= 0"
        )
    first, second = (checked_momentum(rate) for rate in decay_rates)
    floor = checks.number("floor", floor, low=0)
    if num_steps is None:
        return np.sqrt(squares) + floor
    num_steps = checks.integer("num_steps", num_steps, low=1)
    return (1 - first**num_steps) * (np.sqrt(squares / (1 - second**num_steps)) + floor)


def preconditioned_hessian(hessian: Matrix, preconditioner: ArrayLike) -> SymmetricOperator:
    """Return ``P^{-1/2} H P^{-1/2}`` for a diagonal P, an operator.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    preconditioner : array_like, shape (D,)
        Diagonal of P, positive.

    Returns
    -------
    matrices.SymmetricOperator
        It has the eigenvalues of ``P^{-1} H``.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Examples
    --------
    >>> preconditioned_hessian([[2.0, 0.0], [0.0, 9.0]], [1.0, 3.0]).to_dense()
    array([[2., 0.],
           [0., 3.]])
    """
    hessian = operands.held_symmetric("hessian", hessian)
    scales = 1 / np.sqrt(curvatures.positive_diagonal(preconditioner, hessian.shape[0]))
    product = partial(_scaled_product, hessian, scales[:, None])
    return SymmetricOperator(product, len(scales), np.dtype(np.float64))


def _scaled_product(hessian, scales, vectors):
    return scales * (hessian @ (scales * vectors))


def preconditioned_sharpness(
    hessian: Matrix, preconditioner: ArrayLike, **options: Any
) -> EigenPairs:
    """Return the leading eigenpair of ``P^{-1/2} H P^{-1/2}``, whose value is the sharpness.

    Parameters
    ----------
    hessian, preconditioner
        As for :func:`preconditioned_hessian`.
    **options
        As for :func:`aniso.matrices.leading_eigenpairs`, for instance ``tolerance``.

    Returns
    -------
    matrices.EigenPairs
        One pair, with its residual.

    Raises
    ------
    InputError, NotConverged
        As :func:`aniso.matrices.leading_eigenpairs`.

    Examples
    --------
    >>> preconditioned_sharpness([[2.0, 0.0], [0.0, 9.0]], [1.0, 3.0]).values
    array([3.])
    """
    return leading_eigenpairs(preconditioned_hessian(hessian, preconditioner), 1, **options)
