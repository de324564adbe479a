"""Validation of the arguments of public functions: messages give name, value, rule and remedy.

A function returns the validated value in the form that the computations expect, or raises
:class:`InputError`. Kernels do not validate their arguments again.
"""

from __future__ import annotations

import numbers
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import _array_hints, _blas_threads, _checked_arrays

if TYPE_CHECKING:
    from aniso.typing import Array, DTypeLike, Shape


# entries that are tested for finiteness together: they fix the memory of the test
_BLOCK_ENTRIES = 2**16


class InputError(ValueError):
    """An argument that breaks a stated rule; raised before any work is done."""


class InteractingExamples(InputError):
    """A loss in which examples depend on each other: there is no gradient of one example."""


def number(
    name: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    strict: bool = False,
) -> float:
    """Return a finite float within [low, high], or within (low, high) if `strict`.

    Examples
    --------
    >>> number("time", 2, low=0)
    2.0
    >>> number("delta", 0.7, low=0, high=0.5, strict=True)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: delta=0.7; expected a finite number with 0 < delta < 0.5
    """
    rule = _range_rule(name, low, high, "<" if strict else "<=")
    refuse_loss_of_meaning(name, value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.ndarray)):
        raise InputError(f"{name}={value!r}; expected a finite number{rule}")
    if np.ndim(value) != 0:
        raise InputError(f"{name} has shape {np.shape(value)}; expected a finite number{rule}")
    result = float(value)
    inside = np.isfinite(result)
    if low is not None:
        inside = inside and (result > low if strict else result >= low)
    if high is not None:
        inside = inside and (result < high if strict else result <= high)
    if not inside:
        raise InputError(f"{name}={value!r}; expected a finite number{rule}")
    return result


def integer(
    name: str,
    value: Any,
    *,
    low: int | None = None,
    high: int | None = None,
    high_name: str | None = None,
) -> int:
    """Return an integer within [low, high]; `high_name` is the name of the upper limit.

    Examples
    --------
    >>> integer("batch_size", 0, low=1, high=200, high_name="N")
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: batch_size=0; expected an integer with 1 <= batch_size <= N=200
    """
    shown = high if high_name is None or high is None else f"{high_name}={high}"
    rule = _range_rule(name, low, shown, "<=")
    valid = isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
    if valid and low is not None:
        valid = value >= low
    if valid and high is not None:
        valid = value <= high
    if not valid:
        raise InputError(f"{name}={value!r}; expected an integer{rule}")
    return int(value)


def _range_rule(name, low, high, sign):
    if low is None and high is None:
        return ""
    left = "" if low is None else f"{low} {sign} "
    right = "" if high is None else f" {sign} {high}"
    return f" with {left}{name}{right}"


def flag(name: str, value: Any) -> bool:
    """Return a bool; refuse other values, even if Python takes them for true or false.

    Examples
    --------
    >>> flag("replacement", None)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: replacement=None; expected True or False
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={value!r}; expected True or False")
    return bool(value)


def one_of(name: str, value: Any, choices: Collection[str]) -> str:
    """Return a member of `choices`.

    Examples
    --------
    >>> one_of("activation", "swish", ["abs", "relu"])
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: activation='swish'; expected one of: abs, relu
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}={value!r}; expected one of: {', '.join(choices)}")
    return value


def array(
    name: str, value: Any, *, shape: Shape | None = None, dtype: DTypeLike = np.float64
) -> Array:
    """Return a finite real array; `shape` gives its lengths, None for any length.

    Examples
    --------
    >>> array("theta", [1.0, float("nan")], shape=(2,))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: theta has a non-finite entry nan at index (1,); expected finite numbers
    """
    given = result = real_array(name, value, shape=shape)
    if given.dtype != dtype:
        with np.errstate(over="ignore"):
            result = np.asarray(given, dtype=dtype)
    require_finite(name, result, given=given)
    return result


def parameters(theta: Any, num_parameters: int | None = None) -> Array:
    """Return finite flat parameters, shape (D,).

    Parameters
    ----------
    theta : array_like, shape (D,)
        The parameters of a problem.
    num_parameters : int, optional
        D, if known.

    Raises
    ------
    InputError
        If theta is not one flat vector of finite numbers, or of another length.

    Examples
    --------
    >>> parameters((np.ones((2, 2)), np.ones(2)))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: theta is a tuple of 2 parts; expected one flat vector: \
numpy.concatenate([numpy.ravel(part) for part in theta])
    """
    require_flat(theta, num_parameters)
    return array("theta", theta, shape=(num_parameters,))


