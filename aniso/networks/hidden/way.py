"""The way of networks of one hidden layer with few inputs and outputs: compiled passes."""

from functools import partial

import numpy as np

from aniso.networks.fast.pooled_kernel import COMPILED
from aniso.networks.hidden import activations, kernel, losses, steps
from aniso.networks.layers.activation import Activation
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.fixed_linear import FixedLinear
from aniso.networks.plans.way import Way, is_finite, refuse

# With more inputs and outputs together, matrix products of BLAS cost less.
_MOST_ENDS = 12
# A task of a thread takes at least so long; with less, handing it over costs more than it saves.
_NANOSECONDS = 200_000
_MOST_TASKS = 64
# Short rows of examples waste vector instructions; two tasks are worth it nevertheless.
_FEWEST_EXAMPLES = 300
# Nanoseconds a unit and example, measured: the activation, and each input and output.
_PIECEWISE, _SMOOTH, _END = 0.5, 3.5, 0.1

_NO_OUTPUTS, _NO_LOSSES = np.empty((0, 1)), np.empty(0)


def hidden_way(network):
    """Return the way of a network of one hidden layer; None for another one, or without kernels.

    Parameters
    ----------
    network : Network
        Of NumPy.

    Returns
    -------
    HiddenWay or None
    """
    layers, loss = network.layers, losses.described(network.output_loss, network.num_outputs)
    if not COMPILED or loss is None or len(layers) != 3 or len(network.model.input_shape) != 1:
        return None
    first, middle, last = layers
    if type(first) is not Dense or type(middle) is not Activation:
        return None
    if type(last) is not Dense and type(last) is not FixedLinear:
        return None
    if network.model.input_shape[0] + network.num_outputs > _MOST_ENDS:
        return None
    return HiddenWay(network, loss)


class HiddenWay(Way):
    """Compiled passes of one architecture. It holds no memory, and serves several threads.

    Parameters
    ----------
    network : Network
        Three layers: dense, activation, and dense or fixed.
    loss : tuple
        From :func:`aniso.networks.hidden.losses.described`.
    """

    most_vectors = 1

    def __init__(self, network, loss):
        first, middle, last = network.layers
        self.units, self.loss = first.num_outputs, loss
        self.kind, self.shape = activations.described(middle.name)
        self.fixed = np.zeros(0, network.dtype)
        if type(last) is FixedLinear:
            weights = last.matrix(self.fixed)
            self.fixed = np.append(weights, np.zeros(len(weights), network.dtype))
        self.smooth = not middle.piecewise_linear
        self.cost = _SMOOTH if self.smooth else _PIECEWISE
        self.cost += _END * (network.model.input_shape[0] + network.num_outputs)

    def outputs(self, network, theta, out):
        """Write the outputs to `out` (N, C), in double precision."""
        theta, no_gradient = _own(theta), np.empty(0, network.dtype)

        def task(rows, _):
            arguments = self._arguments(network, theta, rows)
            kernel.first_order(*arguments, out[rows], _NO_LOSSES, no_gradient)

        self._run(network, task, 1)
        return True

    def gradient(self, network, theta, out, losses):
        """Write the gradient of the mean loss to `out` (D,), the losses to `losses` if not None.

        Raises
        ------
        InputError
            If the gradient is not finite.
        """
        theta = _own(theta)

        def task(rows, part):
            values = _NO_LOSSES if losses is None else losses[rows]
            arguments = self._arguments(network, theta, rows)
            kernel.first_order(*arguments, _NO_OUTPUTS, values, part)

        self._sum(network, theta, task, 1, out)
        return True

    def per_example_gradients(self, network, theta, out):
        """Write the gradients of every example's loss to `out` (N, D).

        Raises
        ------
        InputError
            If a gradient is not finite.
        """
        theta = _own(theta)

        finite = []

        def task(rows, _):
            finite.append(
                kernel.example_gradients(*self._arguments(network, theta, rows), out[rows])
            )

        self._run(network, task, 2)
        if not all(finite):
            refuse(network, theta)
        return True

    def hessian_product(self, network, theta, rows, out):
        """Write the products of the Hessian with `rows` (K, D) to `out` (K, D).

        Raises
        ------
        InputError
            If a product is not finite.
        """
        theta, vectors = _own(theta), _own(np.ascontiguousarray(rows))

        def task(examples, part):
            arguments = self._arguments(network, theta, examples)
            kernel.hessian_products(*arguments, vectors, part)

        self._sum(network, theta, task, 1 + len(rows), out)
        return True

    def sgd_steps(self, network, theta, batches, learning_rates):
        """Take steps of SGD, theta (D,) in place, and return how many were taken."""
        if self._num_tasks(1, batches.shape[1]) > 1:
            return 0
        # examples last in every batch
        inputs = np.ascontiguousarray(network.inputs[batches].swapaxes(1, 2), network.dtype)
        targets = np.asarray(network.targets[batches], np.float64)
        if targets.ndim == 2:
            targets = targets[:, :, None]
        return steps.sgd_steps(theta, *self._settings(), inputs, targets, learning_rates)

    def _settings(self):
        work = np.empty((2, max(kernel.BLOCK, self.units))) if self.smooth else None
        return self.units, self.fixed, self.kind, self.shape, work, *self.loss

    def _arguments(self, network, theta, rows):
        inputs = _own(np.ascontiguousarray(network.inputs[rows].T, network.dtype))
        targets = _own(np.asarray(network.targets[rows], np.float64))
        if targets.ndim == 1:
            targets = targets[:, None]
        return theta, *self._settings(), inputs, targets

    def _num_tasks(self, passes, count):
        work = passes * self.cost * self.units * count
        number = min(_MOST_TASKS, max(2, count // _FEWEST_EXAMPLES), work // _NANOSECONDS)
        return 2 * -(-int(number) // 2) if number > 1 else 1

    def _run(self, network, task, passes, parts=None):
        """Call ``task(rows, part)`` for the tasks, on the threads if there are several.

        The tasks depend on the number of examples alone, so that the number of threads does not
        change the results.
        """
        count = network.num_examples
        number = self._num_tasks(passes, count)
        if parts is None or number == 1:
            parts = [parts] * number
        else:
            parts = np.empty((number, *parts.shape), parts.dtype)
        if number == 1:
            task(slice(0, count), parts[0])
            return parts
        cuts = [count * i // number for i in range(number + 1)]

        network.workers.share(
            [partial(task, slice(cuts[i], cuts[i + 1]), parts[i]) for i in range(number)]
        )
        return parts

    def _sum(self, network, theta, task, passes, out):
        memory = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        parts = self._run(network, task, passes, memory)
        if len(parts) > 1:
            np.add.reduce(parts, axis=0, out=memory)
        memory /= network.num_examples
        if memory is not out:
            out[...] = memory
        if not is_finite(memory):
            refuse(network, theta)


def _own(array):
    # arrays that are read-only or not aligned would be a type of their own, compiled anew
    return array if array.flags.behaved else array.copy()
