"""Networks on data at one theta: arrays that every implementation gets alike."""

from typing import NamedTuple

import numpy as np

SHAPES = {
    "convolutional": (
        *((10, 1, 5, 5), (10,), (10, 10, 5, 5), (10,)),
        *((50, 160), (50,), (10, 50), (10,)),
    ),
    "2-512-1": ((512, 2), (512,)),
    "2-32-1": ((32, 2), (32,)),
    "784-128-64-10": ((128, 784), (128,), (64, 128), (64,), (10, 64), (10,)),
}
NUM_VECTORS = 128


class Problem(NamedTuple):
    """One network on data at one theta.

    Attributes
    ----------
    model : str
        A key of `SHAPES`.
    inputs, targets, theta, vectors : ndarray
        Vectors (D, 128) for products.
    """

    model: str
    inputs: np.ndarray
    targets: np.ndarray
    theta: np.ndarray
    vectors: np.ndarray

    @property
    def is_small(self):
        """Whether it is the network of one hidden layer and one output."""
        return self.model.startswith("2-")

    def head(self, count):
        """Return the same on the first `count` examples."""
        return self._replace(inputs=self.inputs[:count], targets=self.targets[:count])


def problem(model, num_examples, dtype="float64"):
    """Return data and parameters of a model; theta uniform on (-1, 1) / sqrt(fan-in)."""
    rng = np.random.default_rng(0)
    if model.startswith("2-"):
        inputs = rng.uniform(-2, 2, (num_examples, 2))
        targets = (inputs[:, 0] >= inputs[:, 1]).astype(np.int64)
    else:
        inputs, targets = rng.random((num_examples, 28, 28)), rng.integers(0, 10, num_examples)
        flat = inputs.reshape(num_examples, -1)
        inputs = inputs[:, None] if model == "convolutional" else flat
    parts, bound = [], 1.0
    for shape in SHAPES[model]:
        if len(shape) > 1:
            bound = 1 / np.sqrt(np.prod(shape[1:]))
        parts.append(rng.uniform(-bound, bound, int(np.prod(shape))))
    theta = np.concatenate(parts)
    vectors = rng.standard_normal((theta.size, NUM_VECTORS))
    return Problem(model, inputs.astype(dtype), targets, theta.astype(dtype), vectors.astype(dtype))


def unpacked(model, theta):
    """Return the parameter arrays of flat theta, any array type with reshape."""
    arrays, start = [], 0
    for shape in SHAPES[model]:
        size = int(np.prod(shape))
        arrays.append(theta[start : start + size].reshape(shape))
        start += size
    return arrays


def tiling():
    """Return the map of a 5x5 kernel to the four slots of a 6x6 tile, (25, 4 * 36)."""
    matrix = np.zeros((25, 4, 6, 6))
    for row in range(5):
        for column in range(5):
            for slot in range(4):
                matrix[row * 5 + column, slot, row + slot // 2, column + slot % 2] = 1
    return matrix.reshape(25, 144)


def tile_columns(inputs):
    """Return the columns of 6x6 tiles of images (n, 1, 28, 28): (36, 144 n), examples last."""
    images = np.ascontiguousarray(np.moveaxis(inputs[:, 0], 0, -1))
    tiles = [images[a : a + 24 : 2, b : b + 24 : 2] for a in range(6) for b in range(6)]
    return np.stack(tiles).reshape(36, -1)
