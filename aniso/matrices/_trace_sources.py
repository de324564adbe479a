"""Traces ``Tr(H Sigma)`` written as ``Tr B`` of a matrix B of size n, for deflation in R^n.

Each source gives what the estimator needs, for weights Z of shape (n, K):

    lift(Z)              the vectors X, (D, K), that H multiplies
    pull(P)              B Z from the products P = H X, shape (n, K)
    forms(Z, X, P)       z^T B z of each column
    basis(K)             orthonormal columns W (n, K) that hold most of the trace, and the K
                         eigenvalues of Sigma there (None if these are not known)
    spread(Z)            |Sigma-image of Z|^2 of each column, whose mean estimates Tr(R^2)
    symmetric            whether B is
    sizes(X), root(v)    norms of the noise in X, and that of a unit vector of eigenvalue v

For a factored covariance ``Sigma = A^T A``, ``B = A H A^T`` and ``X = A^T Z``. Otherwise ``n = D``,
``B = Sigma H`` and X = Z.
"""

import math

import numpy as np

from aniso.matrices import operands
from aniso.matrices._factored_pairs import gram_of
from aniso.matrices.factored import DiagonalCovariance, is_factored

_OVERSAMPLING = 8
_ITERATIONS = 2
_LARGEST_GRAM = 4000


def source_of(covariance, part=None):
    """Return the source of ``Tr(H Sigma)``, or of ``Tr(H_bb Sigma_bb)`` for a part of theta."""
    if is_factored(covariance):
        return Factor(covariance, part)
    if isinstance(covariance, DiagonalCovariance):
        return DiagonalRoot(np.sqrt(covariance.variances), part)
    return Columns(covariance, part)


class _Source:
    """Base of the sources: a basis by subspace iteration with Sigma, and the part of theta."""

    part = None
    symmetric = True

    def basis(self, num_vectors):
        """Return (W, eigenvalues) of the leading directions, by subspace iteration."""
        count = min(self.size, num_vectors + _OVERSAMPLING)
        if count == self.size:
            vectors = np.eye(self.size)
        else:
            numbers = np.random.Generator(np.random.Philox(key=0))
            vectors = np.linalg.qr(self.gram(numbers.standard_normal((self.size, count))))[0]
            for _ in range(_ITERATIONS):
                vectors = np.linalg.qr(self.gram(vectors))[0]
        inner = vectors.T @ self.gram(vectors)
        values, turned = np.linalg.eigh((inner + inner.T) / 2)
        order = np.argsort(values)[::-1][:num_vectors]
        return vectors @ turned[:, order], np.maximum(values[order], 0.0)

    def spread(self, weights):
        """Return ``|Sigma z|^2`` of each column, seen in R^n."""
        return np.sum(np.square(self.gram(weights)), axis=0)

    def sizes(self, lifted):
        """Return ``|A^T z|`` of each lifted column."""
        return np.linalg.norm(lifted, axis=0)

    def root(self, value):
        """Return the largest ``|A^T z|`` of a unit vector, the root of an eigenvalue."""
        return math.sqrt(value)

    def _masked(self, vectors):
        if self.part is None:
            return vectors
        own = np.zeros_like(vectors)
        own[self.part] = vectors[self.part]
        return own


class Factor(_Source):
    """``B = A H A^T`` of a covariance with a factor A, shape (n, D)."""

    def __init__(self, covariance, part=None):
        self.covariance, self.part, self.size = covariance, part, covariance.num_rows
        dimension = covariance.shape[0] if part is None else part.stop - part.start
        self.rank = min(self.size, dimension)
        self._inner = self._inner_products() if part is None else None

    def _inner_products(self):
        # kept factors give A A^T in the time of a few products with A
        known = getattr(getattr(self.covariance, "gradients", None), "gram", None)
        if known is None or self.size > _LARGEST_GRAM:
            return None
        return self.covariance.scale * gram_of(self.covariance).astype(np.float64, copy=False)

    def lift(self, weights):
        """Return ``A^T Z``."""
        return self._masked(self.covariance.combine(weights.T).T)

    def pull(self, products):
        """Return ``A P``."""
        return self.covariance.project(self._masked(products)).astype(np.float64, copy=False)

    def gram(self, weights):
        """Return ``A A^T Z``."""
        return self.pull(self.lift(weights)) if self._inner is None else self._inner @ weights

    def forms(self, weights, lifted, products):  # noqa: ARG002
        """Return ``x^T H x`` of each lifted column."""
        return np.einsum("ij,ij->j", lifted, products, dtype=np.float64)


