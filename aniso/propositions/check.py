"""A check: a statement of the theory, the measured number, and the verdict."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aniso import checks


class Verdict(enum.StrEnum):
    """Outcome of a check.

    `HOLDS` and `FAILS` are outcomes of a comparison. `VACUOUS` means that the assumptions of the
    claim hold but leave nothing to compare (0 against 0). `NOT_APPLICABLE` means that the
    assumptions do not hold.
    """

    HOLDS = "holds"
    FAILS = "fails"
    VACUOUS = "vacuous"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Statement:
    """Statement of a check: its claim, its setting and its tolerance.

    Attributes
    ----------
    name : str
        Short name of the claim within its group. Checks of one name differ in their setting.
    claim : str
        The claim in words or as a formula.
    tolerance_reason : str
        Reason for the tolerance.
    source : str
        Page and heading of the theory, as ``docs/theory/page.md, Heading``.
    setting : str
        Setting of the test: model, data, sizes.
    tolerance : float
        Absolute violation of the relation that rounding or sampling can cause.

    Raises
    ------
    InputError
        If the tolerance is negative or not finite.
    """

    name: str
    claim: str
    tolerance_reason: str
    source: str
    setting: str = ""
    tolerance: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "tolerance", checks.number("tolerance", self.tolerance, low=0))

    def at(self, setting, tolerance=0.0):
        """Return the statement in another setting, with the tolerance of that setting."""
        return replace(self, setting=setting, tolerance=tolerance)


@dataclass(frozen=True)
class Check:
    """A statement with the two sides of its comparison.

    Attributes
    ----------
    statement : Statement
        Claim, setting and tolerance.
    measured, bound : float
        The two sides, in the same units.
    relation : {">=", "<=", "=="}
        Relation of `measured` to `bound` in the claim.
    verdict : Verdict
        Outcome.
    standard_error : float or None
        Sampling error of `measured`; None for a deterministic number.
    finding : str
        Remark for the reader, shown under the table.
    series : mapping of str to tuple of float
        Data of the figures.
    """

    statement: Statement
    measured: float
    relation: str
    bound: float
    verdict: Verdict
    standard_error: float | None = None
    finding: str = ""
    series: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def margin(self):
        """Distance to violation: positive inside the claim, negative beyond it.

        For an equality it is minus the distance between the two sides.
        """
        return _margin(self.measured, self.relation, self.bound)

    @property
    def relative_margin(self):
        """Margin in units of the larger side, or of the tolerance for an equality."""
        if self.relation == "==":
            tolerance = self.statement.tolerance
            return 1 + self.margin / tolerance if tolerance else self.margin
        scale = max(abs(self.measured), abs(self.bound))
        return self.margin / scale if scale else 0.0


def _margin(measured, relation, bound):
    if relation == ">=":
        return measured - bound
    if relation == "<=":
        return bound - measured
    return -abs(measured - bound)


def is_within(measured, relation, bound, tolerance):
    """Return whether ``measured relation bound`` holds within `tolerance`.

    Parameters
    ----------
    measured, bound, tolerance : float
        The two sides and the allowed excess, absolute.
    relation : {">=", "<=", "=="}
        The claim.

    Returns
    -------
    bool
        False where a side is not finite: such a number is no evidence.

    Examples
    --------
    >>> is_within(0.9, "==", 1.0, 0.2), is_within(0.7, "==", 1.0, 0.2)
    (True, False)
    """
    finite = math.isfinite(measured) and math.isfinite(bound)
    return finite and _margin(measured, relation, bound) >= -tolerance


def compare(statement, measured, relation, bound, *, standard_error=None, finding="", series=None):
    """Return the check of ``measured relation bound`` within the tolerance of the statement.

    Parameters
    ----------
    statement : Statement
        Claim and tolerance.
    measured, bound : float
        The two sides. A side that is not finite gives `FAILS`: it is no evidence.
    relation : {">=", "<=", "=="}
        The claim.
    standard_error : float, optional
        Sampling error of `measured`.
    finding : str
        Remark for the reader.
    series : mapping of str to array_like, optional
        Data for figures.

    Returns
    -------
    Check

    Raises
    ------
    InputError
        If there is no such relation.

    Examples
    --------
    >>> order = Statement("order", "x >= y", "an example", "none").at("by hand", 0.1)
    >>> compare(order, 2.0, ">=", 2.05).verdict
    <Verdict.HOLDS: 'holds'>
    >>> compare(order, 2.0, ">=", 2.2).verdict
    <Verdict.FAILS: 'fails'>
    >>> compare(order, float("nan"), ">=", 2.2).verdict
    <Verdict.FAILS: 'fails'>
    """
    checks.one_of("relation", relation, (">=", "<=", "=="))
    measured, bound = float(measured), float(bound)
    holds = is_within(measured, relation, bound, statement.tolerance)
    return Check(
        statement,
        measured,
        relation,
        bound,
        Verdict.HOLDS if holds else Verdict.FAILS,
        None if standard_error is None else float(standard_error),
        finding,
        _plain_series(series),
    )


def without_comparison(statement, verdict, finding, *, series=None):
    """Return a check whose assumptions leave nothing to compare.

    Parameters
    ----------
    statement : Statement
        Claim; its tolerance is not used.
    verdict : {Verdict.VACUOUS, Verdict.NOT_APPLICABLE}
        Which of the two.
    finding : str
        Why nothing is compared.
    series : mapping of str to array_like, optional
        Data for figures.

    Returns
    -------
    Check
        With nan on both sides.

    Raises
    ------
    InputError
        If the verdict is another one.
    """
    if verdict not in (Verdict.VACUOUS, Verdict.NOT_APPLICABLE):
        raise checks.InputError(f"verdict={verdict!r}; expected VACUOUS or NOT_APPLICABLE")
    silent = replace(statement, tolerance=0.0, tolerance_reason="nothing is compared")
    return Check(
        silent, math.nan, "==", math.nan, verdict, finding=finding, series=_plain_series(series)
    )


def _plain_series(series):
    return {key: tuple(map(float, values)) for key, values in (series or {}).items()}
