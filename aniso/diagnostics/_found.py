"""Results of a quantity, and their numbers as parts of a sentence."""

import math
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Found:
    """Value of a quantity with its errors and words.

    Attributes
    ----------
    value : float
    sentence : str
        ``{shown}`` stands for the value with its standard error.
    errors : dict of str to float
        By cause; zeros are left out, except of "examples".
    details : dict
        Further numbers.
    assumptions : tuple of str
        Besides those of the registry.
    blocks : dict
        By block of theta, of the one quantity that has them.
    """

    value: float
    sentence: str
    errors: dict = field(default_factory=dict)
    details: dict = field(default_factory=dict)
    assumptions: tuple = ()
    blocks: dict = field(default_factory=dict)

    def __post_init__(self):
        # residuals of the size of rounding are no error
        least = {"iteration": 1e-12 * abs(self.value), "examples": -1.0}
        kept = {
            name: float(size) for name, size in self.errors.items() if size > least.get(name, 0.0)
        }
        object.__setattr__(self, "errors", kept)

    def with_error(self, cause, size):
        """Return the same with one more error."""
        return replace(self, errors=self.errors | {cause: size})


def shown(value, error=0.0):
    """Return a number as text, with as many digits as its standard error leaves.

    Examples
    --------
    >>> shown(45.234, 2.1), shown(45234.0, 210.0), shown(0.5)
    ('45.2 ± 2.1', '45230 ± 210', '0.5')
    """
    if not (1e-4 * abs(value) < error < math.inf and math.isfinite(value)):
        return f"{value:.4g}"
    decimals = 1 - math.floor(math.log10(error))
    if abs(value) >= 1e6 or abs(value) < 1e-4 or decimals > 8:
        return f"{value:.3e} ± {error:.1e}"
    rounded = round(value, decimals), round(error, decimals)
    digits = max(decimals, 0)
    return f"{rounded[0]:.{digits}f} ± {rounded[1]:.{digits}f}"


def ratio_error(value, *parts):
    """Standard error of a product or quotient of independent estimates, to first order."""
    relative = [part.standard_error / part.value for part in parts if part.value]
    return abs(value) * math.hypot(*relative)


def rounding_of(eigenvalues, size):
    """Magnitude up to which an eigenvalue of a D x D matrix, D = `size`, is zero by rounding."""
    return 8 * np.finfo(np.float64).eps * size * float(np.abs(eigenvalues).max())
