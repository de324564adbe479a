"""A perceptron as its user writes it, for any namespace of NumPy's functions."""

import itertools

import numpy as np

NUM_VECTORS = 32


def data_of(widths, num_examples):
    """Return theta, inputs, labels and vectors (D, 32)."""
    rng = np.random.default_rng(0)
    size = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    return (
        rng.standard_normal(size) / np.sqrt(widths[0]),
        rng.standard_normal((num_examples, widths[0])),
        rng.integers(0, widths[-1], num_examples),
        rng.standard_normal((size, NUM_VECTORS)),
    )


def outputs(namespace, theta, inputs, widths):
    """Return the outputs for theta (..., D): tanh between dense layers."""
    lead, hidden, start = theta.shape[:-1], inputs, 0
    for number, (columns, rows) in enumerate(itertools.pairwise(widths)):
        middle, end = start + rows * columns, start + rows * columns + rows
        weights = namespace.reshape(theta[..., start:middle], (*lead, rows, columns))
        hidden = namespace.matmul(hidden, namespace.swapaxes(weights, -1, -2))
        hidden = hidden + theta[..., None, middle:end]
        start = end
        if number + 2 < len(widths):
            hidden = namespace.tanh(hidden)
    return hidden
