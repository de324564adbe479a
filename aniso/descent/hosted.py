"""A network on another device, spoken to in NumPy arrays by the loop of descent."""

from aniso.arrays import transfer


class HostedNetwork:
    """What the dynamics ask of an objective: theta goes to the device, results come back.

        Noise is drawn on the host, so that a seed means the same on every device; theta, the
        gradient and the noise cross over once a step, D numbers each.

        Parameters
        ----------
        network : networks.Network
            Anywhere.

        Examples
        --------
        >>> import numpy as np
        >>> from aniso.problems import losses
    >>> from aniso import networks
        >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
        ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
        >>> HostedNetwork(network).gradient(np.array([1.0, 0.0]))
        array([5., 3.])
    """

    def __init__(self, network):
        self.network = network
        self.num_examples, self.num_parameters = network.num_examples, network.num_parameters
        self.dtype, self.output_loss = network.dtype, network.output_loss

    def check_theta(self, theta):
        """theta on the device, checked."""
        return self.network.check_theta(transfer.to_device(theta, self.network.place))

    @property
    def targets(self):
        """Targets on the host."""
        return transfer.to_numpy(self.network.targets)

    def subset(self, indices):
        """The same network on the examples `indices`."""
        return HostedNetwork(self.network.subset(indices))

    def loss(self, theta):
        """Mean loss, float."""
        return self.network.loss(self.check_theta(theta))

    def outputs(self, theta):
        """Outputs (N, C)."""
        return transfer.to_numpy(self.network.outputs(self.check_theta(theta)))

    def gradient(self, theta):
        """Gradient of the mean loss, (D,)."""
        return transfer.to_numpy(self.network.gradient(self.check_theta(theta)))

    def linearise(self, theta):
        """The network linearised at theta, on its device; its operators take arrays of the host."""
        return self.network.linearise(self.check_theta(theta))

    def example_gradients(self, theta):
        """Gradients of the examples, on the device."""
        return self.network.example_gradients(self.check_theta(theta))


def on_host(objective):
    """The objective itself, or its stand-in on the host if it is a network elsewhere.

    Parameters
    ----------
    objective : object

    Returns
    -------
    object

    Examples
    --------
    >>> on_host("any objective of the host")
    'any objective of the host'
    """
    place = getattr(objective, "place", None)
    return objective if place is None or place.is_numpy else HostedNetwork(objective)
