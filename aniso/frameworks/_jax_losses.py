"""Reduction of a JAX loss, found by its values, and the losses of single examples."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from aniso import checks
from aniso.frameworks import _jax_data, _reductions

_REMEDY = "expected the mean, the sum, or one loss for each example, or gradients of whole batches \
by from_draws"


@dataclass(frozen=True)
class ExampleLosses:
    """The losses of the single examples of a batch.

    Attributes
    ----------
    reduction : {"none", "mean", "sum"}
        What the given loss does with a batch.
    loss : callable
        ``(params, inputs, targets) -> array``, shape () or (n,).
    """

    reduction: str
    loss: object

    def __call__(self, params, batch):
        """Losses l_i of a batch, shape (n,)."""
        if self.reduction == "none":
            return self.loss(params, *batch).reshape(_jax_data.count(batch))
        return jax.vmap(lambda example: self.of_one(params, example))(batch)

    def of_one(self, params, example):
        """Loss of an example without its axis, shape ()."""
        return jnp.reshape(self.loss(params, *_jax_data.single(example)), ())

    def total(self, params, batch):
        """Sum of the losses of a batch, shape (), by one call of the given loss."""
        value = self.loss(params, *batch)
        if self.reduction == "mean":
            return _jax_data.count(batch) * jnp.reshape(value, ())
        return jnp.sum(value)


def of_loss(loss, params, batch, tolerance):
    """Return the :class:`ExampleLosses` of a loss, from its values on a few examples.

    Parameters
    ----------
    loss : callable
        ``(params, inputs, targets) -> array``.
    params : pytree
        Parameters.
    batch : pair of pytrees
        A few examples.
    tolerance : float
        Relative error of the values.

    Returns
    -------
    ExampleLosses

    Raises
    ------
    InputError
        If the loss fails, draws random numbers, or returns no finite real numbers of shape () or
        (n,).
    InteractingExamples
        If the loss of a batch is not made of losses of its examples.
    """
    require_callable(loss)
    number = _jax_data.count(batch)
    whole, again = (value_of(loss, params, batch) for _ in range(2))
    if not np.array_equal(whole, again):
        raise checks.InputError(
            "two calls of the loss with the same arguments differ: it draws random numbers; "
            "expected a fixed key, or gradients of batches by from_draws"
        )
    alone = jax.jit(loss)
    singles = [
        value_of(alone, params, _jax_data.taken(batch, slice(i, i + 1))) for i in range(number)
    ]
    if any(part.size != 1 for part in singles):
        raise checks.InputError(
            f"loss returned shape {singles[0].shape} for one example; expected one number: "
            "average over the other axes"
        )
    singles = np.stack([part.reshape(()) for part in singles])
    reduction = _reductions.reduction_of(whole, singles, tolerance, _REMEDY)
    if reduction is None:
        raise _reductions.coupled(_REMEDY)
    return ExampleLosses(reduction, loss)


def require_callable(loss):
    """Refuse what is no function."""
    if not callable(loss):
        raise checks.InputError(
            f"loss is a {type(loss).__name__}; expected a function (params, inputs, targets) -> "
            "array"
        )


def value_of(loss, params, batch, *, finite=True):
    """Return the value of a loss on a batch, a NumPy array; refuse what is no array of reals.

    Parameters
    ----------
    loss : callable
        ``(params, inputs, targets) -> array``.
    params : pytree
    batch : pair of pytrees
    finite : bool
        Whether every number must be finite.

    Returns
    -------
    ndarray
    """
    try:
        value = loss(params, *batch)
    except Exception as error:
        shapes = [leaf.shape for leaf in jax.tree_util.tree_leaves(batch)]
        raise checks.InputError(
            f"loss raised {type(error).__name__} for data of shapes {shapes}: "
            f"{str(error).splitlines()[0] if str(error) else ''}; expected a function "
            "(params, inputs, targets) -> array without Python branches on values"
        ) from error
    if not isinstance(value, jax.Array) or not jnp.issubdtype(value.dtype, jnp.floating):
        kind = f"an array of {value.dtype}" if isinstance(value, jax.Array) else type(value)
        raise checks.InputError(f"loss returned {kind}; expected a JAX array of real numbers")
    made = np.asarray(value)
    if finite and not np.isfinite(made).all():
        raise checks.InputError("loss is not finite at params; expected finite numbers")
    return made
