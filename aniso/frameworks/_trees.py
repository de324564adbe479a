"""Nested data of a batch: tensors in tuples, lists and dicts, examples along the first axes."""

from torch.utils._pytree import tree_flatten, tree_unflatten

from aniso import checks


def leaves(tree):
    """Return the tensors of nested data in a fixed order, a list."""
    return tree_flatten(tree)[0]


def mapped(function, tree):
    """Return the nested data with `function` applied to every leaf."""
    parts, structure = tree_flatten(tree)
    return tree_unflatten([function(part) for part in parts], structure)


def joined(trees, concatenate):
    """Return one tree whose leaves are the leaves of all `trees`, joined along the first axis."""
    parts, structures = zip(*(tree_flatten(tree) for tree in trees), strict=True)
    if any(structure != structures[0] for structure in structures):
        raise checks.InputError(
            "the batches of the data differ in structure; expected the same tuples and dicts in "
            "every batch"
        )
    return tree_unflatten(
        [concatenate(list(part)) for part in zip(*parts, strict=True)], structures[0]
    )


def count(name, tree):
    """Return the number of examples of nested data, the common length of the first axes.

    Raises
    ------
    InputError
        If a leaf has no first axis, or two lengths differ, or there is no example.
    """
    lengths = []
    for part in leaves(tree):
        if not hasattr(part, "shape") or len(part.shape) == 0:
            raise checks.InputError(
                f"{name} holds a {type(part).__name__} without an axis of examples; expected "
                "tensors whose first axis counts the examples"
            )
        lengths.append(part.shape[0])
    if not lengths or len(set(lengths)) != 1 or lengths[0] == 0:
        raise checks.InputError(
            f"{name} has {lengths} entries along its first axes; expected the same number of "
            "examples, at least one, in every tensor"
        )
    return lengths[0]
