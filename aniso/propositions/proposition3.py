"""Proposition 3, gradient covariance against Hessian in one-hidden-layer networks.

    u^T Sigma u >= a lambda Tr Sigma / Tr H,

with a = (1 - |U|/N) w_min/w_max for the clipped squared loss at almost every theta, and with
a = w_min/w_max - (u^T g)^2 Tr H / (lambda Tr Sigma) for the logistic loss, where every example is
active and the statement needs a small mean gradient along u.
"""

import numpy as np

from aniso import checks
from aniso.propositions import small_networks, trained_networks
from aniso.propositions.check import Task, Verdict, compare, without_comparison

TITLE = "Proposition 3, gradient covariance against Hessian in one-hidden-layer networks"

SOURCE = "Zhu et al. 2019, Proposition 3; constants derived, see docs/theory/propositions.md"
CLAIM = "â = uᵀ Σ u Tr H / (λ Tr Σ) ≥ a"


def tasks(settings):
    """Tasks of Proposition 3.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    named = [
        Task(str(problem), lambda problem=problem, epochs=epochs: _along(problem, epochs))
        for problem, epochs in trained_networks.runs(settings)
    ]
    named.append(Task("falsification", lambda: _falsification(settings)))
    return named


def guaranteed_coefficient(readings, loss):
    """The explicit a of Proposition 3 at one point.

    Parameters
    ----------
    readings : aniso.propositions.constants.Readings
    loss : {"clipped squared", "logistic"}

    Returns
    -------
    float
        At most 0 where the proposition promises nothing.

    Raises
    ------
    InputError
        If there is no such loss.
    """
    if checks.one_of("loss", loss, trained_networks.LOSSES) == "clipped squared":
        return (1 - readings.active_fraction) * readings.weight_ratio
    return readings.weight_ratio - readings.gradient_share


def _along(problem, epochs):
    usable = trained_networks.readings_along_training(problem, epochs)
    facts = {"claim": CLAIM, "source": SOURCE}
    pairs = [
        (item.projection_coefficient, guaranteed_coefficient(item, problem.loss)) for item in usable
    ]
    series = {
        "epoch": [item.epoch for item in usable],
        "measured": [value for value, _ in pairs],
        "bound": [bound for _, bound in pairs],
        "trace_ratio": [item.trace_ratio for item in usable],
    }
    found = []
    for name, chosen in (
        ("along training", range(len(usable))),
        (
            "at the end",
            range(len(usable))[-1:] if usable and usable[-1].epoch == max(epochs) else (),
        ),
    ):
        promised = [i for i in chosen if pairs[i][1] > 0]
        if not promised:
            reason = (
                "no active example: H = Σ = 0"
                if not chosen
                else "the guaranteed a is not positive: the mean gradient along u is not small"
            )
            found.append(
                without_comparison(
                    name, Verdict.VACUOUS, reason, setting=str(problem), series=series, **facts
                )
            )
            continue
        worst = min(promised, key=lambda i: pairs[i][0] - pairs[i][1])
        item = usable[worst]
        found.append(
            compare(
                name,
                pairs[worst][0],
                ">=",
                pairs[worst][1],
                setting=f"{problem}, epoch {item.epoch}, |U|/N = {item.active_fraction:.2f}",
                tolerance=64 * item.rank * np.finfo(float).eps * pairs[worst][0],
                tolerance_reason="rounding of an eigendecomposition, 64 r ε, relative",
                series=series,
                **facts,
            )
        )
    if usable:
        found.append(_anisotropy(problem, usable[-1]))
    return found


def _anisotropy(problem, item):
    """Check that the trained network's noise is aligned with its curvature at all."""
    return compare(
        "anisotropy",
        item.trace_ratio,
        ">=",
        1.0,
        claim="Tr(HΣ) exceeds that of isotropic noise of the same trace",
        setting=f"{problem}, epoch {item.epoch}",
        tolerance=0.0,
        tolerance_reason="none",
        source="Zhu et al. 2019, Figure 4",
    )


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
        margin,
        lambda values: values["covariance_coefficient"] - 1,
        name="â, searched",
        claim="(â - a) w_max/w_min ≥ 0 over parameters and inputs",
        false_claim="a = 1, as if Σ were proportional to H",
        source=SOURCE,
    )
