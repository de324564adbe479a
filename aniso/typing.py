"""Types of the arguments and results of public functions, for hints and type checkers.

======================  =========================================================================
name                    what it admits
======================  =========================================================================
`Array`                 an array of NumPy, or of the library where a problem lives
`ArrayLike`             what NumPy turns into an array, or an array of another library
`Operator`              a matrix by its products: a ``scipy.sparse.linalg.LinearOperator``, say
`Matrix`                either of these, shape (D, D)
`Loss`                  a loss as a function of outputs and targets
`PathLike`              the path of a file or a folder
`DTypeLike`             what NumPy turns into a dtype
`Shape`                 lengths of axes, None for any
======================  =========================================================================
"""

import os
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
DTypeLike: TypeAlias = npt.DTypeLike
Shape: TypeAlias = tuple[int | None, ...]
PathLike: TypeAlias = str | os.PathLike[str]


class ForeignArray(Protocol):
    """An array of a library that shares memory by DLPack: PyTorch, JAX, CuPy."""

    def __dlpack__(self, *arguments: Any, **options: Any) -> Any:
        """Return the capsule of the array's memory."""


class Operator(Protocol):
    """A matrix that is known by its products with vectors."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of rows and columns."""

    def matvec(self, x: Any) -> Any:
        """Return the product with a vector."""

    def matmat(self, X: Any) -> Any:
        """Return the product with the columns of an array."""


class Loss(Protocol):
    """A loss of one example as a function of outputs (n, C) and targets."""

    def __call__(self, outputs: Any, targets: Any) -> Any:
        """Return the losses, shape (n,)."""


ArrayLike: TypeAlias = npt.ArrayLike | ForeignArray
Matrix: TypeAlias = ArrayLike | Operator
