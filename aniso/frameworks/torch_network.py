"""A sequential PyTorch model as a network of :mod:`aniso.networks`."""

from dataclasses import dataclass

from aniso import networks
from aniso.frameworks._torch_model import array


class TorchNetwork(networks.Network):
    """A sequential PyTorch model on aniso's engine; :func:`aniso.frameworks.from_torch` makes it.

    A :class:`aniso.networks.Network` whose theta is PyTorch's, with the blocks of its modules.

    Attributes
    ----------
    engine : str
        "aniso".
    engine_reason : str
        Empty: the engine knows every part of the model.
    """

    engine, engine_reason, _vectors = "aniso", "", None

    def subset(self, indices):
        """Return the same network on some examples."""
        part = super().subset(indices)
        part._vectors = self._vectors
        return part

    @property
    def initial_theta(self):
        """Parameters of the model when the problem was made, shape (D,), a new array."""
        return self.theta_of()

    def theta_of(self, model=None):
        """Parameters of a model as theta, for instance after some training, shape (D,).

        Parameters
        ----------
        model : torch.nn.Module, optional
            Of the same kind as the model of the problem; this one at its start if not given.

        Raises
        ------
        InputError
            If a parameter is missing or has another shape.
        """
        return array(self._vectors.theta_of(model)).astype(self.dtype)


@dataclass(frozen=True, repr=False)
class NamedStack(networks.Stack):
    """A stack whose blocks bear the names of PyTorch's modules."""

    names: tuple = ()

    @property
    def blocks(self):
        """Parts of theta by the name of their module."""
        slices = [self.parameter_slices[position] for position in self.parameterised]
        return dict(zip(self.names, slices, strict=True))
