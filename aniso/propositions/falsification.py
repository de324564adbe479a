"""Search for a counterexample: the smallest margin of a claim over its parameters."""

from dataclasses import dataclass, replace

import numpy as np
from autograd import value_and_grad
from scipy import optimize

from aniso import _arguments, checks
from aniso.propositions.check import Statement, compare

PLANTED_FALSEHOOD = Statement(
    "the search breaks a false claim",
    "planted falsehood",
    "none: the margin must be negative beyond rounding",
    "docs/theory/propositions.md, Search for a counterexample",
)


@dataclass(frozen=True)
class WorstCase:
    """Smallest margin that a search has found.

    Attributes
    ----------
    margin : float
        Value at `point`; negative where the claim is broken.
    point : ndarray, shape (n,)
        Parameters that reach it.
    start_margins : tuple of float
        Margins at the starting points, for comparison.
    num_evaluations : int
        Margins and gradients computed.
    """

    margin: float
    point: np.ndarray
    start_margins: tuple[float, ...]
    num_evaluations: int


def search(margin, starts, *, num_descents=None, max_iterations=200, target=None, batched=False):
    """Minimise `margin` by L-BFGS from the best of the starts.

    Parameters
    ----------
    margin : callable
        ``margin(x) -> scalar``, written with `autograd.numpy`; x has shape (n,).
    starts : array_like, shape (s, n)
        Starting points.
    num_descents : int, optional
        Number of starts from which to descend, in increasing order of the margin; all if not given.
    max_iterations : int
        Iterations of each descent.
    target : float, optional
        Stop at the first descent that ends below it; a broken claim needs no second witness.
    batched : bool
        Whether `margin` also takes all starts at once, (s, n), and returns (s,).

    Returns
    -------
    WorstCase

    Raises
    ------
    InputError
        If `margin` is no function of one argument, or `starts` is empty or no table of finite
        numbers.

    Notes
    -----
    A local search: that it finds no counterexample is evidence, not proof. A margin that is not
    finite at a trial point is treated as large, so that the line search steps back.

    Examples
    --------
    >>> worst = search(lambda x: (x[0] - 1) ** 2 - 0.25, [[0.0], [3.0]])
    >>> round(worst.margin, 6), round(float(worst.point[0]), 3)
    (-0.25, 1.0)
    """
    _arguments.require_function("margin", margin, ("x",), " -> scalar, with autograd.numpy")
    starts = checks.array("starts", starts, shape=(None, None))
    checks.integer("max_iterations", max_iterations, low=1)
    if len(starts) == 0:
        raise checks.InputError("starts is empty; expected at least one starting point")
    differentiated = value_and_grad(margin)
    with np.errstate(all="ignore"):
        at_starts = margin(starts) if batched else [float(margin(start)) for start in starts]
    start_margins = checks.real_array("margin(starts)", at_starts, shape=(len(starts),))
    order = np.argsort(np.where(np.isfinite(start_margins), start_margins, np.inf), kind="stable")
    best_margin, best_point = np.inf, starts[order[0]]
    evaluations = len(starts)

    def guarded(x):
        nonlocal evaluations, best_margin, best_point
        evaluations += 1
        with np.errstate(all="ignore"):
            value, gradient = differentiated(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e10, np.zeros_like(x)
        if value < best_margin:
            best_margin, best_point = float(value), x.copy()
        return float(value), gradient

    for index in order[:num_descents]:
        optimize.minimize(
            guarded,
            starts[index],
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iterations, "ftol": 1e-15, "gtol": 1e-12},
        )
        if target is not None and best_margin < target:
            break
    return WorstCase(best_margin, best_point, tuple(start_margins.tolist()), evaluations)


def verdicts(statement, false_claim, worst, planted):
    """Return two checks: the claim survived its search, and the search broke a false variant.

    Parameters
    ----------
    statement : aniso.propositions.check.Statement
        The claim; its tolerance is the rounding allowed below a margin of 0.
    false_claim : str
        The false variant in words.
    worst, planted : WorstCase
        Searches on the claim and on the false variant.

    Returns
    -------
    list of aniso.propositions.check.Check
    """
    setting = statement.setting
    broken = PLANTED_FALSEHOOD.at(f"{statement.name}; {setting}")
    return [
        compare(
            replace(
                statement,
                claim=f"{statement.claim}; smallest margin found by a search",
                setting=f"{setting}, {worst.num_evaluations} evaluations",
            ),
            worst.margin,
            ">=",
            0.0,
            series={"start_margins": worst.start_margins, "worst_point": worst.point},
        ),
        compare(
            replace(broken, claim=f"planted falsehood: {false_claim}"),
            planted.margin,
            "<=",
            -statement.tolerance,
        ),
    ]
