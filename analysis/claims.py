"""A caption's claim held against numbers, with the error bar that decides."""

import enum
import math
from dataclasses import asdict, dataclass

# two standard errors: a difference within them is not resolved
_RESOLVED = 2.0


class Verdict(enum.StrEnum):
    """Outcome: the numbers support the claim, contradict it, or cannot tell."""

    HOLDS = "holds"
    FAILS = "fails"
    UNRESOLVED = "not resolved"


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
        The numbers behind it, for a reader.
    verdict : Verdict
    """

    name: str
    statement: str
    difference: float
    standard_error: float
    measured: str
    verdict: Verdict

    def as_plain(self):
        """The claim as plain data."""
        return asdict(self)


def judged(name, statement, difference, standard_error, measured):
    """A claim that holds where `difference` is positive by more than two standard errors.

    Parameters
    ----------
    name, statement, measured : str
    difference, standard_error : float

    Returns
    -------
    Claim

    Examples
    --------
    >>> str(judged("a", "1 > 0", 1.0, 0.1, "").verdict)
    'holds'
    >>> str(judged("a", "1 > 0", -1.0, 0.1, "").verdict)
    'fails'
    >>> str(judged("a", "1 > 0", 0.1, 0.1, "").verdict)
    'not resolved'
    """
    difference, standard_error = float(difference), float(standard_error)
    if (
        not math.isfinite(difference)
        or not math.isfinite(standard_error)
        or abs(difference) <= _RESOLVED * standard_error
    ):
        verdict = Verdict.UNRESOLVED
    else:
        verdict = Verdict.HOLDS if difference > 0 else Verdict.FAILS
    return Claim(name, statement, difference, standard_error, measured, verdict)
