"""A claim held against a number: what was measured, what the theory says, and the verdict."""

import enum
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from aniso import checks

SCALES = ("quick", "default", "full")


class Verdict(enum.StrEnum):
    """Outcome of a check.

    `HOLDS` and `FAILS` are statements about the claim. `VACUOUS` says that its assumptions hold
    but leave nothing to compare (0 against 0); `NOT_APPLICABLE` that they do not hold.
    """

    HOLDS = "holds"
    FAILS = "fails"
    VACUOUS = "vacuous"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Check:
    """One claim in one setting.

    Attributes
    ----------
    name : str
        Short name of the claim within its group; checks of one name differ in setting.
    claim : str
        The claim in words or as a formula.
    setting : str
        Where it was tested: model, data, sizes.
    measured, bound : float
        The two sides, in the same units.
    relation : {">=", "<=", "=="}
        What the claim says of measured against bound.
    tolerance : float
        Excess over the relation that the arithmetic or the sampling explains, absolute.
    tolerance_reason : str
        Why this tolerance.
    source : str
        Where the claim comes from.
    verdict : Verdict
        See :class:`Verdict`.
    standard_error : float or None
        Sampling error of `measured`; None for a deterministic number.
    finding : str
        What a reader should know beyond the verdict; shown under the table.
    series : mapping of str to tuple of float
        Data behind the number, for figures.
    """

    name: str
    claim: str
    setting: str
    measured: float
    relation: str
    bound: float
    tolerance: float
    tolerance_reason: str
    source: str
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
            return 1 + self.margin / self.tolerance if self.tolerance else self.margin
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


def compare(
    name,
    measured,
    relation,
    bound,
    *,
    claim,
    setting,
    tolerance,
    tolerance_reason,
    source,
    standard_error=None,
    finding="",
    series=None,
):
    """The check of ``measured relation bound`` within `tolerance`.

    A number that is not finite fails: it is no evidence for anything.

    Parameters
    ----------
    name, claim, setting, tolerance_reason, source, finding : str
        See :class:`Check`.
    measured, bound, tolerance : float
        The two sides and the allowed excess, absolute.
    relation : {">=", "<=", "=="}
        The claim.
    standard_error : float, optional
        Sampling error of `measured`.
    series : mapping of str to array_like, optional
        Data for figures.

    Returns
    -------
    Check

    Examples
    --------
    >>> facts = dict(claim="x >= y", setting="by hand", tolerance=0.1,
    ...              tolerance_reason="an example", source="none")
    >>> compare("order", 2.0, ">=", 2.05, **facts).verdict
    <Verdict.HOLDS: 'holds'>
    >>> compare("order", 2.0, ">=", 2.2, **facts).verdict
    <Verdict.FAILS: 'fails'>
    >>> compare("order", float("nan"), ">=", 2.2, **facts).verdict
    <Verdict.FAILS: 'fails'>
    """
    checks.one_of("relation", relation, (">=", "<=", "=="))
    check = Check(
        name=name,
        claim=claim,
        setting=setting,
        measured=float(measured),
        relation=relation,
        bound=float(bound),
        tolerance=checks.number("tolerance", tolerance, low=0),
        tolerance_reason=tolerance_reason,
        source=source,
        verdict=Verdict.FAILS,
        standard_error=None if standard_error is None else float(standard_error),
        finding=finding,
        series=_plain_series(series),
    )
    if is_within(check.measured, relation, check.bound, check.tolerance):
        return replace(check, verdict=Verdict.HOLDS)
    return check


def _plain_series(series):
    return {key: tuple(map(float, values)) for key, values in (series or {}).items()}


def without_comparison(name, verdict, reason, *, claim, setting, source, series=None):
    """A check whose assumptions left nothing to compare; `reason` says why.

    Parameters
    ----------
    name, claim, setting, source : str
        See :class:`Check`.
    verdict : {Verdict.VACUOUS, Verdict.NOT_APPLICABLE}
        Which of the two.
    reason : str
        Shown as the finding.
    series : mapping of str to array_like, optional
        Data for figures.

    Returns
    -------
    Check
    """
    if verdict not in (Verdict.VACUOUS, Verdict.NOT_APPLICABLE):
        raise checks.InputError(f"verdict={verdict!r}; expected VACUOUS or NOT_APPLICABLE")
    return Check(
        name=name,
        claim=claim,
        setting=setting,
        measured=math.nan,
        relation="==",
        bound=math.nan,
        tolerance=0.0,
        tolerance_reason="nothing is compared",
        source=source,
        verdict=verdict,
        finding=reason,
        series=_plain_series(series),
    )


@dataclass(frozen=True)
class Settings:
    """Scale and seed of a verification run.

    Attributes
    ----------
    scale : {"quick", "default", "full"}
        How much is tested.
    seed : int
        Root of all randomness. Each task draws from its own stream, derived from the seed and the
        task's name, so that its numbers do not depend on what else runs.
    """

    scale: str = "default"
    seed: int = 0

    def __post_init__(self):
        checks.one_of("scale", self.scale, SCALES)
        checks.integer("seed", self.seed, low=0)

    def rng(self, name):
        """Generator of the stream called `name`."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def stream_seed(self, name):
        """Integer seed of the stream called `name`, for simulations that key their own."""
        return int(self.rng(name).integers(2**63))

    def pick(self, quick, default, full):
        """The one of three values that belongs to the scale."""
        return {"quick": quick, "default": default, "full": full}[self.scale]


@dataclass(frozen=True)
class Task:
    """A named piece of a verification: `run()` returns its checks.

    Attributes
    ----------
    name : str
        Shown while it runs.
    run : callable
        Takes nothing, returns a list of :class:`Check`.
    """

    name: str
    run: Callable[[], list[Check]]
