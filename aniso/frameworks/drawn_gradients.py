"""Gradient noise from gradients that the user's own training step draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks, matrices, memory
from aniso.frameworks import _given_operators, _jackknife
from aniso.frameworks._drawn_convention import DrawnConvention
from aniso.frameworks._foreign_arrays import on_host
from aniso.frameworks.matrix_geometry import MatrixGeometry

if TYPE_CHECKING:
    from aniso.estimates import Estimate
    from aniso.typing import Array


_FEWEST = 3
_REPEATED = 1e-5  # sums in another order, in single precision


def from_draws(
    draw_gradient: Callable[..., Any] | Iterator[Any],
    num_draws: int,
    *,
    hessian_product: Callable[..., Any] | None = None,
    blocks: dict[str, slice] | None = None,
    rng: np.random.Generator | None = None,
) -> DrawnGeometry:
    """Return the local geometry of drawn gradients: their covariance with its sampling error.

    This is for a step whose examples have no gradients of their own: batch normalisation in
    training mode, dropout, augmentation, a sampler of one's own.

    Parameters
    ----------
    draw_gradient : callable or iterator
        ``draw_gradient(rng) -> array_like, shape (D,)``: the gradient that one step would use, at
        a fixed theta, with a new batch and new random numbers at each call. Or an iterator that
        yields such gradients. Tensors of PyTorch and arrays of JAX are taken from their device.
    num_draws : int
        n >= 3.
    hessian_product : callable, optional
        ``hessian_product(vector) -> array_like``, (D,) -> (D,), at the same theta. It must be
        symmetric and draw nothing. Without it the geometry is of first order.
    blocks : dict of str to slice, optional
        Parts that cover 0..D.
    rng : numpy.random.Generator
        Passed to `draw_gradient`; not needed for an iterator.

    Returns
    -------
    DrawnGeometry

    Raises
    ------
    InputError
        If there are too few draws, all are equal, one is not finite or has another length. If
        Hessian products differ from call to call or are not symmetric.
    AllocationRefused
        If n draws do not fit.

    Notes
    -----
    Memory: 16 n D bytes. The covariance has the divisor n - 1, so that it is unbiased. It belongs
    to the drawn gradient, a batch mean in most cases; no batch size enters again.

    Examples
    --------
    Draws 0, 1 and 5 of one parameter, with H = 2: the variance is 7.

    >>> import numpy as np
    >>> from aniso import frameworks
    >>> draws = iter([[0.0], [1.0], [5.0]])
    >>> at = frameworks.from_draws(draws, 3, hessian_product=lambda v: 2 * v)
    >>> at.gradient, at.noise.trace(), at.alignment().value
    (array([2.]), 7.0, 14.0)
    >>> print(at.noise.convention)
    covariance of one drawn gradient, from 3 draws with the divisor 2
    """
    num_draws = checks.integer("num_draws", num_draws, low=_FEWEST)
    rows = _drawn(_calls(draw_gradient, rng), num_draws)
    size = rows.shape[1]
    if blocks is not None:
        blocks = matrices.operators.checked_blocks(blocks, size)
    one = matrices.gradient_covariance(rows)
    if one.trace() == 0:
        raise checks.InputError(
            f"all {num_draws} drawn gradients are equal; expected a new batch and new random "
            "numbers at each call, for instance model.train() and a shuffling loader"
        )
    noise = one.rescaled(num_draws / (num_draws - 1), DrawnConvention(num_draws))
    hessian = None
    if hessian_product is not None:
        hessian = _given_operators.GivenMatrix(_hessian(hessian_product, size), blocks)
    return DrawnGeometry(size, blocks, hessian=hessian, noise=noise, gradient=rows.mean(axis=0))


class DrawnGeometry(MatrixGeometry):
    """Gradient noise of drawn gradients, with sampling errors; :func:`from_draws` makes it.

    It has the members of a :class:`MatrixGeometry`: `noise`, `gradient` (the mean of the draws)
    and, if Hessian products were given, `hessian` and `by_block()`.

    Notes
    -----
    Standard errors are those of the jackknife over draws. They are a little too large on the
    average, and need about 30 draws where the gradients have heavy tails.
    """

    @property
    def num_draws(self) -> int:
        """n, the number of draws."""
        return self.noise.num_rows

    @property
    def gradient_errors(self) -> Array:
        """Standard errors of the entries of `gradient`, ``sqrt(diag(Sigma) / n)``, shape (D,)."""
        return np.sqrt(self.noise.diagonal() / self.num_draws)

    def covariance_trace(self, block: str | None = None) -> Estimate:
        """``Tr Sigma`` of the drawn gradient, with its standard error.

        Parameters
        ----------
        block : str, optional
            Name of a part of theta; the whole if not given.

        Returns
        -------
        estimates.Estimate
        """
        rows = self._deviations(block)
        return _jackknife.trace(np.einsum("ij,ij->i", rows, rows))

    def alignment(self, block: str | None = None) -> Estimate:
        """``Tr(H Sigma)`` with its standard error from the draws, unbiased.

        Parameters
        ----------
        block : str, optional
            Name of a part of theta, for ``Tr(H_bb Sigma_bb)``; the whole if not given.

        Returns
        -------
        estimates.Estimate

        Raises
        ------
        MissingFaculty
            If no Hessian products were given.

        Notes
        -----
        n Hessian products.
        """
        return _jackknife.trace(self._forms(self._deviations(block)))

    def trace_ratio(self) -> Estimate:
        """``D Tr(H Sigma) / (Tr H Tr Sigma)`` with its standard error from the draws.

        Returns
        -------
        estimates.Estimate

        Raises
        ------
        MissingFaculty
            If no Hessian products were given.

        Notes
        -----
        n + D Hessian products. A ratio of two unbiased estimates; its bias is of order 1/n, below
        its error of order 1/sqrt(n).
        """
        rows = self._deviations(None)
        below = np.einsum("ij,ij->i", rows, rows)
        factor = self.num_parameters / self.hessian.trace()
        return _jackknife.ratio(self._forms(rows), below, factor)

    def _deviations(self, block):
        rows = self.noise.rows
        if block is None:
            return rows
        part = self.blocks[checks.one_of("block", block, list(self.blocks))]
        own = np.zeros_like(rows)
        own[:, part] = rows[:, part]
        return own

    def _forms(self, rows):
        return np.einsum("ij,ji->i", rows, self.hessian @ rows.T)


def _calls(draw_gradient, rng):
    """Return a function without arguments that gives the next gradient."""
    if callable(draw_gradient):
        checks.generator("rng", rng)
        return lambda: draw_gradient(rng)
    if hasattr(draw_gradient, "__next__"):
        return lambda: next(draw_gradient)
    raise checks.InputError(
        f"draw_gradient is a {type(draw_gradient).__name__}; expected a function "
        "draw_gradient(rng) -> gradient, or an iterator of gradients"
    )


def _drawn(call, num_draws):
    """Return the draws as rows, shape (num_draws, D)."""
    rows = None
    for number in range(num_draws):
        try:
            draw = call()
        except StopIteration:
            raise checks.InputError(
                f"draw_gradient ended after {number} gradients; expected {num_draws}"
            ) from None
        name = f"draw_gradient, draw {number},"
        size = None if rows is None else rows.shape[1]
        draw = checks.array(name, on_host(name, draw), shape=(size,))
        if rows is None:
            if draw.size == 0:
                raise checks.InputError(f"{name} is empty; expected D >= 1 numbers")
            num_bytes = 16 * num_draws * draw.size
            memory.require(num_bytes, f"{num_draws} drawn gradients", "draw fewer")
            rows = np.empty((num_draws, draw.size))
        rows[number] = draw
    return rows


def _hessian(product, size):
    """Return an operator of a product with one vector, after a probe."""
    if not callable(product):
        raise checks.InputError(
            f"hessian_product is a {type(product).__name__}; expected a function (D,) -> (D,); "
            "for a matrix A lambda vector: A @ vector"
        )
    vector = np.random.Generator(np.random.Philox(key=1)).standard_normal(size)
    # products in single precision are asymmetric by their own rounding
    given = checks.as_given("hessian_product", on_host("hessian_product", product(vector)))
    dtype = np.dtype(np.float32 if given.dtype == np.float32 else np.float64)
    operator = matrices.SymmetricOperator(_Columns(product, size), size, dtype)
    first, second = operator @ vector, operator @ vector
    if np.abs(first - second).max() > _REPEATED * np.abs(first).max():
        raise checks.InputError(
            "two calls of hessian_product with the same vector differ; expected the Hessian of a "
            "fixed loss: fixed batches, model.eval() or fixed random numbers"
        )
    return _given_operators.symmetric("hessian_product", operator, size=size)


class _Columns:
    """Products of a block of vectors, one vector at a time."""

    def __init__(self, product, size):
        self._product, self._size = product, size

    def __call__(self, vectors):
        name = "hessian_product"
        columns = [
            checks.array(name, on_host(name, self._product(column)), shape=(self._size,))
            for column in np.ascontiguousarray(vectors.T)
        ]
        return np.stack(columns, axis=1)
