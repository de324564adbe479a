"""The given JAX loss of all examples, held once against the losses of the single examples.

A few examples may be alike where all are not: a loss that weights them looks like their mean.
"""

import jax
import numpy as np

from aniso import checks
from aniso.frameworks import _jax_data, _jax_losses, _jax_tokens, _reductions

_PART = 2048
"""Examples, or tokens, that are compared together."""


def require_whole(losses, params, data, dtype, tokens, tolerance, chunk_size):
    """Refuse a loss whose value for all examples is not that of the single examples.

    Parameters
    ----------
    losses : ExampleLosses or TokenLosses
        What was found on a few examples.
    params : pytree
        Parameters.
    data : pair of pytrees of ndarray
        All examples, or all sequences.
    dtype : numpy.dtype
        Precision of the comparison.
    tokens : tuple or None
        The examples, where they are tokens of the sequences.
    tolerance : float
        Relative error of the values.
    chunk_size : int or None
        Examples, or tokens, of one pass, as given.

    Raises
    ------
    InteractingExamples
        If the loss weights or couples the examples.
    InputError
        If losses are not finite.
    """
    count = _jax_data.count(data)
    size = max(2, (chunk_size or _PART) // (1 if tokens is None else tokens[2]))
    parts = -(-count // size)
    together = jax.jit(losses.loss)
    one_by_one = jax.jit(
        jax.vmap(lambda one: losses.loss(params, *_jax_data.single(one)).reshape(-1))
    )
    for first in range(parts):
        # every part runs through all of the data, which may be in order
        rows = np.arange(first, count, parts)
        batch = _jax_data.placed(_jax_data.taken(data, rows), dtype)
        whole = _jax_losses.value_of(together, params, batch, finite=False)
        each = np.asarray(one_by_one(batch))
        if tokens is None:
            each = each[:, 0]
        else:
            own = _jax_tokens.within(tokens, rows)[:2]
            if not len(own[0]):
                continue
            whole, each = whole[own], each[own]
        _require_equal(whole, each, losses.reduction, min(tolerance, _reductions.SINGLE))


def _require_equal(whole, each, reduction, tolerance):
    if not np.isfinite(each).all():
        raise checks.InputError(
            f"the loss of an example alone is {each[~np.isfinite(each)][0]} at params; expected "
            "finite numbers"
        )
    expected = {"none": each, "mean": each.mean(), "sum": each.sum()}[reduction]
    size = float(np.abs(each).mean()) * (len(each) if reduction == "sum" else 1)
    error = np.abs(whole.reshape(np.shape(expected)) - expected).max()
    if not error <= 10 * tolerance * max(size, 1e-30):
        shown = ""
        if reduction != "none":
            shown = f" ({len(each)} examples: {float(whole):.6g}, not {float(expected):.6g})"
        raise _reductions.coupled(_reductions.EXPECTED, shown)
