"""The way of networks with convolutions: plans for the sizes of chunks that occur."""

import threading
from functools import partial

import numpy as np

from aniso.networks.plans import image_kernels
from aniso.networks.plans.chunk_plan import Seat, passes_of
from aniso.networks.plans.dense_plan import cuts
from aniso.networks.plans.pooled_plan import PooledPasses
from aniso.networks.plans.way import Way, is_finite, refuse
from aniso.networks.plans.winograd_plan import WinogradPasses
from aniso.threads import blas_threads

# parts of the gradient that wait to be added
_MOST_PARTS, _PART_BYTES = 64, 2**25
# entries of the gradient that one task adds
_ADDED_TOGETHER = 2**18


def chunk_plans_for(network):
    """Return the way of a network with fast convolutions; None for another network."""
    kinds = passes_of(network.layers)
    if not image_kernels.COMPILED or not {PooledPasses, WinogradPasses} & set(kinds):
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
        self._seats, self._turn = [], threading.Lock()
        self._parts = np.empty((0, network.num_parameters), network.dtype)

    def outputs(self, network, theta, out):
        """Write the outputs to `out` (N, C)."""

        def of_chunk(plan, chunk, parameters, _):
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                out[chunk.rows] = plan.forward(network, chunk, parameters).T
            return True

        if not _applies(network):
            return False
        with self._turn, blas_threads(1):
            self._run(network, theta, network.chunks(), of_chunk, None)
        return True

    def gradient(self, network, theta, out, losses):
        """Write the gradient to `out` (D,), and the losses to `losses` (N,) if given.

        Raises
        ------
        InputError
            If the outputs or the gradient are not finite.
        """
        if not _applies(network):
            return False
        unpacked = network.stack.unpacked

        def of_chunk(plan, chunk, parameters, result):
            return plan.both_ways(network, chunk, parameters, unpacked(result), losses)

        with self._turn, blas_threads(1):
            finite = self._sum(network, theta, of_chunk, out) and is_finite(out)
            if network.memory_budget is not None:
                # other quantities may take the whole budget
                self._seats.clear()
                self._parts = self._parts[:0].copy()
        if not finite:
            refuse(network, theta)
        return True

    def _sum(self, network, theta, of_chunk, out):
        """Write the mean of what `of_chunk` writes, the chunks added in their order."""
        chunks, dimension = network.chunks(), out.nbytes
        together = min(_MOST_PARTS, max(network.workers.num_threads, _PART_BYTES // dimension))
        finite = True
        for start in range(0, len(chunks), together):
            group = chunks[start : start + together]
            if len(self._parts) < len(group) - (start == 0):
                self._parts = np.empty((len(group), len(out)), out.dtype)
            results = [*([] if start else [out]), *self._parts][: len(group)]
            finite &= self._run(network, theta, group, of_chunk, results, start == 0)
            is_last = start + together >= len(chunks)
            divisor = network.num_examples if is_last else None
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

    def _run(self, network, theta, chunks, of_chunk, results, is_first=True):
        """Return whether ``of_chunk(plan, chunk, parameters, result)`` is true of every chunk."""
        parameters, workers = network.stack.unpacked(theta), network.workers
        if is_first:
            pairs = zip(self._weights, parameters, strict=True)
            workers.share([partial(w.update, p) for w, p in pairs if w is not None])
        while len(self._seats) < min(len(chunks), workers.num_threads):
            self._seats.append(Seat(network.layers, self._shapes, self._weights, network.dtype))
        # there are as many seats as threads
        free, answers = list(self._seats), []

        def task(chunk, result):
            seat = free.pop()
            answers.append(of_chunk(seat.plan(chunk.size), chunk, parameters, result))
            free.append(seat)

        results = [None] * len(chunks) if results is None else results
        workers.share([partial(task, *pair) for pair in zip(chunks, results, strict=True)])
        return all(answers)


def _applies(network):
    # products with one column are others, of other bits
    return all(chunk.size > 1 for chunk in network.chunks())
