"""Matrix products into given memory, ``C = alpha A B + beta C``, without a temporary array.

NumPy has no product that adds to a result. SciPy's has one, but it holds the interpreter's lock
while BLAS works, so that a second thread waits. This module calls the BLAS that SciPy exports for
Cython through ctypes, which releases the lock.
"""

import ctypes
import functools

import numpy as np
from scipy.linalg import cython_blas

_LETTERS = {np.dtype(np.float64): "d", np.dtype(np.float32): "s"}
_REALS = {np.dtype(np.float64): ctypes.c_double, np.dtype(np.float32): ctypes.c_float}


@functools.cache
def _address(name):
    capsule = cython_blas.__pyx_capi__[name]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return get_pointer(capsule, get_name(capsule))


@functools.cache
def _function(name):
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(_address(name))


@functools.cache
def _prepared_function(name, releases):
    # its arguments are objects of ctypes already, and are not converted
    kind = ctypes.CFUNCTYPE if releases else ctypes.PYFUNCTYPE
    return kind(None)(_address(name))


def accumulate_product(result, left, right, *, alpha=1.0, beta=1.0):
    """Write ``alpha left @ right + beta result`` to `result` in place, by one BLAS call.

    Parameters
    ----------
    result : ndarray, shape (m, n)
        Row-major, rows of any stride; float64 or float32, as are the factors.
    left, right : ndarray, shapes (m, k) and (k, n)
        Row-major or transposed row-major; anything else is copied.
    alpha, beta : float
        Factors of the product and of the old `result`, which is not read if beta is 0.

    Raises
    ------
    ValueError
        If the rows of `result` are not contiguous.

    Examples
    --------
    >>> total = np.ones((1, 1))
    >>> accumulate_product(total, np.array([[2.0]]), np.array([[3.0]]))
    >>> total
    array([[7.]])
    """
    if 0 in result.shape:
        return
    dtype = result.dtype
    if result.strides[1] != dtype.itemsize and result.shape[1] > 1:
        raise ValueError("result must have contiguous rows")
    # column-major BLAS sees the transposes: result^T = right^T left^T
    first, first_letter, first_stride = _operand(right, dtype)
    second, second_letter, second_stride = _operand(left, dtype)
    real = _REALS[dtype]
    integers = [ctypes.c_int(int(n)) for n in (result.shape[1], result.shape[0], left.shape[1])]
    strides = [ctypes.c_int(int(n)) for n in (first_stride, second_stride, _row_stride(result))]
    scalars = real(alpha), real(beta)
    byref = ctypes.byref
    _function(f"{_LETTERS[dtype]}gemm")(
        ctypes.c_char_p(first_letter),
        ctypes.c_char_p(second_letter),
        *(byref(n) for n in integers),
        byref(scalars[0]),
        first.ctypes.data,
        byref(strides[0]),
        second.ctypes.data,
        byref(strides[1]),
        byref(scalars[1]),
        result.ctypes.data,
        byref(strides[2]),
    )


class BoundProduct:
    """``result = left @ right + beta result`` of arrays that stay where they are.

    A call takes about a microsecond beyond BLAS.

    Parameters
    ----------
    result : ndarray, shape (m, n)
        Row-major, rows of any stride.
    left, right : ndarray, shapes (m, k) and (k, n)
        Row-major or transposed row-major, of the dtype of `result`.
    beta : float
        Factor of the old `result`, which is not read if it is 0.
    releases : bool
        Whether a call releases the interpreter's lock. A thread that has released it may wait
        longer for its return than a short product takes.

    Attributes
    ----------
    result, left, right : ctypes.c_void_p
        Addresses. A new ``value`` moves an operand to memory of the same strides, which the caller
        keeps alive.
    function : int
        Address of the BLAS function.
    arguments : tuple
        Its arguments, objects of ctypes.

    Raises
    ------
    ValueError
        If an array has other strides or another dtype.

    Examples
    --------
    >>> total = np.ones((1, 1))
    >>> product = BoundProduct(total, np.array([[2.0]]), np.array([[3.0]]), beta=1.0)
    >>> product(), product(), total
    (None, None, array([[13.]]))
    """

    __slots__ = ("_beta", "_call", "_keep", "arguments", "function", "left", "result", "right")

    def __init__(self, result, left, right, beta=0.0, releases=True):
        dtype = result.dtype
        own, own_letter, own_stride = _operand(result, dtype)
        first, first_letter, first_stride = _operand(right, dtype)
        second, second_letter, second_stride = _operand(left, dtype)
        in_place = own is result and first is right and second is left
        if not in_place or own_letter != b"N":
            raise ValueError("the arrays must have one dtype and contiguous rows or columns")
        integers = [ctypes.c_int(int(n)) for n in (result.shape[1], result.shape[0], left.shape[1])]
        strides = [ctypes.c_int(int(n)) for n in (first_stride, second_stride, own_stride)]
        one, self._beta = _REALS[dtype](1.0), _REALS[dtype](beta)
        self.result, self.left, self.right = (
            ctypes.c_void_p(array.ctypes.data) for array in (result, left, right)
        )
        self._keep = result, left, right
        byref = ctypes.byref
        self.arguments = (
            ctypes.c_char_p(first_letter),
            ctypes.c_char_p(second_letter),
            *(byref(n) for n in integers),
            byref(one),
            self.right,
            byref(strides[0]),
            self.left,
            byref(strides[1]),
            byref(self._beta),
            self.result,
            byref(strides[2]),
        )
        name = f"{_LETTERS[dtype]}gemm"
        self.function, self._call = _address(name), _prepared_function(name, releases)

    def __call__(self):
        """Compute the product."""
        self._call(*self.arguments)

    def accumulate(self, beta):
        """Set the factor of the old result."""
        self._beta.value = beta


def _row_stride(matrix):
    if matrix.shape[0] == 1:
        return max(1, matrix.shape[1])
    return matrix.strides[0] // matrix.itemsize


def _operand(matrix, dtype):
    """Return the matrix, the letter by which BLAS knows its layout, and its leading dimension."""
    if matrix.dtype != dtype:
        matrix = matrix.astype(dtype)
    item = dtype.itemsize
    rows, columns = matrix.shape
    down, across = matrix.strides
    if (across == item or columns == 1) and (rows == 1 or down >= item * columns):
        return matrix, b"N", _row_stride(matrix)
    if (down == item or rows == 1) and (columns == 1 or across >= item * rows):
        return matrix, b"T", max(rows, 1) if columns == 1 else across // item
    return np.ascontiguousarray(matrix), b"N", max(1, columns)
