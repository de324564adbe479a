"""A network linearised at one theta outside NumPy: every quantity by passes, nothing cached."""

from functools import cached_property, partial

from aniso import checks
from aniso.arrays import functions, places, transfer
from aniso.networks.curvature import alignment, diagonals
from aniso.networks.curvature.operators import SymmetricOperator
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.networks.parameter_blocks import blocks_of


class TangentLinearisation:
    """Second-order quantities of a network at fixed parameters, where its data live.

    Made by :meth:`aniso.networks.Network.linearise` for arrays of another library than NumPy. The
    interface is that of :class:`aniso.networks.curvature.linearised.Linearisation`; products are
    passes of tangents over chunks of the data, and arrays stay at the network's place.

    Attributes
    ----------
    network : Network
    theta : array, shape (D,)
    strategy : str
        "tangents".
    loss : float
        Mean loss.
    """

    strategy = "tangents"
    num_bytes = peak_bytes = 0

    def __init__(self, network, theta, strategy="auto"):
        checks.one_of("strategy", strategy, ["auto", "factors", "tangents"])
        if strategy == "factors":
            raise checks.InputError(
                f"strategy='factors' and the data are {network.place}; the cached factors need "
                "NumPy: use strategy='tangents'"
            )
        self.network, self.theta = network, network.held_theta(theta)
        self.loss = network.loss(self.theta)

    def prepare(self):
        """Nothing is cached."""
        return self

    # ---- products

    def hessian_product(self, vectors):
        """``H V`` for vectors (D,) or (D, K), the same shape."""
        return self.network.hessian_product(self.theta, vectors)

    def generalized_gauss_newton_product(self, vectors):
        """``G V`` for vectors (D,) or (D, K), the same shape."""
        return self.network.generalized_gauss_newton_product(self.theta, vectors)

    def fisher_product(self, vectors):
        """``F V``, F the Fisher matrix with the model's own labels, vectors (D,) or (D, K)."""
        return self.network.fisher_product(self.theta, vectors)

    def quadratic_forms(self, vectors):
        """``v^T H v`` for vectors (D,) or (D, K): float or (K,)."""
        return self.network.quadratic_forms(self.theta, vectors)

    # ---- first order and noise

    @property
    def gradient(self):
        """Gradient of the mean loss, (D,), a copy of what is kept."""
        return transfer.copied(self._gradient)

    @cached_property
    def _gradient(self):
        return self.network.gradient(self.theta)

    @cached_property
    def gradient_factors(self):
        """Per-example gradients by passes."""
        return StreamedGradients(self.network, self.theta)

    # ---- diagonals and traces

    @property
    def generalized_gauss_newton_diagonal(self):
        """Diagonal of G, (D,), accumulated in double precision; a copy of what is kept."""
        return transfer.copied(self._kept_gauss_newton_diagonal)

    @cached_property
    def _kept_gauss_newton_diagonal(self):
        network = self.network
        return diagonals.gauss_newton_diagonal(
            network, self._parameters, square_roots(network.output_hessians(self.theta))
        )

    @property
    def fisher_diagonal(self):
        """Diagonal of F, (D,), accumulated in double precision; a copy of what is kept."""
        return transfer.copied(self._kept_fisher_diagonal)

    @cached_property
    def _kept_fisher_diagonal(self):
        network = self.network
        information = network.output_loss.fisher_information(network.outputs(self.theta))
        return diagonals.gauss_newton_diagonal(network, self._parameters, square_roots(information))

    @property
    def hessian_diagonal(self):
        """Diagonal of H, (D,): that of G where the network is piecewise linear; a copy."""
        return transfer.copied(self._kept_hessian_diagonal)

    @cached_property
    def _kept_hessian_diagonal(self):
        diagonal = self._kept_gauss_newton_diagonal
        if self.network.stack.piecewise_linear:
            return diagonal
        return diagonal + diagonals.activation_diagonal(self.network, self._parameters)

    def hessian_trace(self):
        """``Tr H``, exact."""
        return float(functions.double_sum(self.hessian_diagonal))

    def generalized_gauss_newton_trace(self):
        """``Tr G``, exact."""
        return float(functions.double_sum(self.generalized_gauss_newton_diagonal))

    @property
    def _parameters(self):
        return self.network.stack.unpacked(self.theta)

    def noise_curvature(self):
        """``Tr(H Sigma_1)`` and its isotropic counterpart, in total and by layer.

        Returns
        -------
        NoiseCurvature
        """
        parts = alignment.from_forms(self.network, self.theta, self.gradient_factors)
        return alignment.summary(self.network, self.gradient_factors, self.hessian_diagonal, *parts)

    # ---- dense matrices

    def hessian(self):
        """Hessian of the mean loss, dense (D, D)."""
        return self.hessian_product(self._identity("the dense Hessian"))

    def generalized_gauss_newton(self):
        """Generalised Gauss-Newton matrix, dense (D, D)."""
        return self.generalized_gauss_newton_product(self._identity("the dense matrix"))

    def fisher(self):
        """Fisher matrix with the model's own labels, dense (D, D)."""
        return self.fisher_product(self._identity("the dense matrix"))

    def layer_blocks(self):
        """Diagonal blocks H_ll of the Hessian, one dense array for each layer with parameters."""
        network, result = self.network, []
        blocks = blocks_of(network.stack)
        self._require(
            max(block.size for block in blocks) * network.num_parameters, "the layers' blocks"
        )
        for block in blocks:
            columns = network.place.zeros((network.num_parameters, block.size), network.dtype)
            columns[block.whole, :] = network.place.eye(block.size, network.dtype)
            result.append(self.hessian_product(columns)[block.whole, :])
        return tuple(result)

    def _identity(self, what):
        dimension = self.network.num_parameters
        self._require(3 * dimension**2, what)
        return self.network.place.eye(dimension, self.network.dtype)

    def _require(self, entries, what):
        self.network.require(
            entries * self.network.dtype.itemsize,
            what,
            "use the operator, which needs no such array",
        )

    # ---- operators

    def hessian_operator(self, num_products=0):  # noqa: ARG002
        """H as a SciPy `LinearOperator` with block products, for vectors of either place."""
        return self._operator(self.hessian_product, partial(getattr, self, "hessian_diagonal"))

    def generalized_gauss_newton_operator(self):
        """G as a SciPy `LinearOperator`."""
        return self._operator(
            self.generalized_gauss_newton_product,
            partial(getattr, self, "generalized_gauss_newton_diagonal"),
        )

    def fisher_operator(self):
        """F as a SciPy `LinearOperator`."""
        return self._operator(self.fisher_product, partial(getattr, self, "fisher_diagonal"))

    def _operator(self, product, diagonal):
        network = self.network
        return SymmetricOperator(
            product, network.num_parameters, network.dtype, diagonal, network.place
        )


def square_roots(matrices):
    """Factors L_i of symmetric positive semi-definite matrices, ``S_i = L_i L_i^T``.

    Parameters
    ----------
    matrices : array, shape (N, C, C)

    Returns
    -------
    array, shape (N, C, C)

    Examples
    --------
    >>> import numpy as np
    >>> square_roots(np.array([[[4.0]]]))
    array([[[2.]]])
    """
    xp = places.namespace(matrices)
    values, vectors = xp.linalg.eigh(matrices)
    values = xp.sqrt(xp.clip(values, 0.0, None))
    return vectors * values[:, None, :]
