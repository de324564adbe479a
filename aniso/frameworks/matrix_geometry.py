"""A local geometry made of matrices instead of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks, matrices
from aniso.problems import MissingFaculty, local_geometry

if TYPE_CHECKING:
    from aniso.matrices import (
        BlockAlignment,
        ExampleGradients,
        GradientCovariance,
        SymmetricOperator,
    )
    from aniso.typing import Array, Operator


_ORIGINS = {
    "hessian": "hessian=, or hessian_product= of from_draws",
    "noise": "covariance= or per_example_gradients=",
    "gradient": "gradient= or per_example_gradients=",
    "loss": "loss=",
    "example_gradients": "per_example_gradients=",
    "empirical_fisher": "per_example_gradients=",
}
_OF_PROBLEMS = ("problem", "theta", "gauss_newton", "fisher")


class MatrixGeometry:
    """Curvature and gradient noise at a fixed theta, made of given matrices.

    It has the members of :class:`aniso.problems.LocalGeometry` that were given.
    :func:`from_matrices` and :func:`from_draws` make it. A member that was not given, and those
    that need a problem (`problem`, `theta`, `gauss_newton`, `fisher`), are refused with the name
    of the argument.

    Attributes
    ----------
    hessian : matrices.SymmetricOperator
        H.
    noise : LinearOperator
        Centred covariance of the gradient; its `convention` says of which random gradient.
    gradient : ndarray, shape (D,)
        A copy of the mean gradient.
    loss : float
        Mean loss.
    example_gradients : matrices.ExampleGradients
        Gradients of the examples.
    empirical_fisher : matrices.GradientCovariance
        Their uncentred second moment.
    blocks : dict of str to slice
        Parts of theta by name.
    num_parameters : int
        D.
    """

    hessian: SymmetricOperator
    noise: Operator
    gradient: Array
    loss: float
    example_gradients: ExampleGradients
    empirical_fisher: GradientCovariance
    blocks: dict[str, slice]
    num_parameters: int

    def __init__(self, num_parameters: int, blocks: Any, **given: Any) -> None:
        self.num_parameters = num_parameters
        self.blocks = blocks or {"theta": slice(0, num_parameters)}
        self._given = {name: value for name, value in given.items() if value is not None}
        if "gradient" in self._given:
            self._given["gradient"] = checks.held(self._given["gradient"])

    def __getattr__(self, name):
        # Python calls it only where the attribute does not exist.
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._given:
            value = self._given[name]
            return value.copy() if name == "gradient" else value
        if name in _ORIGINS:
            raise MissingFaculty(f"{name} was not given; expected the argument {_ORIGINS[name]}")
        if name in _OF_PROBLEMS:
            raise MissingFaculty(
                f"a geometry of given matrices has no {name}; expected problem.at(theta) of a "
                "problem, from from_torch, from_jax or aniso.problems"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def hessian_for(self, num_vectors: int, tolerance: float) -> SymmetricOperator:  # noqa: ARG002 (as of a LocalGeometry)
        """Hessian as an operator for a few products of limited accuracy; here :attr:`hessian`."""
        return self.hessian

    def by_block(self) -> BlockAlignment:
        """Return traces, alignment and trace ratio of every block of theta, and of the whole.

        Returns
        -------
        matrices.BlockAlignment

        Notes
        -----
        D Hessian products of an operator; none of an array.
        """
        hessian = self.hessian
        if self.num_parameters <= local_geometry.DENSE_DIMENSION:
            hessian = hessian.to_dense()
        return matrices.alignment_by_block(hessian, self.noise, self.blocks)

    def __repr__(self):
        parts = [f"D = {self.num_parameters}"]
        if "loss" in self._given:
            parts.append(f"loss = {self.loss:.6g}")
        if "gradient" in self._given:
            parts.append(f"|gradient| = {float(np.linalg.norm(self._given['gradient'])):.6g}")
        if "hessian" not in self._given:
            parts.append("first order only")
        said = f"; noise: {self.noise.convention}" if "noise" in self._given else ""
        return f"<{type(self).__name__}: {', '.join(parts)}{said}>"
