"""Data of a JAX problem: pytrees of arrays with examples along the first axes."""

import jax
import jax.numpy as jnp
import numpy as np

from aniso import checks


def read(data):
    """Return (inputs, targets), pytrees of NumPy arrays, of a pair of pytrees.

    Raises
    ------
    InputError
        If it is no pair, a leaf is no array of finite real numbers, or the numbers of examples
        differ.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise checks.InputError(
            f"data is a {type(data).__name__}; expected a pair (inputs, targets) of arrays or "
            "pytrees, joined over all batches"
        )
    parts, structure = jax.tree_util.tree_flatten_with_path(tuple(data))
    leaves = [_array(_name(path), leaf) for path, leaf in parts]
    lengths = [len(leaf) for leaf in leaves]
    if not lengths or len(set(lengths)) != 1 or lengths[0] == 0:
        raise checks.InputError(
            f"data has {lengths} entries along its first axes; expected the same number of "
            "examples, at least one, in every array"
        )
    return jax.tree_util.tree_unflatten(structure, leaves)


def _name(path):
    return ("inputs", "targets")[path[0].idx] + jax.tree_util.keystr(path[1:])


def _array(name, leaf):
    given = checks.as_given(name, np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf)
    if given.ndim == 0 or given.dtype.kind not in "biuf":
        raise checks.InputError(
            f"{name} has dtype {given.dtype} and shape {given.shape}; expected real numbers with "
            "examples along the first axis"
        )
    checks.require_finite(name, given)
    return given


def placed(tree, dtype):
    """Return the data on JAX's device, floating-point numbers in a precision, always copied."""

    def moved(leaf):
        return jnp.array(leaf, dtype=dtype if leaf.dtype.kind == "f" else None, copy=True)

    return jax.tree_util.tree_map(moved, tree)


def taken(tree, index):
    """Return the examples of an index, a slice or an array of integers."""
    return jax.tree_util.tree_map(lambda leaf: leaf[index], tree)


def spread(count, number):
    """Return `number` of the indices 0 ... count - 1, evenly; all if there are fewer.

    Examples
    --------
    >>> spread(10, 4)
    array([0, 3, 6, 9])
    """
    if count <= number:
        return np.arange(count)
    return np.arange(number) * (count - 1) // (number - 1)


def count(tree):
    """Number of examples."""
    return len(jax.tree_util.tree_leaves(tree)[0])


def single(tree):
    """Return a batch of one example from an example without its axis; JAX can trace it."""
    return jax.tree_util.tree_map(lambda leaf: leaf[None], tree)
