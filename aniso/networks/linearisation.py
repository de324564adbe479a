"""A network linearised at one theta: cached factors behind every second-order quantity."""

from functools import cached_property, partial

import numpy as np

from aniso import checks, memory
from aniso.networks import (
    dense_gauss_newton,
    diagonals,
    factor_cache,
    gauss_newton,
    noise_curvature,
)
from aniso.networks.bilinear_assembly import Assembly
from aniso.networks.cache_plan import cache_bytes
from aniso.networks.gradient_factors import GradientFactors
from aniso.networks.operators import SymmetricOperator
from aniso.networks.parameter_blocks import blocks_of
from aniso.networks.streamed_gradients import gradients_at

# a cache that takes longer to form than this many products save is not formed
_PRODUCTS_AT_ONE_THETA = 100
# tangents pass through activations and small products, factors through a few large products
_TANGENTS_OVERHEAD = 2


class Linearisation:
    """Second-order quantities of a network at fixed parameters.

    Made by :meth:`aniso.networks.Network.linearise`. Where the network is piecewise linear, a
    product ``H v`` is the Gauss-Newton product on cached per-example factors plus one cached
    cross-layer matrix; otherwise, or where the factors do not fit into the memory budget, it is a
    pass of tangents over chunks of the data.

    Attributes
    ----------
    network : Network
    theta : ndarray, shape (D,)
    strategy : {"factors", "tangents"}
        How Hessian products are formed.
    """

    def __init__(self, network, theta, strategy="auto"):
        checks.one_of("strategy", strategy, ["auto", "factors", "tangents"])
        self.network, self.theta = network, network.check_theta(theta)
        self._outputs = network.outputs(self.theta)
        hessians = network.output_loss.hessian(self._outputs, network.targets)
        slopes = network.output_loss.gradient(self._outputs, network.targets)
        self.loss = float(np.mean(network.output_loss(self._outputs, network.targets)))
        # examples whose loss is flat in the outputs contribute to no second derivative
        active = hessians.any(axis=(1, 2)) | slopes.any(axis=1)
        active[0] |= not active.any()  # an empty cache would need its own code
        self._active = np.flatnonzero(active)
        self._part = network if active.all() else network.subset(self._active)
        self._factors = gauss_newton.matrix_factors(hessians[self._active])
        self._assembly = Assembly(network, network.stack)
        self._plan = gauss_newton.plan(network.stack, self._factors.shape[2], len(self._active))
        self._fits = self._serves_forms = False
        self.strategy = self._chosen(strategy)

    # ---- what it will take

    @property
    def num_bytes(self):
        """Bytes of the cached factors, whether they have been formed or not."""
        return cache_bytes(self.network, self._plan, self._assembly)[0]

    @property
    def peak_bytes(self):
        """Bytes of the factors and of the work space while they are formed."""
        return cache_bytes(self.network, self._plan, self._assembly)[1]

    def _chosen(self, strategy):
        if strategy == "tangents":
            return strategy
        network, assembly = self.network, self._assembly
        if not assembly.supported:
            if strategy == "factors":
                raise checks.InputError(
                    "strategy='factors' needs a piecewise-linear network without a third "
                    "convolution above two others; use strategy='tangents'"
                )
            return "tangents"
        budget = network.memory_budget
        if strategy == "factors":
            memory.require(
                self.peak_bytes, "the cached factors", "use strategy='tangents'", budget=budget
            )
            return strategy
        limit = 0.9 * memory.available_bytes() if budget is None else budget
        if self.peak_bytes > limit:
            return "tangents"
        tangents = network.product_multiplications() * len(self._active)
        preparation = assembly.multiplications() * len(self._active)
        # a form is half a product; there is one of each gradient and one of its part in each layer
        forms = network.num_examples * (1 + len(network.stack.parameterised)) * tangents / 2
        self._fits, self._serves_forms = True, preparation < forms
        cached = self._plan.multiplications() + 2 * assembly.num_entries()
        cached += preparation / _PRODUCTS_AT_ONE_THETA
        return "factors" if cached < _TANGENTS_OVERHEAD * tangents else "tangents"

    # ---- the cache

    @cached_property
    def _cache(self):
        """Gauss-Newton factors and, for strategy "factors", the bilinear matrix."""
        network, part, assembly = self.network, self._part, self._assembly
        with_bilinear = self.strategy == "factors"
        budget = network.memory_budget
        memory.require(
            self.peak_bytes if with_bilinear else self.num_bytes,
            "the cached factors of the linearisation",
            "use the products, which need no cache under strategy='tangents'",
            budget=budget,
        )
        return factor_cache.form_cache(
            part,
            self._parameters,
            self._factors,
            gauss_newton.GaussNewton(network, self._plan, network.num_examples),
            assembly if with_bilinear else None,
        )

    @cached_property
    def _with_factors(self):
        """The same with factors, for what takes many products."""
        return Linearisation(self.network, self.theta, "factors")

    def prepare(self):
        """Form the cache now; otherwise the first quantity that needs it does."""
        if self.strategy == "factors":
            self._cache  # noqa: B018
        return self

    # ---- products

    def hessian_product(self, vectors):
        """``H V`` for vectors (D,) or (D, K), the same shape."""
        if self.strategy == "tangents":
            return self.network.hessian_product(self.theta, vectors)
        return self._cached_product(vectors, with_bilinear=True)

    def generalized_gauss_newton_product(self, vectors):
        """``G V`` for vectors (D,) or (D, K), the same shape."""
        if self.strategy == "tangents":
            return self.network.generalized_gauss_newton_product(self.theta, vectors)
        return self._cached_product(vectors, with_bilinear=False)

    def fisher_product(self, vectors):
        """``F V``, F the Fisher matrix with the model's own labels, vectors (D,) or (D, K)."""
        if self._fisher_is_gauss_newton:
            return self.generalized_gauss_newton_product(vectors)
        return self.network.fisher_product(self.theta, vectors)

    @cached_property
    def _fisher_is_gauss_newton(self):
        loss, outputs = self.network.output_loss, self._outputs
        hessians = loss.hessian(outputs, self.network.targets)
        return np.array_equal(loss.fisher_information(outputs), hessians)

    def _cached_product(self, vectors, with_bilinear):
        rows, single = self.network.check_vectors(vectors)
        vectors = np.ascontiguousarray(rows.T)
        factors, bilinear = self._cache
        tasks = [
            lambda part=part: factors.product_of(part, vectors) for part in factors.row_blocks()
        ]
        if with_bilinear:
            tasks.append(lambda: self.network.num_examples * bilinear.product(vectors))
        total = self.network.workers.sum(_call, tasks)
        total /= self.network.num_examples
        return total[:, 0] if single else total

    # ---- first order and noise

    @cached_property
    def gradient_factors(self):
        """Per-example gradients, as factors beside the cached ones, else by which is cheaper.

        :mod:`aniso.network_noise` makes Sigma of them.
        """
        if self.strategy == "factors":
            return GradientFactors(self.network, self.theta)
        return gradients_at(self.network, self.theta)

    @cached_property
    def gradient(self):
        """Gradient of the mean loss, (D,)."""
        return self.network.gradient(self.theta)

    # ---- diagonals and traces

    @cached_property
    def generalized_gauss_newton_diagonal(self):
        """Diagonal of G, (D,), accumulated in double precision."""
        if self.strategy == "factors":
            return self._cache[0].diagonal
        return self._gauss_newton_diagonal(self._factors)

    def _gauss_newton_diagonal(self, factors):
        part = self._part
        diagonal = diagonals.gauss_newton_diagonal(part, self._parameters, factors)
        return diagonal * (part.num_examples / self.network.num_examples)

    @cached_property
    def hessian_diagonal(self):
        """Diagonal of H, (D,): that of G where the network is piecewise linear."""
        diagonal = self.generalized_gauss_newton_diagonal
        if self.network.stack.piecewise_linear:
            return diagonal
        return diagonal + diagonals.activation_diagonal(self.network, self._parameters)

    def hessian_trace(self):
        """``Tr H``, exact."""
        return float(self.hessian_diagonal.sum())

    def generalized_gauss_newton_trace(self):
        """``Tr G``, exact."""
        return float(self.generalized_gauss_newton_diagonal.sum())

    @property
    def _parameters(self):
        return self.network.stack.unpacked(self.theta)

    # ---- alignment of curvature and noise

    def noise_curvature(self):
        """``Tr(H Sigma_1)`` and its isotropic counterpart, in total and by layer.

        Returns
        -------
        NoiseCurvature

        Notes
        -----
        Where single products are cheaper without factors, but N forms are not, factors are formed
        for this.
        """
        if self._serves_forms and self.strategy == "tangents":
            return self._with_factors.noise_curvature()
        if self.strategy == "factors":
            parts = noise_curvature.from_factors(*self._cache, self.gradient_factors)
        else:
            parts = noise_curvature.from_forms(self.network, self.theta, self.gradient_factors)
        return noise_curvature.summary(
            self.network, self.gradient_factors, self.hessian_diagonal, *parts
        )

    # ---- dense matrices

    def hessian(self):
        """Hessian of the mean loss, dense (D, D).

        Raises
        ------
        AllocationRefused
            If D^2 numbers do not fit.
        """
        self._require_dense("Hessian")
        if self._fits and self.strategy == "tangents":
            return self._with_factors.hessian()
        if self.strategy == "tangents":
            return self.network.hessian(self.theta)
        return dense_gauss_newton.dense_matrix(*self._cache)

    def generalized_gauss_newton(self):
        """Generalised Gauss-Newton matrix, dense (D, D)."""
        self._require_dense("Gauss-Newton matrix")
        return dense_gauss_newton.dense_matrix(self._cache[0], None)

    def fisher(self):
        """Fisher matrix with the model's own labels, dense (D, D)."""
        if self._fisher_is_gauss_newton:
            return self.generalized_gauss_newton()
        self._require_dense("Fisher matrix")
        return self.fisher_product(np.eye(self.network.num_parameters))

    def layer_blocks(self):
        """Diagonal blocks H_ll of the Hessian, one dense array for each layer with parameters."""
        blocks = blocks_of(self.network.stack)
        self._require(sum(block.size**2 for block in blocks), "the layers' diagonal blocks")
        if self.strategy == "factors":
            # within one layer a piecewise-linear network has no second derivative: H_ll = G_ll
            factors = self._cache[0]
            return tuple(dense_gauss_newton.layer_matrix(factors, block) for block in blocks)
        result = []
        for block in blocks:
            columns = np.zeros((self.network.num_parameters, block.size), self.network.dtype)
            columns[np.arange(block.whole.start, block.whole.stop), np.arange(block.size)] = 1
            result.append(self.hessian_product(columns)[block.whole])
        return tuple(result)

    def _require_dense(self, what):
        dimension = self.network.num_parameters
        self._require(dimension**2, f"the dense {what}, {dimension} x {dimension}")

    def _require(self, entries, what):
        memory.require(
            entries * self.network.dtype.itemsize,
            what,
            "use the operator, which needs no such array",
            budget=self.network.memory_budget,
        )

    # ---- operators

    def hessian_operator(self, num_products=0):
        """H as a SciPy `LinearOperator` with block products.

        Parameters
        ----------
        num_products : int
            How many products are to come, if known: from about D/10 on, the dense matrix is formed
            first where it fits and is cheaper than that many structured products.
        """
        if self._dense_pays(num_products):
            product = partial(_rows_product, self.hessian(), self.network.workers)
            return self._operator(product, partial(getattr, self, "hessian_diagonal"))
        return self._operator(self.hessian_product, partial(getattr, self, "hessian_diagonal"))

    def _dense_pays(self, num_products):
        network, dimension = self.network, self.network.num_parameters
        budget = network.memory_budget
        limit = 0.5 * memory.available_bytes() if budget is None else budget
        if dimension**2 * network.dtype.itemsize + self.peak_bytes > limit:
            return False
        if self.strategy == "tangents" and not self._fits:
            return num_products > dimension
        structured = self._plan.multiplications() + 2 * self._assembly.num_entries()
        if self.strategy == "tangents":
            structured = network.product_multiplications() * len(self._active)
        dense = self._plan.dense_multiplications()
        return num_products * (structured - dimension**2) > dense

    def generalized_gauss_newton_operator(self):
        """G as a SciPy `LinearOperator`."""
        return self._operator(
            self.generalized_gauss_newton_product,
            partial(getattr, self, "generalized_gauss_newton_diagonal"),
        )

    def fisher_operator(self):
        """F as a SciPy `LinearOperator`."""
        return self._operator(self.fisher_product, None)

    def _operator(self, product, diagonal):
        dimension = self.network.num_parameters
        return SymmetricOperator(product, dimension, self.network.dtype, diagonal)


def _call(task):
    return task()


def _rows_product(matrix, workers, vectors):
    step = max(1, -(-len(matrix) // 16))
    parts = [slice(i, i + step) for i in range(0, len(matrix), step)]
    return np.concatenate(workers.map(lambda part: matrix[part] @ vectors, parts))
