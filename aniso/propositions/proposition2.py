"""Proposition 2, Fisher against Hessian in one-hidden-layer networks, with explicit constants.

    w_min H <= F <= w_max H,   hence   u^T F u >= (w_min/w_max) lambda Tr F / Tr H

with w_i = 2 (f_i - y_i)^2 for the clipped squared loss and exp((1 - 2 y_i) f_i) for the logistic.
"""

import numpy as np

from aniso.problems import AutogradModel
from aniso.propositions import small_networks, trained_networks
from aniso.propositions.check import Task, Verdict, compare, without_comparison

TITLE = (
    "Proposition 2, Fisher against Hessian in one-hidden-layer networks, with explicit constants"
)

SOURCE = "Zhu et al. 2019, Proposition 2; constants derived, see docs/theory/propositions.md"


def tasks(settings):
    """Tasks of Proposition 2.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    named = [Task("Hessian is the GGN", lambda: _hessian_is_gauss_newton(settings))]
    for problem, epochs in trained_networks.runs(settings):
        named.append(
            Task(str(problem), lambda problem=problem, epochs=epochs: _along(problem, epochs))
        )
    named.append(Task("falsification", lambda: _falsification(settings)))
    return named


def _hessian_is_gauss_newton(settings):
    """The network is linear in theta off the kinks, so its Hessian has no second term."""
    found = []
    for loss in trained_networks.LOSSES:
        for activation in trained_networks.ACTIVATIONS:
            problem = trained_networks.Problem(
                trained_networks.POINTS, loss, activation, 32, settings.seed
            )
            structured = trained_networks.training_objective(problem)
            theta = trained_networks.trained_parameters(problem)
            plain = AutogradModel(
                structured.model, structured.output_loss, structured.inputs, structured.targets
            )
            rng = settings.rng(f"proposition2/{problem}/directions")
            directions = rng.standard_normal((structured.num_parameters, 4))
            exact = plain.hessian_product(theta, directions)
            jacobian = structured.jacobians(theta)[:, 0]
            curvature = structured.output_hessians(theta)[:, 0, 0]
            gauss_newton = jacobian.T @ (curvature[:, None] * (jacobian @ directions))
            gauss_newton /= structured.num_examples
            scale = float(np.linalg.norm(exact))
            found.append(
                compare(
                    "Hessian = GGN",
                    np.linalg.norm(exact - gauss_newton),
                    "<=",
                    64 * structured.num_examples * np.finfo(float).eps * scale,
                    claim="the Hessian by automatic differentiation is (1/N) Σ_i s_i J_i J_iᵀ",
                    setting=str(problem),
                    tolerance=0.0,
                    tolerance_reason="the bound is rounding already: 64 N ε |H V|",
                    source=SOURCE,
                )
            )
    return found


CLAIMS = {
    "lower sandwich": "w_min H ≤ F: least eigenvalue of F - w_min H, relative to |F|",
    "upper sandwich": "F ≤ w_max H: least eigenvalue of w_max H - F, relative to |w_max H|",
    "Fisher along u": "uᵀ F u Tr H / (λ Tr F) ≥ w_min/w_max",
    "explicit constant": "uᵀ F u Tr H / (λ Tr F) ≥ the constant without residuals",
}


def _along(problem, epochs):
    usable = trained_networks.readings_along_training(problem, epochs)
    if not usable:
        reason = "no active example: H = F = 0"
        facts = {"setting": str(problem), "source": SOURCE}
        return [
            without_comparison(name, Verdict.VACUOUS, reason, claim=claim, **facts)
            for name, claim in CLAIMS.items()
        ]
    sides = [_sides(item) for item in usable]
    found = []
    for name, claim in CLAIMS.items():
        measured = [side[name][0] for side in sides]
        bounds = [side[name][1] for side in sides]
        worst = int(np.argmin(np.subtract(measured, bounds)))
        series = {
            "epoch": [item.epoch for item in usable],
            "measured": measured,
            "bound": bounds,
        }
        if name == "lower sandwich" and usable[-1].pencil:
            lowest, highest = usable[-1].weights
            series |= {
                "pencil": usable[-1].pencil,
                "lowest_weight": [lowest],
                "highest_weight": [highest],
            }
        found.append(
            compare(
                name,
                measured[worst],
                ">=",
                bounds[worst],
                claim=claim,
                setting=f"{problem}, worst of {len(usable)} epochs: {usable[worst].epoch}",
                tolerance=64 * usable[worst].rank * np.finfo(float).eps,
                tolerance_reason="rounding of an eigendecomposition, 64 r ε, relative",
                source=SOURCE,
                series=series,
            )
        )
    return found


def _sides(item):
    """Measured number and bound of every claim at one epoch."""
    return {
        "lower sandwich": (item.excess_below, 0.0),
        "upper sandwich": (item.excess_above, 0.0),
        "Fisher along u": (item.fisher_coefficient, item.weight_ratio),
        "explicit constant": (item.fisher_coefficient, item.explicit_constant),
    }


def _falsification(settings):
    def margin(_, values):
        constant = values["weight_ratio"]
        # Equal weights make the claim an equality; dividing by 1 - C removes that trivial end.
        return (values["fisher_coefficient"] - constant) / (constant * (1 - constant))

    return small_networks.search_both_losses(
        settings,
        "proposition2",
        margin,
        lambda values: values["fisher_coefficient"] - 1,
        name="Fisher along u, searched",
        claim="(uᵀ F u Tr H / (λ Tr F) - C) / (C (1 - C)) ≥ 0, C = w_min/w_max",
        false_claim="C = 1, as if F were proportional to H",
        source=SOURCE,
    )
