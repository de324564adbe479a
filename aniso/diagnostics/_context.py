"""Parts that the quantities of one diagnosis share: each is computed once, or refused once."""

from dataclasses import dataclass

import numpy as np

from aniso import checks, memory
from aniso import matrices as mat
from aniso.arrays import transfer
from aniso.diagnostics._shared_space import SpaceParts, part, reached
from aniso.diagnostics.optimizers import OptimizerState
from aniso.estimates import Estimate
from aniso.matrices import exact_traces
from aniso.problems import local_geometry

DENSE_SPECTRUM = 400
"""Largest D whose eigenvalues are all computed."""
# products of an estimate of the alignment, and examples up to which blocks of factors pay
_PRODUCTS_OF_ESTIMATE = 50
_FEW_EXAMPLES = 2000
# a quarter of the free memory, where no budget is given
_SHARE_OF_MEMORY = 4


@dataclass(frozen=True)
class Request:
    """Checked arguments of a diagnosis; `num_examples` is N of the whole problem."""

    num_examples: int
    batch_size: int
    replacement: bool
    learning_rate: float | None
    optimizer: OptimizerState | None
    relative_error: float
    num_pairs: int
    max_products: int
    blocks: dict
    memory_budget: int
    seed: int


class Context(SpaceParts):
    """Parts of a diagnosis at one theta.

    Parameters
    ----------
    at : problems.LocalGeometry
        Of the examples that are used.
    request : Request
    """

    def __init__(self, at, request):
        super().__init__(at, request)
        self.used, self.size = at.problem.num_examples, at.num_parameters

    # ---- sizes and factors

    @property
    def correction(self):
        """Factor from the covariance of the used examples to that of all N, without bias."""
        count, used = self.request.num_examples, self.used
        if used == count or used < 2:
            return 1.0
        return used / (used - 1) * (count - 1) / count

    @property
    def batch_factor(self):
        """Factor from the covariance of one example to that of a batch mean."""
        asked = self.request
        return mat.minibatch_scale(
            asked.num_examples, asked.batch_size, replacement=asked.replacement
        )

    @property
    def is_small(self):
        """Whether D products cost no more than estimates of every block."""
        blocks = len(self.request.blocks)
        return self.size <= max(DENSE_SPECTRUM, _PRODUCTS_OF_ESTIMATE * (blocks + 1))

    @property
    def knows_diagonal(self):
        """Whether the Hessian has its diagonal without products."""
        large = self.size > local_geometry.DENSE_DIMENSION
        return large and exact_traces.states(self.at.hessian, "diagonal")

    @property
    def knows_blocks(self):
        """Whether the alignment by block is computed exactly."""
        own = dict(self.at.blocks) == dict(self.request.blocks)
        return self.is_small or (self.knows_diagonal and own and self.used <= _FEW_EXAMPLES)

    # ---- first order

    @part
    def gradient(self):
        """g, shape (D,), float64."""
        return np.asarray(transfer.to_numpy(self.at.gradient), dtype=np.float64)

    @part
    def losses(self):
        """l_i, shape (n,)."""
        host = self.at.problem.on_host()
        return np.asarray(host.losses(transfer.to_numpy(self.at.theta)), dtype=np.float64)

    @property
    def holds_rows(self):
        """Whether the gradients are turned into an array: that spares passes, and fits."""
        found = self.at.example_gradients
        held = found.holds_rows or found.gram is not None or not found.place.is_numpy
        return not held and 4 * 8 * self.used * self.size <= self.request.memory_budget

    @part
    def example_gradients(self):
        """Gradients of the examples; as an array where that spares passes and fits."""
        found = self.at.example_gradients
        if not self.holds_rows:
            return found
        rows = np.asarray(found.rows(0, self.used), dtype=np.float64)
        return mat.example_gradients(checks.frozen(rows))

    @part
    def noise(self):
        """Sigma_1 of the used examples."""
        return mat.gradient_covariance(self.example_gradients)

    @part
    def covariance_trace(self):
        """Tr Sigma_1, for all N examples."""
        return exact_traces.significant_trace(self.noise) * self.correction

    @property
    def batch_trace(self):
        """Tr S, of a batch mean."""
        return self.covariance_trace * self.batch_factor

    # ---- curvature

    @part
    def hessian(self):
        """H: the dense matrix of few parameters, else the operator."""
        return self.at.hessian.to_dense() if self.is_small else self.at.hessian

    @part
    def hessian_gradient(self):
        """H g, shape (D,)."""
        return np.asarray(transfer.to_numpy(self.hessian @ self.gradient), dtype=np.float64)

    @property
    def gradient_curvature(self):
        """``g^T H g``."""
        return float(self.gradient @ self.hessian_gradient)

    @part
    def exact_blocks(self):
        """Exact traces and alignment by block, for the used examples."""
        if self.is_small:
            return mat.alignment_by_block(self.hessian, self.noise, self.request.blocks)
        return self.at.by_block()

    @part
    def alignment(self):
        """Tr(H Sigma_1), an Estimate for all N examples."""
        if self.knows_blocks:
            found = Estimate(self.exact_blocks.alignment, 0.0, 1)
        elif self.shared_alignment is not None:
            found = self._counted(self.shared_alignment.estimate())
        else:
            found = self.own_alignment
        return found.scaled(self.correction)

    @part
    def own_alignment(self):
        """Tr(H Sigma_1) of the used examples from probes and directions of its own."""
        return reached(
            mat.estimate_alignment,
            self.hessian,
            self.noise,
            self.rng("alignment"),
            relative_error=self.request.relative_error,
            max_products=self.request.max_products,
        )

    @part
    def hessian_trace(self):
        """Tr H, an Estimate."""
        if self.knows_blocks:
            return Estimate(self.exact_blocks.hessian_trace, 0.0, 1)
        if self.knows_diagonal:
            return Estimate(exact_traces.significant_trace(self.hessian), 0.0, 1)
        return self._counted(mat.trace_beyond(self.space, self.probes[1]))

    @part
    def leading(self):
        """Leading eigenvalue, which is positive, and its vector."""
        value = float(self.pairs.values[0])
        if not value > 0:
            raise checks.InputError(
                f"the largest eigenvalue of H is {value:.6g}; expected a positive one: the "
                "quantity divides by it"
            )
        return value, self.pairs.vectors[:, 0]

    # ---- spectrum

    @part
    def eigenvalues(self):
        """All eigenvalues of H of few parameters, the leading ones of many."""
        if self.is_small:
            return np.linalg.eigvalsh(self.hessian)[::-1]
        return self.pairs.values

    @part
    def density(self):
        """Spectral density of H, a matrices.SpectralDensity."""
        if self.is_small:
            return mat.density_of_eigenvalues(self.eigenvalues)
        return mat.lanczos_quadrature(
            self.hessian,
            num_probes=PROBES_OF_DENSITY,
            num_steps=min(STEPS_OF_DENSITY, self.size),
            rng=self.rng("density"),
        )


PROBES_OF_DENSITY, STEPS_OF_DENSITY = 8, 80


def checked_budget(problem, memory_budget):
    """Return the bytes for gradients of examples, a quarter of the free memory if not given.

    Raises
    ------
    InputError
        If it is no integer above 0.
    """
    if memory_budget is None:
        # the same on all processes that share a problem
        least = getattr(problem, "least", int)
        memory_budget = least(memory.available_bytes() // _SHARE_OF_MEMORY)
    return checks.integer("memory_budget", memory_budget, low=1)


def positive(name, value):
    """Return a number that a ratio divides by; refuse one that is not positive."""
    if not value > 0:
        raise checks.InputError(f"{name} is {value:.6g}; expected a positive number to divide by")
    return float(value)
