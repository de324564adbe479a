"""A chain of layers as a part of a layer.

The passes through a whole network (:mod:`aniso.networks.passes`) stop at its first parameters. The
passes through a chain continue to its inputs, which may be outputs of other layers.
"""

import math

from array_api_compat import array_namespace

from aniso.arrays import places


class Chain:
    """Layers applied one after the other; without layers it is the identity.

    Parameters
    ----------
    layers : tuple of Layer
        Layers in the order of application.
    input_shape : tuple of int
        Shape of one example's inputs.
    """

    def __init__(self, layers, input_shape):
        self.layers, self.shapes = layers, [tuple(input_shape)]
        for layer in layers:
            self.shapes.append(tuple(layer.output_shape(self.shapes[-1])))

    @property
    def output_shape(self):
        """Shape of one example's outputs."""
        return self.shapes[-1]

    @property
    def _by_layer(self):
        return [
            tuple(layer.parameter_shapes(shape))
            for layer, shape in zip(self.layers, self.shapes[:-1], strict=True)
        ]

    @property
    def parameter_shapes(self):
        """Shapes of all parameter arrays, layer by layer."""
        return tuple(shape for shapes in self._by_layer for shape in shapes)

    @property
    def num_parameters(self):
        """Number of all parameters."""
        return sum(math.prod(shape) for shape in self.parameter_shapes)

    @property
    def parameterised(self):
        """Positions of the layers that have parameters."""
        return [i for i, shapes in enumerate(self._by_layer) if shapes]

    @property
    def leaves(self):
        """Layers that own the parameters: pairs (layer, parameter shapes)."""
        pairs = zip(self.layers, self.shapes[:-1], strict=True)
        return [leaf for layer, shape in pairs for leaf in layer.leaves(shape)]

    def _split(self, arrays):
        # a tuple of arrays for every layer
        result, start = [], 0
        for shapes in self._by_layer:
            result.append(tuple(arrays[start : start + len(shapes)]))
            start += len(shapes)
        return result

    def plain(self, parameters, inputs):
        """Return the outputs by autograd's NumPy, examples first."""
        for layer, own in zip(self.layers, self._split(parameters), strict=True):
            inputs = layer.plain(own, inputs)
        return inputs

    def forward(self, parameters, inputs):
        """Return the outputs and the memories of the layers."""
        trail = []
        for layer, own in zip(self.layers, self._split(parameters), strict=True):
            inputs, memory = layer.forward(own, layer.prepare(inputs))
            trail.append(memory)
        return inputs, trail

    def deltas(self, parameters, trail, delta):
        """Return deltas at the outputs of every layer, and at the inputs of the chain."""
        result, split = [None] * len(self.layers), self._split(parameters)
        for position in reversed(range(len(self.layers))):
            result[position] = delta
            delta = self.layers[position].backward(split[position], trail[position], delta)
        return result, delta

    def backward(self, parameters, trail, delta):
        """Return deltas at the inputs."""
        return self.deltas(parameters, trail, delta)[1]

    def backward_and_gradient(self, parameters, trail, delta, needs_inputs):
        """Return deltas at the inputs, None unless needed, and the parameter gradients in order."""
        split, parts = self._split(parameters), []
        last = 0 if needs_inputs else min(self.parameterised, default=len(self.layers))
        for position in reversed(range(last, len(self.layers))):
            delta, own = self.layers[position].backward_and_gradient(
                split[position], trail[position], delta, needs_inputs or position > last
            )
            parts.append(own)
        return delta, tuple(array for own in reversed(parts) for array in own)

    def tangent(self, parameters, trail, directions, inputs_tangent):
        """Return tangents of the outputs, None where all are zero, and the layers' traces."""
        moved, traces = inputs_tangent, []
        split = zip(self._split(parameters), self._split(directions), strict=True)
        for layer, memory, (own, direction) in zip(self.layers, trail, split, strict=True):
            moved, trace = layer.tangent(own, memory, direction, moved)
            traces.append(trace)
        return moved, traces

    def second_order(self, parameters, trail, directions, traces, delta):
        """Return deltas at the inputs, and a list of parameter gradients; None where zero."""
        fixed, _ = self.deltas(parameters, trail, delta)
        split, moving = self._split(parameters), self._split(directions)
        moved, parts = None, []
        for position in reversed(range(len(self.layers))):
            layer, own, memory = self.layers[position], split[position], trail[position]
            gradients = [None] * len(own)
            below = None
            if moved is not None:
                below, gradients = layer.backward_and_gradient(own, memory, moved, True)
            more, extra = layer.second_order(
                own, memory, moving[position], traces[position], fixed[position]
            )
            if extra is not None:
                gradients = [
                    _sum(first, second) for first, second in zip(gradients, extra, strict=True)
                ]
            moved = _sum(below, more)
            parts.append(gradients)
        return moved, [array for own in reversed(parts) for array in own]

    def second_order_form(self, parameters, trail, directions, inputs_tangent, delta):
        """Return the chain's term of ``v^T H v`` beyond Gauss-Newton, (K,); None if it is zero."""
        fixed, _ = self.deltas(parameters, trail, delta)
        split, moving = self._split(parameters), self._split(directions)
        moved, total = inputs_tangent, None
        for position, layer in enumerate(self.layers):
            own, memory, direction = split[position], trail[position], moving[position]
            form = layer.second_order_form(own, memory, direction, moved, fixed[position])
            total = _sum(total, form)
            moved, _ = layer.tangent(own, memory, direction, moved)
        return total

    def curved_entries(self, parameters, trail, delta):
        """Return the entries of all layers; see :meth:`aniso.networks.Layer.curved_entries`."""
        fixed, _ = self.deltas(parameters, trail, delta)
        split, result = self._split(parameters), []
        for position, layer in enumerate(self.layers):
            if layer.piecewise_linear:
                continue
            entries = layer.curved_entries(split[position], trail[position], fixed[position])
            result += [
                (weights, self._through(split, trail, position, pull_back))
                for weights, pull_back in entries
            ]
        return result

    def _through(self, split, trail, stop, pull_back):
        # squares of the layers below, and of the layer that has the entries
        by_layer = self._by_layer

        def pulled(units, weights):
            squares, delta = pull_back(units, weights)
            parts = {stop: squares}
            for position in reversed(range(stop)):
                layer, memory = self.layers[position], trail[position]
                if by_layer[position]:
                    parts[position] = layer.gradient_squares(memory, delta, weights)
                delta = layer.backward(split[position], memory, delta)
            return self._joined(parts, units), delta

        return pulled

    def _joined(self, parts, units):
        # (U, P), zero where no part is; None of a chain without parameters
        if self.num_parameters == 0:
            return None
        xp = array_namespace(units)
        columns = []
        for position, shapes in enumerate(self._by_layer):
            part = parts.get(position)
            if part is None:
                count = sum(math.prod(shape) for shape in shapes)
                shape = (units.shape[0], count)
                part = xp.zeros(shape, dtype=units.dtype, device=places.device(units))
            columns.append(part)
        return xp.concat(columns, axis=-1)

    @property
    def forward_multiplications(self):
        """Multiplications of one example's forward pass."""
        pairs = zip(self.layers, self.shapes[:-1], strict=True)
        return sum(layer.forward_multiplications(shape) for layer, shape in pairs)

    @property
    def memory_entries(self):
        """Numbers that one example's forward pass keeps, about."""
        pairs = zip(self.layers, self.shapes[:-1], strict=True)
        return sum(layer.memory_entries(shape) for layer, shape in pairs)


def _sum(first, second):
    if first is None or second is None:
        return second if first is None else first
    return first + second
