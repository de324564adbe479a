"""A plan for dense layers: workspaces and bound products, for so many examples and vectors.

A pass has two phases, each a list of fixed tasks that the threads share:

1. by examples: outputs, deltas and, for Hessian products, the tangents of both;
2. by columns of the weights: ``delta a^T``, a product over all examples that is written to its
   place in the result.

So there are no partial sums, and the bits of a result do not depend on the number of threads.
"""

import itertools

import numpy as np

from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import kernels
from aniso.networks.plans.example_passes import ExamplePass
from aniso.networks.plans.workspace import Workspace

# A thread is worth starting for so many multiplications of one forward pass, about 200 microseconds
# of a whole pass.
_THREAD_MULTIPLICATIONS = 4_000_000
# narrower matrix products are slower; two threads are worth it nevertheless
_WIDTH = 600
# numbers that one task copies
_COPIED_TOGETHER = 2**15
# fewer are copied before a second thread has begun
_COPIED_ALONE = 2**18


class DensePlan:
    """Passes of n examples through dense layers, with K tangents.

    Parameters
    ----------
    layers : tuple of DenseLayer
        The layers.
    output_loss : loss
        One of :mod:`aniso.problems.losses`.
    inputs : ndarray, shape (n, in)
        The examples of the first call. They are read as they lie where their dtype is that of the
        plan and their rows are contiguous, otherwise a copy is made in every call. The inputs of
        later calls have the same shape, strides and dtype.
    num_vectors : int
        K; 0 for the first order alone.
    dtype : numpy.dtype
        Precision.
    """

    def __init__(self, layers, output_loss, inputs, num_vectors, dtype):
        self.layers, self.output_loss, self.num_vectors = layers, output_loss, num_vectors
        self.dtype, self.num_examples = dtype, len(inputs)
        self.space = Workspace(layers, self.num_examples, num_vectors, dtype)
        self.copied = None if readable(inputs, dtype) else np.empty(inputs.shape, dtype)
        self.inputs = inputs if self.copied is None else self.copied  # strides of the examples
        size = layers[-1].biases.stop
        self.theta = _without_memory((size,), dtype)
        self._result = _without_memory((max(1, num_vectors), size), dtype)
        # of each layer W, V_1 .. V_K in one array, and the biases of the directions
        if num_vectors:
            self.stacked = [np.empty((1 + num_vectors, *layer.shape), dtype) for layer in layers]
        else:
            self.stacked = [self.theta[layer.weights].reshape(1, *layer.shape) for layer in layers]
        self.stacked_biases = [
            np.empty((num_vectors, layer.num_outputs), dtype) for layer in layers
        ]
        self.moving = {"theta": [], "inputs": [], "result": []}
        multiplications = self.num_examples * sum(o * i for o, i in (a.shape for a in layers))
        self.num_parts = max(2, self.num_examples // _WIDTH)
        self.num_parts = min(self.num_parts, max(1, multiplications // _THREAD_MULTIPLICATIONS))
        self.passes = [ExamplePass(self, part) for part in cuts(self.num_examples, self.num_parts)]
        self._first_products = []
        self._tasks = self._column_tasks()

    def anchor(self, name, array):
        """Return where in theta, the inputs or the result an array starts, in bytes."""
        whole = {"theta": self.theta, "inputs": self.inputs, "result": self._result}[name]
        return array.ctypes.data - whole.ctypes.data

    def _column_tasks(self):
        # of each row of the result and each group of columns of all layers
        count = len(self._result)
        groups = -(-self.num_parts // count)
        return [
            self._column_task(row, group, groups) for row in range(count) for group in range(groups)
        ]

    def _column_task(self, row, group, groups):
        products, sums, space = [], [], self.space
        for number, layer in enumerate(self.layers):
            summed = space.moved[number][row] if self.num_vectors else space.deltas[number]
            if number % groups == group:
                sums.append((summed, row, layer.biases))
            parts = cuts(layer.num_inputs, groups)
            if group >= len(parts):
                continue
            columns = parts[group]
            weights = self._result[row, layer.weights].reshape(layer.shape)[:, columns]
            below = space.outputs[number - 1][0].T if number else self.inputs
            first = BoundProduct(weights, summed, below[:, columns])
            self.moving["result"].append((first.result, self.anchor("result", weights)))
            if number == 0 and self.copied is None:
                own = self.anchor("inputs", below[:, columns])
                self.moving["inputs"].append((first.right, own))
            self._first_products.append(first)
            products.append(first)
            if number and self.num_vectors:
                moved = space.outputs[number - 1][1 + row].T[:, columns]
                second = BoundProduct(weights, space.deltas[number], moved, beta=1.0)
                self.moving["result"].append((second.result, self.anchor("result", weights)))
                products.append(second)

        def task():
            for product in products:
                product()
            for deltas, row, place in sums:
                if self.accumulates:
                    self.result[row, place] += np.add.reduce(deltas, axis=1)
                else:
                    np.add.reduce(deltas, axis=1, out=self.result[row, place])

        return task

    def bind(self, theta, inputs, targets, scale):
        """Set the arguments of the next pass.

        Parameters
        ----------
        theta : ndarray, shape (D,)
            Contiguous, of the plan's dtype.
        inputs : ndarray, shape (n, in)
            As in the first call.
        targets : ndarray, length n
            Targets of these examples.
        scale : float
            Factor of all gradients.
        """
        self.given_theta, self.given_inputs = theta, inputs
        self.read_inputs = inputs if self.copied is None else self.copied
        self.targets, self.scale = targets, scale
        if self.num_vectors == 0:
            self._move("theta", theta)
        if self.copied is None:
            self._move("inputs", inputs)

    def _move(self, name, array):
        address = array.ctypes.data
        for pointer, distance in self.moving[name]:
            pointer.value = address + distance

    def direct(self, rows, workers):
        """Copy theta and K directions, rows (K, D) of any strides, to the stacked arrays."""
        tasks, theta = [], self.given_theta
        copy_rows = np.copyto if rows.strides[1] == rows.itemsize else kernels.copy_rows
        for layer, weights, biases in zip(
            self.layers, self.stacked, self.stacked_biases, strict=True
        ):
            np.copyto(biases, rows[:, layer.biases])
            flat, start = weights.reshape(len(weights), -1), layer.weights.start
            for part in cuts(flat.shape[1], -(-flat.shape[1] // _COPIED_TOGETHER)):
                source = slice(start + part.start, start + part.stop)

                def copy(flat=flat, part=part, source=source):
                    np.copyto(flat[0, part], theta[source])
                    copy_rows(flat[1:, part], rows[:, source])

                tasks.append(copy)
        if len(rows) * len(theta) < _COPIED_ALONE:
            for task in tasks:
                task()
        else:
            workers.share(tasks)

    def examples(self, method, workers):
        """Call a method of every :class:`ExamplePass`; return whether all outputs are finite."""
        workers.share([getattr(own, method) for own in self.passes])
        return all(own.finite for own in self.passes)

    def columns(self, result, accumulates, workers):
        """Write the sums over the examples to `result` (1 or K, D), or add them to it."""
        self.result, self.accumulates = result, accumulates
        self._move("result", result)
        for product in self._first_products:
            product.accumulate(1.0 if accumulates else 0.0)
        workers.share(self._tasks)

    def release(self):
        """Forget the arrays of the last call."""
        self.given_theta = self.given_inputs = self.read_inputs = None
        self.targets = self.result = None


def _without_memory(shape, dtype):
    # an array of addresses, to which operands that move are bound; nobody reads its entries
    strides = (shape[-1] * dtype.itemsize, dtype.itemsize)[-len(shape) :]
    return np.lib.stride_tricks.as_strided(np.empty(1, dtype), shape, strides)


def readable(inputs, dtype):
    """Return whether BLAS can read examples (n, in) as they lie."""
    item = inputs.itemsize
    return inputs.dtype == dtype and (
        inputs.strides[1] == item and inputs.strides[0] >= inputs.shape[1] * item
    )


def cuts(total, count):
    """Return `count` nearly equal slices of ``range(total)``, or fewer where it is shorter.

    Examples
    --------
    >>> cuts(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    count = min(total, count)
    edges = [total * number // count for number in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]
