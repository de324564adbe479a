"""One number of a diagnosis, with its errors, formula, source and a sentence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from aniso import checks
from aniso.estimates import Estimate


@dataclass(frozen=True)
class Reading:
    """A quantity of a problem at one theta.

    Attributes
    ----------
    name : str
        Key in the registry, for instance "alignment".
    value : float
    errors : dict of str to float
        Standard errors by cause: "probes" of random probes, "examples" of a random subset of the
        examples, "iteration" of an iteration that stopped. Empty for an exact number.
    formula : str
        For instance "Tr(H Σ)".
    source : str
        Paper or heading of the theory pages.
    assumptions : tuple of str
        What must hold for the number to mean what it says.
    sentence : str
        What the number says about this problem, for a reader in a hurry.
    details : dict
        Further numbers, strings and lists of numbers, for instance counts of products.

    Examples
    --------
    >>> reading = Reading("alignment", 2.0, {"probes": 0.3, "examples": 0.4}, "Tr(H Σ)")
    >>> reading.standard_error, f"{reading:.1f}"
    (0.5, '2.0 ± 0.5')
    """

    name: str
    value: float
    errors: dict[str, float] = field(default_factory=dict)
    formula: str = ""
    source: str = ""
    assumptions: tuple[str, ...] = ()
    sentence: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "value", float(self.value))
        errors = {
            checks.one_of("error", name, list(CAUSES)): float(size)
            for name, size in self.errors.items()
        }
        object.__setattr__(self, "errors", errors)
        object.__setattr__(self, "assumptions", tuple(self.assumptions))

    @property
    def standard_error(self) -> float:
        """Root of the sum of the squared errors, which are independent; 0 for an exact number."""
        return math.sqrt(sum(size**2 for size in self.errors.values()))

    @property
    def estimate(self) -> Estimate:
        """The reading as an :class:`aniso.estimates.Estimate`."""
        return Estimate(self.value, self.standard_error, int(self.details.get("num_samples", 1)))

    def as_dict(self) -> dict[str, Any]:
        """Return the reading as JSON-ready data; numbers that JSON lacks are strings."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return the reading of :meth:`as_dict`."""
        return cls(**{name: read(value) for name, value in data.items()})

    def __float__(self):
        return self.value

    def __format__(self, specification):
        return str(self) if not specification else format(self.estimate, specification)

    def __str__(self):
        if not self.errors:
            return f"{self.value:.6g}"
        return str(self.estimate)


CAUSES = {
    "probes": "random probes",
    "examples": "random subset of the examples",
    "iteration": "an iteration that stopped at its tolerance",
}
"""Causes of errors, and their meaning."""

_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def plain(value):
    """Return data of dicts, lists and numbers as JSON takes it; NaN and infinities are marked.

    Examples
    --------
    >>> plain({"a": (1.0, math.inf)}), read(plain({"a": (1.0, math.inf)}))
    ({'a': [1.0, {'number': 'inf'}]}, {'a': [1.0, inf]})
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def read(value):
    """Return the data that :func:`plain` was given, tuples as lists."""
    if isinstance(value, dict):
        if set(value) == {"number"}:
            return _NUMBERS[value["number"]]
        return {name: read(part) for name, part in value.items()}
    if isinstance(value, list):
        return [read(part) for part in value]
    return value