class DiagonalRoot(_Source):
    """``B = S^(1/2) H S^(1/2)`` of a diagonal covariance S, whose basis are unit vectors."""

    def __init__(self, deviations, part=None):
        self.part, self.size = part, len(deviations)
        self.deviations = self._masked(deviations)
        self.rank = int(np.count_nonzero(self.deviations))

    def lift(self, weights):
        """Return ``S^(1/2) Z``."""
        return self.deviations[:, None] * weights

    pull = lift

    def gram(self, weights):
        """Return ``S Z``."""
        return self.deviations[:, None] ** 2 * weights

    def basis(self, num_vectors):
        """Return unit vectors of the largest variances."""
        order = np.argsort(-self.deviations, kind="stable")[:num_vectors]
        vectors = np.zeros((self.size, len(order)))
        vectors[order, np.arange(len(order))] = 1.0
        return vectors, self.deviations[order] ** 2

    def forms(self, weights, lifted, products):  # noqa: ARG002
        """Return ``x^T H x`` of each lifted column."""
        return np.einsum("ij,ij->j", lifted, products, dtype=np.float64)


class Columns(_Source):
    """``B = Sigma H`` of a covariance that has products alone."""

    symmetric = False

    def __init__(self, covariance, part=None):
        self.covariance, self.part = covariance, part
        self.size = covariance.shape[0]
        self.rank = self.size if part is None else part.stop - part.start

    def lift(self, weights):
        """Return Z; the part of theta alone."""
        return self._masked(weights)

    def pull(self, products):
        """Return ``Sigma P``."""
        return self._masked(self.covariance @ self._masked(products))

    def gram(self, weights):
        """Return ``Sigma Z``."""
        return self.pull(weights)

    def sizes(self, lifted):
        """Return ``|Sigma z|`` of each column."""
        return np.linalg.norm(self.gram(lifted), axis=0)

    def root(self, value):
        """Return the largest ``|Sigma z|`` of a unit vector, an eigenvalue."""
        return value

    def forms(self, weights, lifted, products):  # noqa: ARG002
        """Return ``(Sigma x)^T (H x)`` of each column."""
        return np.einsum("ij,ij->j", self.gram(lifted), products, dtype=np.float64)


class Identity(_Source):
    """``B = H``: the trace of H itself, deflated by a given basis."""

    def __init__(self, dimension, vectors):
        self.size = self.rank = dimension
        self.vectors = vectors

    def lift(self, weights):
        """Return Z."""
        return weights

    pull = gram = lift

    def basis(self, num_vectors):
        """Return the given vectors, made orthonormal; their eigenvalues are not known."""
        vectors = self.vectors[:, :num_vectors]
        return np.linalg.qr(vectors)[0] if vectors.shape[1] else vectors, None

    def forms(self, weights, lifted, products):  # noqa: ARG002
        """Return ``z^T H z`` of each column."""
        return np.einsum("ij,ij->j", lifted, products, dtype=np.float64)


def exact_products(hessian, covariance):
    """Return how many products of H the exact ``Tr(H Sigma)`` takes; 0 of two arrays."""
    diagonal = isinstance(covariance, DiagonalCovariance)
    if operands.is_dense(hessian) and (operands.is_dense(covariance) or diagonal):
        return 0
    dimension = hessian.shape[0]
    return min(dimension, covariance.num_rows) if is_factored(covariance) else dimension
