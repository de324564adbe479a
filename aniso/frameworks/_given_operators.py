"""Matrices of any framework as symmetric operators, checked on products with random vectors."""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks, matrices, memory
from aniso.arrays import places, transfer
from aniso.frameworks._foreign_arrays import on_host
from aniso.matrices import covariance_arrays, operands

_NUM_VECTORS = 8
_TYPES = ("float32", "float64")
_SINGLE_ASYMMETRY = 1e-3
"""Asymmetry of an array in single precision, relative to its largest entry, that sums leave."""


class GivenMatrix(matrices.SymmetricOperator):
    """A symmetric matrix that was given, with its blocks and its convention.

    Parameters
    ----------
    matrix : ndarray, shape (D, D), or LinearOperator
        Checked already.
    blocks : dict of str to slice, optional
        Parts of 0..D by name.
    convention : matrices.Convention, optional
        Of a covariance.
    factor : float
        Number by which the matrix is multiplied.

    Examples
    --------
    >>> GivenMatrix(np.diag([1.0, 2.0])).trace()
    3.0
    """

    # products with random vectors were compared when the matrix was given
    symmetric_by_construction = True

    def __init__(self, matrix, blocks=None, convention=None, factor=1.0):
        is_dense = operands.is_dense(matrix)
        self._matrix = np.asarray(matrix) if is_dense else matrix
        self._factor, self.convention = factor, convention
        known = is_dense or (
            callable(getattr(matrix, "diagonal", None)) and getattr(matrix, "has_diagonal", True)
        )
        dtype = np.dtype(getattr(matrix, "dtype", None) or np.float64)
        diagonal = self._own_diagonal if known else None
        super().__init__(self._products, matrix.shape[0], dtype, diagonal, blocks=blocks)

    def _products(self, vectors):
        return self._factor * np.asarray(self._matrix @ vectors)

    def _own_diagonal(self):
        return self._factor * np.asarray(self._matrix.diagonal())

    def to_dense(self):
        """Return the matrix, shape (D, D), a new array; a covariance keeps its convention.

        Raises
        ------
        InputError
            If a product is not finite, or the products are not symmetric.
        AllocationRefused
            If it would not fit.
        """
        if operands.is_dense(self._matrix):
            memory.require(self._matrix.nbytes, "a copy of the matrix", "use its products")
            dense = self._factor * self._matrix
        else:
            dense = super().to_dense()
        if self.convention is None:
            return dense
        return covariance_arrays.CovarianceArray(dense, self.convention)

    def rescaled(self, factor, convention):
        """Return the matrix times `factor`, with another convention."""
        return GivenMatrix(self._matrix, self.blocks, convention, self._factor * factor)

    def __repr__(self):
        said = "" if self.convention is None else f": {self.convention}"
        return f"<GivenMatrix: D = {self.shape[0]}, {self.dtype}{said}>"


class TensorOperator(LinearOperator):
    """NumPy products of an operator that multiplies PyTorch tensors.

    Parameters
    ----------
    operator : object
        With `dtype` and `device` of PyTorch, and either `shape` and ``operator @ tensor``, also of
        a block, as of curvlinops; or `size` and ``operator.matvec(tensor)`` of one vector, as of
        hessian-eigenthings.
    """

    def __init__(self, operator):
        self._operator = operator
        shape = getattr(operator, "shape", None) or (operator.size, operator.size)
        super().__init__(_type_name(operator), tuple(int(length) for length in shape))

    def _matmat(self, vectors):
        import torch

        operator = self._operator
        given = np.ascontiguousarray(vectors, dtype=self.dtype)
        columns = torch.as_tensor(given, device=operator.device)
        if hasattr(operator, "shape"):
            products = operator @ columns
        else:
            products = torch.stack([operator.matvec(column) for column in columns.T], dim=1)
        return transfer.to_numpy(products)

    def _matvec(self, vector):
        return self._matmat(vector.reshape(-1, 1))[:, 0]

    def _adjoint(self):
        return self

    _transpose = _adjoint


