"""Per-example gradients from one trace of the batch, against separate differentiation."""

import warnings

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from tolerances import assert_equal_up_to_rounding

from aniso.problems import _example_rows

WIDTH, HIDDEN, CLASSES = 4, 3, 5
MATRIX = WIDTH * CLASSES
NETWORK = WIDTH * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES


def logistic(z, y):
    return anp.logaddexp(0.0, (1 - 2 * (y > 1)) * z)


def softmax(z, y):
    rows = anp.arange(len(y))
    return anp.log(anp.sum(anp.exp(z), axis=1)) - z[rows, y]


def with_bias(theta, x, y):
    return logistic(anp.dot(x, theta[:-1]) + theta[-1], y)


def network(product):
    def loss(theta, x, y):
        a, b = WIDTH * HIDDEN, WIDTH * HIDDEN + HIDDEN
        c = b + HIDDEN * CLASSES
        first = anp.reshape(theta[:a], (WIDTH, HIDDEN))
        hidden = anp.tanh(product(x, first) + theta[a:b])
        return softmax(product(hidden, theta[b:c].reshape((HIDDEN, CLASSES))) + theta[c:], y)

    return loss


def shared(theta, x, y):
    """One matrix is used twice, transposed the second time."""
    matrix = anp.reshape(theta, (WIDTH, WIDTH))
    again = anp.dot(anp.sin(anp.dot(x, matrix)), matrix.T)
    return anp.sum((again - x) ** 2, axis=1) + y


def convolved(theta, x, y):
    windows = anp.stack([x[:, :2], x[:, 1:3], x[:, 2:]], axis=1)
    return softmax(anp.matmul(windows, anp.reshape(theta, (2, 2)))[:, :, 0], y % 3)


# name: number of parameters, loss
LOSSES = {
    "dot": (WIDTH, lambda theta, x, y: logistic(anp.dot(x, theta), y)),
    "dot from the left": (WIDTH, lambda theta, x, y: logistic(anp.dot(theta, x.T), y)),
    "@": (WIDTH, lambda theta, x, y: logistic(x @ theta, y)),
    "@ from the left": (WIDTH, lambda theta, x, y: logistic(theta @ x.T, y)),
    "inner": (WIDTH, lambda theta, x, y: logistic(anp.inner(x, theta), y)),
    "tensordot": (WIDTH, lambda theta, x, y: logistic(anp.tensordot(x, theta, axes=1), y)),
    "tensordot of named axes": (
        WIDTH,
        lambda theta, x, y: logistic(anp.tensordot(theta, x, axes=([0], [1])), y),
    ),
    "einsum": (WIDTH, lambda theta, x, y: logistic(anp.einsum("nd,d->n", x, theta), y)),
    "einsum without an arrow": (
        WIDTH,
        lambda theta, x, y: logistic(anp.einsum("ij,j", x, theta), y),
    ),
    "entries": (
        WIDTH,
        lambda theta, x, y: logistic(sum(theta[j] * x[:, j] for j in range(WIDTH)), y),
    ),
    "one entry": (1, lambda theta, x, y: (theta * x[:, 0] - y) ** 2),
    "broadcast": (
        WIDTH,
        lambda theta, x, y: logistic(anp.sum(x * theta[..., None, :], axis=-1), y),
    ),
    "power": (WIDTH, lambda theta, x, y: anp.sum(anp.abs(x) ** theta, axis=1) - y),
    "bias": (WIDTH + 1, with_bias),
    "softmax": (MATRIX, lambda theta, x, y: softmax(anp.dot(x, theta.reshape((WIDTH, -1))), y)),
    "softmax, transposed": (
        MATRIX,
        lambda theta, x, y: softmax(anp.dot(x, anp.reshape(theta, (CLASSES, WIDTH)).T), y),
    ),
    "softmax, einsum": (
        MATRIX,
        lambda theta, x, y: softmax(anp.einsum("nd,dc->nc", x, theta.reshape((WIDTH, -1))), y),
    ),
    "decayed": (
        WIDTH,
        lambda theta, x, y: (
            logistic(x @ theta, y) + 0.1 * anp.dot(theta, theta) + 0.2 * anp.sum(theta**2)
        ),
    ),
    "scaled": (WIDTH, lambda theta, x, y: logistic(x @ anp.exp(-0.5 * theta), y)),
    "repeated entries": (
        WIDTH,
        lambda theta, x, y: logistic(x[:, :3] @ theta[np.array([0, 0, 2])], y),
    ),
    "product of two": (WIDTH, lambda theta, x, y: (x @ theta) * anp.sin(x @ theta[::-1]) - y),
    "factors": (
        WIDTH + 1,
        lambda theta, x, y: logistic(x @ (theta[:WIDTH] * theta[WIDTH]), y),
    ),
    "network, dot": (NETWORK, network(anp.dot)),
    "network, matmul": (NETWORK, network(anp.matmul)),
    "shared matrix": (WIDTH**2, shared),
    "windows": (4, convolved),
    "constant": (WIDTH, lambda theta, x, y: x[:, 0] + y),  # noqa: ARG005
    "piecewise": (WIDTH, lambda theta, x, y: anp.maximum(0.0, 1 - (2 * (y > 1) - 1) * (x @ theta))),
}


def separate(loss, theta, x, y):
    def single(point, i):
        return loss(point, x[i : i + 1], y[i : i + 1])[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # autograd's, where a loss is constant
        return np.stack([grad(single)(theta, i) for i in range(len(x))])


def draw(num_parameters, num_examples, rng):
    x = rng.standard_normal((num_examples, WIDTH))
    return 0.5 * rng.standard_normal(num_parameters), x, rng.integers(0, CLASSES, num_examples)


# as many examples as inputs, hidden units or parameters: no axis is told by its length alone
@pytest.mark.parametrize("num_examples", [2, 3, 4, 5, 16, 31])
@pytest.mark.parametrize("name", LOSSES)
def test_rows_equal_separate_differentiation(name, num_examples, rng):
    num_parameters, loss = LOSSES[name]
    theta, x, y = draw(num_parameters, num_examples, rng)
    try:
        rows = _example_rows.traced_rows(loss, theta, x, y)
    except _example_rows.Unsupported:
        # a number of examples that the parameters or a matrix have too may be refused
        assert num_examples in (2, 3, 4, 5, 16, num_parameters)
        return
    expected = separate(loss, theta, x, y)
    scale = np.abs(expected).max()
    assert_equal_up_to_rounding(rows, expected, num_terms=300, scale=scale)


@pytest.mark.parametrize("name", LOSSES)
def test_every_form_is_followed(name, rng):
    num_parameters, loss = LOSSES[name]
    assert _example_rows.is_followed(loss, *draw(num_parameters, 40, rng))
