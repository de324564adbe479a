"""Curvature and noise that another program has computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks, matrices
from aniso.frameworks import _given_operators
from aniso.frameworks._foreign_arrays import on_host
from aniso.frameworks.matrix_geometry import MatrixGeometry

if TYPE_CHECKING:
    from aniso.matrices import Convention, ExampleGradients
    from aniso.typing import ArrayLike


_AGREEMENT = 1e-3  # of a gradient and the mean of the rows, in single precision


def from_matrices(
    hessian: Any,
    *,
    covariance: Any = None,
    per_example_gradients: ArrayLike | ExampleGradients | None = None,
    gradient: ArrayLike | None = None,
    loss: float | None = None,
    blocks: dict[str, slice] | None = None,
    convention: Convention | None = None,
) -> MatrixGeometry:
    """Return the local geometry of given matrices: curvature and noise at a fixed theta.

    Parameters
    ----------
    hessian : array_like (D, D), sparse matrix or operator
        Hessian of the mean loss: of NumPy, SciPy, PyTorch or JAX, or an operator of curvlinops or
        hessian-eigenthings as it is.
    covariance : array_like (D, D), sparse matrix or operator, optional
        Centred covariance of the gradient. Give this or `per_example_gradients`.
    per_example_gradients : array_like (N, D) or ExampleGradients, optional
        Row i is the gradient of example i.
    gradient : array_like, shape (D,), optional
        Gradient of the mean loss; the mean of the rows if not given.
    loss : float, optional
        Mean loss.
    blocks : dict of str to slice, optional
        Parts that cover 0..D.
    convention : matrices.Convention, optional
        Of which random gradient `covariance` is the covariance. Required for a matrix that does
        not carry it: ``matrices.Convention(N)`` for one example of N,
        ``matrices.Convention(N).minibatch(m, replacement=False)`` for the mean of a batch of m.

    Returns
    -------
    MatrixGeometry

    Raises
    ------
    InputError
        If a matrix is not symmetric, not finite or of another size. If the covariance is not
        positive semi-definite, has no convention or is not centred. If neither or both of
        `covariance` and `per_example_gradients` are given.

    Notes
    -----
    Operators take one product with eight fixed random vectors, which shows a matrix that is not
    symmetric. An operator is kept, not copied.

    Examples
    --------
    >>> from aniso import frameworks, matrices
    >>> at = frameworks.from_matrices(
    ...     [[4.0, 0.0], [0.0, 1.0]],
    ...     covariance=[[2.0, 0.0], [0.0, 1.0]],
    ...     convention=matrices.Convention(100),
    ... )
    >>> at.by_block().alignment  # Tr(H Sigma) = 4 * 2 + 1 * 1
    9.0
    >>> at
    <MatrixGeometry: D = 2; noise: centred gradient covariance of one example of 100>
    """
    hessian = _given_operators.symmetric("hessian", hessian)
    size = hessian.shape[0]
    if blocks is not None:
        blocks = matrices.operators.checked_blocks(blocks, size)
    hessian = _given_operators.GivenMatrix(hessian, blocks)
    if (covariance is None) == (per_example_gradients is None):
        raise checks.InputError(
            "expected one of covariance= and per_example_gradients=, got "
            f"{'none' if covariance is None else 'both'}"
        )
    rows = None
    if covariance is None:
        rows = _rows(per_example_gradients, size)
        noise = _of_rows(rows, convention)
    else:
        noise = _noise(covariance, convention, size, blocks)
    if gradient is not None:
        gradient = _gradient(gradient, rows, size)
    elif rows is not None:
        gradient = np.array(rows.mean())
    return MatrixGeometry(
        size,
        blocks,
        hessian=hessian,
        noise=noise,
        gradient=gradient,
        loss=None if loss is None else checks.number("loss", _number(loss)),
        example_gradients=rows,
        empirical_fisher=None if rows is None else matrices.empirical_fisher(rows),
    )


def _rows(gradients, size):
    rows = matrices.example_gradients(on_host("per_example_gradients", gradients))
    if rows.shape[1] != size:
        raise checks.InputError(
            f"per_example_gradients has shape {rows.shape}; expected (N, {size}), D of the Hessian"
        )
    return rows


def _of_rows(rows, convention):
    noise = matrices.gradient_covariance(rows)
    if convention is not None and convention != noise.convention:
        raise checks.InputError(
            f"convention is the {convention}, and per_example_gradients gives the "
            f"{noise.convention}; expected no convention: matrices.minibatch_covariance converts "
            "the noise"
        )
    return noise


def _noise(covariance, convention, size, blocks):
    carried = matrices.convention_of(covariance)
    if carried is None and convention is None:
        raise checks.InputError(
            "covariance states no convention; expected convention=matrices.Convention(N) for the "
            "covariance of one example of N, or its minibatch(m, replacement=...) for the mean of "
            "a batch"
        )
    if convention is not None and not isinstance(convention, matrices.Convention):
        raise checks.InputError(
            f"convention is a {type(convention).__name__}; expected a matrices.Convention"
        )
    if None not in (carried, convention) and carried != convention:
        raise checks.InputError(
            f"convention is the {convention}, and covariance is the {carried}; expected the same"
        )
    stated = convention if carried is None else carried
    if not getattr(stated, "centred", False):
        raise checks.InputError(
            f"covariance is the {stated}; expected a centred covariance, from "
            "per_example_gradients=, or with the outer product of the gradient subtracted"
        )
    if hasattr(covariance, "rescaled") and hasattr(covariance, "factor_rows"):
        matrices.operands.covariance("covariance", covariance, size=size)
        return covariance if carried == stated else covariance.rescaled(1.0, stated)
    matrix = _given_operators.covariance("covariance", covariance, size=size)
    return _given_operators.GivenMatrix(matrix, blocks, stated)


def _gradient(gradient, rows, size):
    gradient = checks.array("gradient", on_host("gradient", gradient), shape=(size,))
    if rows is None:
        return gradient
    difference = float(np.abs(gradient - rows.mean()).max())
    scale = max(float(np.abs(gradient).max()), float(np.sqrt(rows.square_norms().max())))
    if difference > _AGREEMENT * scale:
        raise checks.InputError(
            f"gradient differs from the mean of per_example_gradients by {difference:.3g}; "
            "expected the gradient of the mean loss of the same examples"
        )
    return gradient


def _number(value):
    return value.item() if hasattr(value, "item") else value
