"""Block Lanczos with full reorthogonalisation: many eigenpairs of an operator with fast blocks.

A block of b vectors costs one product ``A Q_j``, a matrix product where A is dense or cached. Each
new block is orthogonalised twice against the whole basis. The basis stays orthonormal to rounding,
so that no spurious copies appear and up to b copies of an eigenvalue are found. Where an eigenvalue
may have more copies, the iteration begins again with a larger block.
"""

import math
from dataclasses import replace

import numpy as np
import scipy.linalg

from aniso import checks, memory
from aniso.estimates import NotConverged
from aniso.matrices import _pairs, operands
from aniso.matrices._check_schedule import next_check
from aniso.matrices._pairs import EigenPairs
from aniso.threads import Workers, blas_threads

_SAFE = 1e-6  # a remainder this much smaller than the block is mostly rounding
_WIDE = 64  # a second iteration has at least as many start vectors, if so many pairs are wanted
_PARTS = 16


def iterate(matrix, num_pairs, which, tolerance, limit, block):
    """Return the leading eigenpairs.

    Parameters
    ----------
    matrix : ndarray (D, D) or LinearOperator
        The iteration measures its symmetry.
    num_pairs, which, tolerance
        As for :func:`aniso.matrices.leading_eigenpairs`, checked.
    limit : int
        Largest number of basis vectors, k <= limit <= D.
    block : ndarray, shape (D, b)
        First block.

    Returns
    -------
    EigenPairs
        Pairs with their measured residuals. The residual bound of the last block ends the
        iteration.
    """
    return run(Iteration, matrix, num_pairs, which, tolerance, limit, block)[0]


def run(kind, matrix, num_pairs, which, tolerance, limit, block):
    """Return the leading eigenpairs and the last iteration, an instance of `kind`.

    Parameters
    ----------
    kind : type
        :class:`Iteration` or a subclass.
    matrix, num_pairs, which, tolerance, limit, block
        As for :func:`iterate`.

    Returns
    -------
    tuple
        (EigenPairs, Iteration).
    """
    single = operands.rounding(matrix) >= np.finfo(np.float32).eps
    dtype, num_products = np.dtype(np.float32 if single else np.float64), 0
    while True:
        iteration = kind(matrix, num_pairs, which, tolerance, limit, block.astype(dtype))
        pairs = iteration.run()
        num_products += pairs.num_products
        width = 2 * tolerance * iteration.norm
        size = block.shape[1]
        if iteration.is_complete or not _pairs.may_hide_copies(pairs.values, size, width):
            return replace(pairs, num_products=num_products), iteration
        block = _widened(block, min(num_pairs, max(_WIDE, 4 * size)))


