"""A network on data: losses and exact derivatives of every order up to two."""

import numpy as np

from aniso import checks
from aniso.arrays import functions
from aniso.networks import passes
from aniso.networks.curvature import tangent_products
from aniso.networks.curvature.linearised import Linearisation
from aniso.networks.curvature.tangents import TangentLinearisation
from aniso.networks.geometry import NetworkGeometry
from aniso.networks.gradients.streamed import gradients_at
from aniso.networks.hosted import HostedNetwork
from aniso.networks.parameter_blocks import blocks_of
from aniso.networks.placed_stack import PlacedStack
from aniso.problems import Problem

# from so many vectors on a block is weighed against factors of which it may be made
_WIDE = 16


class Network(PlacedStack, Problem):
    """Mean loss of a stack of layers on data, ``L(theta) = (1/N) sum_i l(f(x_i; theta), y_i)``.

    A :class:`aniso.problems.Problem` with outputs; :meth:`at` returns its local geometry.

    Parameters
    ----------
    model : Stack
    output_loss : loss
        One of :mod:`aniso.problems.losses`.
    inputs : array, shape (N, \\*model.input_shape)
        Of NumPy, PyTorch, CuPy or array_api_strict. The network runs in that library, on the device
        of the inputs. A list counts as NumPy's. Inputs and targets are large and not copied: do
        not change them while the network is in use.
    targets : array
        As the loss expects, for instance labels (N,); on the device of the inputs.
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
        Device on which the network runs, if not that of the inputs: "cuda", or a library's own
        device (see :func:`aniso.arrays.places.resolve`). Inputs of NumPy that would take more than
        a quarter of the memory there are sent chunk by chunk.

    Raises
    ------
    InputError
        If the model is no Stack, the loss none of the losses, or the data have a wrong shape, are
        not finite or have wrong labels; if the device can't be used, or the budget is too small.

    Notes
    -----
    At a kink the slope is autograd's (see :class:`aniso.networks.Activation`). Of equal entries of
    a pooling window the first wins.

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

    @property
    def blocks(self):
        """Parameters of each layer that has any, by the layer's name and number."""
        parts = blocks_of(self.stack)
        names = [type(self.model.layers[i]).__name__ for i in self.model.parameterised]
        pairs = enumerate(zip(names, parts, strict=True), start=1)
        return {f"{name} {number}": part.whole for number, (name, part) in pairs}

    def at(self, theta):
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

    def on_host(self):
        """Return the network with NumPy arrays as arguments and results.

        With NumPy it is the network itself, else a :class:`aniso.networks.hosted.HostedNetwork`.
        """
        return self if self.place.is_numpy else HostedNetwork(self)

    def linearise(self, theta, strategy="auto", *, num_products=100):
        """The network linearised at theta, for many second-order quantities at one place.

        Parameters
        ----------
        theta : array_like, shape (D,)
        strategy : {"auto", "factors", "tangents"}
            Whether Hessian products use cached factors; "auto" compares cost and memory, and
            means tangents outside NumPy, where there are no cached factors.
        num_products : int
            Products with single vectors, or small blocks, that are expected at this theta:
            "auto" weighs the cost of the factors against them.

        Returns
        -------
        Linearisation or TangentLinearisation
        """
        num_products = checks.integer("num_products", num_products, low=0)
        if not self.place.is_numpy:
            return TangentLinearisation(self, theta, strategy)
        return Linearisation(self, theta, strategy, num_products)

    # ---- values

    def outputs(self, theta):
        """Outputs f, shape (N, C)."""
        parameters = self.stack.unpacked(self.check_theta(theta))
        rows = self._over_chunks(lambda chunk: self.output_rows(self.forward(chunk, parameters)[0]))
        return self.place.namespace.concat(rows)

    def losses(self, theta):
        """Loss of every example, shape (N,)."""
        return self.output_loss(self.outputs(theta), self.targets)

    def loss(self, theta):
        """Mean loss, float."""
        return float(self.place.namespace.mean(self.losses(theta)))

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
        losses = {}  # of a chunk, by its first example

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            if with_loss:
                values = self.output_loss(self.output_rows(outputs), chunk.targets)
                losses[chunk.rows.start] = functions.double_sum(values)
            delta = self.output_deltas(outputs, chunk.targets)
            return passes.gradient(self.layers, parameters, trail, delta)

        total = self.workers.sum(of_chunk, self.chunks())
        total /= self.num_examples
        loss = sum(float(losses[start]) for start in sorted(losses))
        return loss / self.num_examples, total

    def per_example_gradients(self, theta):
        """Gradients of every example's loss, (N, D).

        Raises
        ------
        AllocationRefused
            If N D numbers do not fit; :func:`aniso.matrices.gradient_covariance` of
            :meth:`example_gradients` needs no such array.
        """
        parameters = self.stack.unpacked(self.check_theta(theta))
        self._require_rows(self.num_examples)
        rows = self.place.empty((self.num_examples, self.num_parameters), self.dtype)

        def of_chunk(chunk):
            outputs, trail = self.forward(chunk, parameters)
            delta = self.output_deltas(outputs, chunk.targets)
            self.write_gradients(parameters, trail, delta, rows[chunk.rows, ...])

        self._over_chunks(of_chunk)
        return rows

    def example_gradients(self, theta):
        """Gradients of the examples, kept as factors or recomputed for every product.

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

    def jacobians(self, theta):
        """Jacobians of the outputs, (N, C, D)."""
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

    # ---- second order, without a cache

    def hessian_product(self, theta, vectors):
        """``H V`` for vectors (D,) or (D, K), the same shape.

        Notes
        -----
        One pass of tangents and one back (Pearlmutter's R-operator), about two and a half
        gradients a vector and no set-up. A wide block takes cached factors where these fit and
        are cheaper; for many products at one theta :meth:`linearise` keeps them.
        """
        if self._wide(vectors):
            return self.linearise(theta, num_products=0).hessian_product(vectors)
        return tangent_products.hessian_product(self, theta, vectors)

    def generalized_gauss_newton_product(self, theta, vectors):
        """``G V`` with ``G = (1/N) sum_i J_i^T S_i J_i``, vectors (D,) or (D, K)."""
        if self._wide(vectors):
            at = self.linearise(theta, num_products=0)
            return at.generalized_gauss_newton_product(vectors)
        return tangent_products.gauss_newton_product(self, theta, vectors)

    def fisher_product(self, theta, vectors):
        """``F V``, F the Fisher matrix with the model's own labels, vectors (D,) or (D, K)."""
        if self._wide(vectors):
            return self.linearise(theta, num_products=0).fisher_product(vectors)
        return tangent_products.fisher_product(self, theta, vectors)

    def quadratic_forms(self, theta, vectors):
        """``v^T H v`` for vectors (D,) or (D, K): float or (K,), about half a product each."""
        if self._wide(vectors):
            return self.linearise(theta, num_products=0).quadratic_forms(vectors)
        return tangent_products.forms(self, theta, vectors)

    def _wide(self, vectors):
        # a block for which cached factors may pay; they are NumPy's
        return self.place.is_numpy and np.ndim(vectors) == 2 and np.shape(vectors)[1] >= _WIDE

    def hessian(self, theta):
        """Hessian of the mean loss, dense (D, D); that of :meth:`linearise`, by the same route.

        Raises
        ------
        AllocationRefused
            If D^2 numbers do not fit.
        """
        return self.linearise(theta, num_products=0).hessian()
