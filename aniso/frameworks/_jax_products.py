"""Compiled derivatives of the losses of one batch in JAX."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

_WIDTHS = (1, 4, 16)
"""Numbers of vectors of one pass; others are filled up with zeros, so that few are compiled."""


def blocks(count):
    """Yield (start, stop, width) of passes over `count` vectors, width >= stop - start.

    Examples
    --------
    >>> list(blocks(19))
    [(0, 16, 16), (16, 19, 4)]
    """
    for start in range(0, count, _WIDTHS[-1]):
        stop = min(count, start + _WIDTHS[-1])
        yield start, stop, next(width for width in _WIDTHS if width >= stop - start)


def padded(vectors, start, stop, width):
    """Return columns start..stop of (D, K), with columns of zeros up to `width`."""
    made = np.zeros((vectors.shape[0], width), vectors.dtype)
    made[:, : stop - start] = vectors[:, start:stop]
    return made


def by_column(function, columns):
    """Apply a function of a vector to columns (D, K) together; a single one without vmap."""
    if columns.shape[1] == 1:
        return function(columns[:, 0])[:, None]
    return jax.vmap(function, 1, 1)(columns)


class Products:
    """Derivatives of the losses of a batch at theta, compiled at their first use.

    Parameters
    ----------
    losses : ExampleLosses
        Losses of single examples.
    parameters : Parameters
        The pytree of theta.
    """

    def __init__(self, losses, parameters):
        self.losses_of_batch, self._parameters = losses, parameters
        self._of_chunks = {}

    def __getstate__(self):
        kept = {"losses_of_batch": self.losses_of_batch, "_parameters": self._parameters}
        return kept | {"_of_chunks": {}}

    def of_chunk(self, name, size):
        """Return a derivative of `size` examples among all, compiled with their selection.

        Parameters
        ----------
        name : str
            Of a member of this class.
        size : int
            Number of examples.

        Returns
        -------
        callable
            ``(theta, data, start, given, weights) -> result`` for the examples from `start` on,
            with further arguments `given` and columns of `weights`, tuples.
        """
        if (name, size) not in self._of_chunks:
            call = getattr(self, name)

            def selected(theta, data, start, given, weights):
                def own(leaf, axis=0):
                    if leaf.shape[axis] == size:
                        return leaf
                    return jax.lax.dynamic_slice_in_dim(leaf, start, size, axis)

                batch = jax.tree_util.tree_map(own, data)
                return call(theta, batch, *given, *(own(part, 1) for part in weights))

            self._of_chunks[name, size] = jax.jit(selected)
        return self._of_chunks[name, size]

    def _total(self, theta, batch):
        return self.losses_of_batch.total(self._parameters.tree(theta), batch)

    def _vector(self, theta, batch):
        return self.losses_of_batch(self._parameters.tree(theta), batch)

    @cached_property
    def losses(self):
        """(theta, batch) -> (n,)."""
        return jax.jit(self._vector)

    @cached_property
    def gradient(self):
        """(theta, batch) -> sum of the losses, and its gradient (D,)."""
        return jax.jit(jax.value_and_grad(self._total))

    @cached_property
    def rows(self):
        """(theta, batch) -> gradients of the examples, (n, D)."""

        def of_one(theta, example):
            return self.losses_of_batch.of_one(self._parameters.tree(theta), example)

        return jax.jit(jax.vmap(jax.grad(of_one), (None, 0)))

    @cached_property
    def project(self):
        """(theta, batch, columns (D, K)) -> G V, (n, K), by forward mode."""

        def forward(theta, batch, columns):
            def along(column):
                return jax.jvp(lambda t: self._vector(t, batch), (theta,), (column,))[1]

            return by_column(along, columns)

        return jax.jit(forward)

    @cached_property
    def combine(self):
        """(theta, batch, weights (K, n)) -> W G, (K, D), by one pass back for each row."""

        def backward(theta, batch, weights):
            _, pull = jax.vjp(lambda t: self._vector(t, batch), theta)
            return by_column(lambda row: pull(row)[0], weights.T).T

        return jax.jit(backward)

    @cached_property
    def hessian_forward(self):
        """(theta, batch, columns (D, K)) -> Hessian of the sum times V, forward over reverse."""

        def product(theta, batch, columns):
            slope = jax.grad(lambda t: self._total(t, batch))
            return by_column(lambda v: jax.jvp(slope, (theta,), (v,))[1], columns)

        return jax.jit(product)

    @cached_property
    def hessian_backward(self):
        """The same, reverse over reverse, for rules that JAX differentiates backwards only."""

        def product(theta, batch, columns):
            slope = jax.grad(lambda t: self._total(t, batch))
            along = jax.grad(lambda t, v: jnp.vdot(slope(t), v))
            return by_column(lambda v: along(theta, v), columns)

        return jax.jit(product)
