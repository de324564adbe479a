"""The numbers of directions and probes of a deflated trace: given, or chosen from a pilot."""

import numpy as np

from aniso import checks
from aniso.estimates import NotConverged
from aniso.matrices import _deflation
from aniso.matrices.trace_estimate import TraceEstimate

RELATIVE_ERROR = 0.01
"""Relative standard error that is aimed at where no other is given."""
FEWEST_PROBES = 8
"""Probes of the final draw: of fewer the standard error would be too uncertain."""
_LARGEST_BASIS = 32
# planned variance over the wanted one, so that the standard error rarely misses its target
_MARGIN = 2.0


class Plan:
    """Numbers of directions and of probes, given or chosen from a pilot for a relative error.

    Parameters
    ----------
    relative_error, num_pairs, num_probes, max_products
        As for :func:`aniso.matrices.alignment_deflated`.
    scale : float, optional
        The error is relative to this number; to the estimate itself if not given.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    """

    def __init__(self, relative_error, num_pairs, num_probes, max_products, scale=None):
        self.num_pairs, self.num_probes, self.scale = num_pairs, num_probes, scale
        if num_pairs is not None:
            self.num_pairs = checks.integer("num_pairs", num_pairs, low=0)
        if num_probes is not None:
            self.num_probes = checks.integer("num_probes", num_probes, low=2)
        if relative_error is None:
            relative_error = 0.0 if self._is_given else RELATIVE_ERROR
        else:
            relative_error = checks.number("relative_error", relative_error, low=0, strict=True)
        self.relative_error = relative_error
        fewest = _deflation.PILOT_PROBES + FEWEST_PROBES + (self.num_pairs or 0)
        fewest = 1 if self._is_given else fewest
        self.max_products = checks.integer("max_products", max_products, low=fewest)

    @property
    def _is_given(self):
        return self.num_pairs is not None and self.num_probes is not None

    @property
    def num_vectors(self):
        """Directions that the basis holds."""
        return _LARGEST_BASIS if self.num_pairs is None else self.num_pairs

    def carried_out(self, run, exact_cost=None, exact=None):
        """Return the estimate of a run, or the exact trace where that takes fewer products.

        Parameters
        ----------
        run : Deflation
        exact_cost : int, optional
            Products of the exact trace.
        exact : callable, optional
            () -> float.

        Returns
        -------
        TraceEstimate

        Raises
        ------
        NotConverged
            If the standard error is above the target.
        """
        if self._is_given:
            num_pairs = min(self.num_pairs, run.num_vectors)
            return self._finished(run, run.within(0, num_pairs), num_pairs, self.num_probes)
        first = _deflation.PILOT_PAIRS if self.num_pairs is None else self.num_pairs
        first = min(first, run.num_vectors, self.max_products - FEWEST_PROBES - 4)
        pilot = run.pilot(first)
        if run.vanished:
            return self._whole(run, pilot.deflated, first)
        num_pairs, num_probes = self._cheapest(pilot)
        left = self.max_products - run.num_products
        choosable = exact is not None and self.num_probes is None
        if choosable and exact_cost <= min(left, num_pairs - first + num_probes):
            value, spent = float(exact()), run.num_products + exact_cost
            return TraceEstimate(value, 0.0, max(1, exact_cost), value, 0, spent)
        num_pairs = first + max(0, min(num_pairs - first, left - FEWEST_PROBES))
        num_probes = max(2, min(num_probes, left - num_pairs + first))
        deflated = pilot.deflated + run.within(first, num_pairs)
        return self._finished(run, deflated, num_pairs, num_probes)

    def _cheapest(self, pilot):
        """Return the numbers of directions and probes of the fewest products for the target."""
        scale = pilot.trace if self.scale is None else self.scale
        wanted = (self.relative_error * scale) ** 2
        numbers = np.where(pilot.variances > 0, np.inf, 0.0)
        if wanted > 0:
            numbers = _MARGIN * pilot.variances / wanted
        numbers = np.clip(np.ceil(numbers), FEWEST_PROBES, 10.0 * self.max_products)
        if self.num_pairs is not None:
            return pilot.num_pairs, int(numbers[0])
        if self.num_probes is not None:
            enough = np.flatnonzero(numbers <= self.num_probes)
            best = int(enough[0]) if len(enough) else len(numbers) - 1
            return pilot.num_pairs + best, self.num_probes
        best = int(np.argmin(numbers + np.arange(len(numbers))))
        return pilot.num_pairs + best, int(numbers[best])

    def _finished(self, run, deflated, num_pairs, num_probes):
        spent = run.num_products
        rest = run.rest(num_pairs, num_probes)
        if run.num_products == spent:
            return self._whole(run, deflated, num_pairs)
        found = TraceEstimate(
            deflated + rest.value,
            rest.standard_error,
            num_probes,
            deflated,
            num_pairs,
            run.num_products,
        )
        return self.kept(found)

    @staticmethod
    def _whole(run, deflated, num_pairs):
        # nothing is left beyond the directions, so that no probe was multiplied
        return TraceEstimate(
            deflated, 0.0, max(1, num_pairs), deflated, num_pairs, run.num_products
        )

    def kept(self, found):
        """Return an estimate that reached the target.

        Raises
        ------
        NotConverged
            If it has not; `partial` holds it.
        """
        target = self.relative_error * abs(found.value if self.scale is None else self.scale)
        if self.relative_error and found.standard_error > target:
            raise NotConverged(
                f"the estimate is {found}; its standard error is above {target:.3g}, which is "
                f"relative_error={self.relative_error:g}; raise max_products={self.max_products} "
                "or relative_error (the partial result is the estimate)",
                found,
            )
        return found
