"""The way of networks with convolutions: plans for the sizes of chunks that occur."""

import math
import threading
from functools import partial

import numpy as np

from aniso.networks.plans import image_kernels, kernels
from aniso.networks.plans.chunk_plan import Part, Seat, passes_of
from aniso.networks.plans.dense_plan import cuts
from aniso.networks.plans.pooled_plan import PooledPasses
from aniso.networks.plans.toeplitz_plan import ToeplitzPasses
from aniso.networks.plans.way import Way, is_finite, refuse
from aniso.networks.plans.winograd_plan import WinogradPasses
from aniso.threads import blas_threads

# parts of the gradient that wait to be added
_MOST_ROWS, _ROWS_BYTES = 64, 2**25
# entries of the gradient that one task adds; fewer parameters need one thread
_ADDED_TOGETHER = 2**18
_FAST = {PooledPasses, ToeplitzPasses, WinogradPasses}


def chunk_plans_for(network):
    """Return the way of a network with fast convolutions; None for another network."""
    kinds = passes_of(network.layers)
    if not image_kernels.COMPILED or not _FAST & set(kinds):
        return None
    return ChunkWay(network, kinds)


class ChunkWay(Way):
    """Plans of one network, made when they are needed.

    The chunks, and the order in which their gradients are added, do not depend on the threads.

    Parameters
    ----------
    network : Network
        The network, to which no reference is kept.
    kinds : list of type
        Kinds of the passes of its layers.
    """

    def __init__(self, network, kinds):
        self._shapes = network.stack.shapes[:-1]
        self._weights = [
            kind.weights_of(layer, shape, network.dtype)
            for kind, layer, shape in zip(kinds, network.layers, self._shapes, strict=True)
        ]
        self._arrays = _places(network.stack)
        self._seats, self._turn = [], threading.Lock()
        self._rows = np.empty((0, network.num_parameters), network.dtype)

    def outputs(self, network, theta, out):
        """Write the outputs to `out` (N, C)."""

        def of_part(plan, part, parameters, _):
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                out[part.rows] = plan.forward(part, parameters).T
            return True

        with self._turn, blas_threads(1):
            parts = _parts(network)
            return bool(parts) and self._run(network, theta, parts, of_part, None)

    def gradient(self, network, theta, out, losses):
        """Write the gradient to `out` (D,), and the losses to `losses` (N,) if given.

        Raises
        ------
        InputError
            If the outputs or the gradient are not finite.
        """
        with self._turn, blas_threads(1):
            parts = _parts(network)
            if not parts:
                return False
            finite = self._sum(network, theta, parts, out, losses) and is_finite(out)
            if network.memory_budget is not None:
                # other quantities may take the whole budget
                self._seats.clear()
                self._rows = self._rows[:0].copy()
        if not finite:
            refuse(network, theta)
        return True

    def sgd_steps(self, network, theta, batches, learning_rates):
        """Take steps of SGD, theta (D,) in place, and return how many were taken."""
        if network.memory_budget is not None or network.data.streamed:
            return 0
        first = network.subset(batches[0])
        rows = [chunk.rows for chunk in first.chunks()]
        own, moved, gradient = theta, np.empty_like(theta), np.empty_like(theta)
        inputs, taken = np.empty_like(first.inputs, order="C"), 0
        with self._turn, blas_threads(1):
            if not _parts(first):
                return 0
            for batch, learning_rate in zip(batches, learning_rates, strict=True):
                np.take(network.inputs, batch, axis=0, out=inputs, mode="clip")
                targets = network.targets[batch]
                parts = [Part(own_rows, inputs[own_rows], targets[own_rows]) for own_rows in rows]
                finite = self._sum(network, own, parts, gradient, None)
                if not (finite and kernels.stepped(own, gradient, learning_rate, moved)):
                    break
                own, moved, taken = moved, own, taken + 1
        if own is not theta:
            theta[...] = own
        return taken

    def _views(self, flat):
        # the parameter arrays of every layer
        return [tuple(flat[part].reshape(shape) for part, shape in own) for own in self._arrays]

    def _sum(self, network, theta, parts, out, losses):
        """Write the mean gradient to `out`, the parts added in their order."""
        together = min(_MOST_ROWS, max(network.workers.num_threads, _ROWS_BYTES // out.nbytes))
        count, finite = sum(len(part.examples) for part in parts), True

        def of_part(plan, part, parameters, result):
            return plan.both_ways(network, part, parameters, self._views(result), losses)

        for start in range(0, len(parts), together):
            group = parts[start : start + together]
            if len(self._rows) < len(group) - (start == 0):
                self._rows = np.empty((len(group), len(out)), out.dtype)
            results = [*([] if start else [out]), *self._rows][: len(group)]
            finite &= self._run(network, theta, group, of_part, results, start == 0)
            divisor = count if start + together >= len(parts) else None
            self._add(network.workers, out, results[start == 0 :], divisor)
        return finite

    def _add(self, workers, out, parts, divisor):
        def add(entries):
            total = out[entries]
            for part in parts:
                total += part[entries]
            if divisor is not None:
                total /= divisor

        pieces = cuts(len(out), -(-len(out) // _ADDED_TOGETHER))
        workers.share([partial(add, entries) for entries in pieces])

    def _run(self, network, theta, parts, of_part, results, is_first=True):
        """Return whether ``of_part(plan, part, parameters, result)`` is true of every part."""
        # arrays that are read-only or not contiguous would be a type of their own, compiled anew
        theta = theta if theta.flags.carray else theta.copy()
        parameters, workers = self._views(theta), network.workers
        if is_first:
            pairs = zip(self._weights, parameters, strict=True)
            tasks = [partial(w.update, p) for w, p in pairs if w is not None]
            if len(theta) < _ADDED_TOGETHER:
                for update in tasks:
                    update()
            else:
                workers.share(tasks)
        while len(self._seats) < min(len(parts), workers.num_threads):
            self._seats.append(Seat(network.layers, self._shapes, self._weights, network.dtype))
        # there are as many seats as threads
        free, answers = list(self._seats), []

        def task(part, result):
            seat = free.pop()
            answers.append(of_part(seat.plan(len(part.examples)), part, parameters, result))
            free.append(seat)

        results = [None] * len(parts) if results is None else results
        workers.share([partial(task, *pair) for pair in zip(parts, results, strict=True)])
        return all(answers)


def _parts(network):
    # products with one column are others, of other bits
    data, chunks = network.data, network.chunks()
    if any(chunk.size == 1 for chunk in chunks):
        return []
    return [Part(c.rows, data.inputs[c.rows], c.targets, data.kept(c)) for c in chunks]


def _places(stack):
    # slice of theta and shape of every parameter array of each layer
    places, stop = [], 0
    for shapes in stack.parameter_shapes:
        own = []
        for shape in shapes:
            start, stop = stop, stop + math.prod(shape)
            own.append((slice(start, stop), shape))
        places.append(own)
    return places
