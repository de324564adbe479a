"""A network of NumPy linearised at one theta, with factors that are kept where they save time."""

from functools import cached_property, partial

import numpy as np

from aniso import checks, memory
from aniso.arrays import functions
from aniso.networks.curvature import alignment, dense, gauss_newton
from aniso.networks.curvature.costs import Costs, num_vectors
from aniso.networks.curvature.cross_layer_assembly import Assembly
from aniso.networks.curvature.factor_cache import OutputRoots, cached_product
from aniso.networks.curvature.linearisation import Linearisation
from aniso.networks.gradients.kept import GradientFactors
from aniso.networks.gradients.streamed import gradients_at
from aniso.networks.parameter_blocks import blocks_of


class CachedLinearisation(Linearisation):
    """Second-order quantities of a network at fixed parameters, with cached factors.

    Where the network is piecewise linear, ``H = G + B``. G is kept as factors of every example
    (:mod:`aniso.networks.curvature.gauss_newton`), and B as one matrix
    (:mod:`aniso.networks.curvature.cross_layer`). Otherwise, or where these do not fit into the
    memory budget, a Hessian product is a pass of tangents. Factors of G and of the Fisher matrix
    are used for smooth networks too.

    Parameters
    ----------
    network : Network
        Network with NumPy arrays.
    theta : array_like, shape (D,)
        Copied.
    strategy : {"auto", "factors", "tangents"}
        "auto" compares the costs of both.
    num_products : int
        Products with single vectors that are expected.

    Raises
    ------
    InputError
        If the strategy is "factors" and the network has no cached factors.
    AllocationRefused
        If the strategy is "factors" and these do not fit.
    """

    def __init__(self, network, theta, strategy="auto", num_products=100):
        checks.one_of("strategy", strategy, ["auto", "factors", "tangents"])
        self.network, self.theta = network, network.held_theta(theta)
        self._assembly = Assembly(network, network.stack)
        self._given, self._num_products = strategy, num_products
        self._automatic = strategy == "auto"
        if strategy == "factors":
            self._require_factors()

    @cached_property
    def strategy(self):
        """How products with single vectors are made, "factors" or "tangents"."""
        if not self._automatic:
            return self._given
        # an upper bound comes first, because the costs themselves need a pass
        pays = self._least_costs.could_pay(self._num_products) and (
            self._may_cache and self._costs.cache_pays(self._num_products)
        )
        return "factors" if pays else "tangents"

    @cached_property
    def _may_cache(self):
        return self._automatic and self._assembly.supported and self._costs.fits()

    def _require_factors(self):
        if not self._assembly.supported:
            raise checks.InputError(
                "strategy='factors' needs a piecewise-linear network of dense, convolution, "
                "max pooling and activation layers, without Winograd's filtering and without a "
                "third convolution above two others; use strategy='tangents'"
            )
        memory.require(
            self.peak_bytes,
            "the cached factors",
            "use strategy='tangents'",
            budget=self.network.memory_budget,
        )

    @cached_property
    def _costs(self):
        return Costs(self.network, self._assembly, self._newton.plan)

    @cached_property
    def _least_costs(self):
        # as if all matrices in the outputs had rank 1
        plan = gauss_newton.plan(self.network.stack, 1, self.network.num_examples)
        return Costs(self.network, self._assembly, plan)

    @property
    def num_bytes(self):
        """Bytes of the cached factors, whether they have been formed or not."""
        return self._costs.held_bytes

    @property
    def peak_bytes(self):
        """Bytes of the factors and of the work space while they are formed."""
        return self._costs.peak_bytes

    # ---- the cache

    @cached_property
    def _newton(self):
        """Roots of the Hessians in the outputs, of the examples that contribute to H."""
        network, matrices = self.network, self._output_hessians
        slopes = network.output_loss.gradient(self._outputs, network.targets)
        # examples whose loss is flat in the outputs contribute to no second derivative
        active = matrices.any(axis=(1, 2)) | slopes.any(axis=1)
        active[0] |= not active.any()  # an empty cache would need its own code
        return OutputRoots.of(network, matrices, np.flatnonzero(active))

    @cached_property
    def _fisher(self):
        """Roots of the Fisher information in the outputs; `_newton` where both are equal."""
        if np.array_equal(self._information, self._output_hessians):
            return self._newton
        return OutputRoots.of(self.network, self._information, np.arange(self.network.num_examples))

    @cached_property
    def _cache(self):
        """Factors of G and the cross-layer matrix B."""
        self._require_cache(self.peak_bytes)
        return self._newton.form(self.network, self._parameters, self._assembly)

    @cached_property
    def _newton_factors(self):
        """Factors of G alone, from the whole cache where H takes it."""
        if self.strategy == "factors" or "_cache" in self.__dict__:
            return self._cache[0]
        self._require_cache(self.num_bytes)
        return self._newton.form(self.network, self._parameters)[0]

    @cached_property
    def _fisher_factors(self):
        if self._fisher is self._newton:
            return self._newton_factors
        self._require(self._fisher.plan.num_entries(), "the cached factors of the Fisher matrix")
        return self._fisher.form(self.network, self._parameters)[0]

    def _require_cache(self, num_bytes):
        self.network.require(
            num_bytes,
            "the cached factors of the linearisation",
            "use the products, which need no cache under strategy='tangents'",
        )

    def prepare(self):
        """Form the cache now, if Hessian products take it; return the linearisation."""
        if self.strategy == "factors":
            self._cache  # noqa: B018
        return self

    # ---- products

    def hessian_product(self, vectors):
        """Return ``H V`` for vectors (D,) or (D, K), the same shape."""
        if self._takes_cache(vectors):
            return self._product(*self._cache, vectors)
        return super().hessian_product(vectors)

    def generalized_gauss_newton_product(self, vectors):
        """Return ``G V`` for vectors (D,) or (D, K), the same shape."""
        if self._takes_factors("_newton", vectors):
            return self._product(self._newton_factors, None, vectors)
        return super().generalized_gauss_newton_product(vectors)

    def fisher_product(self, vectors):
        """Return ``F V`` for vectors (D,) or (D, K); F has the labels of the model itself."""
        if self._takes_factors("_fisher", vectors):
            return self._product(self._fisher_factors, None, vectors)
        return super().fisher_product(vectors)

    def quadratic_forms(self, vectors):
        """Return ``v^T H v`` for vectors (D,) or (D, K): float or (K,), in double precision."""
        if not self._takes_cache(vectors):
            return super().quadratic_forms(vectors)
        rows, single = self.network.check_vectors(vectors)
        products = self.hessian_product(rows.T)
        forms = functions.inner_products(rows, np.ascontiguousarray(products.T))
        return float(forms[0]) if single else forms

    def _takes_cache(self, vectors):
        count = num_vectors(vectors)
        if self._automatic and count <= self.network.ways.most_vectors(self.network):
            return False
        if self.strategy == "factors":
            return True
        if not (self._automatic and self._least_costs.could_pay(count)):
            return False
        return self._may_cache and self._costs.cache_pays_for_block(count)

    def _takes_factors(self, name, vectors):
        # the roots are computed at their first use
        if self.strategy == "factors":
            return True
        count = num_vectors(vectors)
        return self._automatic and self._costs.factors_pay(getattr(self, name).plan, count)

    def _product(self, factors, bilinear, vectors):
        rows, single = self.network.check_vectors(vectors)
        product = cached_product(factors, bilinear, rows)
        return product[:, 0] if single else product

    # ---- noise, diagonals and alignment

    @cached_property
    def gradient_factors(self):
        """Gradients of the examples, kept or streamed; the gradient covariance is made of them."""
        if self.strategy == "factors":
            return GradientFactors(self.network, self.theta)
        return gradients_at(self.network, self.theta)

    @cached_property
    def _kept_gradients(self):
        own = self.gradient_factors
        return (
            own if isinstance(own, GradientFactors) else GradientFactors(self.network, self.theta)
        )

    @cached_property
    def _kept_gauss_newton_diagonal(self):
        if self.strategy == "factors":
            return self._cache[0].diagonal
        return self._newton.diagonal(self.network, self._parameters)

    @cached_property
    def _kept_fisher_diagonal(self):
        if self._fisher is self._newton:
            return self._kept_gauss_newton_diagonal
        return self._fisher.diagonal(self.network, self._parameters)

    def noise_curvature(self):
        """Return ``Tr(H Sigma_1)`` and its isotropic counterpart, in total and by layer.

        Returns
        -------
        aniso.matrices.BlockAlignment

        Notes
        -----
        Without a cache this takes N forms ``c^T H c``, one of each centred gradient. A cache is
        formed where it is cheaper than these.
        """
        if self.strategy == "tangents" and not (
            self._may_cache and self._costs.cache_pays_for_forms()
        ):
            return super().noise_curvature()
        gradients = self._kept_gradients
        parts = alignment.from_factors(*self._cache, gradients)
        return alignment.summary(self.network, gradients, self._cache[0].diagonal, *parts)

    # ---- dense matrices

    def hessian(self):
        """Return the Hessian of the mean loss, dense (D, D).

        Raises
        ------
        AllocationRefused
            If D^2 numbers do not fit.
        """
        self._require_dense("Hessian")
        num_bytes = self.network.num_parameters**2 * self.network.dtype.itemsize
        if self.strategy == "factors" or (self._may_cache and self._costs.fits(num_bytes)):
            return dense.dense_matrix(*self._cache)
        return super().hessian()

    def generalized_gauss_newton(self):
        """Return the generalised Gauss-Newton matrix, dense (D, D)."""
        self._require_dense("Gauss-Newton matrix")
        return dense.dense_matrix(self._newton_factors, None)

    def fisher(self):
        """Return the Fisher matrix with the labels of the model itself, dense (D, D)."""
        self._require_dense("Fisher matrix")
        return dense.dense_matrix(self._fisher_factors, None)

    def layer_blocks(self):
        """Return the diagonal blocks H_ll of the Hessian, a tuple of one array (P, P) per layer."""
        blocks = blocks_of(self.network.stack)
        self._require(sum(block.size**2 for block in blocks), "the layers' diagonal blocks")
        if self.strategy == "tangents" and not self._may_cache:
            return super().layer_blocks()
        # within one layer a piecewise-linear network has no second derivative: H_ll = G_ll
        return tuple(dense.layer_matrix(self._cache[0], block) for block in blocks)

    def _require_dense(self, what):
        dimension = self.network.num_parameters
        self._require(dimension**2, f"the dense {what}, {dimension} x {dimension}")

    def hessian_operator(self, num_products=0):
        """Return H as a SciPy `LinearOperator` with block products.

        Parameters
        ----------
        num_products : int
            Number of products to come, if known. The dense matrix is formed first where it fits
            and is cheaper than so many products, from about D/10 on.
        """
        cached = self.strategy == "factors"
        if num_products > 0 and self._costs.dense_pays(
            num_products, cached=cached, may_cache=cached or self._may_cache
        ):
            product = partial(dense.rows_product, self.hessian(), self.network.workers)
            return self._operator(product, "hessian_diagonal")
        return super().hessian_operator()
