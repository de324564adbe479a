"""A network on data: losses and exact derivatives of every order up to two."""

import math
from dataclasses import dataclass

import numpy as np

from aniso import checks, memory
from aniso.networks import passes, tangent_products
from aniso.networks.linearisation import Linearisation
from aniso.networks.pooled_convolution import fused
from aniso.networks.pre_flight import predicted_cost
from aniso.networks.stack import Stack
from aniso.threads import Workers

# bytes of one chunk's activations: a few chunks must live in the last cache level together
_CHUNK_BYTES = 8_000_000
_LARGEST_SHARE = 8
_SMALLEST_CHUNK = 50


@dataclass(frozen=True)
class Chunk:
    """Examples start..stop of the data: what the first layer reads, batch last, and targets."""

    rows: slice
    prepared: object
    targets: np.ndarray

    @property
    def size(self):
        """Number of examples n."""
        return self.rows.stop - self.rows.start


class Network:
    """Mean loss of a stack of layers on data, ``L(theta) = (1/N) sum_i l(f(x_i; theta), y_i)``.

    Parameters
    ----------
    model : Stack
    output_loss : loss
        One of :mod:`aniso.losses`.
    inputs : array_like, shape (N, \\*model.input_shape)
    targets : array_like
        What the loss expects, for instance labels (N,).
    dtype : {numpy.float64, numpy.float32}
        Precision of the passes; losses and traces accumulate in double precision always.
    num_threads : int, optional
        All cores if not given. Results do not depend on it.
    memory_budget : int, optional
        Bytes that the passes may take for their work; 90 % of the available memory if not given.

    Notes
    -----
    Presents the interface of :class:`aniso.model_objective.ModelObjective`. For many products at
    one theta use :meth:`linearise`. At a kink the slope is autograd's (see
    :class:`aniso.networks.Activation`); of equal entries of a pooling window the first wins.

    Examples
    --------
    >>> from aniso import losses, networks
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> network.gradient([1.0, 0.0])  # f = x, so 2 x (x, 1) on the average
    array([5., 3.])
    >>> network.hessian([1.0, 0.0])
    array([[5., 3.],
           [3., 2.]])
    """

    def __init__(
        self,
        model,
        output_loss,
        inputs,
        targets,
        *,
        dtype=np.float64,
        num_threads=None,
        memory_budget=None,
    ):
        if not isinstance(model, Stack):
            raise checks.InputError(f"model={model!r}; expected a networks.Stack")
        self.dtype = _floating(dtype)
        shape = (None, *model.input_shape)
        self.inputs = checks.array("inputs", inputs, shape=shape, dtype=self.dtype)
        if len(self.inputs) == 0:
            raise checks.InputError("inputs has no examples; expected N >= 1")
        self.targets = output_loss.check_targets(targets, len(self.inputs), model.num_outputs)
        self.model, self.output_loss = model, output_loss
        self.layers = fused(model.layers)
        self.memory_budget = memory_budget
        self.workers = num_threads if isinstance(num_threads, Workers) else Workers(num_threads)
        self.stack = Stack(self.layers, model.input_shape)
        self.chunk_size = self._chunk_size()
        self._chunks = None

    # ---- shapes

    @property
    def num_examples(self):
        """N."""
        return len(self.inputs)

    @property
    def num_parameters(self):
        """D."""
        return self.model.num_parameters

    @property
    def num_outputs(self):
        """C."""
        return self.model.num_outputs

    def subset(self, indices):
        """The same network on the examples `indices`."""
        return type(self)(
            self.model,
            self.output_loss,
            self.inputs[indices],
            self.targets[indices],
            dtype=self.dtype,
            num_threads=self.workers,
            memory_budget=self.memory_budget,
        )

    def linearise(self, theta, strategy="auto"):
        """The network linearised at theta, for many second-order quantities at one place.

        Parameters
        ----------
        theta : array_like, shape (D,)
        strategy : {"auto", "factors", "tangents"}
            Whether Hessian products use cached factors; "auto" compares cost and memory.

        Returns
        -------
        Linearisation
        """
        return Linearisation(self, theta, strategy)

    def cost(self, quantity, *, num_vectors=1):
        """What a quantity will take: flops, bytes, seconds; see :mod:`aniso.networks.pre_flight`.

        Parameters
        ----------
        quantity : str
            For instance "gradient", "linearisation", "hessian_product", "dense_hessian".
        num_vectors : int
            Vectors of a product, or eigenpairs.

        Returns
        -------
        aniso.cost.Cost
        """
        return predicted_cost(self, quantity, num_vectors=num_vectors)

    def forward_multiplications(self):
        """Multiplications of one forward pass of one example."""
        shapes = self.stack.shapes[:-1]
        return sum(
            layer.forward_multiplications(shape)
            for layer, shape in zip(self.layers, shapes, strict=True)
        )

    # ---- chunks of data

    @property
    def bytes_per_example(self):
        """Bytes that one example's forward pass keeps, about."""
        entries = math.prod(self.model.input_shape)
        for layer, shape in zip(self.layers, self.stack.shapes[:-1], strict=True):
            entries += layer.memory_entries(shape)
        return entries * self.dtype.itemsize

    def _chunk_size(self):
        budget = _CHUNK_BYTES
        if self.memory_budget is not None:
            budget = min(budget, self.memory_budget // (4 * self.workers.num_threads))
        memory.require(
            4 * self.bytes_per_example * self.workers.num_threads,
            "the passes of one example on each thread",
            "raise memory_budget or lower num_threads",
            budget=self.memory_budget,
        )
        largest = max(_SMALLEST_CHUNK, -(-self.num_examples // _LARGEST_SHARE))
        return max(1, min(budget // self.bytes_per_example, largest, self.num_examples))

    def chunks(self):
        """Chunks of the data in order; the first layer's columns are kept where they fit."""
        if self._chunks is None:
            starts = range(0, self.num_examples, self.chunk_size)
            rows = [slice(i, min(i + self.chunk_size, self.num_examples)) for i in starts]
            first = self.layers[0].memory_entries(self.model.input_shape)
            kept = first * self.dtype.itemsize * self.num_examples
            limit = memory.available_bytes() if self.memory_budget is None else self.memory_budget
            self._keeps_columns = kept < limit // 8
            prepare = self.prepared_rows if self._keeps_columns else lambda _: None
            prepared = self.workers.map(prepare, rows)
            self._chunks = [
                Chunk(part, columns, self.targets[part])
                for part, columns in zip(rows, prepared, strict=True)
            ]
        return self._chunks

    def prepared_rows(self, rows):
        """What the first layer reads of the examples `rows`, a slice."""
        batch_last = np.moveaxis(self.inputs[rows], 0, -1)
        return self.layers[0].prepare(np.ascontiguousarray(batch_last))

    def prepared(self, chunk):
        """What the first layer reads of a chunk."""
        return self.prepared_rows(chunk.rows) if chunk.prepared is None else chunk.prepared

    # ---- parameters

    def check_theta(self, theta):
        """Finite parameters of the right length, in the network's precision."""
        return checks.array("theta", theta, shape=(self.num_parameters,), dtype=self.dtype)

    def check_vectors(self, vectors):
        """One vector (D,) or a block (D, K): returned as rows (K, D), and whether it was one."""
        single = np.ndim(vectors) == 1
        shape = (self.num_parameters,) if single else (self.num_parameters, None)
        given = checks.array("vectors", vectors, shape=shape, dtype=self.dtype)
        return np.ascontiguousarray(given.reshape(self.num_parameters, -1).T), single

    def forward(self, chunk, parameters):
        """Outputs (C, n) of a chunk and the trail of the pass."""
        return passes.forward(self.layers, parameters, self.prepared(chunk))

    def output_rows(self, outputs):
        """Outputs examples first, (n, C), in double precision."""
        return outputs.T.astype(np.float64)

    def output_deltas(self, outputs, targets):
        """Gradients of the losses in the outputs, (C, n), in the network's precision."""
        slopes = self.output_loss.gradient(self.output_rows(outputs), targets)
        return np.ascontiguousarray(slopes.T, dtype=self.dtype)

    def _over_chunks(self, function):
        return self.workers.map(function, self.chunks())

    # ---- values

    def outputs(self, theta):
        """Outputs f, shape (N, C)."""
        parameters = self.stack.unpacked(self.check_theta(theta))
        rows = self._over_chunks(lambda chunk: self.output_rows(self.forward(chunk, parameters)[0]))
        return np.concatenate(rows)

    def losses(self, theta):
        """Loss of every example, shape (N,)."""
        return self.output_loss(self.outputs(theta), self.targets)

    def loss(self, theta):
        """Mean loss, float."""
        return float(np.mean(self.losses(theta)))

    def output_gradients(self, theta):
        """Gradients of the losses in the outputs, (N, C)."""
        return self.output_loss.gradient(self.outputs(theta), self.targets)

    def output_hessians(self, theta):
        """Hessians of the losses in the outputs, (N, C, C)."""
        return self.output_loss.hessian(self.outputs(theta), self.targets)

    # ---- first order

    def gradient(self, theta):
        """Gradient of the mean loss, (D,)."""
        return self._gradient(theta, with_loss=False)[1]

    def loss_and_gradient(self, theta):
        """Mean loss and its gradient, from one pass."""
        return self._gradient(theta, with_loss=True)

    def _gradient(self, theta, with_loss):
        parameters = self.stack.unpacked(self.check_theta(theta))

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            loss = 0.0
            if with_loss:
                loss = self.output_loss(self.output_rows(outputs), chunk.targets).sum()
            delta = self.output_deltas(outputs, chunk.targets)
            return loss, passes.gradient(self.layers, parameters, trail, delta)

        parts = self._over_chunks(of_chunk)
        total = parts[0][1]
        for _, part in parts[1:]:
            total += part
        total /= self.num_examples
        return float(sum(part[0] for part in parts)) / self.num_examples, total

    def per_example_gradients(self, theta):
        """Gradients of every example's loss, (N, D).

        Raises
        ------
        AllocationRefused
            If N D numbers do not fit; the factored covariance of :meth:`linearise` needs no such
            array.
        """
        parameters = self.stack.unpacked(self.check_theta(theta))
        self._require_rows(self.num_examples)
        rows = np.empty((self.num_examples, self.num_parameters), self.dtype)

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            delta = self.output_deltas(outputs, chunk.targets)
            self.write_gradients(parameters, trail, delta, rows[chunk.rows])

        self._over_chunks(of_chunk)
        return rows

    def write_gradients(self, parameters, trail, delta, out):
        """Per-example parameter gradients of one delta (C, n), written into `out` (n, D)."""
        deltas = passes.deltas(self.layers, parameters, trail, delta)
        for position in self.stack.parameterised:
            part = self.stack.parameter_slices[position]
            self.layers[position].write_per_example_gradients(
                trail[position], deltas[position], out[:, part]
            )

    def _require_rows(self, count):
        memory.require(
            count * self.num_parameters * self.dtype.itemsize,
            f"{count} x {self.num_parameters} per-example gradients",
            "use linearise(theta).gradient_covariance(), which keeps factors",
            budget=self.memory_budget,
        )

    def jacobians(self, theta):
        """Jacobians of the outputs, (N, C, D)."""
        parameters = self.stack.unpacked(self.check_theta(theta))
        self._require_rows(self.num_examples * self.num_outputs)
        shape = (self.num_examples, self.num_outputs, self.num_parameters)
        result = np.empty(shape, self.dtype)

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            for output in range(self.num_outputs):
                delta = np.zeros_like(outputs)
                delta[output] = 1
                self.write_gradients(parameters, trail, delta, result[chunk.rows, output])

        self._over_chunks(of_chunk)
        return result

    # ---- second order, without a cache

    def hessian_product(self, theta, vectors):
        """``H V`` for vectors (D,) or (D, K), the same shape.

        Notes
        -----
        One pass of tangents and one back (Pearlmutter's R-operator), about two and a half
        gradients a vector and no set-up; for more than about ten vectors at one theta
        :meth:`linearise` is faster.
        """
        return self._product(theta, vectors, self.output_loss.hessian, second_order=True)

    def generalized_gauss_newton_product(self, theta, vectors):
        """``G V`` with ``G = (1/N) sum_i J_i^T S_i J_i``, vectors (D,) or (D, K)."""
        return self._product(theta, vectors, self.output_loss.hessian, second_order=False)

    def fisher_product(self, theta, vectors):
        """``F V``, F the Fisher matrix with the model's own labels, vectors (D,) or (D, K)."""

        def information(outputs, _):
            return self.output_loss.fisher_information(outputs)

        return self._product(theta, vectors, information, second_order=False)

    def _product(self, theta, vectors, output_matrices, second_order):
        theta = self.check_theta(theta)
        rows, single = self.check_vectors(vectors)
        product = tangent_products.products(self, theta, rows, output_matrices, second_order).T
        return product[:, 0] if single else product

    def quadratic_forms(self, theta, vectors):
        """``v^T H v`` for vectors (D,) or (D, K): float or (K,), about half a product each."""
        theta = self.check_theta(theta)
        rows, single = self.check_vectors(vectors)
        forms = tangent_products.quadratic_forms(self, theta, rows)
        return float(forms[0]) if single else forms

    def hessian(self, theta):
        """Hessian of the mean loss, dense (D, D)."""
        identity = np.eye(self.num_parameters)
        return self.hessian_product(theta, identity)


def _floating(dtype):
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise checks.InputError(
            f"dtype={dtype}; expected float64 or float32: half precision loses second derivatives"
        )
    return dtype
