"""A network linearised at one theta: curvature, noise and traces there, by passes over the data."""

from functools import cached_property, partial

from aniso import checks
from aniso.arrays import functions, transfer
from aniso.matrices import SymmetricOperator
from aniso.networks import ways
from aniso.networks.curvature import alignment, diagonals, gauss_newton, tangent_products
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.networks.parameter_blocks import blocks_of


class Linearisation:
    """Second-order quantities of a network at fixed parameters, by passes of tangents.

    It is made by :meth:`aniso.networks.Network.linearise`. It works in every array library and
    keeps nothing but diagonals. With NumPy its subclass
    :class:`aniso.networks.curvature.cached.CachedLinearisation` keeps factors where they save time.

    Parameters
    ----------
    network : Network
        The network.
    theta : array_like, shape (D,)
        Copied.
    strategy : {"auto", "tangents"}
        "auto" uses cached factors where they fit and cost less; "tangents" never does.

    Attributes
    ----------
    network : Network
        The network.
    theta : array, shape (D,)
        Point in parameter space.
    strategy : {"factors", "tangents"}
        How Hessian products are formed.
    num_bytes, peak_bytes : int
        Bytes of the cached factors, and of these with the work space while they are formed.

    Raises
    ------
    InputError
        If the strategy is "factors": cached factors need NumPy.
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

    def __repr__(self):
        network = self.network
        return (
            f"<{type(self).__name__}: N = {network.num_examples}, D = {network.num_parameters}, "
            f"Hessian products by {self.strategy}, {network.dtype}>"
        )

    def prepare(self):
        """Form the cache now, if there is one; return the linearisation."""
        return self

    @property
    def _parameters(self):
        return self.network.stack.unpacked(self.theta)

    # ---- outputs, loss and first order

    @cached_property
    def _outputs(self):
        return self.network.outputs(self.theta)

    @cached_property
    def _output_hessians(self):
        return self.network.output_loss.hessian(self._outputs, self.network.targets)

    @cached_property
    def _information(self):
        return self.network.output_loss.fisher_information(self._outputs)

    @cached_property
    def loss(self):
        """Mean loss, float."""
        losses = self.network.output_loss(self._outputs, self.network.targets)
        return float(self.network.place.namespace.mean(losses))

    @property
    def gradient(self):
        """Gradient of the mean loss, shape (D,); a copy."""
        return transfer.copied(self._gradient)

    @cached_property
    def _gradient(self):
        return self.network.gradient(self.theta)

    @cached_property
    def gradient_factors(self):
        """Gradients of the examples; the gradient covariance is made of them."""
        return StreamedGradients(self.network, self.theta)

    # ---- products

    def hessian_product(self, vectors):
        """Return ``H V`` for vectors (D,) or (D, K), the same shape."""
        product = ways.hessian_product(self.network, self.theta, vectors)
        if product is not None:
            return product
        return self._by_tangents(vectors, self.network.output_loss.hessian, second_order=True)

    def generalized_gauss_newton_product(self, vectors):
        """Return ``G V`` for vectors (D,) or (D, K), the same shape."""
        return self._by_tangents(vectors, self.network.output_loss.hessian)

    def fisher_product(self, vectors):
        """Return ``F V`` for vectors (D,) or (D, K); F has the labels of the model itself."""
        loss = self.network.output_loss
        return self._by_tangents(vectors, lambda outputs, _: loss.fisher_information(outputs))

    def quadratic_forms(self, vectors):
        """Return ``v^T H v`` for vectors (D,) or (D, K): float or (K,), in double precision."""
        network = self.network
        rows, single = network.check_vectors(vectors)
        forms = network.in_groups(
            lambda group: tangent_products.quadratic_forms(network, self.theta, group), rows
        )
        return float(forms[0]) if single else forms

    def _by_tangents(self, vectors, output_matrices, second_order=False):
        network = self.network
        rows, single = network.check_vectors(vectors)

        def of_group(group):
            return tangent_products.products(
                network, self.theta, group, output_matrices, second_order
            )

        product = network.in_groups(of_group, rows).T
        return product[:, 0] if single else product

    # ---- diagonals and traces

    @property
    def hessian_diagonal(self):
        """Diagonal of H, shape (D,), in double precision; a copy.

        Notes
        -----
        It is the diagonal of G where the network is piecewise linear.
        """
        return transfer.copied(self._kept_hessian_diagonal)

    @property
    def generalized_gauss_newton_diagonal(self):
        """Diagonal of G, shape (D,), in double precision; a copy."""
        return transfer.copied(self._kept_gauss_newton_diagonal)

    @property
    def fisher_diagonal(self):
        """Diagonal of F, shape (D,), in double precision; a copy."""
        return transfer.copied(self._kept_fisher_diagonal)

    @cached_property
    def _kept_hessian_diagonal(self):
        diagonal = self._kept_gauss_newton_diagonal
        if self.network.stack.piecewise_linear:
            return diagonal
        return diagonal + diagonals.activation_diagonal(self.network, self._parameters)

    @cached_property
    def _kept_gauss_newton_diagonal(self):
        return self._diagonal_of(self._output_hessians)

    @cached_property
    def _kept_fisher_diagonal(self):
        return self._diagonal_of(self._information)

    def _diagonal_of(self, output_matrices):
        roots = gauss_newton.square_roots(output_matrices)
        return diagonals.gauss_newton_diagonal(self.network, self._parameters, roots)

    def hessian_trace(self):
        """``Tr H``, float, exact."""
        return float(functions.double_sum(self._kept_hessian_diagonal))

    def generalized_gauss_newton_trace(self):
        """``Tr G``, float, exact."""
        return float(functions.double_sum(self._kept_gauss_newton_diagonal))

    # ---- alignment of curvature and noise

    def noise_curvature(self):
        """Return ``Tr(H Sigma_1)`` and its isotropic counterpart, in total and by layer.

        Returns
        -------
        aniso.matrices.BlockAlignment
        """
        parts = alignment.from_forms(self, self.gradient_factors)
        return alignment.summary(self.network, self.gradient_factors, self.hessian_diagonal, *parts)

    # ---- dense matrices

    def hessian(self):
        """Return the Hessian of the mean loss, dense (D, D).

        Raises
        ------
        AllocationRefused
            If D^2 numbers do not fit.
        """
        return Linearisation.hessian_product(self, self._identity("Hessian"))

    def generalized_gauss_newton(self):
        """Return the generalised Gauss-Newton matrix, dense (D, D)."""
        return self.generalized_gauss_newton_product(self._identity("Gauss-Newton matrix"))

    def fisher(self):
        """Return the Fisher matrix with the labels of the model itself, dense (D, D)."""
        return self.fisher_product(self._identity("Fisher matrix"))

    def layer_blocks(self):
        """Return the diagonal blocks H_ll of the Hessian, a tuple of one array (P, P) per layer."""
        network, result = self.network, []
        blocks = blocks_of(network.stack)
        largest = max(block.size for block in blocks)
        self._require(largest * network.num_parameters, "the layers' diagonal blocks")
        for block in blocks:
            columns = network.place.zeros((network.num_parameters, block.size), network.dtype)
            columns[block.whole, :] = network.place.eye(block.size, network.dtype)
            result.append(self.hessian_product(columns)[block.whole, :])
        return tuple(result)

    def _identity(self, what):
        dimension = self.network.num_parameters
        self._require(
            3 * dimension**2, f"the dense {what}, {dimension} x {dimension}, and its tangents"
        )
        return self.network.place.eye(dimension, self.network.dtype)

    def _require(self, entries, what):
        self.network.require(
            entries * self.network.dtype.itemsize,
            what,
            "use hessian_product or the operators, which need no such array",
        )

    # ---- operators

    def hessian_operator(self, num_products=0):  # noqa: ARG002
        """Return the Hessian H as a SciPy `LinearOperator`; it multiplies blocks (D, K).

        Parameters
        ----------
        num_products : int
            Number of products to come, if known. With NumPy the dense matrix is formed first where
            it fits and is cheaper than so many products, from about D/10 on.
        """
        return self._operator(self.hessian_product, "hessian_diagonal")

    def generalized_gauss_newton_operator(self):
        """Return the Gauss-Newton matrix G as a SciPy `LinearOperator` for blocks (D, K)."""
        return self._operator(
            self.generalized_gauss_newton_product, "generalized_gauss_newton_diagonal"
        )

    def fisher_operator(self):
        """Return the Fisher matrix F as a SciPy `LinearOperator`; it multiplies blocks (D, K)."""
        return self._operator(self.fisher_product, "fisher_diagonal")

    def _operator(self, product, diagonal):
        network = self.network
        return SymmetricOperator(
            product,
            network.num_parameters,
            network.dtype,
            partial(getattr, self, diagonal),
            network.place,
        )
