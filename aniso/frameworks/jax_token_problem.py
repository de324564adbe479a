"""A JAX loss of sequences, with each token as an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aniso.frameworks import _jax_data, _jax_products, _jax_tokens
from aniso.frameworks._jax_gradients import JaxGradients
from aniso.frameworks._jax_parameters import precision
from aniso.frameworks.jax_problem import JaxProblem
from aniso.problems import problem_checks

if TYPE_CHECKING:
    from aniso.matrices import ExampleGradients
    from aniso.typing import Array, ArrayLike, DTypeLike


_CHUNK = 1024
"""Number of tokens of one pass, if none is given."""


class JaxTokenProblem(JaxProblem):
    """Mean loss of the tokens of sequences; ``from_jax(..., example="token")`` makes it.

    A pass computes all tokens of whole sequences, and takes those that count.

    Attributes
    ----------
    unit : str
        "token".
    num_examples : int
        N, the number of tokens that count.
    num_sequences : int
        Sequences that hold them.
    """

    num_sequences: int

    unit = "token"

    def __init__(
        self,
        parameters: Any,
        checked: Any,
        data: Any,
        dtype: DTypeLike,
        chunk_size: int | None,
        tokens: Any,
    ) -> None:
        super().__init__(parameters, checked, data, dtype, chunk_size)
        self.num_sequences, self.num_examples = self.num_examples, len(tokens[0])
        self._rows, self._positions, self._length = tokens
        self._together = _jax_tokens.TokenProducts(
            checked.products.losses_of_batch.loss, parameters
        )
        self._counts = self._spread(np.ones((1, self.num_examples)))[0]

    @property
    def chunk_size(self) -> int:
        """Tokens of one pass, of whole sequences: as given, or 1024."""
        return min(self._given_chunk or _CHUNK, self.num_examples)

    def losses(self, theta: ArrayLike) -> Array:
        """Losses of the tokens, l_i, shape (N,)."""
        parts = [np.asarray(part) for _, part in self._sequences("losses", theta)]
        grid = np.concatenate(parts)
        return problem_checks.finite("a loss", grid[self._rows, self._positions])

    def loss_and_gradient(self, theta: ArrayLike) -> tuple[float, Array]:
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        value, total = 0.0, np.zeros(self.num_parameters)
        for _, (part, slope) in self._sequences("gradient", theta, by_sequence=self._counts):
            value += float(part)
            total += np.asarray(slope)
        gradient = (total / self.num_examples).astype(self.dtype)
        return value / self.num_examples, problem_checks.finite(
            "the gradient of the loss", gradient
        )

    def example_gradients(self, theta: ArrayLike) -> Array | ExampleGradients:
        """Gradients of the tokens, which are recomputed where they are needed."""
        return JaxTokenGradients(self, self.check_theta(theta))

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Raises
        ------
        InputError
            If JAX has no right second derivative of this loss; the reason is named.
        """
        way = self._checked.require_second_order()
        vectors, columns = problem_checks.checked_vectors(vectors, self.num_parameters)
        columns = columns.astype(self.dtype)
        made = np.zeros(columns.shape)
        for start, stop, width in _jax_products.blocks(columns.shape[1]):
            block = _jax_products.padded(columns, start, stop, width)
            for _, part in self._sequences(way, theta, block, by_sequence=self._counts):
                made[:, start:stop] += np.asarray(part)[:, : stop - start]
        made = (made / self.num_examples).astype(self.dtype)
        return problem_checks.finite("a Hessian product", made).reshape(vectors.shape)

    def subset(self, indices: ArrayLike) -> JaxTokenProblem:
        """Return the same problem on some of the tokens, in the order of `indices`."""
        indices = problem_checks.checked_indices(indices, self.num_examples)
        sequences, rows = np.unique(self._rows[indices], return_inverse=True)
        with precision(self.dtype):
            data = _jax_data.taken(self._data, sequences.astype(np.int32))
        return self._on(data, self.dtype, (rows, self._positions[indices], self._length))

    def __repr__(self):
        sequences = f"{self.num_sequences} sequence{'s' * (self.num_sequences != 1)}"
        told = f"N = {self.num_examples} tokens of {sequences}"
        return super().__repr__().replace(f"N = {self.num_examples}", told, 1)

    # ---- passes over sequences

    def _on(self, data, dtype, tokens=None):
        tokens = tokens or (self._rows, self._positions, self._length)
        made = type(self)(self._parameters, self._checked, data, dtype, self._given_chunk, tokens)
        made.blocks, made._start = self.blocks, self._start
        made._together = self._together  # compiled already
        return made

    def _spread(self, weights):
        """Weights of the tokens (K, N) as weights of all positions (K, sequences, T)."""
        made = np.zeros((len(weights), self.num_sequences, self._length), self.dtype)
        np.add.at(made, (slice(None), self._rows, self._positions), weights)
        return made

    def _sequences(self, name, theta, *given, by_sequence=None):
        """Yield sequences with the result of a compiled derivative on all of their tokens."""
        call = getattr(self._together, name)
        theta = np.asarray(self.check_theta(theta), self.dtype)
        size = max(1, self.chunk_size // self._length)
        for start in range(0, self.num_sequences, size):
            part = slice(start, min(start + size, self.num_sequences))
            own = () if by_sequence is None else (by_sequence[..., part, :],)
            with precision(self.dtype):  # not while the caller has the result
                result = call(theta, _jax_data.taken(self._data, part), *given, *own)
            yield part, result

    def _rows_of(self, theta, start, stop):
        """Gradients of the tokens start..stop; each token has a copy of its sequence."""
        rows, positions = self._rows[start:stop], self._positions[start:stop]
        with precision(self.dtype):
            batch = _jax_tokens.alone_batch(self._data, rows, positions)
            return np.asarray(self._checked.products.rows(np.asarray(theta, self.dtype), batch))


class JaxTokenGradients(JaxGradients):
    """Gradients of the tokens of a :class:`JaxTokenProblem` at one theta.

    Parameters
    ----------
    problem : JaxTokenProblem
    theta : ndarray, shape (D,)
        Point in parameter space.
    """

    def project(self, vectors):
        """Inner products ``G V``: (D, K) -> (N, K); one forward-mode pass for each vector."""
        problem, vectors = self.problem, np.asarray(vectors, self.dtype)
        made = np.empty((self.shape[0], vectors.shape[1]), self.dtype)
        if not problem._checked.projects:
            return self.rows(0, self.shape[0]) @ vectors
        for start, stop, width in _jax_products.blocks(vectors.shape[1]):
            block = _jax_products.padded(vectors, start, stop, width)
            parts = [
                np.asarray(part) for _, part in problem._sequences("project", self.theta, block)
            ]
            grid = np.concatenate(parts)[problem._rows, problem._positions]
            made[:, start:stop] = grid[:, : stop - start]
        return made

    def combine(self, weights):
        """Weighted sums ``W G``: (K, N) -> (K, D); one pass back for each row."""
        weights = np.asarray(weights, self.dtype)
        made = np.zeros((weights.shape[0], self.shape[1]), self.dtype)
        for start, stop, width in _jax_products.blocks(weights.shape[0]):
            block = _jax_products.padded(weights.T, start, stop, width).T
            spread = self.problem._spread(block)
            for _, part in self.problem._sequences("combine", self.theta, by_sequence=spread):
                made[start:stop] += np.asarray(part)[: stop - start]
        return made

    def rows(self, start, stop):
        """Gradients of the tokens start..stop, shape (stop - start, D)."""
        size = max(1, self.problem.chunk_size // self.problem._length)
        parts = [
            self.problem._rows_of(self.theta, first, min(first + size, stop))
            for first in range(start, stop, size)
        ]
        return problem_checks.finite("a per-example gradient", np.concatenate(parts))
