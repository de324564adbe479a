"""Tokens of sequences as the examples of a JAX problem: their losses and derivatives."""

from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from aniso import checks
from aniso.frameworks import _jax_data, _jax_losses, _jax_products

IGNORED = -100
"""Target of a token that does not count."""
_NUM_TOKENS = 8


@dataclass(frozen=True)
class TokenLosses:
    """The losses of single tokens; a batch is ``(inputs, (targets, positions))``, a token each.

    Attributes
    ----------
    loss : callable
        ``(params, inputs, targets) -> (n, T)``, one number for each token.
    reduction : str
        "none".
    """

    loss: object
    reduction: str = "none"

    def __call__(self, params, batch):
        """Losses of a token of each sequence, shape (n,)."""
        inputs, (targets, positions) = batch
        return self.loss(params, inputs, targets)[jnp.arange(len(positions)), positions]

    def of_one(self, params, example):
        """Loss of a token without the axis of sequences, shape ()."""
        return self(params, _jax_data.single(example))[0]

    def total(self, params, batch):
        """Sum of the losses of a batch, shape ()."""
        return self(params, batch).sum()


def positions_of(data):
    """Return sequence and position of each token that counts, two arrays (N,), and T.

    Parameters
    ----------
    data : pair of pytrees of ndarray
        Sequences, and their targets (n, T, ...) or a dict with such "labels".

    Returns
    -------
    rows, positions, length : ndarray, ndarray, int

    Raises
    ------
    InputError
        If the targets have no axis of tokens, or all are ignored.
    """
    targets = data[1].get("labels") if isinstance(data[1], dict) else data[1]
    if not isinstance(targets, np.ndarray) or targets.ndim < 2:
        found = f"of shape {targets.shape}" if isinstance(targets, np.ndarray) else "nested"
        raise checks.InputError(
            f"example='token', and targets are {found}; expected an array (N, T, ...), or a dict "
            "that has it as 'labels'"
        )
    counts = np.ones(targets.shape[:2], dtype=bool)
    if targets.dtype.kind in "iu" and targets.ndim == 2:
        counts = targets != IGNORED
    rows, positions = np.nonzero(counts)
    if not len(rows):
        raise checks.InputError("every target is ignored; expected at least one that counts")
    return rows, positions, targets.shape[1]


def some_sequences(tokens, number):
    """Return some of the sequences that have tokens, and the tokens within them."""
    sequences = np.unique(tokens[0])
    sequences = sequences[_jax_data.spread(len(sequences), number)]
    return sequences, within(tokens, sequences)


def within(tokens, sequences):
    """Return the tokens of some sequences (increasing), by their number among these."""
    rows, positions, length = tokens
    inside = np.isin(rows, sequences)
    return np.searchsorted(sequences, rows[inside]), positions[inside], length


def of_loss(loss, params, few, tokens, tolerance):
    """Return the :class:`TokenLosses` of a loss, and a batch of a few tokens.

    Parameters
    ----------
    loss : callable
        ``(params, inputs, targets) -> (n, T)``.
    params : pytree
    few : pair of pytrees
        A few sequences.
    tokens : tuple
        Of these sequences, as :func:`positions_of` returns it.
    tolerance : float
        Relative error of the values.

    Returns
    -------
    TokenLosses, batch

    Raises
    ------
    InputError
        If the loss returns no finite number for each token.
    InteractingExamples
        If the losses of a sequence change with the other sequences of the batch.
    """
    _jax_losses.require_callable(loss)
    rows, positions, length = tokens
    whole = _jax_losses.value_of(loss, params, few, finite=False)
    count = _jax_data.count(few)
    if whole.shape != (count, length):
        raise checks.InputError(
            f"example='token', and loss returned shape {whole.shape} for {count} sequences; "
            f"expected one number for each token, shape (n, {length}), as the targets"
        )
    if not np.isfinite(whole[rows, positions]).all():
        raise checks.InputError("loss is not finite at params; expected finite numbers")
    alone = np.concatenate(
        [
            _jax_losses.value_of(loss, params, _jax_data.taken(few, slice(i, i + 1)), finite=False)
            for i in range(count)
        ]
    )
    error = np.abs(alone - whole)[rows, positions].max()
    if error > tolerance * np.abs(whole[rows, positions]).max():
        raise checks.InteractingExamples(
            "the losses of a sequence change with the other sequences of its batch; expected "
            "sequences that do not interact"
        )
    some = _jax_data.spread(len(rows), _NUM_TOKENS)
    return TokenLosses(loss), alone_batch(few, rows[some], positions[some])


def alone_batch(data, rows, positions):
    """Return the batch with an entry for each token: its sequence, and its position."""
    inputs, targets = _jax_data.taken(data, rows)
    return inputs, (targets, jnp.asarray(positions))


class TokenProducts:
    """Derivatives of the losses of all tokens of sequences (n, T), compiled at their first use.

    Parameters
    ----------
    loss : callable
        ``(params, inputs, targets) -> (n, T)``.
    parameters : Parameters
        The pytree of theta.
    """

    def __init__(self, loss, parameters):
        self._loss, self._parameters = loss, parameters

    def __getstate__(self):
        return {"_loss": self._loss, "_parameters": self._parameters}

    def _grid(self, theta, batch):
        return self._loss(self._parameters.tree(theta), *batch)

    def _total(self, theta, batch, weights):
        return jnp.vdot(weights, self._grid(theta, batch))

    @cached_property
    def losses(self):
        """(theta, batch) -> (n, T)."""
        return jax.jit(self._grid)

    @cached_property
    def gradient(self):
        """(theta, batch, weights (n, T)) -> weighted sum of the losses, and its gradient (D,)."""
        return jax.jit(jax.value_and_grad(self._total))

    @cached_property
    def project(self):
        """(theta, batch, columns (D, K)) -> slopes of the losses along columns, (n, T, K)."""

        def forward(theta, batch, columns):
            def along(column):
                return jax.jvp(lambda t: self._grid(t, batch), (theta,), (column,))[1]

            return jax.vmap(along, 1, -1)(columns)

        return jax.jit(forward)

    @cached_property
    def combine(self):
        """(theta, batch, weights (K, n, T)) -> weighted sums of gradients, (K, D)."""

        def backward(theta, batch, weights):
            _, pull = jax.vjp(lambda t: self._grid(t, batch), theta)
            return jax.vmap(lambda row: pull(row)[0])(weights)

        return jax.jit(backward)

    @cached_property
    def hessian_forward(self):
        """(theta, batch, columns, weights (n, T)) -> Hessian of the weighted sum times columns."""

        def product(theta, batch, columns, weights):
            slope = jax.grad(lambda t: self._total(t, batch, weights))
            return _jax_products.by_column(lambda v: jax.jvp(slope, (theta,), (v,))[1], columns)

        return jax.jit(product)

    @cached_property
    def hessian_backward(self):
        """The same, reverse over reverse."""

        def product(theta, batch, columns, weights):
            slope = jax.grad(lambda t: self._total(t, batch, weights))
            along = jax.grad(lambda t, v: jnp.vdot(slope(t), v))
            return _jax_products.by_column(lambda v: along(theta, v), columns)

        return jax.jit(product)
