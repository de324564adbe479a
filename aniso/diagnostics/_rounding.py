"""Numbers as text: a value rounded to the digits that its standard error leaves."""

import math
from decimal import Decimal

_MOST_DECIMALS, _MOST_DIGITS = 6, 12
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
        power = 0
    scaled = _scaled(value, power)
    if error == 0:
        return _times(f"{scaled:.6g}", power)
    if not math.isfinite(error):
        return f"{_times(f'{scaled:.6g}', power)} ± {'∞' if error > 0 else 'unknown'}"
    shown = float(f"{_scaled(error, power):.1e}")  # first, since 0.0996 becomes 0.10
    decimals = 1 - _power(shown)
    if decimals > _MOST_DECIMALS:
        digits = min(max(_power(abs(scaled)) + decimals + 1, 1), _MOST_DIGITS)
        return f"{_times(f'{scaled:.{digits}g}', power)} ± {rounded(float(f'{error:.1e}'))}"
    places = max(decimals, 0)
    pair = f"{round(scaled, decimals) + 0.0:.{places}f} ± {shown:.{places}f}"
    return _times(f"({pair})" if power else pair, power)


def _power(size):
    return math.floor(math.log10(size)) if size > 0 else 0


def _scaled(value, power):
    # a power of ten may overflow as a float; adding 0 leaves no -0
    return float(Decimal(value).scaleb(-power)) + 0.0


def _times(text, power):
    return f"{text}×10{str(power).translate(_SUPERSCRIPTS)}" if power else text
