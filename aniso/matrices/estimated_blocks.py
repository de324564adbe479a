"""Estimates of ``Tr(H Sigma)`` and of its parts by block of parameters, with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aniso import checks
from aniso.estimates import Estimate
from aniso.matrices import block_alignment, deflated_traces, operands
from aniso.matrices._probe_plan import RELATIVE_ERROR, Plan
from aniso.matrices.trace_estimate import TraceEstimate

if TYPE_CHECKING:
    import numpy as np

    from aniso.typing import Matrix


_SHOWN = 20


@dataclass(frozen=True, repr=False)
class BlockAlignmentEstimate:
    """Estimates of the alignment of curvature and noise, in total and by block of parameters.

    Attributes
    ----------
    names : tuple of str
        Names of the B blocks, in the order of theta.
    alignments : tuple of TraceEstimate
        ``Tr(H_bb Sigma_bb)`` of each block, from probes of its own.
    alignment : TraceEstimate
        ``Tr(H Sigma)``, independent of these.

    Examples
    --------
    >>> import numpy as np
    >>> blocks = {"a": slice(0, 1), "b": slice(1, 3)}
    >>> hessian, covariance = np.diag([4.0, 1.0, 1.0]), np.diag([2.0, 0.0, 1.0])
    >>> estimate_alignment_by_block(hessian, covariance, np.random.default_rng(0), blocks)
    <BlockAlignmentEstimate: Tr(H Sigma) = 9 ± 0, 6 products>
    block                     Tr(H Sigma)               share
    a                               8 ± 0          0.8889 ± 0
    b                               1 ± 0          0.1111 ± 0
    between blocks                  0 ± 0               0 ± 0
    """

    names: tuple[str, ...]
    alignments: tuple[TraceEstimate, ...]
    alignment: TraceEstimate

    @property
    def between_blocks(self) -> Estimate:
        """Part of pairs of different blocks, ``Tr(H Sigma) - sum_b Tr(H_bb Sigma_bb)``."""
        parts = (self.alignment, *self.alignments)
        value = self.alignment.value - sum(part.value for part in self.alignments)
        error = math.hypot(*(part.standard_error for part in parts))
        return Estimate(value, error, min(part.num_samples for part in parts))

    @property
    def shares(self) -> dict[str, Estimate]:
        """Shares of ``Tr(H Sigma)`` by name with their errors, "between blocks" last.

        Notes
        -----
        Errors to first order in those of the numerator and of the denominator; NaN where
        Tr(H Sigma) is 0.
        """
        shares = [_ratio(part, self.alignment) for part in self.alignments]
        rest = Estimate(
            1 - sum(share.value for share in shares),
            self._error_between(),
            self.between_blocks.num_samples,
        )
        return dict(zip((*self.names, "between blocks"), (*shares, rest), strict=True))

    def _error_between(self):
        # 1 - S/T, S the sum over the blocks
        if self.alignment.value == 0:
            return math.nan
        inner = sum(part.value for part in self.alignments) / self.alignment.value
        errors = (part.standard_error for part in self.alignments)
        both = math.hypot(*errors, inner * self.alignment.standard_error)
        return both / abs(self.alignment.value)

    @property
    def num_products(self) -> int:
        """Products of H with a vector, of the blocks and of the whole."""
        return sum(part.num_products for part in (self.alignment, *self.alignments))

    def __repr__(self):
        whole = Estimate.__str__(self.alignment)
        lines = [
            f"<BlockAlignmentEstimate: Tr(H Sigma) = {whole}, {self.num_products} products>",
            f"{'block':<16}{'Tr(H Sigma)':>21}{'share':>20}",
        ]
        shares = list(self.shares.items())
        values = [Estimate.__str__(part) for part in self.alignments]
        for (name, share), value in list(zip(shares[:-1], values, strict=True))[:_SHOWN]:
            lines.append(f"{name:<16}{value:>21}{_short(share):>20}")
        if len(self.names) > _SHOWN:
            lines.append(f"... {len(self.names) - _SHOWN} more blocks")
        name, share = shares[-1]
        lines.append(f"{name:<16}{self.between_blocks!s:>21}{_short(share):>20}")
        return "\n".join(lines)


def estimate_alignment_by_block(
    hessian: Matrix,
    covariance: Matrix,
    rng: np.random.Generator,
    blocks: dict[str, slice] | None = None,
    *,
    relative_error: float = RELATIVE_ERROR,
    max_products: int = operands.MAX_PRODUCTS,
    whole: TraceEstimate | None = None,
) -> BlockAlignmentEstimate:
    """Estimate ``Tr(H Sigma)`` and its parts by block of parameters, each by deflation.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    rng : numpy.random.Generator
        Source of the random signs.
    blocks : dict of str to slice, optional
        Parts that cover 0..D once. The blocks of `hessian` or of `covariance` if not given.
    relative_error : float
        Standard error of every number over ``|Tr(H Sigma)|`` to reach, above 0.
    max_products : int
        Largest number of products of H for each number.
    whole : TraceEstimate, optional
        ``Tr(H Sigma)`` of the same matrices, which is then not estimated again.

    Returns
    -------
    BlockAlignmentEstimate

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NotConverged
        If a number misses its error; `partial` holds the estimate of that number.
    AllocationRefused
        If the directions do not fit.

    Notes
    -----
    Cost: that of :func:`aniso.matrices.alignment_deflated`, once for each block and once for the
    whole. The noise of a block has directions of its own.

    Examples
    --------
    >>> import numpy as np
    >>> blocks = {"a": slice(0, 1), "b": slice(1, 2)}
    >>> hessian, covariance = [[2.0, 1.0], [1.0, 2.0]], [[1.0, 0.5], [0.5, 1.0]]
    >>> rng = np.random.default_rng(0)
    >>> found = estimate_alignment_by_block(hessian, covariance, rng, blocks)
    >>> round(found.shares["a"].value, 12)  # 2 of 5
    0.4
    """
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    covariance = operands.covariance("covariance", covariance, size=dimension)
    blocks = block_alignment.covering_blocks(hessian, covariance, blocks)
    relative_error = checks.number("relative_error", relative_error, low=0, strict=True)
    checks.generator("rng", rng)
    if whole is None:
        plan = Plan(relative_error, None, None, max_products)
        whole = deflated_traces.of_source(hessian, covariance, rng, plan)
    elif not isinstance(whole, TraceEstimate):
        raise checks.InputError(
            f"whole is a {type(whole).__name__}; expected the result of matrices.estimate_alignment"
        )
    plan = Plan(relative_error, None, None, max_products, scale=abs(whole.value))
    parts = tuple(
        deflated_traces.of_source(hessian, covariance, rng, plan, part) for part in blocks.values()
    )
    return BlockAlignmentEstimate(tuple(blocks), parts, whole)


def _ratio(part, whole):
    num_samples = min(part.num_samples, whole.num_samples)
    if whole.value == 0:
        return Estimate(math.nan, math.nan, num_samples)
    share = part.value / whole.value
    error = math.hypot(part.standard_error, share * whole.standard_error) / abs(whole.value)
    return Estimate(share, error, num_samples)


def _short(estimate):
    return f"{estimate.value:.4g} ± {estimate.standard_error:.2g}"
