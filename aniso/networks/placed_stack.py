"""Layers, a loss and data at one place, the base of a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks, memory
from aniso.arrays import functions, places, transfer
from aniso.networks import passes
from aniso.networks.arguments import checked_indices, floating, placed
from aniso.networks.data import ChunkedData
from aniso.networks.fast.choice import fused
from aniso.networks.layers.stack import Stack, require_stack
from aniso.networks.ways import Ways
from aniso.threads import Workers

if TYPE_CHECKING:
    from aniso.arrays.places import Place
    from aniso.networks.layers.layer import Layer
    from aniso.typing import Array, ArrayLike, DTypeLike, Loss


_SHOWN_BLOCKS = 24


class PlacedStack:
    """Layers, a loss and data; the base of :class:`aniso.networks.Network`.

    Attributes
    ----------
    model : Stack
        The architecture as given.
    layers : tuple of Layer
        The layers that run; with NumPy every convolution has its fastest form.
    stack : Stack
        The architecture of these layers.
    output_loss : loss
        One of :mod:`aniso.problems.losses`.
    place : places.Place
        Library and device.
    dtype : numpy.dtype
        Precision of the passes.
    workers : Workers
        Threads over chunks; one outside NumPy, where the library has its own threads.
    data : ChunkedData
        Inputs and targets, in chunks that fit the memory budget.
    ways : Ways
        Faster ways than the passes by layers, for the quantities and networks that have one.
    """

    model: Stack
    layers: tuple[Layer, ...]
    stack: Stack
    output_loss: Loss
    place: Place
    dtype: DTypeLike
    workers: Workers
    data: ChunkedData
    ways: Ways

    def __init__(
        self,
        model: Any,
        output_loss: Any,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        dtype: DTypeLike = np.float64,
        num_threads: int | None = None,
        memory_budget: int | None = None,
        device: Any = None,
    ) -> None:
        require_stack("model", model)
        if isinstance(output_loss, type) or not hasattr(output_loss, "check_targets"):
            raise checks.InputError(
                f"output_loss={output_loss!r}; expected an instance of a loss of "
                "aniso.problems.losses, for "
                "instance losses.SoftmaxCrossEntropy()"
            )
        self.dtype = floating(dtype)
        if memory_budget is not None:
            memory_budget = checks.integer("memory_budget", memory_budget, low=1)
        inputs, targets, self.place = placed(
            output_loss, inputs, targets, device, self.dtype, model
        )
        self.model, self.output_loss = model, output_loss
        # other libraries have fast convolutions and threads of their own
        if self.place.is_numpy:
            self.layers = fused(model.layers, model.input_shape)
        else:
            self.layers, num_threads = model.layers, 1
        self.workers = num_threads if isinstance(num_threads, Workers) else Workers(num_threads)
        self.memory_budget = memory_budget
        self.stack = Stack(self.layers, model.input_shape)
        self.data = ChunkedData(
            self.stack, inputs, targets, self.place, self.dtype, self.workers, memory_budget
        )
        self.ways = Ways()

    def __repr__(self):
        blocks = [f"{name}: {part.stop - part.start}" for name, part in self.blocks.items()]
        if len(blocks) > _SHOWN_BLOCKS:
            blocks = [*blocks[:_SHOWN_BLOCKS], f"and {len(blocks) - _SHOWN_BLOCKS} more"]
        loss = type(self.output_loss).__name__
        where = "" if self.place.is_numpy else f", {self.place}"
        return (
            f"<{type(self).__name__}: N = {self.num_examples} examples, D = {self.num_parameters} "
            f"parameters, {self.num_outputs} outputs, {loss}, {self.dtype}{where}\n"
            f"    {', '.join(blocks)}>"
        )

    # ---- shapes

    @property
    def num_examples(self) -> int:
        """N, the number of examples."""
        return self.data.num_examples

    @property
    def num_parameters(self) -> int:
        """D, the number of parameters."""
        return self.model.num_parameters

    @property
    def blocks(self) -> dict[str, slice]:
        """Parts of theta by the name of their layer; see :attr:`aniso.networks.Stack.blocks`."""
        return self.model.blocks

    @property
    def num_outputs(self) -> int:
        """C, the number of outputs."""
        return self.model.num_outputs

    def subset(self, indices: ArrayLike) -> Any:
        """Return the same network on some examples.

        Parameters
        ----------
        indices : array of int (n,), array of bool (N,), or slice
            Selects examples.

        Raises
        ------
        InputError
            If an index is no example's, or there is none.
        """
        indices = checked_indices(indices, self.num_examples)
        if self.data.streamed:
            return type(self)(
                self.model,
                self.output_loss,
                functions.take(self.inputs, indices),
                functions.take(self.targets, indices),
                dtype=self.dtype,
                num_threads=self.workers,
                memory_budget=self.memory_budget,
                device=self.place,
            )
        # the same object but for its data; all else has been checked
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part.data = self.data.subset(indices)
        return part

    def forward_multiplications(self) -> int:
        """Return the multiplications of one forward pass of one example."""
        shapes = self.stack.shapes[:-1]
        return sum(
            layer.forward_multiplications(shape)
            for layer, shape in zip(self.layers, shapes, strict=True)
        )

    def product_multiplications(self) -> int:
        """Return the multiplications of one example's Hessian product by tangents.

        The forward pass is not counted. The first layer with parameters has two products, ``V a``
        and ``delta' a^T``. Each layer above has six, with the tangents of its inputs and deltas.
        """
        shapes = self.stack.shapes[:-1]
        counts = [
            self.layers[position].forward_multiplications(shapes[position])
            for position in self.stack.parameterised
        ]
        return 2 * counts[0] + 6 * sum(counts[1:])

    # ---- data

    @property
    def inputs(self) -> Array:
        """Inputs (N, \\*input_shape), at the network's place or, if sent by chunks, of NumPy."""
        return self.data.inputs

    @property
    def targets(self) -> Array:
        """Checked targets, at the network's place."""
        return self.data.targets

    @property
    def chunk_size(self) -> int:
        """Number of examples of a chunk."""
        return self.data.chunk_size

    @property
    def bytes_per_example(self) -> int:
        """About how many bytes one example's forward pass keeps."""
        return self.data.bytes_per_example

    def chunks(self) -> list[Any]:
        """Return the chunks of the data in order, each with `rows`, `targets` and `size`."""
        return self.data.chunks()

    def prepared(self, chunk: Any) -> Any:
        """Return the examples of a chunk as the first layer reads them."""
        return self.data.prepared(chunk)

    def prepared_rows(self, rows: Any) -> Any:
        """Return the examples `rows`, a slice, as the first layer reads them."""
        return self.data.prepared_rows(rows)

    def in_groups(self, function: Callable[..., Any], rows: Any) -> Any:
        """Return ``function(rows)`` for vectors or weights (K, .), in groups that fit the budget.

        The results of the groups are joined along their first axis. Without a budget there is one
        group.
        """
        count, step = rows.shape[0], self.data.vectors_at_once
        if step is None or count <= step:
            return function(functions.contiguous(rows))
        result = None
        for start in range(0, count, step):
            group = slice(start, min(start + step, count))
            part = function(functions.contiguous(rows[group, ...]))
            if result is None:
                shape = (count, *part.shape[1:])
                result = self.place.namespace.empty(
                    shape, dtype=part.dtype, device=places.device(part)
                )
            result[group, ...] = part
        return result

    def require(self, num_bytes: int, what: str, alternative: str) -> None:
        """Refuse an allocation at the network's place; see :func:`aniso.memory.require`."""
        budget = self.memory_budget
        if budget is None and self.place.is_accelerator:
            budget = int(0.9 * self.place.free_bytes)
        memory.require(num_bytes, what, alternative, budget=budget)

    # ---- parameters

    def check_theta(self, theta: ArrayLike) -> Array:
        """Return theta checked: finite, of length D, at the network's place, in its precision."""
        if self._is_plainly_good(theta):
            return theta  # type: ignore[return-value]
        checks.require_flat(theta, self.num_parameters)
        return self._checked("theta", theta, (self.num_parameters,))

    def _is_plainly_good(self, theta):
        # the usual case, several times faster: a sum is finite only if its terms are
        if type(theta) is not np.ndarray or not self.place.is_numpy:
            return False
        if theta.dtype != self.dtype or theta.shape != (self.num_parameters,):
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            return math.isfinite(np.add.reduce(theta))

    def held_theta(self, theta: ArrayLike) -> Array:
        """Return a checked, read-only copy of theta, for objects that outlast a call."""
        return transfer.held(self.check_theta(theta))

    def check_vectors(self, vectors: ArrayLike) -> tuple[Array, bool]:
        """Return a vector (D,) or block (D, K) as rows (K, D), and whether it was one vector."""
        single = (vectors.ndim if places.is_foreign(vectors) else np.ndim(vectors)) == 1
        shape = (self.num_parameters,) if single else (self.num_parameters, None)
        given = self._checked("vectors", vectors, shape)
        if single:
            return given[None, ...], single
        return given.T, single

    def vector_rows(self, vectors: ArrayLike) -> tuple[Array, bool]:
        """Return what :meth:`check_vectors` does, of any strides; entries need not be finite."""
        single = np.ndim(vectors) == 1
        shape = (self.num_parameters,) if single else (self.num_parameters, None)
        given = checks.real_array("vectors", vectors, shape=shape)
        with np.errstate(over="ignore"):
            given = np.asarray(given, dtype=self.dtype)
        return (given[None] if single else given.T), single

    def _checked(self, name, value, shape):
        return transfer.checked(name, value, self.place, shape=shape, dtype=self.dtype)

    def forward(self, chunk: Any, parameters: Any) -> tuple[Array, Any]:
        """Return the outputs (C, n) of a chunk and the trail of the pass."""
        return passes.forward(self.layers, parameters, self.prepared(chunk))

    def output_rows(self, outputs: ArrayLike) -> Array:
        """Return outputs with the examples first, (n, C), in double precision."""
        xp = places.namespace(outputs)
        return xp.astype(outputs.T, xp.float64)

    def output_deltas(self, outputs: ArrayLike, targets: ArrayLike) -> Array:
        """Return the gradients of the losses in the outputs, (C, n), in the network's precision."""
        slopes = self.output_loss.gradient(self.output_rows(outputs), targets)
        xp = places.namespace(slopes)
        slopes = xp.astype(slopes.T, self.place.dtype(self.dtype), copy=False)
        return functions.contiguous(slopes)

    def _over_chunks(self, function):
        return self.workers.map(function, self.chunks())

    def write_gradients(self, parameters: Any, trail: Any, delta: Array, out: Array | None) -> None:
        """Write the per-example parameter gradients of one delta (C, n) into `out` (n, D)."""
        deltas = passes.deltas(self.layers, parameters, trail, delta)
        for position in self.stack.parameterised:
            part = self.stack.parameter_slices[position]
            self.layers[position].write_per_example_gradients(
                trail[position], deltas[position], out[:, part]
            )
