"""Linear operators that compute where their data are, for vectors there or in NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks
from aniso.arrays import places, transfer
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.arrays.places import Place
    from aniso.typing import Array, DTypeLike


class PlacedOperator(LinearOperator):
    """A SciPy operator with block products at a place.

    A subclass defines ``_product(vectors)`` for a block (D, K) at its place. The product of NumPy
    vectors is a NumPy array, so that every eigensolver works with any operator. The product of
    vectors at the place stays there.

    Attributes
    ----------
    place : places.Place
        NumPy's, if a subclass sets no other.

    Examples
    --------
    >>> import numpy as np
    >>> class Twice(PlacedOperator):
    ...     def _product(self, vectors):
    ...         return 2 * vectors
    >>> Twice(float, (2, 2)) @ np.array([1.0, 3.0])
    array([2., 6.])
    """

    place = places.NUMPY

    def __matmul__(self, other):
        checks.refuse_loss_of_meaning("the right factor", other)
        if not places.is_foreign(other):
            return super().__matmul__(other)
        transfer.require_place("the right factor", other, self.place)
        shape, dimension = tuple(other.shape), self.shape[1]
        if len(shape) not in (1, 2) or shape[0] != dimension:
            raise checks.InputError(
                f"the right factor has shape {shape}; expected ({dimension},) or ({dimension}, K)"
            )
        if other.ndim == 1:
            return self._product(other[:, None])[:, 0]
        return self._product(other)

    def _matvec(self, vector):
        return self._matmat(vector.reshape(-1, 1))[:, 0]

    def _matmat(self, vectors):
        return transfer.at_place(self._product, vectors, self.place)


class SymmetricOperator(PlacedOperator):
    """A symmetric matrix given by its product with a block of vectors (D, K).

    Parameters
    ----------
    product : callable
        (D, K) -> (D, K), at `place`.
    dimension : int
        D.
    dtype : numpy.dtype
        Type of the entries.
    diagonal : callable, optional
        () -> (D,), exact. Without it, `trace` and `diagonal` take D products.
    place : places.Place
        Library and device of the product; NumPy vectors are sent there and back.
    blocks : dict of str to slice, optional
        Parts of 0..D by name, for :func:`aniso.matrices.alignment_by_block`.

    Attributes
    ----------
    blocks : dict of str to slice, or None
        Parts of theta by name.

    Raises
    ------
    InputError
        If the blocks overlap or leave the range 0..D.

    Notes
    -----
    The operator can be pickled if `product` and `diagonal` can. Bound methods and
    `functools.partial` can be pickled, lambdas can't.

    Examples
    --------
    >>> import numpy as np
    >>> operator = SymmetricOperator(lambda vectors: 2 * vectors, 3, np.dtype(float))
    >>> operator @ np.ones(3), operator.trace()
    (array([2., 2., 2.]), 6.0)
    >>> operator
    <SymmetricOperator: D = 3, float64>
    """

    blocks: dict[str, slice] | None

    def __init__(
        self,
        product: Callable[..., Any],
        dimension: int,
        dtype: DTypeLike,
        diagonal: Callable[..., Any] | None = None,
        place: Place = places.NUMPY,
        blocks: dict[str, slice] | None = None,
    ) -> None:
        self._product, self.place, self._diagonal = product, place, diagonal
        self.blocks = None if blocks is None else checked_blocks(blocks, dimension)
        LinearOperator.__init__(self, np.dtype(dtype), (dimension, dimension))

    def _adjoint(self):
        return self

    _transpose = _adjoint

    @property
    def has_diagonal(self) -> bool:
        """Whether the diagonal is known without products."""
        return self._diagonal is not None

    def diagonal(self, *, max_products: int = operands.MAX_PRODUCTS) -> Array:
        """Exact diagonal, shape (D,), a NumPy array.

        Raises
        ------
        InputError
            If it takes D products and D exceeds `max_products`.
        """
        if self.has_diagonal:
            return transfer.to_numpy(self._diagonal())
        return operands.diagonal_by_products(self, max_products)

    def trace(self, *, max_products: int = operands.MAX_PRODUCTS) -> float:
        """Exact trace, the sum of the diagonal, float."""
        return float(self.diagonal(max_products=max_products).sum())

    def to_dense(self) -> Array:
        """Return the matrix, shape (D, D), by D products.

        Raises
        ------
        InputError
            If a product is not finite, or the products are not symmetric.
        AllocationRefused
            If 24 D^2 bytes would not fit.
        """
        return operands.dense_by_products(self)

    def __repr__(self):
        parts = "" if self.blocks is None else f", {len(self.blocks)} blocks"
        where = "" if self.place.is_numpy else f", at {self.place}"
        return f"<SymmetricOperator: D = {self.shape[0]}, {self.dtype}{parts}{where}>"


def checked_blocks(blocks, dimension):
    """Return named parts of 0..D in their order, checked to be disjoint.

    Parameters
    ----------
    blocks : dict of str to slice
        Slices of step 1; together they need not cover 0..D.
    dimension : int
        D.

    Returns
    -------
    dict of str to slice

    Raises
    ------
    InputError
        If there is none, one is no slice within 0..D, or two overlap.

    Examples
    --------
    >>> checked_blocks({"bias": slice(2, None), "weights": slice(0, 2)}, 3)
    {'weights': slice(0, 2, None), 'bias': slice(2, 3, None)}
    >>> checked_blocks({"weights": slice(0, 2), "bias": slice(1, 3)}, 3)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: blocks 'weights' and 'bias' overlap at index 1; expected disjoint parts
    """
    if not isinstance(blocks, dict) or not blocks:
        raise checks.InputError(
            f"blocks={blocks!r}; expected a dict of names to slices, for instance "
            f'{{"weights": slice(0, {dimension})}}'
        )
    made = {}
    for name, part in blocks.items():
        if not isinstance(part, slice) or part.step not in (None, 1):
            raise checks.InputError(f"blocks[{name!r}]={part!r}; expected a slice of step 1")
        start = 0 if part.start is None else checks.integer(f"blocks[{name!r}].start", part.start)
        stop = part.stop
        stop = dimension if stop is None else checks.integer(f"blocks[{name!r}].stop", stop)
        if not 0 <= start < stop <= dimension:
            raise checks.InputError(
                f"blocks[{name!r}] is {start}..{stop}; expected a part of 0..{dimension}"
            )
        made[name] = slice(start, stop)
    made = dict(sorted(made.items(), key=lambda item: item[1].start))
    names = list(made)
    for first, second in itertools.pairwise(names):
        if made[first].stop > made[second].start:
            raise checks.InputError(
                f"blocks {first!r} and {second!r} overlap at index {made[second].start}; "
                "expected disjoint parts"
            )
    return made
