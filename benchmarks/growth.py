"""Growth of time and memory: exponents of power laws, with standard errors."""

import math
from dataclasses import dataclass

import numpy as np

MEASURES = {"seconds": "time", "traced_bytes": "memory"}
_LEAST_POINTS = 3
_LARGEST = 5


@dataclass(frozen=True)
class Exponent:
    """Exponent p of ``y = c x^p``.

    Attributes
    ----------
    value, standard_error : float
    num_points : int
        Of the fit.
    """

    value: float
    standard_error: float
    num_points: int


def fit_exponent(sizes, values):
    """Return the exponent by least squares in logarithms, over the five largest sizes.

    Parameters
    ----------
    sizes, values : sequence of float
        Positive.

    Returns
    -------
    Exponent
        Its standard error comes from the residuals with n - 2 degrees of freedom, so that it
        contains scatter and curvature.

    Raises
    ------
    ValueError
        For fewer than three points or numbers that are not positive.

    Notes
    -----
    At small sizes the constant part of the cost bends the line, and the law is that of large ones.

    Examples
    --------
    >>> fit_exponent([1, 2, 4], [3, 12, 48])
    Exponent(value=2.0, standard_error=0.0, num_points=3)
    """
    pairs = sorted(zip(sizes, values, strict=True))[-_LARGEST:]
    if len(pairs) < _LEAST_POINTS or min(map(min, pairs)) <= 0:
        raise ValueError(f"{pairs}: expected at least {_LEAST_POINTS} pairs of positive numbers")
    x, y = np.log(np.array(pairs, dtype=float)).T
    x -= x.mean()
    slope = float(x @ y / (x @ x))
    residuals = y - y.mean() - slope * x
    error = math.sqrt(float(residuals @ residuals) / (len(x) - 2) / float(x @ x))
    return Exponent(round(slope, 12), round(error, 12), len(x))


def exponents(records, laws):
    """Return the fitted exponents of records, as plain data, beside the documented ones.

    Parameters
    ----------
    records : list of dict
        Of a group of growth.
    laws : list of Law

    Returns
    -------
    list of dict
        Keys "case", "quantity", "measure", "exponent", "standard_error", "num_points", "documented"
        and "formula"; sizes without a memory are left out.
    """
    found = []
    for law in laws:
        own = [r for r in records if (r["case"], r["quantity"]) == (law.case, law.quantity)]
        for measure, (documented, formula) in law.documented.items():
            points = [(r["size"], r[measure]) for r in own if r.get(measure)]
            if len(points) < _LEAST_POINTS:
                continue
            fitted = fit_exponent(*zip(*points, strict=True))
            found.append(
                {
                    "case": law.case,
                    "quantity": law.quantity,
                    "measure": measure,
                    "exponent": round(fitted.value, 3),
                    "standard_error": round(fitted.standard_error, 3),
                    "num_points": fitted.num_points,
                    "documented": documented,
                    "formula": formula,
                }
            )
    return found


@dataclass(frozen=True)
class Law:
    """Documented growth of a quantity.

    Attributes
    ----------
    case, quantity : str
    documented : dict
        "seconds" and "traced_bytes" to pairs of the exponent at large sizes and its formula.
    """

    case: str
    quantity: str
    documented: dict
