"""An estimate of a trace, with the number of products that it took."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aniso.estimates import Estimate


@dataclass(frozen=True)
class TraceEstimate(Estimate):
    """Estimate of a trace, with what it took.

    Attributes
    ----------
    value, standard_error, num_samples
        As for :class:`aniso.estimates.Estimate`; the samples are the probes of the final draw.
        Of an exact value they are its directions or products, and no probes.
    deflated : float
        Part of `value` within the deflated directions, exact.
    num_pairs : int
        Deflated directions k.
    num_products : int
        Products of H with a vector, the pilot included.

    Examples
    --------
    >>> print(TraceEstimate(2.0, 0.1, 8, 1.8, 4, 16))
    2 ± 0.1 (90 % of it in 4 directions, 8 probes, 16 products)
    >>> print(TraceEstimate(2.0, 0.0, 4, 2.0, 4, 4))
    2 ± 0 (100 % of it in 4 directions, 4 products)
    """

    deflated: float = 0.0
    num_pairs: int = 0
    num_products: int = 0

    @property
    def deflated_share(self) -> float:
        """Share of the value within the deflated directions; NaN for the value 0."""
        return self.deflated / self.value if self.value != 0 else math.nan

    def scaled(self, factor: float) -> TraceEstimate:
        """Return the estimate of `factor` times the trace."""
        error = self.standard_error * abs(factor)
        return TraceEstimate(
            self.value * factor,
            error,
            self.num_samples,
            self.deflated * factor,
            self.num_pairs,
            self.num_products,
        )

    def __str__(self):
        probes = f"{self.num_samples} probes, " if self.standard_error else ""
        return (
            f"{super().__str__()} ({100 * self.deflated_share:.3g} % of it in {self.num_pairs} "
            f"directions, {probes}{self.num_products} products)"
        )
