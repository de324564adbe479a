"""What the quantities of one diagnosis share: each part is computed once, or refused once."""

import zlib
from dataclasses import dataclass

import numpy as np

from aniso import checks, memory
from aniso import matrices as mat
from aniso.arrays import transfer
from aniso.diagnostics.optimizers import OptimizerState
from aniso.estimates import Estimate, NotConverged
from aniso.matrices import TraceEstimate, exact_traces, space_traces
from aniso.problems import local_geometry

REFUSALS = (checks.InputError, NotConverged, memory.AllocationRefused)
"""Errors that refuse a quantity; others are mistakes of the program."""
DENSE_SPECTRUM = 400
"""Largest D whose eigenvalues are all computed."""
EIGEN_TOLERANCE = 1e-4
ERROR_OF_TRACE = 2
"""Relative error of Tr H over that of Tr(H Sigma): its spectrum decays less, and 1 % costs more."""
MOST_SHARED = 100
"""Probes that all traces may share; where the alignment needs more, it has probes of its own."""
# products of an estimate of the alignment, and examples up to which blocks of factors pay
_PRODUCTS_OF_ESTIMATE = 50
_FEW_EXAMPLES = 2000


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


def part(compute):
    """Return a property that computes once, and raises a refusal again at each later use.

    Parameters
    ----------
    compute : callable
        Context -> the part.

    Returns
    -------
    property
    """
    name = compute.__name__

    def get(self):
        if name not in self.parts:
            try:
                self.parts[name] = compute(self), None
            except REFUSALS as error:
                self.parts[name] = None, error
        value, error = self.parts[name]
        if error is not None:
            raise error
        return value

    return property(get, doc=compute.__doc__)


class Context:
    """Parts of a diagnosis at one theta.

    Parameters
    ----------
    at : problems.LocalGeometry
        Of the examples that are used.
    request : Request
    """

    def __init__(self, at, request):
        self.at, self.request, self.parts = at, request, {}
        self.used, self.size = at.problem.num_examples, at.num_parameters

    def rng(self, name):
        """Return the generator of one part, the same whatever else is computed."""
        return np.random.default_rng([self.request.seed, zlib.crc32(name.encode())])

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

    @part
    def example_gradients(self):
        """Gradients of the examples; as an array where that spares passes and fits."""
        found = self.at.example_gradients
        held = found.holds_rows or found.gram is not None or not found.place.is_numpy
        if held or 4 * 8 * self.used * self.size > self.request.memory_budget:
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
            found = reached(
                mat.estimate_alignment,
                self.hessian,
                self.noise,
                self.rng("alignment"),
                relative_error=self.request.relative_error,
                max_products=self.request.max_products,
            )
        return found.scaled(self.correction)

    @part
    def hessian_trace(self):
        """Tr H, an Estimate."""
        if self.knows_blocks:
            return Estimate(self.exact_blocks.hessian_trace, 0.0, 1)
        if self.knows_diagonal:
            return Estimate(exact_traces.significant_trace(self.hessian), 0.0, 1)
        return self._counted(mat.trace_beyond(self.space, self.probes[1]))

    def _counted(self, found):
        """Return an estimate from the space and its probes with the number of products."""
        spent = self.space.pairs.num_products + space_traces.PILOT_PROBES + found.num_samples
        inside = self.space.dimension
        value, error, number = found.value, found.standard_error, found.num_samples
        return TraceEstimate(value, error, number, num_pairs=inside, num_products=spent)

    # ---- curvature of many parameters: one Krylov space, and probes beyond it

    @part
    def space(self):
        """Krylov space of H that holds its leading eigenvectors."""
        count = min(self.request.num_pairs, self.size)
        return mat.leading_space(self.hessian, count, tolerance=EIGEN_TOLERANCE)

    @part
    def probes(self):
        """Probes of the pilot, and as many others as Tr H needs."""
        rng, first = self.rng("probes"), space_traces.FEWEST_PROBES
        drawn = mat.draw_probes(self.hessian, self.space, space_traces.PILOT_PROBES + first, rng)
        pilot, probes = drawn.split(space_traces.PILOT_PROBES)
        if self.knows_diagonal:
            return pilot, probes
        rough = abs(mat.trace_beyond(self.space, pilot).value)
        target = ERROR_OF_TRACE * self.request.relative_error * rough
        wanted = space_traces.probes_for(pilot.variance(), target)
        further = int(min(wanted, self._most_probes)) - first
        if further > 0:
            probes = probes.joined(mat.draw_probes(self.hessian, self.space, further, rng))
        return pilot, probes

    @property
    def _most_probes(self):
        spent = self.space.pairs.num_products + space_traces.PILOT_PROBES
        return max(space_traces.FEWEST_PROBES, self.request.max_products - spent)

    @part
    def shared_alignment(self):
        """Alignment by block from the shared probes; None where these would be too many."""
        parts = list(self.request.blocks.values())
        pilot, probes = self.probes
        both = mat.alignment_beyond(self.space, pilot.joined(probes), self.noise, parts)
        rough, found = both.split(space_traces.PILOT_PROBES)
        target = self.request.relative_error * abs(rough.estimate().value)
        wanted = space_traces.probes_for(float(rough.variances.max()), target)
        if wanted > min(MOST_SHARED, self._most_probes):
            return None
        further = int(wanted) - probes.num_samples
        if further > 0:
            rng = self.rng("alignment")
            drawn = mat.draw_probes(self.hessian, self.space, further, rng)
            found = found.joined(mat.alignment_beyond(self.space, drawn, self.noise, parts))
        return found

    @part
    def pairs(self):
        """Leading eigenpairs of H."""
        if self.is_small:
            return mat.leading_eigenpairs(self.hessian, min(self.request.num_pairs, self.size))
        return self.space.pairs

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

    @part
    def block_curvatures(self):
        """Tr H_bb of each block, an Estimate."""
        parts = list(self.request.blocks.values())
        return mat.block_traces_beyond(self.space, self.probes[1], parts)

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


def reached(estimator, *arguments, **options):
    """Return an estimate, also one that missed its target: it carries the error that it has."""
    try:
        return estimator(*arguments, **options)
    except NotConverged as missed:
        found = missed.partial
        if isinstance(found, Estimate) and np.isfinite(found.standard_error):
            return found
        raise


def positive(name, value):
    """Return a number that a ratio divides by; refuse one that is not positive."""
    if not value > 0:
        raise checks.InputError(f"{name} is {value:.6g}; expected a positive number to divide by")
    return float(value)
