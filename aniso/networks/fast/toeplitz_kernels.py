"""Compiled copies between the weights of a convolution and its Toeplitz matrix."""

from aniso.arrays import njit
from aniso.networks.fast.pooled_kernel import KERNEL


@njit(**KERNEL)
def write_matrix(weights, stride, padding, matrix):
    """Write weights (O, C, k, l) to the matrix (O, P, Q, C, H, W), and 0 elsewhere."""
    outputs, down, across, channels, height, width = matrix.shape
    nil = matrix.dtype.type(0)
    for output in range(outputs):
        for i in range(down):
            for j in range(across):
                top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
                for channel in range(channels):
                    own, target = weights[output, channel], matrix[output, i, j, channel]
                    for row in range(height):
                        for column in range(width):
                            y, x = row - top, column - left
                            inside = 0 <= y < own.shape[0] and 0 <= x < own.shape[1]
                            target[row, column] = own[y, x] if inside else nil


@njit(**KERNEL)
def sum_of_places(matrix, stride, padding, weights):
    """Write sums of the matrix's entries to weights: the transpose of :func:`write_matrix`."""
    outputs, down, across, channels, height, width = matrix.shape
    weights[...] = 0
    for output in range(outputs):
        for i in range(down):
            for j in range(across):
                top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
                rows = max(top, 0), min(top + weights.shape[2], height)
                columns = max(left, 0), min(left + weights.shape[3], width)
                for channel in range(channels):
                    own, source = weights[output, channel], matrix[output, i, j, channel]
                    for row in range(rows[0], rows[1]):
                        for column in range(columns[0], columns[1]):
                            own[row - top, column - left] += source[row, column]
