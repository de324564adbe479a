"""Small matrices B, G and A of Winograd filtering; see :mod:`aniso.networks.fast.winograd`."""

import numpy as np

_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_KERNELS = np.kron(_G, _G)  # (16, 9)
# kernels whose transforms stay in the cache
_TOGETHER = 4096

# rows of B^T, of four slices into `out`
INPUT_ROWS = (
    lambda d, out: np.subtract(d[0], d[2], out=out),
    lambda d, out: np.add(d[1], d[2], out=out),
    lambda d, out: np.subtract(d[2], d[1], out=out),
    lambda d, out: np.subtract(d[1], d[3], out=out),
)
# rows of A, of two slices into `out`
OUTPUT_ROWS = (
    lambda first, second, out: np.copyto(out, first),  # noqa: ARG005
    lambda first, second, out: np.add(first, second, out=out),
    lambda first, second, out: np.subtract(first, second, out=out),
    lambda first, second, out: np.negative(second, out=out),  # noqa: ARG005
)


def kernels_of(weights, out=None):
    """Return ``G g G^T`` of kernels: (..., out, in, 3, 3) -> (..., 16, out, in).

    The result is written to `out` where that is given.
    """
    *lead, outputs, inputs, _, _ = weights.shape
    flat = np.swapaxes(weights.reshape(*lead, outputs * inputs, 9), -1, -2)
    out = None if out is None else out.reshape(16, -1)
    transformed = np.matmul(_KERNELS.astype(weights.dtype), flat, out=out)
    return transformed.reshape(*lead, 16, outputs, inputs)


def weights_of(kernels):
    """Return the transpose of :func:`kernels_of`: (..., 16, out, in) -> (..., out, in, 3, 3)."""
    *lead, _, outputs, inputs = kernels.shape
    flat = _KERNELS.T.astype(kernels.dtype) @ kernels.reshape(*lead, 16, -1)
    return np.swapaxes(flat, -1, -2).reshape(*lead, outputs, inputs, 3, 3)


def write_weights(kernels, out):
    """Write what :func:`weights_of` returns for kernels (16, out, in), a part after the other."""
    flat, rows = kernels.reshape(16, -1), out.reshape(-1, 9)
    matrix = np.ascontiguousarray(_KERNELS.T, kernels.dtype)
    for start in range(0, len(rows), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        np.copyto(rows[part], (matrix @ flat[:, part]).T)


def transposed(parts):
    """Return B times four slices."""
    first, second, third, fourth = parts
    middle = second - third
    middle += fourth
    last = second + third
    last -= first
    return first, middle, last, -fourth


def halved(parts):
    """Return ``A^T`` times four slices."""
    first, second, third, fourth = parts
    upper = first + second
    upper += third
    lower = second - third
    lower -= fourth
    return upper, lower
