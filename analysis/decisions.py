"""Paired comparisons of a study: one effect a claim, a margin that matters, one family of tests.

A study is designed before it runs (``docs/study.md``). A claim says that a paired effect is
positive. Two null hypotheses belong to it: the mean effect is 0, and its size is at least the
margin. Student's test rejects the first, two one-sided tests reject the second. All hypotheses of
all claims of a figure form one family, whose error Holm's method holds at or below the level.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis import figure_data
from analysis.claims import LEARNT, Claim, Verdict, beside, described
from aniso import checks

LEVEL = 0.05
"""Probability of one or more wrong verdicts among the claims of a figure, at most."""

_POWER = 0.8
_MOST_SEEDS = 100_000


@dataclass(frozen=True, eq=False)
class Effect:
    """A claim of a study with its effect in every seed.

    Attributes
    ----------
    name, statement : str
        Short name of the claim, and the claim in words.
    values : ndarray, shape (seeds,)
        Effect by seed, positive where the claim holds; NaN where a run of the pair diverged.
    margin : float
        Mean effects closer to 0 than this do not matter, in the unit of the effects.
    measured : str
        The compared numbers, as text.
    ratio : bool
        Whether the effects are logarithms of ratios; then they are shown as factors.
    remark : str
        Added to the text.
    labels : (str, str)
        The two that are compared. The claim says that the first is the better one.
    """

    name: str
    statement: str
    values: np.ndarray
    margin: float
    measured: str
    ratio: bool = False
    remark: str = ""
    labels: tuple[str, str] = ("first", "second")

    def __post_init__(self):
        checks.number("margin", self.margin, low=0, high=math.inf, strict=True)
        values = np.asarray(self.values, dtype=float)
        checks.integer("number of seeds", values.size, low=2)
        object.__setattr__(self, "values", values)

    @property
    def known(self):
        """The effects of the seeds in which neither run diverged."""
        return self.values[np.isfinite(self.values)]


def comparison(name, statement, labels, ends, fitted, margin, *, ratio):
    """Return the effect of a claim that compares the ends of two dynamics seed by seed.

    Parameters
    ----------
    name, statement : str
        Of the claim: the first is flatter, or more accurate.
    labels : (str, str)
        Of both dynamics.
    ends, fitted : (ndarray, ndarray), each of shape (seeds,)
        Sharpness or test accuracy, and training accuracy, at the end of both.
    margin : float
        A factor of sharpness, or a difference of accuracies.
    ratio : bool
        Whether sharpness is compared: by the logarithm of the second over the first.

    Returns
    -------
    Effect
        The text has the means over the seeds in which both are known, geometric ones of sharpness.
        It counts the runs whose training accuracy ends below :data:`analysis.claims.LEARNT`.

    Examples
    --------
    >>> one = np.ones(2)
    >>> found = comparison("a", "A > B", "AB", ([1.0, 4.0], [4.0, 16.0]), (one, 0 * one), 1.5,
    ...                    ratio=True)
    >>> found.measured, found.remark
    ('2 against 8', '; 2 of 2 runs of B end below 0.9 training accuracy')
    """
    first, second = (np.asarray(values, dtype=float) for values in ends)
    values = log_ratios(second, first) if ratio else first - second
    known = np.isfinite(values)
    means = [
        (np.exp(np.log(own[known]).mean()) if ratio else own[known].mean())
        if known.any()
        else math.nan
        for own in (first, second)
    ]
    remark = "".join(
        f"; {count} of {len(own)} runs of {label} end below {LEARNT:g} training accuracy"
        for label, own in zip(labels, fitted, strict=True)
        if (count := int((own < LEARNT).sum()))
    )
    return Effect(
        name,
        statement,
        values,
        math.log(margin) if ratio else margin,
        "{:.4g} against {:.4g}".format(*means),
        ratio=ratio,
        remark=remark,
        labels=tuple(labels),
    )


def log_ratios(upper, lower):
    """Return log(upper / lower) seed by seed; NaN where either is not above 0.

    Parameters
    ----------
    upper, lower : array_like, shape (seeds,)
        Positive numbers, NaN after a divergence. An estimate may come out at or below 0.

    Returns
    -------
    ndarray, shape (seeds,)

    Examples
    --------
    >>> log_ratios([np.e, 1.0, -1.0], [1.0, 1.0, 1.0]).tolist()
    [1.0, 0.0, nan]
    """
    upper, lower = (np.asarray(values, dtype=float) for values in (upper, lower))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(upper) - np.log(lower)
    return np.where((upper > 0) & (lower > 0), found, np.nan)


def probabilities(values, margin):
    """Return the two p-values of paired effects.

    Parameters
    ----------
    values : array_like, shape (seeds,)
        Effects, two at least.
    margin : float
        Of equivalence, above 0.

    Returns
    -------
    no_effect : float
        Of Student's two-sided test that the mean effect is 0.
    relevant : float
        Of the hypothesis that the mean effect is `margin` or more in size: the larger of two
        one-sided tests.

    Notes
    -----
    Effects without any spread give p-values of 0 or 1.

    Examples
    --------
    >>> no_effect, relevant = probabilities([1.0, 2.0, 3.0], 0.5)  # t = 2 / (1 / sqrt 3) = 3.46
    >>> round(no_effect, 3), relevant > 0.9
    (0.074, True)
    """
    values = np.asarray(values, dtype=float)
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(values.size)
    if error == 0:
        return float(mean == 0), float(abs(mean) >= margin)
    freedom = values.size - 1
    no_effect = 2 * stats.t.sf(abs(mean) / error, freedom)
    relevant = stats.t.sf((margin - abs(mean)) / error, freedom)
    return float(no_effect), float(relevant)


def holm(p_values):
    """Return p-values adjusted by Holm's method for a family.

    Parameters
    ----------
    p_values : array_like, shape (n,)
        Of single tests, with any dependence.

    Returns
    -------
    ndarray, shape (n,)
        Rejecting those at or below a level makes one or more false rejections with at most that
        probability.

    Notes
    -----
    The k-th smallest of n values is multiplied by n - k + 1; the running maximum is taken.
    S. Holm, A simple sequentially rejective multiple test procedure (1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, kind="stable")
    raised = p_values[order] * np.arange(p_values.size, 0, -1)
    result = np.empty_like(p_values)
    result[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return result


def decide(effects, designed=2, level=LEVEL):
    """Judge the claims of a figure as one family.

    Parameters
    ----------
    effects : sequence of Effect
        All claims that the design names, also those whose runs diverged.
    designed : int
        Seeds of the design. Fewer give descriptions: a part of the seeds has no verdict.
    level : float
        Probability of one or more wrong verdicts, at most.

    Returns
    -------
    list of claims.Claim
        *Equivalent* where the mean effect is smaller in size than the margin. Otherwise *holds* or
        *fails* where it is positive or negative. Otherwise *not resolved*, with the seeds that a
        new study would take.

    Examples
    --------
    >>> tell = lambda values: str(decide([Effect("a", "x > y", values, 0.5, "x, y")])[0].verdict)
    >>> tell([1.0, 1.1, 0.9]), tell([-1.0, -1.1, -0.9]), tell([0.1, 0.0, -0.05]), tell([2.0, -1.0])
    ('holds', 'fails', 'equivalent within the margin', 'not resolved')
    """
    count = effects[0].values.size
    if count < designed:
        part = f"; {count} of the {designed} seeds of the design, which are no verdict"
        return [
            described(e.name, e.statement, f"{e.measured} ({_told_interval(e)}){part}{e.remark}")
            for e in effects
        ]
    adjusted = adjusted_probabilities(effects)
    return [_claim(e, *own, level, len(effects)) for e, own in zip(effects, adjusted, strict=True)]


def adjusted_probabilities(effects):
    """Return the p-values of all effects, adjusted as one family, shape (n, 2).

    Parameters
    ----------
    effects : sequence of Effect
        An effect of fewer than two known seeds has the values 1.
    """
    pairs = [probabilities(e.known, e.margin) if e.known.size > 1 else (1.0, 1.0) for e in effects]
    return holm(np.ravel(pairs)).reshape(-1, 2)


def designed_seeds(parameters, scales):
    """Return the number of seeds of the design that these parameters follow.

    Parameters
    ----------
    parameters : dict
        Of a figure, at a scale of a study.
    scales : dict of str to dict
        Parameters of all scales of the figure.

    Returns
    -------
    int
        That of the scale which differs in the seeds alone; 2 where none does, for instance with the
        dynamics of the published scripts.

    Examples
    --------
    >>> scales = {"study": {"num_seeds": 6, "first_seed": 100, "num_train": 5}}
    >>> designed_seeds({"num_seeds": 3, "first_seed": 106, "num_train": 5}, scales)
    6
    >>> designed_seeds({"num_seeds": 3, "num_train": 5, "preset": "as_published"}, scales)
    2
    """
    own = _without_seeds(parameters)
    found = [each["num_seeds"] for each in scales.values() if _without_seeds(each) == own]
    return found[0] if found else 2


def _without_seeds(parameters):
    seeds = ("num_seeds", "first_seed")
    return figure_data.key_of({name: parameters[name] for name in parameters if name not in seeds})


def verdict_of(mean, no_effect, relevant, level=LEVEL):
    """Return the verdict of a mean effect and its two adjusted p-values."""
    if relevant <= level:
        return Verdict.EQUIVALENT
    if no_effect <= level:
        return Verdict.HOLDS if mean > 0 else Verdict.FAILS
    return Verdict.UNRESOLVED


def _claim(effect, no_effect, relevant, level, num_claims):
    known = effect.known
    lost = effect.values.size - known.size
    remark = effect.remark
    if lost:
        why = "a run diverged, or its estimate is not above 0"
        remark = f"; {lost} of {effect.values.size} pairs left out: {why}" + remark
    if known.size < 2:
        text = f"{effect.measured} (fewer than two pairs are left)"
        return Claim(
            effect.name, effect.statement, math.nan, math.nan, text + remark, Verdict.UNRESOLVED
        )
    mean, error = known.mean(), known.std(ddof=1) / math.sqrt(known.size)
    verdict = verdict_of(mean, no_effect, relevant, level)
    if verdict is Verdict.UNRESOLVED:
        needed = seeds_needed(mean, known.std(ddof=1), effect.margin, level / (2 * num_claims))
        remark = f"; {_needed(needed)}" + remark
    text = (
        f"{effect.measured} ({_told_interval(effect)}; adjusted p = "
        f"{beside(no_effect, level, 2)} for no effect, {beside(relevant, level, 2)} for one of the "
        "margin or more)"
    )
    return Claim(effect.name, effect.statement, mean, error, text + remark, verdict)


def interval(effect):
    """Return the mean effect and the ends of its own 95 % interval, by Student's distribution.

    Parameters
    ----------
    effect : Effect

    Returns
    -------
    mean, low, high : float
        NaN where fewer than two seeds are known.

    Examples
    --------
    >>> found = interval(Effect("a", "x > y", [1.0, 2.0, 3.0], 0.5, "x, y"))  # 2 ± 4.303 / sqrt 3
    >>> [round(each, 3) for each in found]
    [2.0, -0.484, 4.484]
    """
    known = effect.known
    if known.size < 2:
        return math.nan, math.nan, math.nan
    mean = float(known.mean())
    error = known.std(ddof=1) / math.sqrt(known.size)
    half = float(stats.t.ppf(0.975, known.size - 1) * error)
    return mean, mean - half, mean + half


def _told_interval(effect):
    ends = interval(effect)
    if effect.ratio:
        first, second = effect.labels
        text = "{:.3g}, 95 % interval {:.3g} to {:.3g}".format(*np.exp(ends))
        return f"{second} over {first} {text}"
    return "difference {:.3g}, 95 % interval {:.3g} to {:.3g}".format(*ends)


def seeds_needed(mean, deviation, margin, level, power=_POWER):
    """Return the seeds with which one claim would be resolved.

    Parameters
    ----------
    mean, deviation : float
        Mean effect and its standard deviation over seeds, taken as the true ones.
    margin : float
        Of equivalence.
    level : float
        Of each of the two tests, for instance Bonferroni's share of the family's.
    power : float
        Wanted probability of a verdict by one of the two tests.

    Returns
    -------
    int or None
        None where 100,000 seeds are too few.

    Examples
    --------
    >>> seeds_needed(1.0, 1.0, 0.1, level=0.05)  # the textbook's paired t-test, power 80 %
    10
    """
    if deviation == 0:
        return 2
    low, high = 2, _MOST_SEEDS
    while True:
        counts = np.unique(np.geomspace(low, high, 50).astype(int))
        enough = power_of(counts, mean, deviation, margin, level) >= power
        if not enough.any():
            return None
        first = int(enough.argmax())
        if first == 0 or counts[first] - counts[first - 1] == 1:
            return int(counts[first])
        low, high = counts[first - 1], counts[first]


def power_of(count, mean, deviation, margin, level):
    """Return the larger power of the two tests.

    Parameters
    ----------
    count : array_like of int
        Numbers of seeds, two at least.
    mean, deviation, margin, level : float
        As for :func:`seeds_needed`.

    Returns
    -------
    ndarray

    Notes
    -----
    The power of equivalence is the lower bound that the two one-sided tests give.

    Examples
    --------
    >>> power_of([10], 1.0, 1.0, 0.1, level=0.05).round(3).tolist()  # the textbook's 0.803
    [0.803]
    """
    count = np.asarray(count)
    root, freedom = np.sqrt(count) / deviation, count - 1
    bound = stats.t.isf(level / 2, freedom)
    differs = stats.nct.sf(bound, freedom, abs(mean) * root)
    bound = stats.t.isf(level, freedom)
    inside = [stats.nct.sf(bound, freedom, (margin + sign * mean) * root) for sign in (1, -1)]
    # far into its tail the distribution of SciPy has no digits left, and says so with NaN
    return np.nan_to_num([differs, np.maximum(sum(inside) - 1, 0.0)]).max(axis=0)


def _needed(seeds):
    count = f"over {_MOST_SEEDS:,}" if seeds is None else f"some {seeds:,}"
    return (
        f"with this effect and spread {count} seeds give a verdict with probability "
        f"{100 * _POWER:g} %"
    )
