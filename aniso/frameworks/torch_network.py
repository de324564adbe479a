"""A sequential PyTorch model as a network of :mod:`aniso.networks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aniso import networks
from aniso.frameworks import _reductions
from aniso.frameworks._torch_parameters import ModelParameters

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


class TorchNetwork(ModelParameters, networks.Network):  # type: ignore[override]
    """A sequential PyTorch model on aniso's engine; :func:`aniso.frameworks.from_torch` makes it.

    A :class:`aniso.networks.Network` whose theta is PyTorch's, with the blocks of its modules.

    Attributes
    ----------
    engine : str
        "aniso".
    engine_reason : str
        Empty: the engine knows every part of the model.
    reduction : str
        What the given loss does with a batch: "none", "mean" or "sum".
    mean_weight : float
        1: the engine has no weighted mean.
    """

    engine, engine_reason = "aniso", ""
    reduction: str = "mean"
    mean_weight: float = 1.0

    def subset(self, indices: ArrayLike) -> TorchNetwork:
        """Return the same network on some examples."""
        part = super().subset(indices)
        part._vectors, part.reduction = self._vectors, self.reduction
        return part

    def _differing(self, model):  # noqa: ARG002
        # every parameter moves, and no layer of the engine has a buffer
        return {}

    def _with_rest(self, rest):  # noqa: ARG002
        return self

    def __repr__(self):
        return super().__repr__().replace("\n", f", loss: {_reductions.told(self.reduction)}\n", 1)


@dataclass(frozen=True, repr=False)
class NamedStack(networks.Stack):
    """A stack whose blocks bear the names of PyTorch's modules."""

    names: tuple = ()

    @property
    def blocks(self):
        """Parts of theta by the name of their module."""
        slices = [self.parameter_slices[position] for position in self.parameterised]
        return dict(zip(self.names, slices, strict=True))