def require_flat(theta: Any, num_parameters: int | None = None) -> None:
    """Refuse parameters that are no flat vector of the right length, in any array library.

    Raises
    ------
    InputError
        If theta has another shape, a mask or a unit.
    """
    refuse_loss_of_meaning("theta", theta)
    message = _array_hints.not_flat_parameters(theta, num_parameters)
    if message is not None:
        raise InputError(message)


def real_array(name: str, value: Any, *, shape: Shape | None = None) -> Array:
    """Return an array of real numbers in the precision of `value`; entries may be infinite or NaN.

    Examples
    --------
    >>> real_array("inputs", np.ones((2, 3), np.float32), shape=(None, 3)).dtype
    dtype('float32')
    """
    given = as_given(name, value)
    if given.dtype == object:
        raise InputError(_array_hints.not_an_array(name, value))
    if given.dtype.kind not in "biuf":
        raise InputError(f"{name} has dtype {given.dtype}; expected real numbers")
    if shape is not None:
        agrees = given.ndim == len(shape) and all(
            wanted is None or wanted == length
            for wanted, length in zip(shape, given.shape, strict=True)
        )
        if not agrees:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            wanted += "," if len(shape) == 1 else ""
            raise InputError(f"{name} has shape {given.shape}; expected ({wanted})")
    return given


def held(array: Array) -> Array:
    """Return the array as an object keeps it: read-only, in memory that no other code can change.

    A read-only array that owns its memory is returned as it is. A function that has just made a
    large array avoids the copy by :func:`frozen`. Any other array is copied.

    Examples
    --------
    >>> given = np.zeros(2)
    >>> kept = held(given)
    >>> given += 1.0
    >>> kept, held(kept) is kept
    (array([0., 0.]), True)
    """
    if array.flags.owndata and not array.flags.writeable:
        return array
    return frozen(np.array(array, order="C"))


def frozen(array: Array) -> Array:
    """Return an array that was just made, marked read-only, so that :func:`held` keeps it as it is.

    Examples
    --------
    >>> frozen(np.zeros(1)).flags.writeable
    False
    """
    array.setflags(write=False)
    return array


def as_given(name: str, value: Any) -> Array:
    """Return the NumPy array of a value in its own type; refuse a value that loses its meaning.

    Raises
    ------
    InputError
        For a masked array, whose mask NumPy drops; numbers with a unit; a sparse matrix; or a
        value that NumPy cannot turn into an array.

    Examples
    --------
    >>> as_given("inputs", np.ma.masked_equal([1.0, -9.0], -9.0))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: inputs is a masked array, 1 of 2 entries masked; expected an array \
without a mask: leave the masked examples out, or give inputs.filled(value)
    """
    refuse_loss_of_meaning(name, value)
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(_array_hints.not_an_array(name, value, error=error)) from error


def refuse_loss_of_meaning(name: str, value: Any) -> None:
    """Refuse a value whose mask or unit would be lost in ``numpy.asarray``.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        An array, a number, or a list or tuple of such, nested or not.

    Raises
    ------
    InputError
        If the value has a mask or a unit, or is a sparse matrix.
    """
    kind = type(value)
    if kind is np.ndarray or kind in (float, int, bool):
        return
    if isinstance(value, (list, tuple)):
        # the entries of long lists of numbers are of few types
        for kind in set(map(type, value)) - {float, int, bool}:
            for entry in value:
                if type(entry) is kind:
                    refuse_loss_of_meaning(name, entry)
                    if not isinstance(entry, (list, tuple)):
                        break
        return
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(value).sum())
        raise InputError(
            f"{name} is a masked array, {masked} of {value.size} entries masked; expected an array "
            f"without a mask: leave the masked examples out, or give {name}.filled(value)"
        )
    for unit, plain in (("unit", "value"), ("units", "magnitude")):
        if hasattr(value, unit) and hasattr(value, plain):
            raise InputError(
                f"{name} has the unit {getattr(value, unit)}; expected plain numbers, for instance "
                f"{name}.{plain} in the unit that is meant"
            )
    if hasattr(value, "tocoo"):
        raise InputError(
            f"{name} is a sparse matrix of shape {value.shape}; expected an array, for instance "
            f"{name}.toarray()"
        )