def symmetric(name, value, *, size=None):
    """Return a given symmetric matrix as an array (D, D) or as an operator on NumPy vectors.

    Parameters
    ----------
    name : str
        Name for messages.
    value : array_like (D, D), sparse matrix or operator
        Of NumPy, SciPy, PyTorch, JAX, curvlinops or hessian-eigenthings. An array is copied.
    size : int, optional
        D.

    Returns
    -------
    ndarray, shape (D, D), or LinearOperator

    Raises
    ------
    InputError
        If it has another shape, is not real or finite, or is not symmetric.

    Notes
    -----
    Operators take one product with eight fixed random vectors, whose 28 pairs are compared. An
    array in single precision may be asymmetric by 1e-3 of its largest entry, and is averaged.
    """
    if _multiplies_tensors(value):
        value = TensorOperator(value)
    elif places.is_foreign(value):
        value = on_host(name, value)
    elif not operands.is_operator(value) and hasattr(value, "to_scipy"):
        value = value.to_scipy()
    if not operands.is_operator(value):
        return operands.held_symmetric(name, _symmetric_to_rounding(name, value), size=size)
    if hasattr(value, "tocoo"):
        return operands.held_symmetric(name, value, size=size)
    operator = operands.symmetric(name, value, size=size, probed=False)
    vectors, products = _probed(operator)
    operands.require_symmetric_forms(name, operator, vectors, products)
    return operator


def _symmetric_to_rounding(name, value):
    """Return an array; in single precision the mean of it and its transpose."""
    given = checks.as_given(name, value)
    if given.dtype != np.float32 or given.ndim != 2 or given.shape[0] != given.shape[1]:
        return value
    matrix = checks.array(name, given)
    checks.require_symmetry(name, matrix, _SINGLE_ASYMMETRY)
    return (matrix + matrix.T) / 2


def covariance(name, value, *, size):
    """Return :func:`symmetric` of a covariance, refused where it has a negative variance.

    Notes
    -----
    An array is checked by a factorisation; an operator on eight random vectors.
    """
    matrix = symmetric(name, value, size=size)
    if operands.is_dense(matrix):
        return operands.covariance(name, matrix)
    vectors, products = _probed(matrix)
    forms = np.einsum("dk,dk->k", vectors, products)
    sizes = np.linalg.norm(vectors, axis=0) * np.linalg.norm(products, axis=0)
    worst = int(np.argmin(forms / np.maximum(sizes, 1e-300)))
    if forms[worst] < -operands.symmetry_tolerance(matrix, products) * sizes[worst]:
        raise checks.InputError(
            f"{name} is not positive semi-definite: v.T @ (A @ v) is {float(forms[worst]):.3g} for "
            "a random vector v; expected a covariance matrix"
        )
    return matrix


def _probed(operator):
    rng = np.random.Generator(np.random.Philox(key=0))
    vectors = rng.standard_normal((operator.shape[0], _NUM_VECTORS))
    return vectors, np.asarray(operator @ vectors)


def _multiplies_tensors(value):
    """Whether a value is an operator whose vectors are PyTorch tensors."""
    if places.is_foreign(value) or not hasattr(value, "device"):
        return False
    kind = type(getattr(value, "dtype", None)).__module__.partition(".")[0]
    with_shape = hasattr(value, "shape") and hasattr(value, "__matmul__")
    return kind == "torch" and (with_shape or (hasattr(value, "size") and hasattr(value, "matvec")))


def _type_name(operator):
    name = str(operator.dtype).removeprefix("torch.")
    if name not in _TYPES:
        raise checks.InputError(
            f"the {type(operator).__name__} has the dtype {name}; expected float32 or float64: "
            "products in half precision have too few digits"
        )
    return np.dtype(name)
