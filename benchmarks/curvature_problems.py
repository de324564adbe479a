"""Problems of the curvature benchmark: arrays that every implementation gets alike.

No package under test is imported here, so that every implementation runs in a process of its own.
"""

import gzip
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHAPES = {
    "fashion": ((10, 1, 5, 5), (10,), (10, 10, 5, 5), (10,), (50, 160), (50,), (10, 50), (10,)),
    "hidden512": ((512, 2), (512,)),
    "mlp": ((128, 784), (128,), (64, 128), (64,), (10, 64), (10,)),
}


class Problem(NamedTuple):
    """One model on data at one theta.

    Attributes
    ----------
    model : {"fashion", "hidden512", "mlp"}
    inputs, targets, theta, vectors : ndarray
        vectors (D, 128) for products.
    """

    model: str
    inputs: np.ndarray
    targets: np.ndarray
    theta: np.ndarray
    vectors: np.ndarray

    def head(self, count):
        """The same on the first `count` examples."""
        return self._replace(inputs=self.inputs[:count], targets=self.targets[:count])

    def cast(self, dtype):
        """The same in another precision."""
        return self._replace(
            inputs=self.inputs.astype(dtype),
            theta=self.theta.astype(dtype),
            vectors=self.vectors.astype(dtype),
        )


def problem(model, num_examples, seed=0):
    """Data and parameters of a model; theta as initialised, uniform on (-1, 1) / sqrt(fan_in)."""
    rng = np.random.default_rng(seed)
    if model == "hidden512":
        inputs = rng.uniform(-2, 2, (num_examples, 2))
        targets = (inputs[:, 0] >= inputs[:, 1]).astype(np.int64)
    else:
        inputs, targets = _images(num_examples, rng)
        inputs = inputs[:, None] if model == "fashion" else inputs.reshape(num_examples, -1)
    parts, bound = [], 1.0
    for shape in SHAPES[model]:
        if len(shape) > 1:
            bound = 1 / np.sqrt(np.prod(shape[1:]))
        parts.append(rng.uniform(-bound, bound, int(np.prod(shape))))
    theta = np.concatenate(parts)
    return Problem(model, inputs, targets, theta, rng.standard_normal((theta.size, 128)))


def _images(count, rng):
    # FashionMNIST where its folder is named, otherwise smooth random images of the same kind
    folder = os.environ.get("FASHION_MNIST")
    if folder:
        with gzip.open(Path(folder) / "train-images-idx3-ubyte.gz") as stream:
            images = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 28, 28)
        with gzip.open(Path(folder) / "train-labels-idx1-ubyte.gz") as stream:
            labels = np.frombuffer(stream.read(), np.uint8, offset=8)
        return images[:count] / 255.0, labels[:count].astype(np.int64)
    return rng.random((count, 28, 28)), rng.integers(0, 10, count)


def unpacked(model, theta):
    """Parameter arrays of flat theta (any array type with reshape)."""
    arrays, start = [], 0
    for shape in SHAPES[model]:
        size = int(np.prod(shape))
        arrays.append(theta[start : start + size].reshape(shape))
        start += size
    return arrays


def tiling():
    """Map of a 5x5 kernel to the four slots of a 6x6 tile, (25, 4 * 36), for the tiled peers."""
    matrix = np.zeros((25, 4, 6, 6))
    for row in range(5):
        for column in range(5):
            for slot in range(4):
                matrix[row * 5 + column, slot, row + slot // 2, column + slot % 2] = 1
    return matrix.reshape(25, 144)


def tile_columns(inputs):
    """Columns of 6x6 tiles of images (n, 1, 28, 28): (36, 144 n), the example axis last."""
    images = np.ascontiguousarray(np.moveaxis(inputs[:, 0], 0, -1))
    tiles = [images[a : a + 24 : 2, b : b + 24 : 2] for a in range(6) for b in range(6)]
    return np.stack(tiles).reshape(36, -1)
