"""A stack of layers: shapes, flat parameters, and the plain map for autograd."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np
import scipy

from aniso import checks
from aniso.arrays import functions
from aniso.networks.layers.layer import Layer

if TYPE_CHECKING:
    from aniso.typing import Array


_SHOWN_LAYERS = 30


@dataclass(frozen=True)
class Stack:
    """Layers applied one after the other.

    Parameters
    ----------
    layers : tuple of Layer
        Layers in the order of application.
    input_shape : tuple of int
        Shape of one example's inputs.

    Raises
    ------
    InputError
        If an entry is no layer, the layers do not fit together, the outputs are no vector, or there
        are no parameters.

    Notes
    -----
    theta holds the parameters layer by layer, weights row-major before biases. A stack is the
    architecture of a :class:`aniso.networks.Network`. Its ``outputs`` are differentiable by
    autograd, so that :mod:`aniso.problems` takes it as a model too.

    Examples
    --------
    >>> from aniso.networks import Activation, Dense
    >>> stack = Stack((Dense(1), Activation("relu"), Dense(1)), (1,))
    >>> stack
    <Stack: inputs (1,), D = 4 parameters
        Dense(num_outputs=1) -> (1,)
        Activation(name='relu') -> (1,)
        Dense(num_outputs=1) -> (1,)>
    >>> stack.outputs(np.array([2.0, 1.0, 3.0, -1.0]), np.array([[1.0]]))
    array([[8.]])
    """

    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]

    def __post_init__(self):
        if isinstance(self.layers, Layer) or not np.iterable(self.layers):
            raise checks.InputError(
                f"layers={self.layers!r}; expected a tuple of layers, for instance (Dense(10),)"
            )
        if not np.iterable(self.input_shape):
            raise checks.InputError(
                f"input_shape={self.input_shape!r}; expected a tuple, the shape of one example, "
                "for instance (784,) or (1, 28, 28)"
            )
        object.__setattr__(self, "layers", tuple(self.layers))
        shape = tuple(checks.integer("input_shape", n, low=1) for n in self.input_shape)
        object.__setattr__(self, "input_shape", shape)
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise checks.InputError(
                    f"layers contains {layer!r}; expected layers: instances of those of "
                    "aniso.networks, for instance Dense(10)"
                )
        if len(self.shapes[-1]) != 1:
            raise checks.InputError(
                f"the last layer's outputs have shape {self.shapes[-1]}; expected a vector: "
                "end with a dense layer"
            )
        if self.num_parameters == 0:
            raise checks.InputError(
                "layers have no parameters; expected at least one dense or convolution layer"
            )

    def __repr__(self):
        rows = [f"{layer!r} -> {shape}" for layer, shape in self._layers_with_outputs()]
        if len(rows) > _SHOWN_LAYERS:
            half = _SHOWN_LAYERS // 2
            rows = [*rows[:half], f"... {len(rows) - 2 * half} more ...", *rows[-half:]]
        head = f"<Stack: inputs {self.input_shape}, D = {self.num_parameters} parameters"
        return "\n    ".join([head, *rows]) + ">"

    def _layers_with_outputs(self):
        return zip(self.layers, self.shapes[1:], strict=True)

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Input shape of every layer, then the output shape."""
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(tuple(layer.output_shape(shapes[-1])))
        return tuple(shapes)

    @cached_property
    def parameter_shapes(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Parameter shapes of every layer; () where it has none."""
        return tuple(
            layer.parameter_shapes(shape)
            for layer, shape in zip(self.layers, self.shapes[:-1], strict=True)
        )

    @cached_property
    def parameter_slices(self) -> tuple[slice, ...]:
        """Slice of theta of every layer (empty where it has no parameters)."""
        slices, start = [], 0
        for shapes in self.parameter_shapes:
            stop = start + sum(math.prod(shape) for shape in shapes)
            slices.append(slice(start, stop))
            start = stop
        return tuple(slices)

    @property
    def blocks(self) -> dict[str, slice]:
        """Parts of theta by the name of their layer, a dict of str to slice in the order of theta.

        A name is the kind of the layer and its number among the layers with parameters.

        Examples
        --------
        >>> from aniso.networks import Activation, Dense
        >>> Stack((Dense(3), Activation("relu"), Dense(1)), (2,)).blocks
        {'Dense 1': slice(0, 9, None), 'Dense 2': slice(9, 13, None)}
        """
        return {
            f"{type(self.layers[position]).__name__} {number}": self.parameter_slices[position]
            for number, position in enumerate(self.parameterised, start=1)
        }

    @property
    def num_parameters(self) -> int:
        """D, the number of parameters."""
        return self.parameter_slices[-1].stop

    @property
    def num_outputs(self) -> int:
        """C, the number of outputs."""
        return self.shapes[-1][0]

    @property
    def parameterised(self) -> tuple[int, ...]:
        """Positions of the layers that have parameters."""
        return tuple(i for i, shapes in enumerate(self.parameter_shapes) if shapes)

    @property
    def piecewise_linear(self) -> bool:
        """Whether every layer is piecewise linear: all second derivatives are then cross-layer."""
        return all(layer.piecewise_linear for layer in self.layers)

    @property
    def linear_almost_everywhere(self) -> bool:
        """Whether outputs are piecewise linear in theta, so that H and G agree."""
        own = [self.layers[position] for position in self.parameterised]
        return self.piecewise_linear and len(own) == 1 and own[0].linear_in_parameters

    @cached_property
    def leaves(self) -> tuple[tuple[Layer, tuple[tuple[int, ...], ...]], ...]:
        """Layers that own the parameters, in the order of theta: pairs (layer, shapes)."""
        pairs = zip(self.layers, self.shapes[:-1], strict=True)
        return tuple(leaf for layer, shape in pairs for leaf in layer.leaves(shape))

    def unpacked(self, theta: Array) -> Any:
        """Return the parameter arrays of every layer, tuples of views of flat (..., D)."""
        lead = theta.shape[:-1]
        result, start = [], 0
        for shapes in self.parameter_shapes:
            arrays = []
            for shape in shapes:
                stop = start + math.prod(shape)
                part = theta[..., start:stop]
                arrays.append(functions.reshape(part, (*lead, *shape)))
                start = stop
            result.append(tuple(arrays))
        return result

    def outputs(self, theta: Array, inputs: Array) -> Array:
        """Return outputs (..., n, C) at inputs (n, \\*input_shape), by autograd's NumPy."""
        if theta.ndim > 1:
            flat = anp.reshape(theta, (-1, theta.shape[-1]))
            rows = anp.stack([self.outputs(row, inputs) for row in flat])
            return anp.reshape(rows, (*theta.shape[:-1], *rows.shape[1:]))
        hidden = inputs
        for layer, parameters in zip(self.layers, self.unpacked(theta), strict=True):
            hidden = layer.plain(parameters, hidden)
        return hidden

    def initial_parameters(
        self, rng: np.random.Generator, standard_deviation: float | None = None
    ) -> Array:
        """Draw random parameters, shape (D,).

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the random numbers.
        standard_deviation : float, optional
            If given, weights and biases are normal with this scale, truncated at twice its value
            (0.02 in the published FashionMNIST script). If not, weights and biases of a layer are
            uniform on ``(-1, 1) / sqrt(fan_in)``.
        """
        checks.generator("rng", rng)
        if standard_deviation is not None:
            scale = checks.number("standard_deviation", standard_deviation, low=0)
            draws = scipy.stats.truncnorm.rvs(-2, 2, size=self.num_parameters, random_state=rng)
            return scale * draws
        parts = []
        for _, shapes in self.leaves:
            for shape in shapes:
                bound = 1 / math.sqrt(math.prod(shapes[0][1:]))
                parts.append(rng.uniform(-bound, bound, math.prod(shape)))
        return np.concatenate(parts)


def require_stack(name, value):
    """Refuse a value that is no stack, for instance a module of another package.

    Raises
    ------
    InputError
        If it is no :class:`Stack`.
    """
    if not isinstance(value, Stack):
        raise checks.InputError(
            f"{name}={value!r}; expected an instance of networks.Stack, for instance "
            "networks.Stack((networks.Dense(10),), input_shape=(784,)); a model of another "
            "package is rebuilt from its layers"
        )
