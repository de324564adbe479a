"""Parts of a diagnosis of many parameters: one Krylov space of H, and probes beyond it."""

import zlib

import numpy as np

from aniso import checks, memory
from aniso import matrices as mat
from aniso.estimates import Estimate, NotConverged
from aniso.matrices import TraceEstimate, space_traces

REFUSALS = (checks.InputError, NotConverged, memory.AllocationRefused)
"""Errors that refuse a quantity; others are mistakes of the program."""
EIGEN_TOLERANCE = 1e-4
ERROR_OF_TRACE = 2
"""Relative error of Tr H over that of Tr(H Sigma): its spectrum decays less, and 1 % costs more."""
MOST_SHARED = 100
"""Probes that all traces may share; where the alignment needs more, it has probes of its own."""


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


class SpaceParts:
    """Parts that share one Krylov space of H and its probes.

    A subclass has the parts `hessian` and `noise`, and the properties `is_small`, `knows_diagonal`
    and `size`.

    Parameters
    ----------
    at : problems.LocalGeometry
        Of the examples that are used.
    request : Request
    """

    def __init__(self, at, request):
        self.at, self.request, self.parts = at, request, {}

    def rng(self, name):
        """Return the generator of one part, the same whatever else is computed."""
        return np.random.default_rng([self.request.seed, zlib.crc32(name.encode())])

    def _counted(self, found):
        """Return an estimate from the space and its probes with the number of products."""
        spent = self.space.pairs.num_products + space_traces.PILOT_PROBES + found.num_samples
        inside = self.space.dimension
        value, error, number = found.value, found.standard_error, found.num_samples
        return TraceEstimate(value, error, number, num_pairs=inside, num_products=spent)

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
    def block_curvatures(self):
        """Tr H_bb of each block, an Estimate."""
        parts = list(self.request.blocks.values())
        return mat.block_traces_beyond(self.space, self.probes[1], parts)


def reached(estimator, *arguments, **options):
    """Return an estimate, also one that missed its target: it carries the error that it has."""
    try:
        return estimator(*arguments, **options)
    except NotConverged as missed:
        found = missed.partial
        if isinstance(found, Estimate) and np.isfinite(found.standard_error):
            return found
        raise
