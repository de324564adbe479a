"""Parameters and optimizers of the PyTorch model from which a problem was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aniso import checks
from aniso.frameworks import _torch_optimizer
from aniso.frameworks._torch_model import array

if TYPE_CHECKING:
    from typing import Self

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
            If a parameter is missing or has another shape. If the model's buffers or fixed
            parameters are no longer those with which the problem was made, such as the running
            statistics of batch normalisation: :meth:`with_state_of` takes the present ones.
        """
        theta = array(self._vectors.theta_of(model)).astype(self.dtype)
        if model is not None and (other := self._differing(model)):
            first, more = next(iter(other)).removeprefix("model."), len(other) - 1
            raise checks.InputError(
                f"{first!r}{f' and {more} more' * bool(more)}, which the model has beside theta, "
                "changed since the problem was made; expected problem.with_state_of(model), the "
                "same problem with the present buffers and fixed parameters"
            )
        return theta

    def with_state_of(self, model: Any) -> Self:
        """Return the same problem with the present buffers and fixed parameters of a model.

        Buffers are the running statistics of batch normalisation, for instance. A training changes
        them, and a problem keeps those with which it was made.

        Parameters
        ----------
        model : torch.nn.Module
            Of the same kind as the model of the problem. It is read and not changed, and its mode
            does not matter: the problem keeps its own.

        Returns
        -------
        TorchProblem or TorchNetwork
            With the same data. Its `initial_theta` is that of this problem.

        Examples
        --------
        >>> import torch
        >>> from aniso import frameworks
        >>> model = torch.nn.Sequential(torch.nn.BatchNorm1d(1), torch.nn.Linear(1, 1)).eval()
        >>> data = torch.tensor([[3.0], [5.0]]), torch.zeros(2, 1)
        >>> problem = frameworks.from_torch(model, torch.nn.MSELoss(), data)
        >>> _ = model.train()(data[0])  # a step of a training changes the running statistics
        >>> now = problem.with_state_of(model)
        >>> theta = now.theta_of(model)
        >>> bool(problem.loss(theta) == now.loss(theta))
        False
        """
        self._vectors.theta_of(model)  # refuses a model of another kind
        rest = self._differing(model)
        return self._with_rest(rest) if rest else self

    def without_statistics(self) -> Self:
        """Return the same problem with running means 0 and running variances 1.

        Two problems of one model, made at different times of a training, are then the same.
        """
        rest = self._vectors.plain_statistics()
        return self._with_rest(rest) if rest else self

    def state_digest(self) -> str:
        """SHA-256 of the buffers and fixed parameters that :meth:`with_state_of` replaced."""
        return self._vectors.digest_of_rest()

    def _differing(self, model):
        return self._vectors.rest_that_differs(model)

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
