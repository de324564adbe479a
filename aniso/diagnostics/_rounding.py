"""Numbers as text: a value rounded to the digits that its standard error leaves."""

import math
from decimal import Decimal

_MOST_DECIMALS, _MOST_DIGITS = 8, 12
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NOT_FINITE = {"nan": "undefined", "inf": "∞", "-inf": "-∞"}


def rounded(value, error=0.0):
    """Return a value, and its standard error if not 0, with two digits of the error.

    Parameters
    ----------
    value, error : float
        An exact number has the error 0; it gets six digits.

    Returns
    -------
    str

    Examples
    --------
    >>> rounded(12.97316, 0.46), rounded(12.97316), rounded(4.0)
    ('12.97 ± 0.46', '12.9732', '4')
    >>> rounded(1.2345e-7, 3.21e-9), rounded(0.1, 25.0), rounded(2.0, math.inf)
    ('(1.235 ± 0.032)×10⁻⁷', '0 ± 25', '2 ± ∞')
    """
    value, error = float(value), float(error)
    if not math.isfinite(value):
        return _NOT_FINITE[str(value)]
    largest = max(abs(value), error if math.isfinite(error) else 0.0)
    power = _power(float(f"{largest:.5e}"))
    if -5 < power < 6:
        return _pair(value, error)
    # 10**-power may overflow as a float
    text = _pair(*(float(Decimal(part).scaleb(-power)) for part in (value, error)))
    if error:
        text = f"({text})"
    return f"{text}×10{str(power).translate(_SUPERSCRIPTS)}"


def _power(size):
    return math.floor(math.log10(size)) if size > 0 else 0


def _pair(value, error):
    value += 0.0  # no -0
    if error == 0:
        return f"{value:.6g}"
    if not math.isfinite(error):
        return f"{value:.6g} ± {'∞' if error > 0 else 'unknown'}"
    error = float(f"{error:.1e}")  # first, since 0.0996 becomes 0.10
    decimals = 1 - _power(error)
    if decimals > _MOST_DECIMALS:
        digits = _power(abs(value)) + decimals + 1
        return f"{value:.{min(max(digits, 1), _MOST_DIGITS)}g} ± {rounded(error)}"
    shown = max(decimals, 0)
    return f"{round(value, decimals) + 0.0:.{shown}f} ± {error:.{shown}f}"
