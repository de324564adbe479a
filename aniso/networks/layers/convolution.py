"""Two-dimensional convolution with strides and zero padding, as products with window columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np
from array_api_compat import array_namespace

from aniso import checks
from aniso.arrays import functions
from aniso.networks.gradients import squares as example_squares
from aniso.networks.layers import windows
from aniso.networks.layers.layer import Layer

if TYPE_CHECKING:
    from aniso.networks.layers.windows import Windows
    from aniso.typing import Array


@dataclass(frozen=True)
class Convolution(Layer):
    """``z[o] = sum_c W[o, c] * x[c] + b[o]`` (cross-correlation, as in every framework).

    Parameters
    ----------
    num_channels : int
        Output channels.
    kernel : int or (int, int)
        Height and width of the kernel.
    stride : int or (int, int)
        Distance between windows.
    padding : int or (int, int)
        Zeros added on each side.

    Raises
    ------
    InputError
        If a count or size breaks its rule.

    Examples
    --------
    >>> layer = Convolution(1, (1, 2))
    >>> parameters = np.array([[[[1.0, -1.0]]]]), np.array([0.5])
    >>> images = np.array([[[3.0, 1.0, 1.0]]])[..., None]
    >>> layer.forward(parameters, layer.prepare(images))[0].ravel()
    array([2.5, 0.5])
    """

    num_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)

    def __post_init__(self):
        checks.integer("num_channels", self.num_channels, low=1)
        object.__setattr__(self, "kernel", windows.pair("kernel", self.kernel, low=1))
        object.__setattr__(self, "stride", windows.pair("stride", self.stride, low=1))
        object.__setattr__(self, "padding", windows.pair("padding", self.padding, low=0))

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return test cases: plain, with stride and padding, and a kernel as large as the image."""
        return [
            (cls(2, 2), (1, 3, 4)),
            (cls(3, (3, 2), stride=(2, 1), padding=(1, 0)), (2, 4, 3)),
            (cls(2, 3, stride=2, padding=1), (2, 5, 5)),
            (cls(2, (2, 3)), (1, 2, 3)),
            (cls(4, 3, padding=1), (3, 1, 2)),
        ]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (num_channels, windows down, windows across)."""
        if len(input_shape) != 3:
            raise checks.InputError(
                f"a convolution got inputs of shape {input_shape}; expected (channels, height, "
                "width)"
            )
        shape = self._padded_shape(input_shape)
        return (
            self.num_channels,
            *windows.window_counts("a convolution", shape, self.kernel, self.stride),
        )

    def _padded_shape(self, shape):
        return (shape[0], shape[1] + 2 * self.padding[0], shape[2] + 2 * self.padding[1])

    def parameter_shapes(self, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of W, (channels out, channels in, height, width), and of b."""
        return (self.num_channels, input_shape[0], *self.kernel), (self.num_channels,)

    def plain(self, parameters: Any, inputs: Array) -> Array:
        """Return a sum of shifted images over the entries of the kernel, examples first."""
        weights, biases = parameters
        counts = self.output_shape(inputs.shape[1:])[1:]
        (down, across) = self.padding
        images = anp.pad(inputs, ((0, 0), (0, 0), (down, down), (across, across)), "constant")
        outputs = anp.reshape(biases, (1, -1, 1, 1))
        places = windows.window_slices(self.kernel, self.stride, counts)
        for place, (rows, columns) in enumerate(places):
            tap = weights[:, :, place // self.kernel[1], place % self.kernel[1]]
            outputs = outputs + anp.einsum("oc,nchw->nohw", tap, images[:, :, rows, columns])
        return outputs

    def prepare(self, inputs: Array) -> Any:
        """Return the windows of the inputs, one a column."""
        shape = inputs.shape[:-1]
        counts = self.output_shape(shape)[1:]
        return windows.Windows(shape, counts, self._columns(inputs, counts), inputs)

    def _columns(self, images, counts):
        images = windows.padded(images, self.padding)
        return windows.window_columns(images, self.kernel, self.stride, counts)

    def _images(self, columns, memory):
        images = windows.images_from_columns(
            columns,
            self._padded_shape(memory.shape),
            self.kernel,
            self.stride,
            memory.counts,
            memory.count,
        )
        return windows.unpadded(images, self.padding)

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:
        """Return ``W columns + b``; the memory is the columns."""
        xp = array_namespace(prepared.columns)
        weights, biases = parameters
        outputs = xp.reshape(weights, (self.num_channels, -1)) @ prepared.columns
        outputs += biases[:, None]
        return xp.reshape(outputs, (-1, *prepared.counts, prepared.count)), prepared

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:
        """Return ``W^T delta``, summed over the windows that share a pixel."""
        xp = array_namespace(delta)
        weights = xp.reshape(parameters[0], (self.num_channels, -1))
        return self._images(weights.T @ self._flat(delta), memory)

    def _flat(self, outputs):
        # (..., channels, down, across, n) -> (..., channels, windows * n)
        xp = array_namespace(outputs)
        return xp.reshape(outputs, (*outputs.shape[:-3], -1))

    def gradient(self, memory: Any, delta: Array) -> tuple[Array, ...]:
        """Return ``delta columns^T`` and the sums of delta."""
        xp = array_namespace(delta)
        flat = self._flat(delta)
        weights = flat @ memory.columns.T
        shape = (*weights.shape[:-1], memory.shape[0], *self.kernel)
        return xp.reshape(weights, shape), xp.sum(flat, axis=-1)

    def per_example_gradients(self, memory: Any, delta: Array) -> Array:
        """Return the same for each example, flat: (..., n, P)."""
        xp = array_namespace(delta)
        rows, columns = self._by_example(memory, delta)
        weights = xp.reshape(rows @ columns, (*rows.shape[:-2], -1))
        return xp.concat([weights, xp.sum(rows, axis=-1)], axis=-1)

    def _by_example(self, memory, delta):
        # deltas (..., n, channels, windows) and window columns (n, windows, channels * places)
        xp = array_namespace(delta)
        lead, count = delta.ndim - 4, memory.count
        rows = xp.reshape(delta, (*delta.shape[:-4], self.num_channels, -1, count))
        rows = xp.permute_dims(rows, (*range(lead), lead + 2, lead, lead + 1))
        columns = xp.reshape(memory.columns, (memory.columns.shape[0], -1, count))
        columns = xp.permute_dims(columns, (2, 1, 0))
        return functions.contiguous(rows), functions.contiguous(columns)

    def _by_place(self, memory, delta):
        # deltas (..., channels, windows, n) and window columns (channels * places, windows, n)
        xp = array_namespace(delta)
        deltas = xp.reshape(delta, (*delta.shape[:-3], -1, memory.count))
        columns = xp.reshape(memory.columns, (memory.columns.shape[0], -1, memory.count))
        return deltas, columns

    def gradient_square_norms(self, memory: Any, delta: Array) -> Array:
        """Return the squared norms of the per-example gradients, (..., n); no gradient is kept."""
        xp = array_namespace(delta)
        deltas, columns = self._by_place(memory, delta)
        blocks = xp.reshape(deltas, (-1, *deltas.shape[-3:]))
        norms = [
            example_squares.square_norms(blocks[i, ...], columns) for i in range(blocks.shape[0])
        ]
        biases = xp.sum(deltas, axis=-2)
        biases = functions.double_sum(biases * biases, axis=-2)
        return xp.reshape(xp.concat(norms), biases.shape) + biases

    def gradient_squares(self, memory: Any, delta: Array, weights: Array) -> Array:
        """Return weighted sums over examples of the squared gradients, (..., P); none is kept."""
        xp = array_namespace(delta)
        deltas, columns = self._by_place(memory, delta)
        lead = deltas.shape[:-3]
        blocks = xp.reshape(deltas, (-1, *deltas.shape[-3:]))
        rows = xp.reshape(xp.broadcast_to(weights, (*lead, memory.count)), (-1, memory.count))
        squares = []
        for number in range(blocks.shape[0]):
            own, weight = blocks[number, ...], rows[number, ...]
            entries = example_squares.weighted_squares(own, columns, weight)
            biases = xp.sum(own, axis=1)
            squares.append(xp.reshape(entries, (-1,)))
            squares.append((biases * biases) @ weight)
        return xp.reshape(xp.concat(squares), (*lead, -1))

    def tangent(
        self, parameters: Any, memory: Any, directions: Any, inputs_tangent: Array | None
    ) -> tuple[Array | None, Any]:
        """Return ``V columns + v + W columns(x')``; the trace is columns(x')."""
        xp = array_namespace(memory.columns)
        weights_direction, biases_direction = directions
        lead = biases_direction.shape[:-1]
        flat = xp.reshape(weights_direction, (*lead, self.num_channels, -1))
        outputs = flat @ memory.columns
        outputs += biases_direction[..., None]
        trace = None
        if inputs_tangent is not None:
            trace = self._columns(inputs_tangent, memory.counts)
            outputs += xp.reshape(parameters[0], (self.num_channels, -1)) @ trace
        shape = (*lead, self.num_channels, *memory.counts, memory.count)
        return xp.reshape(outputs, shape), trace

    def second_order(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,
        directions: Any,
        trace: Any,
        delta: Array,
    ) -> tuple[Array | None, tuple[Array | None, ...] | None]:
        """Return ``V^T delta`` at the inputs, ``delta columns(x')^T`` in the weights."""
        xp = array_namespace(delta)
        flat = self._flat(delta)
        lead = directions[1].shape[:-1]
        weights_direction = xp.reshape(directions[0], (*lead, self.num_channels, -1))
        inputs = self._images(xp.matrix_transpose(weights_direction) @ flat, memory)
        if trace is None:
            return inputs, None
        weights = flat @ xp.matrix_transpose(trace)
        return inputs, (xp.reshape(weights, directions[0].shape), None)

    def start_route(self, memory: Any) -> Array:
        """Return the number of every output unit, (channels, down, across, n)."""
        shape = (self.num_channels, *memory.counts)
        index = np.arange(math.prod(shape)).reshape(*shape, 1)
        return np.broadcast_to(index, (*shape, memory.count))

    def unit_patches(self, memory: Windows, index: Array) -> Array:
        """Return the windows of output units, with a 1 for the bias: (n, channels, cells, q).

        Parameters
        ----------
        memory : Windows
            Memory of the forward pass.
        index : ndarray, shape (channels, cells..., n)
            Numbers of output units, row-major over (channel, down, across). Entry c holds units
            of channel c.
        """
        count = memory.count
        columns = memory.columns
        num_windows = math.prod(memory.counts)
        rows = np.empty((count, num_windows, columns.shape[0] + 1), columns.dtype)
        rows[..., :-1] = columns.reshape(columns.shape[0], num_windows, count).transpose(2, 1, 0)
        rows[..., -1] = 1
        place = index.reshape(self.num_channels, -1, count).transpose(2, 0, 1) % num_windows
        place = place + num_windows * np.arange(count)[:, None, None]
        return rows.reshape(count * num_windows, -1).take(place, axis=0)

    def input_rows(self, parameters: Any, input_shape: tuple[int, ...]) -> Array:
        """Return the Toeplitz matrix that acts on flat inputs, (units out, units in)."""
        weights = parameters[0]
        counts = self.output_shape(input_shape)[1:]
        shape = self._padded_shape(input_shape)
        table = np.zeros((self.num_channels, math.prod(counts), *shape), weights.dtype)
        for number, (down, across) in enumerate(np.ndindex(*counts)):
            row, column = down * self.stride[0], across * self.stride[1]
            stops = row + self.kernel[0], column + self.kernel[1]
            table[:, number, :, row : stops[0], column : stops[1]] = weights
        down, across = self.padding
        table = table[..., down : shape[1] - down, across : shape[2] - across]
        return table.reshape(self.num_channels * math.prod(counts), -1)

    def forward_multiplications(self, input_shape: tuple[int, ...]) -> int:
        """Return one multiplication for every weight at every window."""
        shape = self.output_shape(input_shape)
        return math.prod(shape) * input_shape[0] * math.prod(self.kernel)

    def memory_entries(self, input_shape: tuple[int, ...]) -> int:
        """Return the numbers kept of one example: columns and outputs."""
        shape = self.output_shape(input_shape)
        return math.prod(shape) + math.prod(shape[1:]) * input_shape[0] * math.prod(self.kernel)