def first_block(dimension, num_pairs, block_size=None, vector=None):
    """Return a first block of fixed pseudo-random numbers, (D, b), b about k/10 if not given.

    Parameters
    ----------
    dimension, num_pairs : int
        D and k.
    block_size : int, optional
        Number b of columns.
    vector : ndarray, shape (D,), optional
        The first column.

    Returns
    -------
    ndarray, shape (D, b)
    """
    if block_size is None:
        block_size = min(dimension, max(8, min(40, num_pairs // 10)))
    size = checks.integer("block_size", block_size, low=1, high=dimension, high_name="D")
    block = _random_block(dimension, size, 0)
    if vector is not None:
        block[:, 0] = vector
    return block


def _random_block(dimension, size, key):
    generator = np.random.Generator(np.random.Philox(key=key))
    return generator.standard_normal((dimension, size))


def _widened(block, size):
    dimension, given = block.shape
    return np.hstack([block, _random_block(dimension, size - given, size)])


class Iteration:
    """State of one run: the basis as rows, and the projected matrix.

    Parameters
    ----------
    matrix, num_pairs, which, tolerance, limit, block
        As for :func:`iterate`.
    """

    def __init__(self, matrix, num_pairs, which, tolerance, limit, block):
        self.matrix, self.num_pairs, self.which = matrix, num_pairs, which
        self.tolerance, self.limit = tolerance, limit
        self.dimension, self.size = block.shape
        self.count = 0
        self.num_sums = 0
        self.norm = 0.0  # largest |A q| of the basis so far, within the basis
        capacity = min(limit, max(4 * num_pairs, 2 * self.size))
        self.basis = self._allocate(capacity, block.dtype)
        self.projected = np.zeros((capacity, capacity))
        self.workers = Workers()
        step = -(-self.dimension // _PARTS)
        self.parts = [slice(i, i + step) for i in range(0, self.dimension, step)]
        with blas_threads(1):
            self.next = np.linalg.qr(block)[0].T
        self.coupling = None

    def _allocate(self, capacity, dtype):
        memory.require(
            2 * capacity * self.dimension * dtype.itemsize,
            f"a Lanczos basis of {capacity} vectors",
            "ask for fewer pairs, or lower max_products",
        )
        return np.empty((capacity, self.dimension), dtype)

    def run(self):
        """Return the pairs once their residual bounds meet the tolerance."""
        due, last = self.num_pairs, None
        while True:
            self._step()
            finished = self.count >= self.limit or self.coupling is None
            if self.count >= due or finished:
                values, vectors, bounds = self._ritz()
                self.norm = max(self.norm, float(np.abs(values).max(initial=0.0)))
                found = len(values) == self.num_pairs
                if (found and (bounds <= self.tolerance * self.norm).all()) or finished:
                    pairs = self._pairs(values, vectors)
                    try:
                        return self._required(pairs)
                    except NotConverged:
                        if finished:
                            raise
                excess = float(bounds.max(initial=0.0)) / (self.tolerance * self.norm or 1.0)
                due, last = next_check(self.count, excess, last), (self.count, excess)

    @property
    def is_complete(self):
        """Whether the basis spans the whole space."""
        return self.count >= self.dimension

    def _required(self, pairs):
        remedy = f"within {self.limit} products: raise max_products or the tolerance"
        if self.is_complete:
            remedy = "the products are not accurate enough: raise the tolerance"
        return _pairs.require_residuals(pairs, self.matrix, self.tolerance, self.norm, remedy)

    def _rounding(self, scale):
        return _pairs.rounding_of_residuals(self.basis.T, scale)

    def _step(self):
        block = self.next[: self.limit - self.count]
        stop = self.count + len(block)
        self._grow(stop)
        self.basis[self.count : stop] = block
        basis = self.basis[:stop]
        moved = self._product(block)
        overlaps = self._orthogonalise(moved, basis)
        self._require_symmetry(operands.finite_products(overlaps))
        self.projected[self.count : stop, :stop] = overlaps
        self.projected[:stop, self.count : stop] = overlaps.T
        self._orthogonalise(moved, basis)
        self.count = stop
        with blas_threads(1):
            self._continue(moved)

    def _require_symmetry(self, overlaps):
        """Compare ``q_i^T A q_j`` of the new vectors with earlier products; refuse asymmetry."""
        expected = np.zeros_like(overlaps)
        expected[:, self.count :] = overlaps[:, self.count :].T
        if self.coupling is not None:
            previous = self.coupling.shape[1]
            expected[:, self.count - previous : self.count] = self.coupling[: len(overlaps)]
        sizes = np.linalg.norm(overlaps, axis=1).max(), np.linalg.norm(expected, axis=1).max()
        self.norm = max(self.norm, *(float(size) for size in sizes))
        difference = float(np.abs(overlaps - expected).max())
        if difference > operands.symmetry_tolerance(self.matrix, overlaps) * self.norm:
            raise checks.InputError(
                f"matrix is not symmetric: u.T @ (A @ v) and v.T @ (A @ u) differ by "
                f"{difference:.2g} for vectors of the iteration, |A| is {self.norm:.2g}; expected "
                "a symmetric operator, for instance (A + A.T) / 2"
            )

    def _product(self, block):
        if not operands.is_dense(self.matrix):
            return np.ascontiguousarray((self.matrix @ block.T).T, dtype=self.basis.dtype)
        moved = np.empty_like(block)

        def fill(part):
            np.matmul(block, self.matrix[:, part], out=moved[:, part])

        self.workers.map(fill, self.parts)
        return moved

    def _orthogonalise(self, moved, basis):
        # subtracts the components of `moved` in the basis, in place, and returns them
        overlaps = self.workers.sum(lambda part: moved[:, part] @ basis[:, part].T, self.parts)

        def subtract(part):
            moved[:, part] -= overlaps @ basis[:, part]

        self.workers.map(subtract, self.parts)
        return overlaps

    def _grow(self, needed):
        capacity = len(self.basis)
        if needed <= capacity:
            return
        capacity = min(self.limit, max(needed, 2 * capacity))
        basis = self._allocate(capacity, self.basis.dtype)
        basis[: self.count] = self.basis[: self.count]
        projected = np.zeros((capacity, capacity))
        projected[: self.count, : self.count] = self.projected[: self.count, : self.count]
        self.basis, self.projected = basis, projected

    def _continue(self, moved):
        # next block: an orthonormal basis of the remainder
        orthogonal, triangle = np.linalg.qr(moved.T)
        sizes = np.abs(np.diag(triangle))
        safe = max(_SAFE, math.sqrt(operands.rounding(moved)))
        if self.count + len(sizes) <= self.dimension and sizes.min() > safe * sizes.max():
            self.next, self.coupling = np.ascontiguousarray(orthogonal.T), triangle
            return
        # directions that have vanished, or nearly, are dropped
        orthogonal, coupling, _ = scipy.linalg.qr(
            moved.T, mode="economic", pivoting=True, check_finite=False
        )
        kept = int((np.abs(np.diag(coupling)) > self._rounding(self.norm)).sum())
        kept = min(kept, self.dimension - self.count)
        if kept == 0:
            self.coupling = None
            self.next = self._fresh()
            if len(self.next):
                self.coupling = np.zeros((len(self.next), len(moved)))
            return
        fresh = orthogonal[:, :kept].T
        # once more against the basis: a small remainder is mostly rounding in old directions
        fresh = np.ascontiguousarray(fresh)
        self._orthogonalise(fresh, self.basis[: self.count])
        self.next = np.linalg.qr(fresh.T)[0].T
        self.coupling = self.next @ moved.T

    def _fresh(self):
        # an invariant subspace: go on in a new direction, so that no eigenvalue is missed
        if self.count >= self.dimension:
            return np.empty((0, self.dimension), self.basis.dtype)
        generator = np.random.Generator(np.random.Philox(key=self.count))
        size = min(self.size, self.dimension - self.count)
        block = generator.standard_normal((size, self.dimension)).astype(self.basis.dtype)
        basis = self.basis[: self.count]
        for _ in range(2):
            self._orthogonalise(block, basis)
        return np.linalg.qr(block.T)[0].T

    def _ritz(self):
        with blas_threads(1):
            return self._projected_pairs()

    def _projected_pairs(self):
        projected = self.projected[: self.count, : self.count]
        if self.which == "magnitude":
            values, vectors = np.linalg.eigh(projected)
            order = np.argsort(-np.abs(values), kind="stable")[: self.num_pairs]
            values, vectors = values[order], vectors[:, order]
        else:
            wanted = min(self.num_pairs, self.count)
            low = 0 if self.which == "smallest" else self.count - wanted
            values, vectors = scipy.linalg.eigh(
                projected, subset_by_index=[low, low + wanted - 1], check_finite=False
            )
            if self.which == "largest":
                values, vectors = values[::-1], vectors[:, ::-1]
        if self.coupling is None:
            return values, vectors, np.zeros(len(values))
        return values, vectors, np.linalg.norm(self.coupling @ self._last(vectors), axis=0)

    def _pairs(self, values, vectors):
        """Return the pairs with residuals from the products of the iteration, and from one more.

        That product, of the signed sum of the vectors, measures what the iteration's leave out.
        """
        values, lifted, residuals, inside = self._lifted(values, vectors)
        signs = alternating(len(values))
        expected = self._image(inside @ signs)
        summed = lifted @ signs.astype(lifted.dtype)
        image = operands.finite_products(np.asarray(self.matrix @ summed, dtype=np.float64))
        beyond = float(np.linalg.norm(image - expected))
        self.num_sums += 1
        return EigenPairs(values, lifted, np.hypot(residuals, beyond), self.count + self.num_sums)

    def _lifted(self, values, vectors):
        # eigenvectors (D, k) with their signs, residuals in exact products, weights in the basis
        basis, weights = self.basis[: self.count], vectors.astype(self.basis.dtype)
        rows = self.workers.map(lambda part: basis[:, part].T @ weights, self.parts)
        lifted = np.concatenate(rows)
        with blas_threads(1):
            inside = self.projected[: self.count, : self.count] @ vectors - vectors * values
            squares = np.sum(np.square(inside), axis=0)
            if self.coupling is not None:
                squares += np.sum(np.square(self.coupling @ self._last(vectors)), axis=0)
        largest = np.abs(lifted).argmax(axis=0)
        signs = np.where(lifted[largest, np.arange(len(values))] < 0, -1.0, 1.0)
        lifted *= signs.astype(lifted.dtype)
        return np.array(values), lifted, np.sqrt(squares), vectors * signs

    def _last(self, vectors):
        # the entries of the last block
        return vectors[self.count - self.coupling.shape[1] : self.count]

    def _image(self, weights):
        """Return the product with the combination `weights` (count,) of the basis, (D,)."""
        moved = (self.projected[: self.count, : self.count] @ weights) @ self.basis[: self.count]
        if self.coupling is not None and len(self.next):
            moved = moved + (self.coupling @ self._last(weights)) @ self.next
        return np.asarray(moved, dtype=np.float64)


def alternating(count):
    """Return signs 1, -1, 1, ..., shape (count,), of the sum of vectors that is multiplied."""
    return np.where(np.arange(count) % 2, -1.0, 1.0)
