"""Proposition 3, gradient covariance against Hessian in one-hidden-layer networks.

    u^T Sigma u >= a lambda Tr Sigma / Tr H,

with a = (1 - |U|/N) w_min/w_max for the clipped squared loss at almost every theta, and with
a = w_min/w_max - (u^T g)^2 Tr H / (lambda Tr Sigma) for the logistic loss, where every example is
active and the statement needs a small mean gradient along u.
"""

from functools import partial

import numpy as np

from aniso import checks
from aniso.propositions import small_networks, symbols, trained_networks
from aniso.propositions.check import Statement, Verdict, compare, without_comparison
from aniso.propositions.settings import Task

TITLE = "Proposition 3, gradient covariance against Hessian in one-hidden-layer networks"

LEGEND = (
    {
        "â": "projection coefficient, uᵀΣu Tr H/(λ Tr Σ)",
        "a": "its guaranteed value: (1 - |U|/N) w_min/w_max for the clipped squared loss, "
        "w_min/w_max - (uᵀ∇L)² Tr H/(λ Tr Σ) for the logistic loss",
    }
    | symbols.shared("H")
    | {
        "λ, u": "leading eigenpair of H",
        "Σ": "covariance of one example's gradient",
    }
    | symbols.shared("Σ_iso", "Tr", "L")
    | {
        "U": "active examples, whose loss depends on their output",
        "w_min, w_max": "extremes over U of (slope of the loss in the output)²/curvature",
        "h": "hidden units",
        "2-4-1": "inputs, hidden units and outputs",
        "r": "rank of the matrices",
    }
    | symbols.shared("N", "ε", "FashionMNIST 0/6 at 14×14")
)

_PROPOSITION = "docs/theory/propositions.md, Proposition 3"
_ROUNDING = "rounding of an eigendecomposition, 64 r ε, relative"
ALONG_TRAINING = Statement("along training", "â ≥ a at every epoch", _ROUNDING, _PROPOSITION)
AFTER_TRAINING = Statement("after training", "â ≥ a at the last epoch", _ROUNDING, _PROPOSITION)
ANISOTROPY = Statement(
    "anisotropy",
    "Tr(HΣ)/Tr(HΣ_iso) exceeds 1, its value for isotropic noise",
    "none",
    "docs/theory/noise.md, Alignment relative to isotropic noise",
)
SEARCHED = Statement(
    "projection coefficient, worst case",
    "(â - a) w_max/w_min ≥ 0 over all parameters and inputs",
    small_networks.ROUNDING,
    _PROPOSITION,
)


def tasks(settings):
    """Return the tasks of Proposition 3.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    named = [
        Task(
            str(case),
            partial(_along, case, epochs),
            needs=(trained_networks.training_need(case, epochs),),
        )
        for case, epochs in trained_networks.runs(settings)
    ]
    named.append(Task("falsification", lambda: _falsification(settings), 2.0))
    return named


def guaranteed_coefficient(readings, loss):
    """Return the explicit a of Proposition 3 at one point.

    Parameters
    ----------
    readings : aniso.propositions.constants.Readings
        Measured numbers that enter the bound.
    loss : {"clipped squared", "logistic"}
        Loss of the training run.

    Returns
    -------
    float
        At most 0 where the proposition gives no bound.

    Raises
    ------
    InputError
        If there is no such loss.
    """
    if checks.one_of("loss", loss, trained_networks.LOSSES) == "clipped squared":
        return (1 - readings.active_fraction) * readings.weight_ratio
    return readings.weight_ratio - readings.gradient_share


def _along(case, epochs):
    usable = trained_networks.readings_along_training(case, epochs)
    pairs = [
        (item.projection_coefficient, guaranteed_coefficient(item, case.loss)) for item in usable
    ]
    series = {
        "epoch": [item.epoch for item in usable],
        "measured": [value for value, _ in pairs],
        "bound": [bound for _, bound in pairs],
        "trace_ratio": [item.trace_ratio for item in usable],
    }
    everywhere = range(len(usable))
    last = everywhere[-1:] if usable and usable[-1].epoch == max(epochs) else ()
    found = []
    for statement, chosen in ((ALONG_TRAINING, everywhere), (AFTER_TRAINING, last)):
        promised = [i for i in chosen if pairs[i][1] > 0]
        if not promised:
            reason = (
                "no active example: H = Σ = 0"
                if not chosen
                else "the guaranteed a is not positive: the mean gradient along u is not small"
            )
            silent = statement.at(str(case))
            found.append(without_comparison(silent, Verdict.VACUOUS, reason, series=series))
            continue
        worst = min(promised, key=lambda i: pairs[i][0] - pairs[i][1])
        item, (measured, bound) = usable[worst], pairs[worst]
        there = statement.at(
            f"{case}, epoch {item.epoch}, |U|/N = {item.active_fraction:.2f}",
            64 * item.rank * np.finfo(float).eps * measured,
        )
        found.append(compare(there, measured, ">=", bound, series=series))
    if usable:
        final = usable[-1]
        there = ANISOTROPY.at(f"{case}, epoch {final.epoch}")
        found.append(compare(there, final.trace_ratio, ">=", 1.0))
    return found


def _falsification(settings):
    def margin(loss, values):
        promised = values["weight_ratio"]
        if loss == "logistic":
            promised = promised - values["mean_gradient_share"]
        else:
            promised = promised * (1 - values["active_fraction"])
        return (values["covariance_coefficient"] - promised) / values["weight_ratio"]

    return small_networks.search_both_losses(
        settings,
        "proposition3",
        SEARCHED,
        margin,
        "a = 1, as if Σ were proportional to H",
        lambda values: values["covariance_coefficient"] - 1,
    )
