"""Data of a network, in chunks of examples at the place of the passes."""

import copy
from dataclasses import dataclass

import numpy as np

from aniso import memory
from aniso.arrays import functions, places, transfer

_LARGEST_SHARE = 4
# So few examples are cut into halves at most.
_SMALLEST_CHUNK = 50
# A thread's chunk has at least so many multiplications in a forward pass, some 200 microseconds of
# work. Halves of few examples have so many for each parameter too, as their gradients are added.
_LEAST_MULTIPLICATIONS, _LEAST_FOR_PARAMETERS = 3_000_000, 200
# Data may take this fraction, 1/4, of the budget; the rest is for the passes.
_DATA_SHARE = 4
_COLUMNS_SHARE = 8
# Passes hold so many vectors of D numbers, besides the vectors of their threads.
_VECTORS = 4
# Blocks of vectors may take this fraction, 1/3, of the room for chunks, beyond the first vector.
_BLOCKS_SHARE = 3
# A plan that takes more is no faster.
_PLAN_BYTES = 2**26
# Activations of a chunk take so many times the bytes of all parameters, if these exceed the cache.
_PARAMETER_SHARE = 7


@dataclass(frozen=True)
class Chunk:
    """Some examples of the data.

    Attributes
    ----------
    rows : slice
        Numbers of the examples.
    targets : array
        Targets of these examples.
    """

    rows: slice
    targets: object

    @property
    def size(self):
        """n, the number of examples."""
        return self.rows.stop - self.rows.start


