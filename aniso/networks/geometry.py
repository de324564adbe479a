"""The local geometry of a network: the operators of its linearisation at one theta."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from aniso import matrices
from aniso.arrays import transfer
from aniso.networks.precision import in_single_precision
from aniso.problems import LocalGeometry

if TYPE_CHECKING:
    from aniso.matrices import BlockAlignment, ExampleGradients, SymmetricOperator
    from aniso.networks.curvature.linearisation import Linearisation
    from aniso.networks.network import Network
    from aniso.problems import Problem
    from aniso.typing import Array, ArrayLike


# A single vector a product costs less from scratch than the cached factors of a linearisation.
_FEW_VECTORS = 1
# rows that are made symmetric together, so that no second matrix is needed
_ROWS_TOGETHER = 512
# forty times the finest tolerance that Lanczos accepts in single precision
_SINGLE_PRECISION_TOLERANCE = 1e-4


class NetworkGeometry(LocalGeometry):
    """Gradient, curvature and gradient noise of a network at one theta.

    It is made by :meth:`aniso.networks.Network.at`. Diagonals and traces are exact. No quantity
    forms a matrix of size D x D or N x D, unless its name says so.

    Parameters
    ----------
    network : Network
        The network.
    theta : array_like, shape (D,)
        Copied to the network's place.

    Attributes
    ----------
    network : Network
        The network.
    theta : array, shape (D,)
        At the network's place.

    Notes
    -----
    With NumPy, products use factors of the per-example Jacobians where these fit and are cheaper
    (:class:`aniso.networks.curvature.cached.CachedLinearisation`). Elsewhere every product is a
    pass of tangents. The operators take vectors of the network's place and of NumPy.

    Examples
    --------
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> at = network.at([1.0, 0.0])  # f = x; gradients 2 x (x, 1) = (2, 2) and (8, 4)
    >>> at.gradient, round(at.hessian.trace(), 12), at.noise.trace()
    (array([5., 3.]), 7.0, 10.0)
    >>> at
    <Network at theta: N = 2, D = 2, |gradient| = 5.83095>
    """

    network: Network

    def __init__(self, network: Network, theta: ArrayLike, problem: Problem | None = None) -> None:
        self.network, self.problem = network, network if problem is None else problem
        self.theta = network.held_theta(theta)

    @cached_property
    def linearisation(self) -> Linearisation:
        """The network linearised at theta, by which products are made."""
        return self.network.linearise(self.theta)

    @cached_property
    def _gradient(self):
        return self.problem.gradient(self.theta)

    @property
    def gradient(self) -> Array:
        """Gradient of the mean loss, shape (D,); a copy of the stored array."""
        return transfer.copied(self._gradient)

    @cached_property
    def example_gradients(self) -> ExampleGradients:
        """Gradients of the examples, as factors or recomputed for every product.

        The cheaper one that fits the memory budget; an :class:`aniso.matrices.ExampleGradients`.
        """
        if "linearisation" in self.__dict__:
            return self.linearisation.gradient_factors
        return self.network.example_gradients(self.theta)

    # ---- curvature

    @cached_property
    def hessian(self) -> SymmetricOperator:
        """Hessian of the mean loss, an operator with exact trace and diagonal."""
        at = self.linearisation
        diagonal = partial(getattr, at, "hessian_diagonal")
        return _NetworkMatrix(self, at.hessian_product, diagonal, at.hessian)

    @cached_property
    def gauss_newton(self) -> SymmetricOperator:
        """Generalised Gauss-Newton matrix, an operator with exact trace and diagonal."""
        at = self.linearisation
        diagonal = partial(getattr, at, "generalized_gauss_newton_diagonal")
        product = at.generalized_gauss_newton_product
        return _NetworkMatrix(self, product, diagonal, at.generalized_gauss_newton)

    @cached_property
    def fisher(self) -> SymmetricOperator:
        """Fisher matrix with the model's own labels, an operator with exact trace and diagonal."""
        at = self.linearisation
        diagonal = partial(getattr, at, "fisher_diagonal")
        return _NetworkMatrix(self, at.fisher_product, diagonal, at.fisher)

    def hessian_for(self, num_vectors: int, tolerance: float) -> SymmetricOperator:
        """Hessian as an operator for a few products of limited accuracy.

        Parameters
        ----------
        num_vectors : int
            Number of vectors that each of a few products takes.
        tolerance : float
            Relative error that the products may have. From 1e-4 on, they come from the same
            network in single precision.

        Returns
        -------
        matrices.SymmetricOperator
        """
        if not self.network.place.is_numpy:
            return self.hessian
        coarse = tolerance >= _SINGLE_PRECISION_TOLERANCE
        network = in_single_precision(self.network) if coarse else self.network
        if num_vectors > _FEW_VECTORS:
            same = network is self.network
            return self.hessian if same else network.at(self.theta).hessian
        theta = network.check_theta(self.theta)
        return matrices.SymmetricOperator(
            partial(network.hessian_product, theta),
            network.num_parameters,
            network.dtype,
            blocks=self.blocks,
        )

    def by_block(self) -> BlockAlignment:
        """Return traces, alignment and trace ratio of every layer, and of the whole network.

        Returns
        -------
        matrices.BlockAlignment

        Notes
        -----
        It is computed from products of the factors of Jacobians and gradients, without N Hessian
        products.
        """
        return self.linearisation.noise_curvature()


class _NetworkMatrix(matrices.SymmetricOperator):
    """A curvature matrix of a network, which has a faster dense form than its products."""

    def __init__(self, geometry, product, diagonal, dense):
        network = geometry.network
        self._dense = dense
        super().__init__(
            product,
            network.num_parameters,
            network.dtype,
            diagonal,
            network.place,
            geometry.blocks,
        )

    def to_dense(self):
        """Return the matrix as a NumPy array, shape (D, D), symmetric to the last bit.

        Raises
        ------
        AllocationRefused
            If the matrix does not fit.
        """
        dense = np.require(transfer.to_numpy(self._dense()), requirements="W")
        for start in range(0, len(dense), _ROWS_TOGETHER):
            part = slice(start, start + _ROWS_TOGETHER)
            mean = (dense[part, start:] + dense[start:, part].T) / 2
            dense[part, start:], dense[start:, part] = mean, mean.T
        return dense
