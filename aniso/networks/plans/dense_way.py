"""The way of networks of dense layers: plans, for the numbers of examples that occur."""

import threading
from collections import OrderedDict

import numpy as np

from aniso.networks.plans import kernels
from aniso.networks.plans.dense_layers import chain_layers
from aniso.networks.plans.dense_plan import DensePlan, cuts, readable
from aniso.networks.plans.way import Way, is_finite, refuse
from aniso.networks.plans.workspace import num_entries
from aniso.threads import blas_threads

# plans that are kept: the whole data, batches, and products with one size of blocks
_KEPT_PLANS = 4
# tangents that pass together; more make no product faster
_MOST_VECTORS = 8
# fewer examples together waste the matrix products
_FEWEST_EXAMPLES = 16


def plans_for(network):
    """Return the way of a network of dense layers; None for another network."""
    layers = chain_layers(network.stack) if kernels.COMPILED else None
    return None if layers is None else DenseWay(layers)


class DenseWay(Way):
    """Plans of one architecture, made when they are needed.

    Parameters
    ----------
    layers : tuple of DenseLayer
        The layers.
    """

    def __init__(self, layers):
        self.layers, self._plans, self._turn = layers, OrderedDict(), threading.Lock()

    def outputs(self, network, theta, out):
        """Write the outputs to `out` (N, C)."""

        def of_examples(plan, rows, _):
            plan.examples("forward", network.workers)
            out[rows] = plan.space.outputs[-1][0].T
            return True

        return self._pass(network, theta, 0, of_examples)

    def gradient(self, network, theta, out, losses):
        """Write the gradient to `out` (D,), and the losses to `losses` (N,) if given.

        Raises
        ------
        InputError
            If the outputs or the gradient are not finite.
        """

        def of_examples(plan, rows, is_first):
            finite = plan.examples("both_ways", network.workers)
            if losses is not None:
                outputs = network.output_rows(plan.space.outputs[-1][0])
                losses[rows] = network.output_loss(outputs, plan.targets)
            plan.columns(out[None], not is_first, network.workers)
            return finite

        return self._pass(network, theta, 0, of_examples, out)

    def per_example_gradients(self, network, theta, out):
        """Write the gradients of the examples to `out` (N, D).

        Raises
        ------
        InputError
            If the outputs are not finite.
        """

        def of_examples(plan, rows, _):
            plan.rows = out[rows]
            finite = plan.examples("rows", network.workers)
            plan.rows = None
            return finite

        return self._pass(network, theta, 0, of_examples, scale=1.0)

    def hessian_product(self, network, theta, rows, out):
        """Write the products with `rows` (K, D) to `out` (K, D).

        Raises
        ------
        InputError
            If the outputs or the products are not finite.
        """
        together = min(len(rows), self._vectors_at_once(network))
        for group in cuts(len(rows), -(-len(rows) // together)):
            own = rows[group], out[group]

            def of_examples(plan, _, is_first, own=own):
                if is_first:
                    plan.direct(own[0], network.workers)
                finite = plan.examples("both_ways", network.workers)
                plan.columns(own[1], not is_first, network.workers)
                return finite

            if not self._pass(network, theta, len(own[0]), of_examples, own[1]):
                return False
        return True

    def sgd_steps(self, network, theta, batches, learning_rates):
        """Take steps of SGD, theta (D,) in place, and return how many were taken."""
        size = batches.shape[1]
        if network.memory_budget is not None or self._examples_at_once(network, 0) < size:
            return 0
        own, moved, gradient = theta, np.empty_like(theta), np.empty_like(theta)
        inputs, taken = np.empty((size, *network.inputs.shape[1:]), network.inputs.dtype), 0
        flat = inputs.reshape(size, -1)
        with self._turn, blas_threads(1):
            plan = self._plan(network, flat, 0)
            for batch, learning_rate in zip(batches, learning_rates, strict=True):
                np.take(network.inputs, batch, axis=0, out=inputs, mode="clip")
                plan.bind(own, flat, network.targets[batch], 1 / size)
                finite = plan.examples("both_ways", network.workers)
                plan.columns(gradient[None], False, network.workers)
                if not (finite and kernels.stepped(own, gradient, learning_rate, moved)):
                    break
                own, moved, taken = moved, own, taken + 1
            plan.release()
        if own is not theta:
            theta[...] = own
        return taken

    def _pass(self, network, theta, num_vectors, of_examples, result=None, scale=None):
        """Call a function of (plan, rows, whether they are the first) for all examples."""
        count, size = network.num_examples, self._examples_at_once(network, num_vectors)
        if size < min(count, _FEWEST_EXAMPLES):
            return False
        finite, theta = True, np.ascontiguousarray(theta)
        with self._turn, blas_threads(1):
            for number, rows in enumerate(cuts(count, -(-count // size))):
                inputs = network.inputs[rows].reshape(rows.stop - rows.start, -1)
                plan = self._plan(network, inputs, num_vectors)
                plan.bind(theta, inputs, network.targets[rows], scale or 1 / count)
                finite &= of_examples(plan, rows, number == 0)
                plan.release()
            if network.memory_budget is not None:
                # other quantities may take the whole budget
                self._plans.clear()
            finite = finite and (result is None or is_finite(result))
        if not finite:
            refuse(network, theta)
        return True

    def _plan(self, network, inputs, num_vectors):
        stride = inputs.strides[0] if readable(inputs, network.dtype) else None
        key = len(inputs), num_vectors, stride
        plan = self._plans.get(key)
        if plan is None:
            plan = DensePlan(self.layers, network.output_loss, inputs, num_vectors, network.dtype)
            self._plans[key] = plan
            if len(self._plans) > _KEPT_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan

    def _examples_at_once(self, network, num_vectors):
        limit, classes = network.data.plan_bytes, network.num_outputs
        num_bytes = num_entries(self.layers, num_vectors) * network.dtype.itemsize
        # inputs that are copied, and what the losses take
        num_bytes += self.layers[0].num_inputs * network.dtype.itemsize + 8 * classes * (
            classes + 4
        )
        size = limit // num_bytes
        # the last examples have a plan of their own
        return size if size >= network.num_examples else size // 2

    def _vectors_at_once(self, network):
        vector_bytes = network.num_parameters * network.dtype.itemsize
        return int(np.clip(network.data.plan_bytes // vector_bytes - 1, 1, _MOST_VECTORS))
