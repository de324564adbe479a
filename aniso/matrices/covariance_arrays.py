"""Dense covariances with their convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aniso.matrices.convention import UnknownConvention

if TYPE_CHECKING:
    from aniso.typing import DTypeLike


class CovarianceArray(np.ndarray):
    """Array (D, D) with the convention of the covariance that it was made of.

    It computes as every array does. Views, parts and copies keep the convention. Multiplied or
    divided by a number, it states the factor. Any other result of the same shape has an unknown
    convention, which is refused where a certain one is needed. ``np.asarray(array)`` is the same
    array without a convention; every function accepts it.

    Parameters
    ----------
    matrix : array_like, shape (D, D)
        Not copied if it is an array.
    convention : Convention or UnknownConvention
        Convention of the matrix.

    Examples
    --------
    >>> from aniso.matrices.convention import Convention
    >>> matrix = CovarianceArray(np.eye(2), Convention(100))
    >>> print((0.5 * matrix).convention)
    0.5 × centred gradient covariance of one example of 100
    >>> print((matrix + np.eye(2)).convention)
    matrix of unknown convention, computed by add from the centred gradient covariance of one \
example of 100
    """

    def __new__(cls, matrix, convention):
        made = np.asarray(matrix).view(cls)
        made.convention = convention
        return made

    def __array_finalize__(self, source):
        convention = getattr(source, "convention", None)
        if convention is not None and self.base is None:
            same = self.shape == source.shape
            convention = _computed(convention, "a function") if same else None
        self.convention = convention

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return array[()] if return_scalar else array

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        plain = [np.asarray(each) if isinstance(each, CovarianceArray) else each for each in inputs]
        if out:
            options["out"] = tuple(
                np.asarray(each) if isinstance(each, CovarianceArray) else each for each in out
            )
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc.nout != 1:
            return result
        convention = self._after(ufunc, method, inputs, result)
        if out:
            if isinstance(out[0], CovarianceArray):
                out[0].convention = convention
            return out[0]
        return result if convention is None else CovarianceArray(result, convention)

    def _after(self, ufunc, method, inputs, result):
        """Return the convention of a universal function's result, None if it is no covariance."""
        source = next((each for each in inputs if isinstance(each, CovarianceArray)), None)
        if source is None or source.convention is None or np.shape(result) != source.shape:
            return None
        if method != "__call__" or result.dtype.kind not in "biuf":
            return None
        if result.dtype.kind == "b":
            return None
        if ufunc is np.multiply and np.ndim(inputs[0]) * np.ndim(inputs[1]) == 0:
            factor = inputs[1] if inputs[0] is source else inputs[0]
            return source.convention.scaled(factor)
        if ufunc is np.true_divide and np.ndim(inputs[1]) == 0:
            with np.errstate(divide="ignore"):
                return source.convention.scaled(np.true_divide(1.0, inputs[1]))
        return _computed(source.convention, ufunc.__name__)

    def __getitem__(self, index):
        part = super().__getitem__(index)
        if isinstance(part, CovarianceArray):
            part.convention = self.convention
        return part

    def copy(self, order: Literal["C", "F", "A", "K"] | None = "C") -> CovarianceArray:
        """Return a copy with the same convention."""
        return CovarianceArray(np.asarray(self).copy(order), self.convention)

    def astype(  # type: ignore[override]
        self, dtype: DTypeLike, **options: Any
    ) -> CovarianceArray:
        """Return the numbers in another precision, with the same convention."""
        return CovarianceArray(np.asarray(self).astype(dtype, **options), self.convention)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return CovarianceArray, (np.asarray(self), self.convention)


def with_convention(matrix, convention):
    """Return the array or operator with a convention, unchanged where the convention is None.

    Examples
    --------
    >>> from aniso.matrices.convention import Convention
    >>> with_convention(np.eye(2), Convention(5)).convention.num_examples
    5
    """
    if convention is None:
        return matrix
    if isinstance(matrix, np.ndarray):
        return CovarianceArray(matrix, convention)
    return matrix.rescaled(1.0, convention)


def _computed(convention, what):
    return UnknownConvention(f"computed by {what} from the {convention}")