class ChunkedData:
    """Inputs and targets of a network, cut into chunks of examples.

    Parameters
    ----------
    stack : Stack
        The layers that run.
    inputs : array, shape (N, \\*stack.input_shape)
        In the precision in which they were given: chunks are converted one by one. NumPy inputs of
        a network elsewhere are moved there if they fit into a quarter of the budget. If not, chunks
        are sent one by one, and dropped.
    targets : array
        Checked, at `place`.
    place : places.Place
        Where the passes run.
    dtype : numpy.dtype
        Precision of the passes.
    workers : Workers
        Threads that share the chunks.
    memory_budget : int or None
        Bytes that a quantity may take at `place`; see :class:`aniso.networks.Network`.
    """

    def __init__(self, stack, inputs, targets, place, dtype, workers, memory_budget):
        self.stack, self.place, self.dtype, self.workers = stack, place, dtype, workers
        self.memory_budget, self._held = memory_budget, 0
        if places.place_of(inputs) != place:
            held = int(np.prod(inputs.shape)) * dtype.itemsize
            if held <= self.memory_limit() // _DATA_SHARE:
                inputs, self._held = transfer.to_device(inputs.astype(dtype), place), held
        self.inputs, self.targets = inputs, targets
        self._most = self._most_examples()
        self._least, self._least_half = self._least_examples()
        kept = self.memory_limit() if memory_budget is None else self._room
        self._kept_bytes = kept // _COLUMNS_SHARE
        self._begin()

    def _begin(self):
        self.chunk_size = self._chunk_size()
        self._chunks, self._columns, self._requested = None, {}, set()

    def subset(self, indices):
        """Return the data of some examples, with the limits that hold for all.

        Nothing is checked, and no memory is measured anew.

        Parameters
        ----------
        indices : ndarray of int or slice
            Checked numbers of examples.

        Returns
        -------
        ChunkedData
        """
        part = copy.copy(self)
        part.inputs = functions.take(self.inputs, indices)
        part.targets = functions.take(self.targets, indices)
        part._begin()
        return part

    @property
    def num_examples(self):
        """N, the number of examples."""
        return self.inputs.shape[0]

    @property
    def streamed(self):
        """Whether inputs are sent to the place of the passes chunk by chunk."""
        return places.place_of(self.inputs) != self.place

    def memory_limit(self):
        """Bytes that may be taken at the place of the passes."""
        return self.place.free_bytes if self.memory_budget is None else self.memory_budget

    @property
    def bytes_per_example(self):
        """About how many bytes one example's forward pass keeps."""
        entries = int(np.prod(self.stack.input_shape))
        for layer, shape in zip(self.stack.layers, self.stack.shapes[:-1], strict=True):
            entries += layer.memory_entries(shape)
        return entries * self.dtype.itemsize

    @property
    def vector_bytes(self):
        """About how many bytes a pass with one vector of D numbers takes for such vectors.

        They are counted in double precision, in which squares are added up.
        """
        return (_VECTORS + self.workers.num_threads) * self.stack.num_parameters * 8

    @property
    def _room(self):
        # the part of the budget for chunks and blocks of vectors
        return max(0, self.memory_budget - self.vector_bytes - self._held)

    @property
    def vectors_at_once(self):
        """Number of vectors of D numbers that a pass may hold together; None without a budget."""
        if self.memory_budget is None:
            return None
        return 1 + self._room // (_BLOCKS_SHARE * self.vector_bytes)

    @property
    def tangent_bytes(self):
        """Bytes for the activations of a block of tangents in one chunk."""
        if self.memory_budget is None:
            return self.place.chunk_bytes
        return min(self.place.chunk_bytes, self._room // (4 * self.workers.num_threads))

    @property
    def plan_bytes(self):
        """Bytes for the workspaces of a plan (:mod:`aniso.networks.plans`)."""
        if self.memory_budget is None:
            return _PLAN_BYTES
        return min(_PLAN_BYTES, self._room // 4)

    def _most_examples(self):
        threads = self.workers.num_threads
        # weights and their gradient are read once a chunk: the examples' own work must outweigh it
        parameters = self.stack.num_parameters * self.dtype.itemsize
        budget = max(self.place.chunk_bytes, _PARAMETER_SHARE * parameters)
        if self.memory_budget is not None:
            budget = min(budget, self._room // (4 * threads))
        elif self.place.is_accelerator:
            budget = min(budget, self.place.free_bytes // 8)
        needed = 4 * self.bytes_per_example * threads
        if self.memory_budget is None:
            limit = int(0.9 * self.place.free_bytes)
        else:
            limit, needed = self.memory_budget, needed + self.vector_bytes + self._held
        memory.require(
            needed,
            f"the passes of one example on each thread, with {_VECTORS + threads} vectors of "
            f"{self.stack.num_parameters} numbers",
            "raise memory_budget or lower num_threads",
            budget=limit,
        )
        return budget // self.bytes_per_example

    def _least_examples(self):
        # of one chunk among several, and of half a small batch; an entry that is kept counts as a
        # multiplication
        layers = list(zip(self.stack.layers, self.stack.shapes[:-1], strict=True))
        work = sum(layer.forward_multiplications(shape) for layer, shape in layers)
        work += sum(layer.memory_entries(shape) for layer, shape in layers)
        least = -(-_LEAST_MULTIPLICATIONS // work)
        return least, max(least, -(-_LEAST_FOR_PARAMETERS * self.stack.num_parameters // work))

    def _chunk_size(self):
        count = largest = self.num_examples
        if self.place.is_numpy and count > _SMALLEST_CHUNK:
            # several chunks for each thread
            largest = max(_SMALLEST_CHUNK, self._least, -(-count // _LARGEST_SHARE))
        elif self.place.is_numpy and count >= 2 * self._least_half:
            largest = -(-count // 2)
        return _balanced(count, max(1, min(self._most, largest, count)))

    def chunks(self):
        """Return the chunks in order."""
        if self._chunks is None:
            starts = range(0, self.num_examples, self.chunk_size)
            rows = [slice(i, min(i + self.chunk_size, self.num_examples)) for i in starts]
            self._chunks = [Chunk(part, self.targets[part, ...]) for part in rows]
        return self._chunks

    @property
    def _keeps_columns(self):
        first = self.stack.layers[0].memory_entries(self.stack.input_shape)
        kept = first * self.dtype.itemsize * self.num_examples
        return not self.streamed and kept < self._kept_bytes

    def prepared_rows(self, rows):
        """Return the examples `rows`, a slice, as the first layer reads them."""
        examples = transfer.to_device(self.inputs[rows, ...], self.place)
        xp = places.namespace(examples)
        examples = xp.astype(examples, self.place.dtype(self.dtype), copy=False)
        batch_last = functions.contiguous(xp.moveaxis(examples, 0, -1))
        return self.stack.layers[0].prepare(batch_last)

    def kept(self, chunk):
        """Return the examples of a chunk as the first layer reads them, if they are kept, or None.

        They are kept from the second request on: most batches are used once.
        """
        start = chunk.rows.start
        if start in self._columns or start in self._requested:
            return self.prepared(chunk) if self._keeps_columns else None
        self._requested.add(start)
        return None

    def prepared(self, chunk):
        """Return the examples of a chunk as the first layer reads them, kept where they fit."""
        start = chunk.rows.start
        columns = self._columns.get(start)
        if columns is None:
            columns = self.prepared_rows(chunk.rows)
            if self._keeps_columns:
                self._columns[start] = columns
        return columns


def _balanced(num_examples, size):
    """Return the largest size up to `size` that makes an even number of nearly equal chunks.

    Two threads then end together. A single chunk stays one.

    Examples
    --------
    >>> _balanced(100, 20), _balanced(100, 100), _balanced(7, 3)  # six, one and four chunks
    (17, 100, 2)
    """
    count = -(-num_examples // size)
    if count > 1:
        count += count % 2
    return -(-num_examples // count)
