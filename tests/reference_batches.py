"""Every batch that can be drawn from a few examples, by enumeration. Nothing here imports aniso."""

import itertools

import numpy as np


def all_batches(num_examples, batch_size, *, replacement):
    """All equally likely batches, a list of lists of indices."""
    indices = range(num_examples)
    if replacement:
        return [list(batch) for batch in itertools.product(indices, repeat=batch_size)]
    return [list(batch) for batch in itertools.combinations(indices, batch_size)]


def batch_gradients(gradients, batch_size, *, replacement):
    """Mean gradient of each batch, shape (batches, D)."""
    batches = all_batches(len(gradients), batch_size, replacement=replacement)
    return np.array([gradients[batch].mean(axis=0) for batch in batches])
