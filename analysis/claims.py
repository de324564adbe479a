"""A caption's claim held against numbers, with the error bar that decides."""

import enum
import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

# two standard errors: a difference within them is not resolved
_RESOLVED = 2.0

LEARNT = 0.9
"""Training accuracy below which a run that began at a minimum has lost the data."""


class Verdict(enum.StrEnum):
    """Outcome: the numbers support the claim, contradict it, or cannot tell.

    Equivalent is a difference that is known to be smaller than what matters. A description is no
    claim and has no verdict.
    """

    HOLDS = "holds"
    FAILS = "fails"
    EQUIVALENT = "equivalent within the margin"
    UNRESOLVED = "not resolved"
    DESCRIPTION = "description"


@dataclass(frozen=True)
class Claim:
    """One statement and the difference that decides it.

    Attributes
    ----------
    name : str
        Short name, unique within the figure.
    statement : str
        The claim in words.
    difference : float
        Positive where the claim holds.
    standard_error : float
        Sampling error of the difference; 0 for exact numbers.
    measured : str
        The measured numbers, as text.
    verdict : Verdict
        Whether the difference decides for the claim, against it, or neither.
    """

    name: str
    statement: str
    difference: float
    standard_error: float
    measured: str
    verdict: Verdict

    def as_plain(self):
        """Return the claim as plain data; a number that JSON lacks (nan, inf) is None."""
        plain = asdict(self)
        for name in ("difference", "standard_error"):
            plain[name] = plain[name] if math.isfinite(plain[name]) else None
        return plain


def difference_text(difference, error):
    """Return a difference with its standard error as text.

    Parameters
    ----------
    difference, error : float
        The difference and its standard error.

    Returns
    -------
    str
        In the fewest digits from which the verdict follows, two at least.

    Examples
    --------
    >>> difference_text(0.1234, 0.056)
    'difference 0.12 ± 0.056'
    >>> difference_text(0.1234, 0.0616), str(_verdict(0.1234, 0.0616))
    ('difference 0.1234 ± 0.0616', 'holds')
    >>> difference_text(0.1234, math.inf)
    'difference 0.12, one seed: no error bar'
    >>> difference_text(math.nan, math.nan)
    'a run diverged'
    """
    if not math.isfinite(difference):
        return "a run diverged"
    if not math.isfinite(error):
        return f"difference {difference:.2g}, one seed: no error bar"
    for digits in range(2, 18):
        texts = f"{difference:.{digits}g}", f"{error:.{digits}g}"
        if _verdict(*map(float, texts)) is _verdict(difference, error):
            break
    return "difference {} ± {}".format(*texts)


def beside(value, threshold, digits=3):
    """Return a number in the fewest digits that leave it on its side of a threshold.

    Parameters
    ----------
    value, threshold : float
        Number to show, and the number from which it differs.
    digits : int
        The fewest.

    Returns
    -------
    str

    Examples
    --------
    >>> beside(12.3456, 1.0), beside(1.00012, 1.0), beside(0.999999, 1.0)
    ('12.3', '1.0001', '0.999999')
    """
    for count in range(digits, 18):
        text = f"{float(f'{value:.{count}g}'):.{max(count, 6)}g}"
        if np.sign(float(text) - threshold) == np.sign(value - threshold):
            break
    return text


def judged(
    name, statement, difference, standard_error, measured, *, text=difference_text, remark=""
):
    """Return a claim that holds where `difference` is positive by over two standard errors.

    Parameters
    ----------
    name, statement : str
        Short name of the claim, and the claim in words.
    difference, standard_error : float
        The difference and its sampling error, 0 for an exact difference.
    measured : str
        The measured numbers, as text. A difference with an error is added to it; an exact one must
        be part of the text.
    text : callable
        ``(difference, standard_error) -> str``, which is shown alone where nothing was compared.
    remark : str
        Added at the end.

    Returns
    -------
    Claim

    Examples
    --------
    >>> judged("a", "1 > 0", 1.0, 0.1, "1 against 0", remark="; by hand").measured
    '1 against 0 (difference 1 ± 0.1); by hand'
    >>> str(judged("a", "1 > 0", 1.0, 0.1, "").verdict)
    'holds'
    >>> str(judged("a", "1 > 0", -1.0, 0.1, "").verdict)
    'fails'
    >>> str(judged("a", "1 > 0", 0.1, 0.1, "").verdict)
    'not resolved'
    """
    difference, standard_error = float(difference), float(standard_error)
    if not math.isfinite(difference):
        told = text(difference, standard_error)
    elif standard_error == 0:
        told = measured
    else:
        told = f"{measured} ({text(difference, standard_error)})"
    verdict = _verdict(difference, standard_error)
    return Claim(name, statement, difference, standard_error, told + remark, verdict)


def _verdict(difference, standard_error):
    finite = math.isfinite(difference) and math.isfinite(standard_error)
    if not finite or abs(difference) <= _RESOLVED * standard_error:
        return Verdict.UNRESOLVED
    return Verdict.HOLDS if difference > 0 else Verdict.FAILS


def described(name, statement, measured):
    """Return numbers that no caption claims: a description without a verdict.

    Parameters
    ----------
    name, statement, measured : str
        Short name, subject, and the numbers as text.

    Returns
    -------
    Claim

    Examples
    --------
    >>> str(described("a", "size of it", "3").verdict)
    'description'
    """
    return Claim(name, statement, 0.0, 0.0, measured, Verdict.DESCRIPTION)


def over_seeds(values, own_error=0.0):
    """Return the mean over seeds and the standard error for :func:`judged`.

    Parameters
    ----------
    values : array_like, shape (seeds,)
        One value for each seed.
    own_error : float
        Sampling error of one value.

    Returns
    -------
    mean, error : float
        The error comes from the spread over seeds: two errors are the 95 % interval of Student's
        distribution. It is ``own_error / sqrt(seeds)`` where that is larger. It is infinite for one
        seed, because the spread is unknown.

    Examples
    --------
    >>> over_seeds([1.0], own_error=0.5)
    (1.0, inf)
    >>> mean, error = over_seeds([1.0, 3.0, 5.0])
    >>> mean, round(2 * error, 1)  # +- 4.97 by Student's table, + 1.5 % because 2 is not 1.96
    (3.0, 5.1)
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count == 1:
        return float(values[0]), math.inf
    error = max(own_error, widening(count) * values.std(ddof=1)) / math.sqrt(count)
    return float(values.mean()), float(error)


def widening(count):
    """Return the factor for the standard error of `count` values, above 1: Student's over Gauss's.

    Two widened errors are then the 95 % interval of Student's distribution, but for 2 in the place
    of 1.96.

    Examples
    --------
    >>> round(widening(3), 3)  # 4.303 over 1.960
    2.195
    """
    return float(stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975))


def jackknife(function, count):
    """Return a function of seeds with its error over seeds, from leaving out one at a time.

    Parameters
    ----------
    function : callable
        ``indices of seeds -> float``.
    count : int
        Number of seeds, at least 2.

    Returns
    -------
    value, error : float
        At all seeds, and its standard error.

    Examples
    --------
    >>> values = np.array([1.0, 3.0, 5.0])
    >>> value, error = jackknife(lambda kept: values[kept].mean(), 3)
    >>> value, round(error, 4)  # of a mean it is the usual one, 2 / sqrt(3)
    (3.0, 1.1547)
    """
    every = np.arange(count)
    others = np.array([function(every[every != left]) for left in every])
    error = np.sqrt((count - 1) / count * np.sum((others - others.mean()) ** 2))
    return float(function(every)), float(error)
