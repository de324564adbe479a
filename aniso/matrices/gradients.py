"""Gradients of the examples: an array (N, D), or an object that computes its products."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aniso import _array_hints, checks, memory
from aniso.arrays import places, transfer
from aniso.matrices import operands
from aniso.threads import Workers

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, DTypeLike


_BLOCK_ENTRIES = 2**22


class ExampleGradients(abc.ABC):
    """Gradients g_i of the losses of N examples at one theta, the rows of G in R^{N x D}.

    A subclass sets `shape` and `dtype` and defines `project`, `combine` and `rows`; the other
    members follow from these and may be replaced by faster ones. Vectors, weights and results are
    arrays at `place`.

    Attributes
    ----------
    shape : tuple of int
        (N, D).
    dtype : numpy.dtype
        Precision of the gradients, of floating-point numbers.
    place : places.Place
        Where products are computed; NumPy's, if a subclass sets no other.
    holds_rows : bool
        Whether the array (N, D) exists, so that `rows` takes no further memory.
    memory_budget : int or None
        Bytes that a quantity may take; None means the available memory.
    rows_at_once : int or None
        Rows that may exist together within the budget.
    gram : callable or None
        () -> (N, N), the inner products ``g_i . g_j``, where that needs no pass over the data.

    Examples
    --------
    Gradients of the loss ``(theta - x_i)^2 / 2`` at theta = 5:

    >>> class Spread(ExampleGradients):
    ...     def __init__(self, x):
    ...         self.differences, self.shape, self.dtype = 5.0 - x, (len(x), 1), x.dtype
    ...     def project(self, vectors):
    ...         return self.differences[:, None] @ vectors
    ...     def combine(self, weights):
    ...         return weights @ self.differences[:, None]
    ...     def rows(self, start, stop):
    ...         return self.differences[start:stop, None]
    >>> gradients = Spread(np.array([0.0, 2.0]))
    >>> gradients.mean(), gradients.square_norms()
    (array([4.]), array([25.,  9.]))
    """

    shape: tuple[int, ...]
    dtype: DTypeLike

    place = places.NUMPY
    holds_rows = False
    memory_budget = None
    rows_at_once = None
    gram = None

    @abc.abstractmethod
    def project(self, vectors: ArrayLike) -> Array:
        """Inner products with vectors, ``G V``: (D, K) -> (N, K)."""

    @abc.abstractmethod
    def combine(self, weights: ArrayLike) -> Array:
        """Weighted sums of the gradients, ``W G``: (K, N) -> (K, D)."""

    @abc.abstractmethod
    def rows(self, start: int, stop: int) -> Array:
        """Gradients of the examples start..stop, shape (stop - start, D)."""

    def mean(self) -> Array:
        """Gradient of the mean loss, ``g = (1/N) sum_i g_i``, shape (D,)."""
        require_precision(self)
        count = self.shape[0]
        weights = np.full((1, count), 1 / count, self.dtype)
        return self.combine(transfer.to_device(weights, self.place))[0, ...]

    def square_norms(self) -> Array:
        """``|g_i|^2``, shape (N,), in double precision."""
        return np.concatenate(
            [np.einsum("np,np->n", rows, rows) for rows in self._blocks_of_rows()]
        )

    def square_sums(self) -> Array:
        """``sum_i g_i^2`` entry by entry, shape (D,), in double precision."""
        return sum(np.einsum("np,np->p", rows, rows) for rows in self._blocks_of_rows())

    def second_moments(
        self, vectors: Array, parts: Sequence[slice], mean: Array | None = None
    ) -> Array:
        """``sum_i x_ib x_ib^T`` with ``x_ib = V_b^T (g_i - mean)_b`` of each block b.

        Parameters
        ----------
        vectors : ndarray, shape (D, K)
            V.
        parts : sequence of slice
            The B blocks.
        mean : array, shape (D,), optional
            Subtracted from each gradient.

        Returns
        -------
        ndarray, shape (B + 1, K, K)
            In double precision; last ``x_i = sum_b x_ib``, of the whole.
        """
        count, size = vectors.shape[1], len(parts) + 1
        vectors = np.asarray(vectors, self.dtype)
        centre = np.zeros((size - 1, count))
        if mean is not None:
            mean = transfer.to_numpy(mean)
            centre = np.array([mean[part] @ vectors[part] for part in parts], np.float64)
        total, workers = np.zeros((size, count, count)), Workers()
        for rows in self._blocks_of_rows(self.dtype, 4 * _BLOCK_ENTRIES):

            def moments(number, rows=rows):
                own = rows[:, parts[number]] @ vectors[parts[number]] - centre[number]
                return own, own.T @ own

            whole = np.zeros((len(rows), count))
            for number, (own, square) in enumerate(workers.map(moments, range(size - 1))):
                total[number] += square
                whole += own
            total[-1] += whole.T @ whole
        return total

    def _blocks_of_rows(self, dtype=np.float64, entries=_BLOCK_ENTRIES):
        count, dimension = self.shape
        size = max(1, min(entries // dimension, self.rows_at_once or count))
        for start in range(0, count, size):
            rows = transfer.to_numpy(self.rows(start, min(start + size, count)))
            yield rows.astype(dtype, copy=False)

    def centred(self) -> tuple[ExampleGradients, Array | None]:
        """Return (gradients, mean), whose differences are the deviations ``g_i - g``.

        Returns
        -------
        gradients : ExampleGradients
        mean : array, shape (D,), or None
            None where the gradients that are returned are the deviations themselves.
        """
        return self, self.mean()

    def __repr__(self):
        return f"<{type(self).__name__}: N = {self.shape[0]}, D = {self.shape[1]}, {self.dtype}>"


class ArrayGradients(ExampleGradients):
    """Gradients that an array holds.

    Parameters
    ----------
    array : array_like, shape (N, D)
        Copied, unless it is read-only and owns its memory.

    Raises
    ------
    InputError
        If the array is not finite or not (N, D) with N, D >= 1.
    AllocationRefused
        If the copy, 8 N D bytes, would not fit.

    Examples
    --------
    >>> ArrayGradients([[1.0, 0.0], [3.0, 0.0]]).mean()
    array([2., 0.])
    """

    holds_rows = True

    def __init__(self, array: ArrayLike) -> None:
        checked, self.rounding = _checked("per_example_gradients", array)
        memory.require(
            checked.nbytes, "the copy of the per-example gradients", "use fewer examples"
        )
        self._keep(checks.held(checked))

    def _keep(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def project(self, vectors: ArrayLike) -> Array:
        """``G V``: (D, K) -> (N, K)."""
        return self.array @ vectors

    def combine(self, weights: ArrayLike) -> Array:
        """``W G``: (K, N) -> (K, D)."""
        return weights @ self.array

    def rows(self, start: int, stop: int) -> Array:
        """Gradients of the examples start..stop, shape (stop - start, D), read-only."""
        whole = start == 0 and stop == self.shape[0]
        return self.array if whole else self.array[start:stop]

    def mean(self) -> Array:
        """Gradient of the mean loss, shape (D,)."""
        return self.array.mean(axis=0)

    def centred(self) -> tuple[ExampleGradients, Array | None]:
        """Return (deviations, None): the array is centred before any product.

        Notes
        -----
        Deviations that are together no larger than the rounding of the mean are zero.
        """
        return _of_array(_deviations(self.array, self.rounding)), None


def example_gradients(gradients: ArrayLike | ExampleGradients) -> ExampleGradients:
    """Return gradients of the examples with the members that covariances need.

    Parameters
    ----------
    gradients : array_like, shape (N, D), or ExampleGradients
        Row i is the gradient g_i of the loss of example i.

    Returns
    -------
    ExampleGradients
        An ArrayGradients for an array.

    Raises
    ------
    InputError
        If it is neither; the message names the missing members.
    AllocationRefused
        If the copy of an array would not fit.

    Examples
    --------
    >>> example_gradients([[1.0, 0.0], [3.0, 0.0]])
    <ArrayGradients: N = 2, D = 2, float64>
    """
    require_gradients(gradients)
    return gradients if isinstance(gradients, ExampleGradients) else ArrayGradients(gradients)


def centred_gradients(gradients):
    """Return (gradients, mean) as `centred` does, without a copy of a given array.

    Raises
    ------
    InputError
        As :func:`example_gradients`.
    AllocationRefused
        If the deviations of an array, 8 N D bytes, would not fit.
    """
    require_gradients(gradients)
    if isinstance(gradients, ExampleGradients):
        return gradients.centred()
    array, rounding = _checked("per_example_gradients", gradients)
    return _of_array(_deviations(array, rounding)), None


def require_gradients(value):
    """Refuse an object that holds no gradients; the message names the missing members.

    Parameters
    ----------
    value : object
        An array, or what should be an ExampleGradients.

    Raises
    ------
    InputError
        If it is no ExampleGradients, or their dtype is not one of floating-point numbers.
    """
    if isinstance(value, ExampleGradients):
        require_precision(value)
        return
    if hasattr(type(value), "example_gradients"):
        member = _array_hints.member_to_give("gradients", value)
        raise checks.InputError(
            f"gradients is a {type(value).__name__}; expected the gradients of its examples at "
            f"one theta, {member or 'network.example_gradients(theta)'}"
        )
    members = ("shape", "dtype", "project", "combine", "rows")
    lacking = [name for name in members if not hasattr(value, name)]
    if hasattr(value, "project") or hasattr(value, "combine"):
        detail = f" and lacks {', '.join(lacking)}" if lacking else ""
        raise checks.InputError(
            f"gradients is a {type(value).__name__}, no matrices.ExampleGradients{detail}; "
            "expected an array (N, D) or a subclass of matrices.ExampleGradients, which defines "
            f"{', '.join(members)}"
        )


def require_precision(gradients):
    """Refuse gradients whose dtype would round vectors and weights to integers.

    Raises
    ------
    InputError
        If the dtype is not one of floating-point numbers.
    """
    if np.dtype(gradients.dtype).kind != "f":
        raise checks.InputError(
            f"the {type(gradients).__name__} has dtype {gradients.dtype}; expected the precision "
            "of the products, numpy.float64 or numpy.float32: set dtype = numpy.dtype(float)"
        )


def held_rows(rows):
    """Return ArrayGradients of an array of real numbers, (n, D), or given gradients as they are.

    Integers become floats.

    Raises
    ------
    InputError
        If it is no array (n, D) of real numbers, or the dtype of the gradients is not one of
        floating-point numbers.
    """
    if isinstance(rows, ExampleGradients):
        require_precision(rows)
        return rows
    rows = checks.real_array("rows", rows, shape=(None, None))
    if rows.dtype.kind != "f":
        rows = rows.astype(np.float64)
    return _of_array(checks.held(rows))


def _of_array(array):
    """ArrayGradients of an array that was just made, without a copy."""
    made = ArrayGradients.__new__(ArrayGradients)
    made.rounding = float(np.finfo(np.float64).eps)
    made._keep(checks.frozen(array))
    return made


def _checked(name, value):
    given = checks.real_array(name, value)
    array = checks.array(name, given, shape=(None, None))
    if 0 in array.shape:
        raise checks.InputError(f"{name} has shape {array.shape}; expected (N, D), N >= 1, D >= 1")
    return array, operands.rounding(given)


def _deviations(gradients, eps):
    """Return the deviations from the mean gradient; zero where they are only its rounding."""
    memory.require(
        gradients.nbytes, "the centred copy of the per-example gradients", "use fewer examples"
    )
    count, mean = len(gradients), gradients.mean(axis=0)
    centred = gradients - mean
    # the error of a sum of N terms, and of numbers that were given in single precision
    relative = (count + 8) * np.finfo(np.float64).eps
    if eps > np.finfo(np.float64).eps:
        relative += 8 * eps
    rounding = count * float(mean @ mean) * relative**2
    # the first deviation alone excludes nearly every case
    if centred[0] @ centred[0] <= rounding and np.einsum("ij,ij->", centred, centred) <= rounding:
        centred[:] = 0.0
    return centred
