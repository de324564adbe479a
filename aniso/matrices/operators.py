"""Symmetric matrices given as arrays or as linear operators: one door for both.

The matrix storey takes a matrix A in R^{D x D} either as an array or as a SciPy `LinearOperator`
(a sparse matrix counts as one). The functions here validate either and never form D x D unless
their name says so. The further protocol of a *factored* covariance is described in
:mod:`aniso.matrices.factored`.
"""

import weakref

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from aniso import _array_hints, checks, memory
from aniso.matrices import convention

MAX_PRODUCTS = 10_000
_BLOCK_BYTES = 32 * 2**20
# operators whose symmetry has been probed already
_PROBED = weakref.WeakSet()


def symmetric(name, value, *, size=None, probed=True):
    """Symmetric matrix as a float array (D, D) or as a `LinearOperator` of that shape.

    Parameters
    ----------
    name : str
        Name for the message.
    value : array_like (D, D), sparse matrix or LinearOperator
        An array or sparse matrix is checked to be finite and symmetric. Another operator is
        probed once by two products, see :func:`require_symmetric_products`. Integers and booleans
        become floats.
    size : int, optional
        The dimension D that is expected.
    probed : bool
        False where the caller measures the symmetry itself.

    Raises
    ------
    InputError
        If the shape is wrong, the numbers are not real, or the matrix is not finite or not
        symmetric.

    Examples
    --------
    >>> symmetric("hessian", [[2.0, 0.0], [0.0, 1.0]], size=3)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: hessian has shape (2, 2); expected (3, 3)
    """
    if not is_operator(value):
        other = _array_hints.takes_its_place(name, value)
        if other is not None:
            raise checks.InputError(other)
        return checks.symmetric_matrix(name, value, size=size)
    operator = value if isinstance(value, LinearOperator) else aslinearoperator(value)
    _check_operator(name, operator, size)
    if scipy.sparse.issparse(value):
        matrix = value.astype(np.float64) if operator.dtype.kind in "biu" else value
        _check_sparse(name, matrix)
        return aslinearoperator(matrix)
    if operator.dtype is not None and np.dtype(operator.dtype).kind in "biu":
        operator = _RealOperator(operator)
    if probed:
        _probe_once(name, value, operator)
    return operator


def dense_covariance(name, value, stage, *, size=None):
    """Symmetric positive semi-definite array (D, D) of a covariance of any kind.

    Parameters
    ----------
    name : str
        Name for the message.
    value : array_like (D, D), sparse matrix, LinearOperator or covariance of gradients
        An operator is formed by its own `to_dense` or D products.
    stage : str
        As in :func:`aniso.matrices.convention.check_stage`: what it must be the covariance of,
        where it says so.
    size : int, optional
        The dimension D that is expected.

    Raises
    ------
    InputError
        If it has another convention, or is no covariance matrix of that size.
    AllocationRefused
        If D^2 numbers would not fit.

    Examples
    --------
    >>> dense_covariance("covariance", aslinearoperator(np.eye(2)), "diffusion")
    array([[1., 0.],
           [0., 1.]])
    """
    convention.check_stage(name, value, stage)
    if is_operator(value):
        value = to_dense(symmetric(name, value, size=size), name)
    return checks.covariance_matrix(name, value, size=size)


def is_operator(value):
    """Whether the matrix is given as an operator or a sparse matrix, not as an array."""
    return scipy.sparse.issparse(value) or hasattr(value, "matvec")


def require_symmetric_products(name, operator):
    """Refuse an operator whose products with two random vectors deny that it is symmetric.

    The two vectors are the same at every call.

    Raises
    ------
    InputError
        As :func:`require_symmetric_forms`.

    Examples
    --------
    >>> require_symmetric_products("hessian", aslinearoperator(np.array([[1.0, 2.0], [0.0, 1.0]])))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: hessian is not symmetric: x.T @ (A @ z) and z.T @ (A @ x) differ by \
5.1 for random vectors x and z; expected a symmetric operator, for instance (A + A.T) / 2
    """
    dimension = operator.shape[0]
    vectors = np.random.Generator(np.random.Philox(key=0)).standard_normal((dimension, 2))
    require_symmetric_forms(name, operator, vectors, np.asarray(operator @ vectors))


