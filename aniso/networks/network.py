"""A network on data: losses, and exact first and second derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from aniso import checks
from aniso.arrays import functions
from aniso.networks import passes, results, ways
from aniso.networks.arguments import checked_indices
from aniso.networks.curvature.cached import CachedLinearisation
from aniso.networks.curvature.linearisation import Linearisation
from aniso.networks.geometry import NetworkGeometry
from aniso.networks.gradients.streamed import gradients_at
from aniso.networks.numpy_network import NumpyNetwork
from aniso.networks.placed_stack import PlacedStack
from aniso.networks.precision import in_precision
from aniso.problems import Problem

if TYPE_CHECKING:
    from aniso.networks.gradients.kept import GradientFactors
    from aniso.networks.gradients.streamed import StreamedGradients
    from aniso.problems.derivative_check import DerivativeReport
    from aniso.typing import Array, ArrayLike


# From so many vectors on, a block may be made of cached factors.
_WIDE = 16


class Network(PlacedStack, Problem):  # type: ignore[override]
    """Mean loss of a stack of layers on data, ``L(theta) = (1/N) sum_i l(f(x_i; theta), y_i)``.

    A :class:`aniso.problems.Problem` with outputs; :meth:`at` returns its local geometry.

    Parameters
    ----------
    model : Stack
        Layers of the network.
    output_loss : loss
        One of :mod:`aniso.problems.losses`.
    inputs : array, shape (N, \\*model.input_shape)
        Inputs x_i, an array of NumPy, PyTorch, CuPy or array_api_strict. The network runs in that
        library, on the device of the inputs. A list becomes a NumPy array. Inputs and targets are
        large and not copied: do not change them while the network is in use.
    targets : array
        Targets of the loss, for instance labels (N,), on the device of the inputs.
    dtype : {numpy.float64, numpy.float32}
        Precision of the passes. Losses and traces accumulate in double precision always.
    num_threads : int, optional
        All cores if not given. Results do not depend on it.
    memory_budget : int, optional
        Bytes that a quantity may take; 90 % of the available memory if not given. The data, given
        and returned vectors, and returned values of every example are not counted. Passes take
        fewer examples and vectors at once to keep the budget. Matrices, rows of gradients and
        samples that would exceed it are refused; so is a budget that one example and one vector
        exceed.
    device : str, device or places.Place, optional
        Device on which the network runs: "cuda", or a library's own device. By default it is the
        device of the inputs, see :func:`aniso.arrays.places.resolve`. NumPy inputs that would take
        more than a quarter of the device's memory are sent chunk by chunk.

    Raises
    ------
    InputError
        If the model is no Stack, the loss none of the losses, or the data have a wrong shape, are
        not finite or have wrong labels; if the device can't be used, or the budget is too small.

    Notes
    -----
    At a kink the slope is autograd's (see :class:`aniso.networks.Activation`). Of equal entries of
    a pooling window the first is the maximum.

    With NumPy, a chain of dense layers and activations has a plan: workspaces and matrix products
    that are made at the first call and kept, at most 64 MB for each size of batch and of blocks of
    vectors. Its gradients and Hessian products are refused where they are not finite. Calls of one
    network from several threads wait for each other. With a `memory_budget` plans end with a call.

    With NumPy, outputs and gradients of a network with fast convolutions have a plan too. Each
    thread keeps the memory of one chunk. Its size does not depend on the number of examples.

    Examples
    --------
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> network.gradient([1.0, 0.0])  # f = x, so 2 x (x, 1) on the average
    array([5., 3.])
    >>> network.at([1.0, 0.0]).hessian.to_dense()
    array([[5., 3.],
           [3., 2.]])
    """

    def at(self, theta: ArrayLike) -> NetworkGeometry:
        """Return the local geometry at theta, with operators made of the layers' factors.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Copied.

        Returns
        -------
        NetworkGeometry
        """
        return NetworkGeometry(self, theta)

    def on_host(self) -> Problem:
        """Return the network with NumPy arrays as arguments and results.

        With NumPy it is the network itself, else an
        :class:`aniso.networks.numpy_network.NumpyNetwork`.
        """
        return self if self.place.is_numpy else NumpyNetwork(self)

    def check(self, theta: ArrayLike, rng: np.random.Generator) -> DerivativeReport:
        """Compare all derivatives with finite differences, in double precision; see `Problem`."""
        if self.dtype == np.float64:
            return super().check(theta, rng)
        return in_precision(self, np.float64).check(theta, rng)

    def linearise(
        self,
        theta: ArrayLike,
        strategy: Literal["auto", "factors", "tangents"] = "auto",
        *,
        num_products: int = 100,
    ) -> Linearisation:
        """Return the network linearised at theta, for many second-order quantities there.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        strategy : {"auto", "factors", "tangents"}
            Whether Hessian products use cached factors. "auto" compares cost and memory. Outside
            NumPy there are no cached factors.
        num_products : int
            Products with single vectors, or small blocks, that are expected at this theta. "auto"
            compares their cost with the cost of the factors.

        Returns
        -------
        Linearisation
            With NumPy a :class:`aniso.networks.curvature.cached.CachedLinearisation`.
        """
        num_products = checks.integer("num_products", num_products, low=0)
        if not self.place.is_numpy:
            return Linearisation(self, theta, strategy)
        return CachedLinearisation(self, theta, strategy, num_products)

    # ---- values

    def outputs(self, theta: ArrayLike) -> Array:
        """Return the outputs f, shape (N, C)."""
        theta = self.check_theta(theta)
        if self.place.is_numpy:
            found = np.empty((self.num_examples, self.num_outputs))
            if self.ways.compute("outputs", self, theta, found):
                return found
        parameters = self.stack.unpacked(theta)
        rows = self._over_chunks(lambda chunk: self.output_rows(self.forward(chunk, parameters)[0]))
        return self.place.namespace.concat(rows)

    def losses(self, theta: ArrayLike) -> Array:
        """Return the loss of every example, shape (N,)."""
        return self.output_loss(self.outputs(theta), self.targets)

    def loss(self, theta: ArrayLike) -> float:
        """Return the mean loss, float."""
        return float(self.place.namespace.mean(self.losses(theta)))

    def output_gradients(self, theta: ArrayLike) -> Array:
        """Return the gradients of the losses in the outputs, (N, C)."""
        return self.output_loss.gradient(self.outputs(theta), self.targets)

    def output_hessians(self, theta: ArrayLike) -> Array:
        """Return the Hessians of the losses in the outputs, (N, C, C)."""
        return self.output_loss.hessian(self.outputs(theta), self.targets)

    # ---- first order

    def gradient(self, theta: ArrayLike, *, out: Array | None = None) -> Array:
        """Return the gradient of the mean loss, (D,).

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        out : ndarray, shape (D,), optional
            Memory for the result, C-contiguous and of the network's dtype, which is returned.

        Raises
        ------
        InputError
            If theta or `out` breaks its rule, or the gradient is not finite.
        """
        return self._gradient(theta, out)

    def loss_and_gradient(
        self, theta: ArrayLike, *, out: Array | None = None
    ) -> tuple[float, Array]:
        """Return the mean loss and its gradient, from one pass; `out` as for :meth:`gradient`."""
        losses = self.place.empty((self.num_examples,), "float64")
        gradient = self._gradient(theta, out, losses)
        return float(functions.double_sum(losses)) / self.num_examples, gradient

    def _gradient(self, theta, out, losses=None):
        given, theta = theta, self.check_theta(theta)
        if self.place.is_numpy or out is not None:
            result = results.memory_for(self, out, theta.shape, {"theta": given})
            if self.ways.compute("gradient", self, theta, result, losses):
                return result
        parameters = self.stack.unpacked(theta)

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            if losses is not None:
                values = self.output_loss(self.output_rows(outputs), chunk.targets)
                losses[chunk.rows] = values
            delta = self.output_deltas(outputs, chunk.targets)
            return passes.gradient(self.layers, parameters, trail, delta)

        total = self.workers.sum(of_chunk, self.chunks())
        total /= self.num_examples
        return results.written(total, out)

    def sgd_steps(self, theta: Array, batches: Array, learning_rates: Array) -> tuple[Array, int]:
        """Take steps of SGD together; see :meth:`aniso.problems.Problem.sgd_steps`.

        Raises
        ------
        InputError
            If theta or a learning rate is not finite, an index is no example's, or the numbers of
            batches and learning rates differ.
        """
        # a subclass may have another gradient
        if not self.place.is_numpy or type(self) is not Network:
            return super().sgd_steps(theta, batches, learning_rates)
        batches = np.asarray(batches)
        if batches.ndim != 2:
            raise checks.InputError(
                f"batches has shape {batches.shape}; expected numbers of examples, shape (T, m)"
            )
        checked_indices(batches.ravel(), self.num_examples)
        learning_rates = checks.array("learning_rates", learning_rates, shape=(len(batches),))
        theta = self.check_theta(theta).copy()
        return theta, int(self.ways.compute("sgd_steps", self, theta, batches, learning_rates))

    def per_example_gradients(self, theta: ArrayLike, *, out: Array | None = None) -> Array:
        """Return the gradients of every example's loss, (N, D).

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        out : ndarray, shape (N, D), optional
            Memory for the result, C-contiguous and of the network's dtype, which is returned.

        Raises
        ------
        InputError
            If theta or `out` breaks its rule, or the outputs are not finite.
        AllocationRefused
            If N D numbers do not fit; :func:`aniso.matrices.gradient_covariance` of
            :meth:`example_gradients` needs no such array.
        """
        given, theta = theta, self.check_theta(theta)
        shape = (self.num_examples, self.num_parameters)
        if out is None:
            self._require_rows(self.num_examples)
            rows = self.place.empty(shape, self.dtype)
        else:
            rows = results.memory_for(self, out, shape, {"theta": given})
        if self.ways.compute("per_example_gradients", self, theta, rows):
            return rows
        parameters = self.stack.unpacked(theta)

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            delta = self.output_deltas(outputs, chunk.targets)
            self.write_gradients(parameters, trail, delta, rows[chunk.rows, ...])

        self._over_chunks(of_chunk)
        return rows

    def example_gradients(self, theta: ArrayLike) -> GradientFactors | StreamedGradients:
        """Return the gradients of the examples, kept as factors or recomputed for every product.

        Returns
        -------
        GradientFactors or StreamedGradients
            By which is cheaper and fits; :func:`aniso.matrices.gradient_covariance` makes their
            covariance.
        """
        return gradients_at(self, self.check_theta(theta))

    def _require_rows(self, count):
        self.require(
            count * self.num_parameters * self.dtype.itemsize,
            f"{count} x {self.num_parameters} per-example gradients",
            "use matrices.gradient_covariance(network.example_gradients(theta)), which needs "
            "no such array",
        )

    def jacobians(self, theta: ArrayLike) -> Array:
        """Return the Jacobians of the outputs, (N, C, D).

        Raises
        ------
        AllocationRefused
            If N C D numbers do not fit.
        """
        parameters = self.stack.unpacked(self.check_theta(theta))
        self._require_rows(self.num_examples * self.num_outputs)
        shape = (self.num_examples, self.num_outputs, self.num_parameters)
        result = self.place.empty(shape, self.dtype)

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            for output in range(self.num_outputs):
                delta = self.place.namespace.zeros_like(outputs)
                delta[output, ...] = 1
                self.write_gradients(parameters, trail, delta, result[chunk.rows, output, ...])

        self._over_chunks(of_chunk)
        return result

    # ---- second order

    def hessian_product(
        self, theta: ArrayLike, vectors: ArrayLike, *, out: Array | None = None
    ) -> Array:
        """Return ``H V`` for vectors (D,) or (D, K), the same shape.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        vectors : array_like, shape (D,) or (D, K)
            Vectors to multiply.
        out : ndarray, shape of `vectors`, optional
            Memory for the result, of the network's dtype, which is returned. A block has
            contiguous columns: ``numpy.empty((D, K), dtype, order="F")``.

        Raises
        ------
        InputError
            If an argument breaks its rule, or the product is not finite.

        Notes
        -----
        One pass of tangents and one pass back (Pearlmutter's R-operator), about two and a half
        gradients a vector. A block of 16 vectors or more takes cached factors where these fit and
        are cheaper. For many products at one theta, :meth:`linearise` keeps them.
        """
        if out is not None:
            given = {"theta": theta, "vectors": vectors}
            results.memory_for(self, out, np.shape(vectors), given, order="F")
        if not self._is_wide(vectors):
            product = ways.hessian_product(self, self.check_theta(theta), vectors, out)
            if product is not None:
                return product
        return results.written(self._linearised_for(theta, vectors).hessian_product(vectors), out)

    def generalized_gauss_newton_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Return ``G V`` with ``G = (1/N) sum_i J_i^T S_i J_i``, vectors (D,) or (D, K)."""
        return self._linearised_for(theta, vectors).generalized_gauss_newton_product(vectors)

    def fisher_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Return ``F V`` for vectors (D,) or (D, K); F has the labels of the model itself."""
        return self._linearised_for(theta, vectors).fisher_product(vectors)

    def quadratic_forms(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Return ``v^T H v`` for vectors (D,) or (D, K): float or (K,), half a product each."""
        return self._linearised_for(theta, vectors).quadratic_forms(vectors)

    def _linearised_for(self, theta, vectors):
        if self._is_wide(vectors):
            return CachedLinearisation(self, theta, num_products=0)
        return Linearisation(self, theta)

    def _is_wide(self, vectors):
        # cached factors may save time for a wide block; they need NumPy
        return self.place.is_numpy and np.ndim(vectors) == 2 and np.shape(vectors)[1] >= _WIDE

    def hessian(self, theta: ArrayLike) -> Array:
        """Return the Hessian of the mean loss, dense (D, D).

        Raises
        ------
        AllocationRefused
            If D^2 numbers do not fit.
        """
        return self.linearise(theta, num_products=0).hessian()
