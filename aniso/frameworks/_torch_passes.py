"""Passes of a PyTorch problem over its examples, chunk by chunk, in the fastest way."""

from __future__ import annotations

import time

import torch

from aniso.frameworks import _timing, _torch_data, _torch_products
from aniso.frameworks._torch_model import differentiable, one_thread

_BLOCK_EXAMPLES = 512
"""Largest number of examples of one pass with several vectors, if none is given."""


class ChunkedPasses:
    """Derivatives of the losses as tensors on the device of the model.

    A base of :class:`aniso.frameworks.TorchProblem`, which sets the model, what was found about its
    derivatives, and the data.
    """

    @property
    def chunk_size(self) -> int:
        """Examples of one pass of the gradient: as given, or the fastest of a few sizes."""
        with differentiable(self._vectors.device):
            return self._gradient_chunk(self._vectors.theta_of())

    def _point(self, theta):
        return self._vectors.vector(self.check_theta(theta))

    @property
    def _rows_at_once(self):
        """Largest number of examples whose gradients are formed in one pass."""
        return self._given_chunk or _timing.SIZES[-1]

    def _chunks(self, size=None):
        """Yield parts of all examples, of about `size` each."""
        return self._slices(size or self.chunk_size)

    def _slices(self, size, start=0, stop=None):
        stop = self.num_examples if stop is None else stop
        for first in range(start, stop, size):
            yield slice(first, min(first + size, stop))

    def _batch(self, chunk):
        return _torch_data.taken((self._inputs, self._targets), chunk)

    def _losses_of(self, chunk):
        """Losses of the examples of a chunk, (n,), as a function of theta or of its parts."""
        batch = self._batch(chunk)
        return lambda parts: self._checked.losses_of(self._vectors, parts, *batch)

    def _gradient(self, theta):
        """Gradient of the mean loss, and the sum of the losses in double precision."""
        gradient, total = 0.0, 0.0
        with differentiable(self._vectors.device):
            for chunk in self._chunks(self._gradient_chunk(theta)):
                part, losses = self._gradient_part(theta, chunk)
                gradient, total = gradient + part, total + losses.sum(dtype=torch.float64)
        return gradient, total

    def _gradient_part(self, theta, chunk):
        count = chunk.stop - chunk.start
        weights = theta.new_full((count,), 1 / self.num_examples)
        return _torch_products.gradient(self._vectors, self._losses_of(chunk), theta, weights)

    def _gradient_chunk(self, theta):
        def call(_, chunk):
            self._gradient_part(theta, chunk)

        return self._chosen("gradient", ("gradient",), call)[1]

    def _hessian_block(self, theta, columns):
        """Hessian of the mean loss times columns (D, K)."""
        vectors, weight = self._vectors, 1 / self.num_examples

        def product(way, chunk, part):
            call = _torch_products.HESSIAN_PRODUCTS[way]
            return call(vectors, self._losses_of(chunk), theta, part, weight)

        way, size = self._chosen_block("H V", self._checked.hessian_ways, columns, product)
        return sum(product(way, chunk, columns) for chunk in self._chunks(size))

    # ---- the fastest way and chunk of a kind of pass

    def _chosen(self, kind, ways, call, largest=_timing.SIZES[-1]):
        """Way and size of chunks with which ``call(way, chunk)`` is fastest."""
        device, count = self._vectors.device, self.num_examples

        on_cpu = device.type == "cpu"

        def timed(way, chunk):
            call(way, chunk)
            if not on_cpu:
                getattr(torch, device.type).synchronize(device)

        given = self._given_chunk
        sizes = _timing.sizes_for(count, largest=largest) if given is None else (given,)
        # on the CPU the calling thread has its full share of the work
        clock = _timing.clock_of_thread if on_cpu else time.perf_counter
        with one_thread():
            way, size = self._choices.fastest(kind, ways, sizes, count, timed, clock)
        return way, _timing.equal_parts(count, size) if given is None else min(given, count)

    def _chosen_block(self, kind, ways, columns, product):
        """The same for ``product(way, chunk, columns)`` with columns (D, K)."""
        number = next(number for number in (4, 2, 1) if number <= columns.shape[1])
        if number == 1:
            ways = [way for way in ways if way not in _torch_products.BLOCKS] or ways
        few = columns[:, :number]
        return self._chosen(
            f"{kind}, {number} vectors",
            ways,
            lambda way, chunk: product(way, chunk, few),
            _timing.SIZES[-1] if number == 1 else _BLOCK_EXAMPLES,
        )