def require_symmetric_forms(name, operator, vectors, products):
    """Refuse an operator whose products with random vectors deny that it is symmetric.

    For two vectors x and z, ``x^T A z`` and ``z^T A x`` may differ by
    ``16 sqrt(eps) (|x| |A z| + |z| |A x|) / sqrt(D)``, eps the rounding of the operator's numbers.
    Nothing smaller is told from the rounding of what the operator computes.

    Parameters
    ----------
    name : str
    operator : LinearOperator
    vectors, products : ndarray, shape (D, K)
        Independent random vectors with their products; the first eight are compared.

    Raises
    ------
    InputError
        If a product has the wrong shape, is not real or not finite, or two forms differ by more.
    """
    if products.shape != vectors.shape or products.dtype.kind not in "biuf":
        raise checks.InputError(
            f"{name} has products of shape {products.shape} and dtype {products.dtype} with "
            f"vectors of shape {vectors.shape}; expected real numbers of the same shape"
        )
    finite_products(products)
    tolerance = symmetry_tolerance(operator, products) / np.sqrt(len(vectors))
    vectors, products = vectors[:, :8], products[:, :8].astype(np.float64)
    forms = vectors.T @ products
    sizes = np.outer(np.linalg.norm(vectors, axis=0), np.linalg.norm(products, axis=0))
    differences = np.abs(forms - forms.T)
    if (differences > tolerance * (sizes + sizes.T)).any():
        raise checks.InputError(
            f"{name} is not symmetric: x.T @ (A @ z) and z.T @ (A @ x) differ by "
            f"{float(differences.max()):.2g} for random vectors x and z; expected a symmetric "
            "operator, for instance (A + A.T) / 2"
        )


def symmetry_tolerance(*numbers):
    """Relative asymmetry that passes for rounding, ``16 sqrt(eps)`` of the coarsest numbers."""
    return 16 * np.sqrt(rounding(*numbers))


def rounding(*numbers):
    """Rounding unit eps of the coarsest of some arrays and operators.

    Examples
    --------
    >>> rounding(np.ones(1, np.float32), np.ones(1)) == 2**-23
    True
    """
    types = [np.dtype(getattr(each, "dtype", None) or np.float64) for each in numbers]
    return max(float(np.finfo(t if t.kind == "f" else np.float64).eps) for t in types)


def _probe_once(name, value, operator):
    if getattr(value, "symmetric_by_construction", False):
        return
    try:
        if value in _PROBED:
            return
        _PROBED.add(value)
    except TypeError:
        pass  # an object that cannot be remembered is probed at every call
    try:
        require_symmetric_products(name, operator)
    except BaseException:
        _PROBED.discard(value)
        raise


class _RealOperator(LinearOperator):
    """An operator of integers or booleans, whose products become floats."""

    def __init__(self, operator):
        self._operator = operator
        super().__init__(np.dtype(np.float64), operator.shape)

    def _matvec(self, vector):
        return np.asarray(self._operator @ vector, dtype=np.float64)

    _matmat = _matvec

    def _adjoint(self):
        return self

    def __getattr__(self, name):
        # its own trace, diagonal, factor or convention
        if name == "_operator":
            raise AttributeError(name)
        return getattr(self._operator, name)


def held_symmetric(name, value, *, size=None):
    """Return :func:`symmetric` of the value, an array or a sparse matrix copied for an object."""
    if scipy.sparse.issparse(value):
        value = value.copy()
    result = symmetric(name, value, size=size)
    return checks.held(result) if is_dense(result) else result