def require_finite(
    name: str, value: Array, *, dtype: DTypeLike | None = None, given: Any = None
) -> None:
    """Refuse an array with an entry that is not finite; the test needs a fixed amount of memory.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : ndarray
        Array to test.
    dtype : numpy.dtype, optional
        Precision in which the entries must be finite; their own if not given.
    given : ndarray, optional
        Array from which `value` was converted, for the message.

    Raises
    ------
    InputError
        If an entry is not finite, or too large for the precision.

    Examples
    --------
    >>> require_finite("inputs", np.array([1.0, 1e39]), dtype=np.float32)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: inputs has the entry 1e+39 at index (1,), which is not finite in \
float32; expected finite numbers
    """
    dtype = value.dtype if dtype is None else np.dtype(dtype)
    index = _first_not_finite(value, dtype)
    if index is None:
        return
    entry = (value if given is None else given)[index]
    if np.isfinite(entry):
        raise InputError(
            f"{name} has the entry {entry} at index {index}, which is not finite in {dtype}; "
            "expected finite numbers"
        )
    raise InputError(
        f"{name} has a non-finite entry {entry} at index {index}; expected finite numbers"
    )


def _first_not_finite(array, dtype):
    """Return the index of the first entry that is not finite in a precision, None if all are."""
    if array.size > _BLOCK_ENTRIES:
        step = max(1, _BLOCK_ENTRIES * len(array) // array.size)
        for start in range(0, len(array), step):
            # one row may itself be longer than a block
            part = array[start] if step == 1 else array[start : start + step]
            index = _first_not_finite(part, dtype)
            if index is not None:
                return (start, *index) if step == 1 else (start + index[0], *index[1:])
        return None
    if array.dtype != dtype:
        with np.errstate(over="ignore"):
            array = array.astype(dtype)
    finite = np.isfinite(array)
    if finite.all():
        return None
    return tuple(int(i) for i in np.argwhere(~finite)[0])


def symmetric_matrix(name: str, value: Any, *, size: int | None = None) -> Array:
    """Return a finite matrix, symmetric to rounding: ``|A - A^T| <= 8 D eps max|A|``.

    Raises
    ------
    InputError
        If not square, not finite or not symmetric; an asymmetric one is never symmetrised
        silently, because the cause is a mistake more often than rounding.

    Examples
    --------
    >>> symmetric_matrix("hessian", [[1.0, 2.0], [0.0, 1.0]])
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: hessian is not symmetric: entries (0, 1) and (1, 0) differ by 2.0; \
expected a symmetric matrix, for instance (A + A.T) / 2
    """
    if _checked_arrays.is_known("symmetric", value) and size in (None, len(value)):
        return value
    result = array(name, value, shape=(size, size))
    if result.shape[0] != result.shape[1] or result.shape[0] == 0:
        raise InputError(
            f"{name} has shape {result.shape}; expected a square matrix (D, D), D >= 1"
        )
    require_symmetry(name, result, 8 * len(result) * np.finfo(result.dtype).eps)
    _checked_arrays.remember("symmetric", result)
    return result


def require_symmetry(name: str, matrix: Array, tolerance: float) -> None:
    """Refuse a finite square array with ``|A_ij - A_ji| > tolerance max|A|`` for some i, j.

    Raises
    ------
    InputError
        If it is not symmetric within the tolerance; the message names the worst entry.

    Examples
    --------
    >>> require_symmetry("hessian", np.array([[1.0, 0.1], [0.0, 1.0]]), 0.2)
    """
    scale = max(abs(matrix.max()), abs(matrix.min()))
    worst, row, column = _largest_asymmetry(matrix)
    if worst > tolerance * scale:
        raise InputError(
            f"{name} is not symmetric: entries ({row}, {column}) and ({column}, {row}) differ by "
            f"{worst}; expected a symmetric matrix, for instance (A + A.T) / 2"
        )


def _largest_asymmetry(matrix, tile=256):
    """Largest ``|A_ij - A_ji|`` with its indices, i < j, in tiles that stay in the cache."""
    worst, row, column = 0.0, 0, 0
    for i in range(0, len(matrix), tile):
        for j in range(i, len(matrix), tile):
            above = matrix[i : i + tile, j : j + tile]
            difference = np.abs(above - matrix[j : j + tile, i : i + tile].T)
            largest = float(difference.max())
            if largest > worst:
                at = np.unravel_index(difference.argmax(), difference.shape)
                worst, row, column = largest, i + int(at[0]), j + int(at[1])
    return worst, row, column


def covariance_matrix(name: str, value: Any, *, size: int | None = None) -> Array:
    """Return a symmetric positive semi-definite matrix: eigenvalues ``>= -8 D eps lambda_max``.

    A read-only array that owns its memory is checked once.

    Examples
    --------
    >>> covariance_matrix("covariance", [[1.0, 0.0], [0.0, -2.0]])
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: covariance is not positive semi-definite: its smallest eigenvalue \
is -2.0; expected a covariance matrix
    """
    result = symmetric_matrix(name, value, size=size)
    if _checked_arrays.is_known("covariance", result):
        return result
    _require_semidefinite(name, result)
    _checked_arrays.remember("covariance", result)
    return result


def _require_semidefinite(name, result):
    from scipy.linalg import lapack  # loads where a covariance is checked

    relative = 8 * len(result) * np.finfo(result.dtype).eps
    # symmetric, so that the transpose serves as well: LAPACK works in a matrix ordered by columns
    shifted = np.array(result.T if result.flags.c_contiguous else result, order="F")
    np.fill_diagonal(shifted, result.diagonal() + relative * result.diagonal().max())
    # A twentieth of the cost of the eigenvalues, which only a doubtful matrix needs.
    # A second thread of BLAS saves a third at best, and costs many times as much on a busy machine.
    with _blas_threads.blas_threads(1):
        if lapack.dpotrf(shifted, overwrite_a=True, clean=False)[1] == 0:
            return
    eigenvalues = np.linalg.eigvalsh(result)
    largest = np.abs(eigenvalues).max()
    if eigenvalues[0] < -relative * largest:
        remedy = ""
        if eigenvalues[0] >= -8 * len(result) * np.finfo(np.float32).eps * largest:
            remedy = (
                "; this is what single precision leaves of a matrix of low rank: compute it in "
                "double precision, or keep the gradients, of which "
                "matrices.gradient_covariance makes a covariance of any rank"
            )
        raise InputError(
            f"{name} is not positive semi-definite: its smallest eigenvalue is "
            f"{float(eigenvalues[0])}; expected a covariance matrix{remedy}"
        )


def class_labels(
    name: str, value: Any, *, num_classes: int, num_examples: int | None = None
) -> Array:
    """Return integer labels from 0 to num_classes - 1, shape (N,).

    Examples
    --------
    >>> class_labels("targets", [0, 2], num_classes=2)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: targets has the label 2 at index 1; expected integers in 0..1
    """
    kind = as_given(name, value).dtype
    if kind.kind in "US":
        raise InputError(
            f"{name} has dtype {kind}; expected integers in 0..{num_classes - 1}; "
            f"numpy.unique({name}, return_inverse=True)[1] numbers the classes"
        )
    given = array(name, value)
    wanted = "any" if num_examples is None else num_examples
    if given.ndim != 1 or (num_examples is not None and len(given) != num_examples):
        raise InputError(
            f"{name} has shape {given.shape}; expected ({wanted},), one label an example"
            + _array_hints.not_labels(name, given, num_classes)
        )
    wrong = (given != np.floor(given)) | (given < 0) | (given >= num_classes)
    if wrong.any():
        index = int(np.argmax(wrong))
        label = given[index]
        shown = int(label) if label == np.floor(label) else float(label)
        raise InputError(
            f"{name} has the label {shown} at index {index}; expected integers in "
            f"0..{num_classes - 1}" + _array_hints.not_labels(name, given, num_classes)
        )
    return given.astype(np.int64)


def generator(name: str, value: Any) -> np.random.Generator:
    """Return a ``numpy.random.Generator``: randomness is always an argument, never global.

    Examples
    --------
    >>> generator("rng", 7)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: rng=7; expected a numpy.random.Generator, for instance \
numpy.random.default_rng(7)
    """
    if not isinstance(value, np.random.Generator):
        seed = value if isinstance(value, numbers.Integral) else 0
        raise InputError(
            f"{name}={value!r}; expected a numpy.random.Generator, for instance "
            f"numpy.random.default_rng({seed})"
        )
    return value
