"""Traces of curvature, alone and with noise, by block: a Krylov space exactly, the rest by probes.

With ``A = V S V^T + R``, ``R = Q A Q`` (see :mod:`aniso.matrices.krylov_space`) and random
signs z, for each block b of parameters,

    Tr A_bb            = sum of (V_b^T V_b) * S            + E[z_b . (R z)_b]
    Tr(A_bb Sigma_bb)  = sum of (V_b^T Sigma_bb V_b) * S   + E[z_b^T Sigma_bb (R z)_b]

One product of A and one pass over the gradients serve all blocks and the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks, memory
from aniso.estimates import Estimate
from aniso.matrices import operands
from aniso.matrices.block_compressions import compressions
from aniso.matrices.stochastic_traces import rademacher
from aniso.matrices.trace_estimate import TraceEstimate

if TYPE_CHECKING:
    from aniso.matrices.factored import FactoredCovariance
    from aniso.matrices.krylov_space import LeadingSpace
    from aniso.typing import Array, Operator


PILOT_PROBES = 4
FEWEST_PROBES = 8
"""Probes of the final draw: of fewer the standard error would be too uncertain."""
# planned variance over the wanted one, so that the standard error rarely misses its target
MARGIN = 2.0
_TOGETHER = 8


@dataclass(frozen=True, repr=False)
class Probes:
    """Random signs z in R^D, and ``R z = Q A Q z`` beyond a leading space of A.

    Attributes
    ----------
    signs : ndarray of int8, shape (D, P)
    images : ndarray, shape (D, P)
    """

    signs: np.ndarray
    images: np.ndarray

    @property
    def num_samples(self) -> int:
        """P."""
        return self.signs.shape[1]

    def forms(self, part: Any = slice(None)) -> Array:
        """``z_b . (R z)_b`` of each probe for the block b, shape (P,)."""
        return np.einsum("ij,ij->j", self.signs[part], self.images[part], dtype=np.float64)

    def variance(self) -> float:
        """Variance of a sample of Tr R, from the variances of the entries ``z_i (R z)_i``."""
        return 2 * float(np.sum(np.var(self.signs * self.images, axis=1, ddof=1, dtype=np.float64)))

    def split(self, count: int) -> tuple[Probes, Probes]:
        """Return the first probes, so many, and the others."""
        return (
            Probes(self.signs[:, :count], self.images[:, :count]),
            Probes(self.signs[:, count:], self.images[:, count:]),
        )

    def joined(self, others: Probes) -> Probes:
        """Return these probes and others after them."""
        return Probes(
            np.hstack([self.signs, others.signs]), np.hstack([self.images, others.images])
        )


def draw_probes(
    matrix: Array | Operator, space: LeadingSpace, num_probes: int, rng: np.random.Generator
) -> Probes:
    """Draw random signs and multiply them beyond a leading space.

    Parameters
    ----------
    matrix : ndarray (D, D) or LinearOperator
        A, the matrix of the space.
    space : LeadingSpace
    num_probes : int
        P.
    rng : numpy.random.Generator

    Returns
    -------
    Probes

    Raises
    ------
    InputError
        If a product is not finite.
    AllocationRefused
        If the probes do not fit.

    Notes
    -----
    P products of A, in blocks of eight.
    """
    size = len(space.vectors)
    memory.require(
        size * (9 * num_probes + 3 * 8 * _TOGETHER), f"{num_probes} probes", "lower max_products"
    )
    signs = rademacher(rng, (num_probes, size)).astype(np.int8).T
    images = np.empty((size, num_probes), space.vectors.dtype, order="F")
    for start in range(0, num_probes, _TOGETHER):
        some = slice(start, min(start + _TOGETHER, num_probes))
        outside = space.outside(signs[:, some].astype(images.dtype))
        products = np.asarray(matrix @ outside, images.dtype)
        images[:, some] = space.outside(operands.finite_products(products))
    return Probes(signs, images)


def probes_for(variance, target):
    """Return how many probes bring the standard error below a target, with a margin; float."""
    if variance == 0:
        return float(FEWEST_PROBES)
    return max(FEWEST_PROBES, math.ceil(MARGIN * variance / target**2)) if target > 0 else math.inf


def trace_beyond(space: LeadingSpace, probes: Probes) -> TraceEstimate:
    """Estimate ``Tr A`` from a leading space and probes beyond it.

    Parameters
    ----------
    space : LeadingSpace
    probes : Probes

    Returns
    -------
    TraceEstimate
        Without the number of products; unbiased.

    Examples
    --------
    >>> from aniso.matrices.krylov_space import leading_space
    >>> matrix = np.diag([4.0, 2.0, 1.0])
    >>> space = leading_space(matrix, 1)
    >>> probes = draw_probes(matrix, space, 8, np.random.default_rng(0))
    >>> round(trace_beyond(space, probes).value, 12)
    7.0
    """
    inside = float(np.trace(space.coupling))
    return TraceEstimate(
        inside + float(probes.forms().mean()),
        math.sqrt(probes.variance() / probes.num_samples),
        probes.num_samples,
        inside,
        space.dimension,
    )


def block_traces_beyond(
    space: LeadingSpace, probes: Probes, parts: Sequence[slice]
) -> list[Estimate]:
    """Estimate ``Tr A_bb`` of each block b.

    Parameters
    ----------
    space : LeadingSpace
    probes : Probes
    parts : sequence of slice

    Returns
    -------
    list of Estimate
        Unbiased, and dependent: all blocks share the probes.
    """
    made = []
    for part in parts:
        vectors = space.vectors[part]
        inside = float(np.sum((vectors.T @ vectors) * space.coupling, dtype=np.float64))
        rest = Estimate.from_samples(probes.forms(part))
        made.append(Estimate(inside + rest.value, rest.standard_error, rest.num_samples))
    return made


@dataclass(frozen=True, repr=False)
class SpaceAlignment:
    """Alignment ``Tr(A Sigma)`` by block and of the whole, with the samples of its rest.

    Attributes
    ----------
    inside : ndarray, shape (B + 1,)
        Exact part of each block, of the whole last.
    samples : ndarray, shape (B + 1, P)
        Unbiased samples of the rest, from the same probes in each row.
    """

    inside: np.ndarray
    samples: np.ndarray

    def split(self, count: int) -> tuple[SpaceAlignment, SpaceAlignment]:
        """Return the same from the first samples, so many, and from the others."""
        return (
            SpaceAlignment(self.inside, self.samples[:, :count]),
            SpaceAlignment(self.inside, self.samples[:, count:]),
        )

    def joined(self, others: SpaceAlignment) -> SpaceAlignment:
        """Return the same with further samples."""
        return SpaceAlignment(self.inside, np.hstack([self.samples, others.samples]))

    def estimate(self, index: int = -1) -> Estimate:
        """Return the Estimate of one block, or of the whole."""
        rest = Estimate.from_samples(self.samples[index])
        return Estimate(rest.value + self.inside[index], rest.standard_error, rest.num_samples)

    @property
    def variances(self) -> Array:
        """Variance of a sample of each block and of the whole, shape (B + 1,)."""
        return self.samples.var(axis=1, ddof=1)

    def share(self, index: int) -> Estimate:
        """Return the share of a block in the whole, -1 for "between blocks", with its error.

        Notes
        -----
        Error to first order, with the covariance of the samples.
        """
        whole = self.estimate().value
        values, samples = self.inside, self.samples
        if index == -1:
            inside = values[-1] - values[:-1].sum()
            part = samples[-1] - samples[:-1].sum(axis=0)
        else:
            inside, part = values[index], samples[index]
        if whole == 0:
            return Estimate(math.nan, math.nan, len(part))
        share = (inside + float(part.mean())) / whole
        error = Estimate.from_samples((part - share * samples[-1]) / abs(whole)).standard_error
        return Estimate(share, error, len(part))


def alignment_beyond(
    space: LeadingSpace,
    probes: Probes,
    covariance: Array | Operator | FactoredCovariance,
    parts: Sequence[slice],
) -> SpaceAlignment:
    """Estimate ``Tr(A_bb Sigma_bb)`` of each block b and ``Tr(A Sigma)``, with one pass.

    Parameters
    ----------
    space : LeadingSpace
    probes : Probes
    covariance : ndarray (D, D), LinearOperator or FactoredCovariance
        Sigma, checked.
    parts : sequence of slice
        Blocks that cover 0..D once.

    Returns
    -------
    SpaceAlignment

    Raises
    ------
    InputError
        If a product is not finite.
    AllocationRefused
        If vectors or compressions do not fit.

    Notes
    -----
    One pass over the gradients and 2 n D (M + 2 P) flops, see
    :func:`aniso.matrices.block_compressions.compressions`.
    """
    checks.integer("num_samples", probes.num_samples, low=2)
    size, kept = space.vectors.shape
    count = probes.num_samples
    dtype = space.vectors.dtype
    memory.require(
        2 * dtype.itemsize * size * (kept + 2 * count),
        "the vectors of the pass",
        "use fewer probes",
    )
    joined = np.empty((kept + 2 * count, size), dtype)
    joined[:kept], joined[kept : kept + count] = space.vectors.T, probes.signs.T
    joined[kept + count :] = probes.images.T
    forms = compressions(covariance, joined.T, parts)
    inside = np.einsum("bij,ij->b", forms[:, :kept, :kept], space.coupling)
    crossed = forms[:, kept : kept + count, kept + count :]
    return SpaceAlignment(inside, np.einsum("bii->bi", crossed).copy())
