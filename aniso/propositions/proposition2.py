"""Proposition 2, Fisher against Hessian in one-hidden-layer networks, with explicit constants.

    w_min H <= F <= w_max H,   hence   u^T F u >= (w_min/w_max) lambda Tr F / Tr H

with w_i = 2 (f_i - y_i)^2 for the clipped squared loss and exp((1 - 2 y_i) f_i) for the logistic.
"""

from functools import partial

import numpy as np

from aniso.problems import AutogradModel
from aniso.propositions import small_networks, symbols, trained_networks
from aniso.propositions.check import Statement, Verdict, compare, without_comparison
from aniso.propositions.settings import Task

TITLE = (
    "Proposition 2, Fisher against Hessian in one-hidden-layer networks, with explicit constants"
)

LEGEND = (
    symbols.shared("H")
    | {
        "F": "empirical Fisher matrix, the uncentred second moment of the examples' gradients",
        "λ, u": "leading eigenpair of H",
    }
    | symbols.shared("Tr")
    | {
        "w_min, w_max": "extremes of (slope of the loss in f_i)²/s_i over the active examples",
        "C": "w_min/w_max",
        "f_i": "output of example i",
        "J_i": "gradient of f_i in θ",
        "s_i": "curvature of the loss in f_i",
        "δ": "margin of the clip, 0.001",
        "V": "4 random directions",
        "GGN": "generalised Gauss-Newton matrix",
        "h": "hidden units",
        "2-4-1": "inputs, hidden units and outputs",
        "r": "rank of the matrices",
    }
    | symbols.shared("N", "ε", "θ", "FashionMNIST 0/6 at 14×14")
)

_PROPOSITION = "docs/theory/propositions.md, Proposition 2"
_ROUNDING = "rounding of an eigendecomposition, 64 r ε, relative"
GAUSS_NEWTON = Statement(
    "Hessian = GGN",
    "the Hessian by automatic differentiation is (1/N) ∑_i s_i J_i J_iᵀ",
    "the bound is rounding already: 64 N ε |H V|",
    "docs/theory/propositions.md, The network and its Hessian",
)
LOWER = Statement(
    "lower sandwich",
    "w_min H ≤ F: least eigenvalue of F - w_min H, relative to |F|",
    _ROUNDING,
    _PROPOSITION,
)
UPPER = Statement(
    "upper sandwich",
    "F ≤ w_max H: least eigenvalue of w_max H - F, relative to |w_max H|",
    _ROUNDING,
    _PROPOSITION,
)
ALONG = Statement(
    "Fisher along u",
    "uᵀ F u Tr H / (λ Tr F) ≥ C",
    _ROUNDING,
    _PROPOSITION,
)
LABEL_FREE = Statement(
    "Fisher along u, label-free bound",
    "uᵀ F u Tr H / (λ Tr F) ≥ (δ/(1-δ))² for the clipped squared loss, and ≥ exp(-2 max |f_i|) "
    "for the logistic loss",
    _ROUNDING,
    _PROPOSITION,
)
SEARCHED = Statement(
    "Fisher along u, worst case",
    "(uᵀ F u Tr H / (λ Tr F) - C) / (C (1 - C)) ≥ 0 over all parameters and inputs",
    small_networks.ROUNDING,
    _PROPOSITION,
)


def tasks(settings):
    """Return the tasks of Proposition 2.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    runs = dict(trained_networks.runs(settings))
    small = [trained_networks.training_need(case, runs[case]) for case in _small_cases(settings)]
    named = [
        Task(
            "Hessian is the GGN",
            lambda: _hessian_is_gauss_newton(settings),
            0.3,
            needs=tuple(small),
        )
    ]
    for case, epochs in runs.items():
        needs = (trained_networks.training_need(case, epochs),)
        run = partial(_along, case, epochs)
        named.append(Task(str(case), run, needs=needs))
    named.append(Task("falsification", lambda: _falsification(settings), 1.5))
    return named


def _hessian_is_gauss_newton(settings):
    """Check that the Hessian has no second term: off the kinks the network is linear in theta."""
    found = []
    for case in _small_cases(settings):
        structured = trained_networks.training_objective(case)
        theta = trained_networks.trained_parameters(case)
        plain = AutogradModel(
            structured.model, structured.output_loss, structured.inputs, structured.targets
        )
        rng = settings.rng(f"proposition2/{case}/directions")
        directions = rng.standard_normal((structured.num_parameters, 4))
        exact = plain.hessian_product(theta, directions)
        jacobian = structured.jacobians(theta)[:, 0]
        curvature = structured.output_hessians(theta)[:, 0, 0]
        gauss_newton = jacobian.T @ (curvature[:, None] * (jacobian @ directions))
        gauss_newton /= structured.num_examples
        scale = float(np.linalg.norm(exact))
        bound = 64 * structured.num_examples * np.finfo(float).eps * scale
        difference = np.linalg.norm(exact - gauss_newton)
        found.append(compare(GAUSS_NEWTON.at(str(case)), difference, "<=", bound))
    return found


def _small_cases(settings):
    """Networks on points, small enough for automatic differentiation."""
    return [
        case
        for case, _ in trained_networks.runs(settings)
        if (case.data, case.num_hidden) == (trained_networks.POINTS, 32)
    ]


def _along(case, epochs):
    usable = trained_networks.readings_along_training(case, epochs)
    statements = (LOWER, UPPER, ALONG, LABEL_FREE)
    if not usable:
        reason = "no active example: H = F = 0"
        return [
            without_comparison(statement.at(str(case)), Verdict.VACUOUS, reason)
            for statement in statements
        ]
    found = []
    for statement in statements:
        measured, bounds = zip(*(_sides(item)[statement] for item in usable), strict=True)
        worst = int(np.argmin(np.subtract(measured, bounds)))
        series = {
            "epoch": [item.epoch for item in usable],
            "measured": measured,
            "bound": bounds,
        }
        if statement is LOWER and usable[-1].pencil:
            lowest, highest = usable[-1].weights
            series |= {
                "pencil": usable[-1].pencil,
                "lowest_weight": [lowest],
                "highest_weight": [highest],
            }
        there = statement.at(
            f"{case}, worst of {len(usable)} epochs: {usable[worst].epoch}",
            64 * usable[worst].rank * np.finfo(float).eps,
        )
        found.append(compare(there, measured[worst], ">=", bounds[worst], series=series))
    return found


def _sides(item):
    """Return the measured number and the bound of every statement at one epoch."""
    return {
        LOWER: (item.excess_below, 0.0),
        UPPER: (item.excess_above, 0.0),
        ALONG: (item.fisher_coefficient, item.weight_ratio),
        LABEL_FREE: (item.fisher_coefficient, item.explicit_constant),
    }


def _falsification(settings):
    def margin(_, values):
        constant = values["weight_ratio"]
        # Equal weights make the claim an equality; dividing by 1 - C removes that trivial end.
        return (values["fisher_coefficient"] - constant) / (constant * (1 - constant))

    return small_networks.search_both_losses(
        settings,
        "proposition2",
        SEARCHED,
        margin,
        "C = 1, as if F were proportional to H",
        lambda values: values["fisher_coefficient"] - 1,
    )