def covariance(name, value, *, size=None):
    """Symmetric positive semi-definite matrix as a float array or as a `LinearOperator`.

    An array is checked to be positive semi-definite, at the D^3/3 flops of a Cholesky
    factorisation; a sparse matrix to have a non-negative diagonal; an operator is trusted.

    Examples
    --------
    >>> covariance("covariance", [[1.0, 2.0], [2.0, 1.0]])
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: covariance is not positive semi-definite: its smallest eigenvalue \
is -1.0; expected a covariance matrix
    """
    result = symmetric(name, value, size=size)
    if is_dense(result):
        return checks.covariance_matrix(name, result)
    if scipy.sparse.issparse(value) and value.diagonal().min() < 0:
        index = int(value.diagonal().argmin())
        raise checks.InputError(
            f"{name} has the negative variance {float(value.diagonal()[index])} at index {index}; "
            "expected a covariance matrix"
        )
    return result


def _check_operator(name, operator, size):
    rows, columns = operator.shape
    if rows != columns or rows == 0:
        raise checks.InputError(
            f"{name} has shape {operator.shape}; expected a square operator (D, D), D >= 1"
        )
    if size is not None and rows != size:
        raise checks.InputError(f"{name} has shape {operator.shape}; expected ({size}, {size})")
    if operator.dtype is not None and np.dtype(operator.dtype).kind not in "biuf":
        raise checks.InputError(f"{name} has dtype {operator.dtype}; expected real numbers")


def _check_sparse(name, matrix):
    entries = matrix.tocoo().data
    if not np.isfinite(entries).all():
        raise checks.InputError(f"{name} has a non-finite entry; expected finite numbers")
    difference = abs(matrix - matrix.T).max()
    if difference > 8 * matrix.shape[0] * np.finfo(np.float64).eps * np.abs(entries).max(initial=0):
        raise checks.InputError(
            f"{name} is not symmetric: opposite entries differ by {difference}; expected a "
            "symmetric matrix, for instance (A + A.T) / 2"
        )


def finite_products(products):
    """Products of an operator, or a number made of them; refused where not finite."""
    if not np.isfinite(products).all():
        raise checks.InputError(
            "the operator returned a product that is not finite; expected finite numbers"
        )
    return products


def is_dense(matrix):
    """Whether the matrix is an array."""
    return isinstance(matrix, np.ndarray)


def to_dense(matrix, name="matrix"):
    """The array (D, D) of a matrix; an operator is formed by its own `to_dense` or D products.

    Parameters
    ----------
    matrix : ndarray (D, D) or LinearOperator
        Symmetric; products may be asymmetric by their rounding.
    name : str
        For messages.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If a product is not finite, or the products are not symmetric.
    AllocationRefused
        If D^2 numbers would not fit.
    """
    if is_dense(matrix):
        return matrix
    dimension = matrix.shape[0]
    memory.require(
        3 * 8 * dimension**2, f"the dense {name}, {dimension} × {dimension}", "keep the operator"
    )
    if hasattr(matrix, "to_dense"):
        return np.asarray(matrix.to_dense())
    dense = np.empty((dimension, dimension))
    for start, stop in blocks(dimension, dimension):
        dense[:, start:stop] = matrix @ unit_columns(dimension, start, stop)
    finite_products(dense)
    checks.require_symmetry(name, dense, symmetry_tolerance(matrix))
    return (dense + dense.T) / 2


def blocks(count, dimension, largest=None):
    """Ranges (start, stop) that cover 0..count, each of at most 32 MiB of vectors in R^D.

    `largest` is the number of vectors that the operator behind them lets be held together, if it
    states one.

    Examples
    --------
    >>> list(blocks(300, 10))
    [(0, 256), (256, 300)]
    """
    size = max(1, min(largest or 256, 256, _BLOCK_BYTES // (8 * max(1, dimension))))
    for start in range(0, count, size):
        yield start, min(count, start + size)


def unit_columns(dimension, start, stop):
    """Columns start..stop of the identity, shape (dimension, stop - start)."""
    columns = np.zeros((dimension, stop - start))
    columns[np.arange(start, stop), np.arange(stop - start)] = 1.0
    return columns
