"""A JAX function of a pytree of parameters, with data, as a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from aniso.frameworks import _jax_data, _jax_products, _reductions
from aniso.frameworks._jax_gradients import JaxGradients
from aniso.frameworks._jax_parameters import precision
from aniso.frameworks._timing import Choices, equal_parts, sizes_for
from aniso.problems import Problem, problem_checks

if TYPE_CHECKING:
    from aniso.matrices import ExampleGradients
    from aniso.problems.derivative_check import DerivativeReport
    from aniso.typing import Array, ArrayLike, DTypeLike


_SIZES = (2048, 512, 8192)
"""Numbers of examples that are tried as the size of a chunk; the first is kept unless slow."""
_BLOCK_EXAMPLES = 1024
"""Largest number of examples of one pass with several vectors, if none is given."""


class JaxProblem(Problem):
    """Mean of a JAX loss over examples; :func:`aniso.frameworks.from_jax` makes it.

    Attributes
    ----------
    num_examples, num_parameters : int
        N, and D in the order of ``jax.flatten_util.ravel_pytree``.
    initial_theta : ndarray, shape (D,)
        Parameters from which the problem was made.
    blocks : dict of str to slice
        Parts of theta by name.
    dtype : numpy.dtype
        Precision of the computation.
    chunk_size : int
        Examples of one pass.
    """

    def __init__(
        self, parameters: Any, checked: Any, data: Any, dtype: DTypeLike, chunk_size: int | None
    ) -> None:
        self._parameters, self._checked, self._data = parameters, checked, data
        self.num_examples, self.dtype = _jax_data.count(data), np.dtype(dtype)
        self.num_parameters, self._given_chunk = parameters.num_parameters, chunk_size
        self.blocks = parameters.blocks("keys")
        self._choices = Choices()

    def __getstate__(self):
        # a process without jax_enable_x64 would load arrays of JAX in single precision
        return self.__dict__ | {"_data": jax.tree_util.tree_map(np.asarray, self._data)}

    def __setstate__(self, state):
        self.__dict__.update(state)
        with precision(self.dtype):
            self._data = _jax_data.placed(self._data, self.dtype)

    # ---- the six members

    def losses(self, theta: ArrayLike) -> Array:
        """Losses of the examples, l_i, shape (N,)."""
        parts = [np.asarray(part) for _, part in self._passes("losses", self.check_theta(theta))]
        return problem_checks.finite("a loss", np.concatenate(parts))

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradient of the mean loss, shape (D,)."""
        return self.loss_and_gradient(theta)[1]

    def loss_and_gradient(self, theta: ArrayLike) -> tuple[float, Array]:
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        value, total = 0.0, np.zeros(self.num_parameters)
        # all chunks are under way before the first result is waited for
        for _, (part, slope) in list(self._passes("gradient", self.check_theta(theta))):
            value += float(part)
            total += np.asarray(slope)
        gradient = (total / self.num_examples).astype(self.dtype)
        return value / self.num_examples, problem_checks.finite(
            "the gradient of the loss", gradient
        )

    def example_gradients(self, theta: ArrayLike) -> Array | ExampleGradients:
        """Gradients of the examples, which are recomputed chunk by chunk where they are needed.

        Returns
        -------
        matrices.ExampleGradients
            A product with a vector costs about two gradients and never forms N x D numbers.
        """
        return JaxGradients(self, self.check_theta(theta))

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Raises
        ------
        InputError
            If JAX has no right second derivative of this loss; the reason is named.
        """
        way = self._checked.require_second_order()
        theta = self.check_theta(theta)
        vectors, columns = problem_checks.checked_vectors(vectors, self.num_parameters)
        columns = columns.astype(self.dtype)
        made = np.zeros(columns.shape)
        for start, stop, width in _jax_products.blocks(columns.shape[1]):
            block = _jax_products.padded(columns, start, stop, width)
            for _, part in list(self._passes(way, theta, block, chunks=self._chunks_for(width))):
                made[:, start:stop] += np.asarray(part)[:, : stop - start]
        made = (made / self.num_examples).astype(self.dtype)
        return problem_checks.finite("a Hessian product", made).reshape(vectors.shape)

    def subset(self, indices: ArrayLike) -> JaxProblem:
        """Return the same problem on some of the examples, in the order of `indices`."""
        indices = problem_checks.checked_indices(indices, self.num_examples).astype(np.int32)
        with precision(self.dtype):
            data = _jax_data.taken(self._data, indices)
        return self._on(data, self.dtype)

    def check(self, theta: ArrayLike, rng: np.random.Generator) -> DerivativeReport:
        """Compare all derivatives with finite differences, in double precision; see `Problem`."""
        if self.dtype == np.float64:
            return super().check(theta, rng)
        with precision(np.float64):
            data = _jax_data.placed(jax.tree_util.tree_map(np.asarray, self._data), np.float64)
        return self._on(data, np.float64).check(theta, rng)

    # ---- of JAX alone

    @property
    def initial_theta(self) -> Array:
        """Parameters from which the problem was made, shape (D,), a new array."""
        return self._start.copy()

    def theta_of(self, params: Any) -> Array:
        """Parameters of a pytree as theta, for instance after some training.

        Parameters
        ----------
        params : pytree
            Of the structure and the shapes of the problem's.

        Returns
        -------
        ndarray, shape (D,)

        Raises
        ------
        InputError
            If it has another structure or other shapes.
        """
        return self._parameters.theta_of(params).astype(self.dtype)

    def params_of(self, theta: ArrayLike) -> Any:
        """Return the pytree of a theta, shape (D,), in the precision of the problem."""
        theta = self.check_theta(theta).astype(self.dtype)
        with precision(self.dtype):
            return self._parameters.tree(jax.numpy.array(theta))

    def __repr__(self):
        kind = _reductions.told(self._checked.products.losses_of_batch.reduction)
        second = "" if self._checked.hessian_way else ", first order only"
        return (
            f"<JaxProblem: N = {self.num_examples}, D = {self.num_parameters}, {self.dtype} on "
            f"{jax.default_backend()}, loss: {kind}{second}>"
        )

    # ---- passes over chunks

    def _on(self, data, dtype):
        made = JaxProblem(self._parameters, self._checked, data, dtype, self._given_chunk)
        made.blocks, made._start = self.blocks, self._start
        if made.dtype == self.dtype:
            made._choices = self._choices
        return made

    @property
    def chunk_size(self) -> int:
        """Examples of one pass: as given, or the fastest of a few sizes for the gradient."""
        count = self.num_examples
        if self._given_chunk is not None:
            return min(self._given_chunk, count)

        def gradient(_, chunk):
            for _, result in self._passes("gradient", self._start, chunks=[chunk]):
                jax.block_until_ready(result)

        sizes = sizes_for(count, _SIZES)
        # the first call compiles
        _, size = self._choices.fastest(
            "gradient", ("gradient",), sizes, count, gradient, prepare=gradient
        )
        return equal_parts(count, size)

    def _chunks_for(self, num_vectors):
        """Chunks of all examples for passes with so many vectors."""
        size = self.chunk_size
        if num_vectors > 1 and self._given_chunk is None:
            size = equal_parts(self.num_examples, min(size, _BLOCK_EXAMPLES))
        return self._chunks(size=size)

    def _chunks(self, start=0, stop=None, size=None):
        stop, size = stop or self.num_examples, size or self.chunk_size
        for first in range(start, stop, size):
            yield slice(first, min(first + size, stop))

    def _passes(self, name, theta, *given, weights=(), chunks=None):
        """Yield each chunk with the result of a compiled derivative on it."""
        with precision(self.dtype):
            theta, given, weights = jax.device_put(
                (np.asarray(theta, self.dtype), given, tuple(weights))
            )
        for chunk in self._chunks() if chunks is None else chunks:
            with precision(self.dtype):  # not while the caller has the result
                call = self._checked.products.of_chunk(name, chunk.stop - chunk.start)
                result = call(theta, self._data, chunk.start, given, weights)
            yield chunk, result
