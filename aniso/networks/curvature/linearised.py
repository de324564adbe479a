"""A network linearised at one theta: cached factors behind every second-order quantity."""

from functools import cached_property, partial

import numpy as np

from aniso import checks, memory
from aniso.arrays import functions
from aniso.networks.curvature import (
    alignment,
    diagonals,
    factor_cache,
    gauss_newton,
    tangent_products,
)
from aniso.networks.curvature import (
    dense as dense_gauss_newton,
)
from aniso.networks.curvature.cache_plan import cache_bytes
from aniso.networks.curvature.cross_layer_assembly import Assembly
from aniso.networks.curvature.operators import SymmetricOperator
from aniso.networks.gradients.kept import GradientFactors
from aniso.networks.gradients.streamed import gradients_at
from aniso.networks.parameter_blocks import blocks_of

# tangents pass through activations and small products, factors through a few large products
_TANGENTS_OVERHEAD = 2
# vectors that pass through the cached factors together: more would only take more memory
_TOGETHER = 256


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

    def __init__(self, network, theta, strategy="auto", num_products=100):
        checks.one_of("strategy", strategy, ["auto", "factors", "tangents"])
        self._automatic = strategy == "auto"
        self.network, self.theta = network, network.held_theta(theta)
        self._outputs = network.outputs(self.theta)
        hessians = network.output_loss.hessian(self._outputs, network.targets)
        slopes = network.output_loss.gradient(self._outputs, network.targets)
        self.loss = float(np.mean(network.output_loss(self._outputs, network.targets)))
        # examples whose loss is flat in the outputs contribute to no second derivative
        active = hessians.any(axis=(1, 2)) | slopes.any(axis=1)
        active[0] |= not active.any()  # an empty cache would need its own code
        self._active = np.flatnonzero(active)
        self._factors = gauss_newton.matrix_factors(hessians[self._active])
        self._assembly = Assembly(network, network.stack)
        self._plan = gauss_newton.plan(network.stack, self._factors.shape[2], len(self._active))
        self._fits = self._serves_forms = False
        self.strategy = self._chosen(strategy, num_products)

    # ---- what it will take

    @property
    def num_bytes(self):
        """Bytes of the cached factors, whether they have been formed or not."""
        return cache_bytes(self.network, self._plan, self._assembly)[0]

    @property
    def peak_bytes(self):
        """Bytes of the factors and of the work space while they are formed."""
        return cache_bytes(self.network, self._plan, self._assembly)[1]

    def _chosen(self, strategy, num_products):
        if strategy == "tangents":
            return strategy
        network, assembly = self.network, self._assembly
        if not assembly.supported:
            if strategy == "factors":
                raise checks.InputError(
                    "strategy='factors' needs a piecewise-linear network of dense, convolution, "
                    "max pooling and activation layers, without Winograd's filtering and without a "
                    "third convolution above two others; use strategy='tangents'"
                )
            return "tangents"
        budget = network.memory_budget
        if strategy == "factors":
            memory.require(
                self.peak_bytes, "the cached factors", "use strategy='tangents'", budget=budget
            )
            return strategy
        if self.peak_bytes > self._memory_limit():
            return "tangents"
        self._fits, self._serves_forms = True, self._preparation < self._forms
        pays = self._cached_costs(num_products) < self._tangent_costs(num_products)
        return "factors" if pays else "tangents"

    def _memory_limit(self):
        budget = self.network.memory_budget
        return 0.9 * memory.available_bytes() if budget is None else budget

    # multiplications of all examples that contribute

    @property
    def _preparation(self):
        # the cross-layer blocks
        return self._assembly.multiplications() * len(self._active)

    @property
    def _forms(self):
        # a form is half a product; there is one of each gradient and one of its part in each layer
        network = self.network
        count = network.num_examples * (1 + len(network.stack.parameterised)) / 2
        return count * network.product_multiplications() * len(self._active)

    def _tangent_costs(self, num_vectors):
        tangents = self.network.product_multiplications() * len(self._active)
        return _TANGENTS_OVERHEAD * num_vectors * tangents

    def _cached_costs(self, num_vectors):
        product = self._plan.multiplications() + 2 * self._assembly.num_entries()
        return num_vectors * product + self._preparation

    def _filling(self, plan):
        # a forward pass, one back for each column of the factors, and their parameters
        return (1 + 2 * plan.rank) * self.network.forward_multiplications() * plan.num_rows

    def _block_pays(self, vectors):
        """Whether factors that are not kept yet pay for one block of vectors."""
        count = _num_vectors(vectors)
        if not self._fits or self.peak_bytes + self._block_bytes(count) > self._memory_limit():
            return False
        costs = self._cached_costs(count) + self._filling(self._plan)
        return costs < self._tangent_costs(count)

    def _gauss_newton_pays(self, plan, vectors):
        """The same of a Gauss-Newton matrix alone, whose factors smooth networks have too."""
        count = _num_vectors(vectors)
        held = plan.num_entries() * self.network.dtype.itemsize + self._block_bytes(count)
        if held > self._memory_limit():
            return False
        costs = count * plan.multiplications() + self._filling(plan)
        return costs < self._tangent_costs(count)

    def _block_bytes(self, num_vectors):
        together = min(num_vectors, _TOGETHER)
        item, dimension = self.network.dtype.itemsize, self.network.num_parameters
        return (4 + self.network.workers.num_threads) * together * dimension * item

    # ---- the cache

    @cached_property
    def _part(self):
        """The network on the examples that contribute."""
        every = len(self._active) == self.network.num_examples
        return self.network if every else self.network.subset(self._active)

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
        if self.strategy == "factors":
            return self._cached_product(*self._cache, vectors)
        if self._block_pays(vectors):
            return self._with_factors.hessian_product(vectors)
        return tangent_products.hessian_product(self.network, self.theta, vectors)

    def generalized_gauss_newton_product(self, vectors):
        """``G V`` for vectors (D,) or (D, K), the same shape."""
        if self._chooses_factors(self._plan, vectors):
            return self._cached_product(self._cache[0], None, vectors)
        return tangent_products.gauss_newton_product(self.network, self.theta, vectors)

    def fisher_product(self, vectors):
        """``F V``, F the Fisher matrix with the model's own labels, vectors (D,) or (D, K)."""
        if self._fisher_is_gauss_newton:
            return self.generalized_gauss_newton_product(vectors)
        if self._chooses_factors(self._fisher_plan, vectors):
            return self._cached_product(self._fisher_cache, None, vectors)
        return tangent_products.fisher_product(self.network, self.theta, vectors)

    def quadratic_forms(self, vectors):
        """``v^T H v`` for vectors (D,) or (D, K): float or (K,), in double precision."""
        if self.strategy == "tangents" and not self._block_pays(vectors):
            return tangent_products.forms(self.network, self.theta, vectors)
        rows, single = self.network.check_vectors(vectors)
        products = self.hessian_product(rows.T)
        forms = functions.inner_products(rows, np.ascontiguousarray(products.T))
        return float(forms[0]) if single else forms

    def _chooses_factors(self, plan, vectors):
        if self.strategy == "factors":
            return True
        return self._automatic and self._gauss_newton_pays(plan, vectors)

    @cached_property
    def _fisher_is_gauss_newton(self):
        loss, outputs = self.network.output_loss, self._outputs
        hessians = loss.hessian(outputs, self.network.targets)
        return np.array_equal(loss.fisher_information(outputs), hessians)

    @cached_property
    def _fisher_factors(self):
        information = self.network.output_loss.fisher_information(self._outputs)
        return gauss_newton.matrix_factors(information)

    @property
    def _fisher_plan(self):
        count, _, rank = self._fisher_factors.shape
        return gauss_newton.plan(self.network.stack, rank, count)

    @cached_property
    def _fisher_cache(self):
        network, plan = self.network, self._fisher_plan
        self._require(plan.num_entries(), "the cached factors of the Fisher matrix")
        empty = gauss_newton.GaussNewton(network, plan, network.num_examples)
        filled, _ = factor_cache.form_cache(
            network, self._parameters, self._fisher_factors, empty, None
        )
        return filled

    def _cached_product(self, factors, bilinear, vectors):
        rows, single = self.network.check_vectors(vectors)
        parts = [
            self._product_of_block(
                factors, bilinear, np.ascontiguousarray(rows[i : i + _TOGETHER].T)
            )
            for i in range(0, len(rows), _TOGETHER)
        ]
        total = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return total[:, 0] if single else total

    def _product_of_block(self, factors, bilinear, vectors):
        tasks = [
            lambda part=part: factors.product_of(part, vectors) for part in factors.row_blocks()
        ]
        if bilinear is not None:
            tasks.append(lambda: self.network.num_examples * bilinear.product(vectors))
        total = self.network.workers.sum(_call, tasks)
        total /= self.network.num_examples
        return total

    # ---- first order and noise

    @cached_property
    def gradient_factors(self):
        """Per-example gradients, as factors beside the cached ones, else by which is cheaper.

        :mod:`aniso.matrices.network_noise` makes Sigma of them.
        """
        if self.strategy == "factors":
            return GradientFactors(self.network, self.theta)
        return gradients_at(self.network, self.theta)

    @property
    def gradient(self):
        """Gradient of the mean loss, (D,), a copy of what is kept."""
        return self._gradient.copy()

    @cached_property
    def _gradient(self):
        return self.network.gradient(self.theta)

    # ---- diagonals and traces

    @property
    def generalized_gauss_newton_diagonal(self):
        """Diagonal of G, (D,), accumulated in double precision; a copy of what is kept."""
        return self._kept_gauss_newton_diagonal.copy()

    @cached_property
    def _kept_gauss_newton_diagonal(self):
        if self.strategy == "factors":
            return self._cache[0].diagonal
        return self._gauss_newton_diagonal(self._factors)

    def _gauss_newton_diagonal(self, factors):
        part = self._part
        diagonal = diagonals.gauss_newton_diagonal(part, self._parameters, factors)
        return diagonal * (part.num_examples / self.network.num_examples)

    @property
    def hessian_diagonal(self):
        """Diagonal of H, (D,): that of G where the network is piecewise linear; a copy."""
        return self._kept_hessian_diagonal.copy()

    @cached_property
    def _kept_hessian_diagonal(self):
        diagonal = self._kept_gauss_newton_diagonal
        if self.network.stack.piecewise_linear:
            return diagonal
        return diagonal + diagonals.activation_diagonal(self.network, self._parameters)

    @property
    def fisher_diagonal(self):
        """Diagonal of F, (D,), accumulated in double precision; a copy of what is kept."""
        return self._kept_fisher_diagonal.copy()

    @cached_property
    def _kept_fisher_diagonal(self):
        if self._fisher_is_gauss_newton:
            return self.generalized_gauss_newton_diagonal
        return diagonals.gauss_newton_diagonal(self.network, self._parameters, self._fisher_factors)

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
            parts = alignment.from_factors(*self._cache, self.gradient_factors)
        else:
            parts = alignment.from_forms(self.network, self.theta, self.gradient_factors)
        return alignment.summary(self.network, self.gradient_factors, self.hessian_diagonal, *parts)

    # ---- dense matrices

    def hessian(self):
        """Hessian of the mean loss, dense (D, D).

        Raises
        ------
        AllocationRefused
            If D^2 numbers do not fit.
        """
        self._require_dense("Hessian")
        if self.strategy == "factors":
            return dense_gauss_newton.dense_matrix(*self._cache)
        dimension, item = self.network.num_parameters, self.network.dtype.itemsize
        if self._fits and dimension**2 * item + self.peak_bytes <= self._memory_limit():
            return self._with_factors.hessian()
        self._require(
            3 * dimension**2, f"the dense Hessian, {dimension} x {dimension}, and its tangents"
        )
        identity = np.eye(dimension, dtype=self.network.dtype)
        return tangent_products.hessian_product(self.network, self.theta, identity)

    def generalized_gauss_newton(self):
        """Generalised Gauss-Newton matrix, dense (D, D)."""
        self._require_dense("Gauss-Newton matrix")
        return dense_gauss_newton.dense_matrix(self._cache[0], None)

    def fisher(self):
        """Fisher matrix with the model's own labels, dense (D, D)."""
        if self._fisher_is_gauss_newton:
            return self.generalized_gauss_newton()
        self._require_dense("Fisher matrix")
        return dense_gauss_newton.dense_matrix(self._fisher_cache, None)

    def layer_blocks(self):
        """Diagonal blocks H_ll of the Hessian, one dense array for each layer with parameters."""
        blocks = blocks_of(self.network.stack)
        self._require(sum(block.size**2 for block in blocks), "the layers' diagonal blocks")
        if self.strategy == "factors":
            # within one layer a piecewise-linear network has no second derivative: H_ll = G_ll
            factors = self._cache[0]
            return tuple(dense_gauss_newton.layer_matrix(factors, block) for block in blocks)
        if self._fits:
            return self._with_factors.layer_blocks()
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
            "use hessian_product or the operators, which need no such array",
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
        return self._operator(self.fisher_product, partial(getattr, self, "fisher_diagonal"))

    def _operator(self, product, diagonal):
        dimension = self.network.num_parameters
        return SymmetricOperator(product, dimension, self.network.dtype, diagonal)


def _call(task):
    return task()


def _num_vectors(vectors):
    return np.shape(vectors)[1] if np.ndim(vectors) == 2 else 1


def _rows_product(matrix, workers, vectors):
    step = max(1, -(-len(matrix) // 16))
    parts = [slice(i, i + step) for i in range(0, len(matrix), step)]
    return np.concatenate(workers.map(lambda part: matrix[part] @ vectors, parts))
