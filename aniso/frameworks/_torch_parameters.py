"""Parameters and optimizers of the PyTorch model from which a problem was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aniso.frameworks import _torch_optimizer
from aniso.frameworks._torch_model import array

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike


class ModelParameters:
    """Members that every problem of a PyTorch model has; a subclass sets ``_vectors``."""

    _vectors = None

    @property
    def initial_theta(self) -> Array:
        """Parameters of the model when the problem was made, shape (D,), a new array."""
        return self.theta_of()

    def theta_of(self, model: Any = None) -> Array:
        """Parameters of a model as theta, for instance after some training.

        Parameters
        ----------
        model : torch.nn.Module, optional
            Of the same kind as the model of the problem; this one at its start if not given.

        Returns
        -------
        ndarray, shape (D,)

        Raises
        ------
        InputError
            If a parameter is missing or has another shape.
        """
        return array(self._vectors.theta_of(model)).astype(self.dtype)

    def optimizer_settings(self, optimizer: Any, theta: ArrayLike) -> dict[str, Any]:
        """Momentum, form, learning rate and preconditioner of an optimizer of the model.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            SGD, Adam, AdamW or RMSprop, read and not changed.
        theta : array_like, shape (D,)
            Parameters at which the optimizer stands.

        Returns
        -------
        dict
            Arguments of :class:`aniso.diagnostics.OptimizerState`.

        Raises
        ------
        InputError
            If the optimizer is of another kind, or its parameters are not theta.
        """
        return _torch_optimizer.read_optimizer(self._vectors, optimizer, self.check_theta(theta))
