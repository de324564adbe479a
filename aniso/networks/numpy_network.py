"""A network on another device, with NumPy arrays as arguments and results."""

from aniso.arrays import places, transfer
from aniso.networks.geometry import NetworkGeometry
from aniso.problems import Problem


class NumpyNetwork(Problem):
    """A network on another device as a problem of NumPy arrays.

    It is made by :meth:`aniso.networks.Network.on_host`. theta and vectors are copied to the
    device, results to NumPy arrays. NumPy draws the noise, so a seed gives the same numbers on
    every device.

    Parameters
    ----------
    network : networks.Network
        Network on any device.

    Notes
    -----
    One step of descent copies theta, the gradient and the noise, D numbers each.

    Examples
    --------
    >>> import numpy as np
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> NumpyNetwork(network).gradient(np.array([1.0, 0.0]))
    array([5., 3.])
    """

    def __init__(self, network):
        self.network = network
        self.num_examples, self.num_parameters = network.num_examples, network.num_parameters
        self.dtype, self.blocks = network.dtype, network.blocks
        self.model, self.output_loss = network.model, network.output_loss

    @property
    def targets(self):
        """Targets, a NumPy array."""
        return transfer.to_numpy(self.network.targets)

    def check(self, theta, rng):
        """Compare all derivatives with finite differences, in double precision; see `Problem`."""
        return self.network.check(theta, rng)

    def subset(self, indices):
        """Return the same network on the examples `indices`."""
        return NumpyNetwork(self.network.subset(indices))

    def loss(self, theta):
        """Mean loss, float."""
        return self.network.loss(self._sent(theta))

    def losses(self, theta):
        """Loss of every example, (N,)."""
        return transfer.to_numpy(self.network.losses(self._sent(theta)))

    def outputs(self, theta):
        """Outputs f(x_i; theta), shape (N, C)."""
        return transfer.to_numpy(self.network.outputs(self._sent(theta)))

    def jacobians(self, theta):
        """Jacobians of the outputs, (N, C, D)."""
        return transfer.to_numpy(self.network.jacobians(self._sent(theta)))

    def gradient(self, theta):
        """Gradient of the mean loss, (D,)."""
        return transfer.to_numpy(self.network.gradient(self._sent(theta)))

    def example_gradients(self, theta):
        """Gradients of the examples, an ExampleGradients on the device."""
        return self.network.example_gradients(self._sent(theta))

    def per_example_gradients(self, theta):
        """Gradients of every example's loss, (N, D)."""
        return transfer.to_numpy(self.network.per_example_gradients(self._sent(theta)))

    def hessian_product(self, theta, vectors):
        """Hessian of the mean loss times vectors, (D,) or (D, K), the same shape."""
        return self._product(self.network.hessian_product, theta, vectors)

    def generalized_gauss_newton_product(self, theta, vectors):
        """Gauss-Newton matrix times vectors, (D,) or (D, K), the same shape."""
        return self._product(self.network.generalized_gauss_newton_product, theta, vectors)

    def fisher_product(self, theta, vectors):
        """Fisher matrix times vectors, (D,) or (D, K), the same shape."""
        return self._product(self.network.fisher_product, theta, vectors)

    def at(self, theta):
        """Return the local geometry at theta: its vectors are NumPy's, its operators take both."""
        return NetworkGeometry(self.network, self._sent(theta), self)

    def _sent(self, theta):
        sent = theta if places.is_foreign(theta) else transfer.to_device(theta, self.network.place)
        return self.network.check_theta(sent)

    def _product(self, product, theta, vectors):
        vectors = transfer.to_device(vectors, self.network.place)
        return transfer.to_numpy(product(self._sent(theta), vectors))
