"""Orders of convergence: of schemes, of modified equations, and of SVAG."""

import numpy as np

from aniso import estimates, langevin
from aniso.langevin import convergence, drifts, linear_schemes, modified_equations, noises
from aniso.propositions.check import Statement, compare
from aniso.propositions.moments_of_motion import COVARIANCE, HESSIAN, SETTING
from aniso.propositions.settings import Task

_SCHEMES = "docs/theory/motion.md, Orders of the schemes"
_ADDITIVE_BEND = "the next order bends the slope by about λh at the coarsest step"
STRONG = Statement(
    "strong order of Euler-Maruyama",
    "strong order 1 in the step h for additive noise",
    _ADDITIVE_BEND,
    _SCHEMES,
)
WEAK = Statement(
    "weak order of Euler-Maruyama",
    "weak order 1 in the step h for additive noise",
    _ADDITIVE_BEND,
    _SCHEMES,
)
MULTIPLICATIVE = Statement(
    "strong order, state-dependent noise",
    "strong order ½ of Euler-Maruyama and 1 of Milstein for diagonal noise",
    "the next half order bends the slope by a few per cent, sampling leaves as much",
    _SCHEMES,
)
MODIFIED = Statement(
    "order of the modified equation",
    "the modified equation of order p of SGD has a mean that is off by O(η^p) at a fixed time",
    "the next order bends the slope by about λη at the coarsest rate",
    "docs/theory/motion.md, Stochastic modified equations",
)
STATIONARY = Statement(
    "stationary variance of the modified equation",
    "its relative error is -ηλ/2 at order 1 and -ηλ at order 2; in units of ηλ",
    "the next order in ηλ",
    "docs/theory/motion.md, Stationary variance of the modified equations",
)
STATIONARITY = (
    "The second-order equation has the worse stationary variance: order on a finite time says "
    "nothing about stationarity."
)
SVAG = Statement(
    "SVAG tends to the equation",
    "l steps of η/l with gradients weighted (1 ± √(2l-1))/2 tend to the SDE with order 1 in 1/l",
    "the next order bends the slope by about λη/l at the smallest l",
    "docs/theory/motion.md, SVAG",
)


def tasks(settings):
    """Return the tasks about orders of convergence.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return [
        Task("orders of schemes", lambda: _orders(settings), 0.4, "langevin"),
        Task("modified equations", lambda: _modified(settings), 0.2, "langevin"),
    ]


def _orders(settings):
    """Check orders by exact moments, and by simulation where the noise depends on the state."""
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(HESSIAN), noises.constant(COVARIANCE), np.ones(3)
    )
    study = convergence.measure_convergence(problem, "euler_maruyama", coarsest=64)
    found = [
        compare(
            statement.at(
                f"{SETTING}, exact moments, {study.strong.step_sizes.size} step sizes", 0.05
            ),
            np.nan if measured.order is None else measured.order,
            "==",
            1.0,
            series={"step_sizes": measured.step_sizes, "errors": measured.errors},
        )
        for statement, measured in ((STRONG, study.strong), (WEAK, study.weak))
    ]
    multiplicative = langevin.LangevinProblem(
        drifts.of_polynomial([0.0, 0.0, 0.25]),
        noises.proportional([0.5]),
        [1.0],
    )
    for scheme, order in (("euler_maruyama", 0.5), ("milstein", 1.0)):
        study = convergence.measure_convergence(
            multiplicative,
            scheme,
            coarsest=16,
            num_levels=4,
            num_paths=settings.pick(8_000, 8_000, 80_000),
            seed=settings.stream_seed("dynamics/orders"),
            num_threads=1,
        )
        name = {"euler_maruyama": "Euler-Maruyama", "milstein": "Milstein"}[scheme]
        found.append(
            compare(
                MULTIPLICATIVE.at(f"{name}; dθ = -θ/2 dt + θ/2 dW, coupled paths", 0.15),
                np.nan if study.strong.order is None else study.strong.order,
                "==",
                order,
            )
        )
    return found


def _modified(settings):  # noqa: ARG001
    """Check the modified equations of SGD and SVAG by exact moments."""
    rates = 2.0 ** -np.arange(4, 9)
    start, zero = np.ones(3), np.zeros((3, 3))
    errors = {1: [], 2: []}
    for rate in rates:
        for order, equation in (
            (1, modified_equations.first_order),
            (2, modified_equations.second_order),
        ):
            problem = equation(drifts.of_quadratic(HESSIAN), COVARIANCE, rate, start)
            factor = problem.noise.factor
            sgd = linear_schemes.step("euler_maruyama", HESSIAN, factor, rate)
            exact = linear_schemes.step("exact", problem.drift.hessian, factor, 1.0)
            mean, _ = linear_schemes.moments_at(sgd, start, zero, round(1 / rate))
            solution, _ = linear_schemes.moments_at(exact, start, zero, 1)
            errors[order].append(np.linalg.norm(mean - solution))
    found = [
        compare(
            MODIFIED.at(f"order {order}; {SETTING}, t = 1, η from 1/256 to 1/16", 0.12),
            estimates.loglog_slope(rates, errors[order]).value,
            "==",
            float(order),
            series={"learning_rates": rates, "errors": errors[order]},
        )
        for order in (1, 2)
    ]
    rate, curvature = 0.05, 1.0
    chain = rate / (2 * curvature - rate * curvature**2)
    for order, expected, finding in ((1, -0.5, ""), (2, -1.0, STATIONARITY)):
        h = curvature + (0.5 * rate * curvature**2 if order == 2 else 0.0)
        relative = rate / (2 * h) / chain - 1
        statement = STATIONARY.at(f"order {order}, ηλ = {rate * curvature:g}", 2 * rate * curvature)
        measured = relative / (rate * curvature)
        found.append(compare(statement, measured, "==", expected, finding=finding))
    found.append(_svag())
    return found


def _svag():
    """Check the order in 1/l with which SVAG tends to the equation of order 1."""
    rate, start, zero = 0.25, np.ones(3), np.zeros((3, 3))
    equation = modified_equations.first_order(drifts.of_quadratic(HESSIAN), COVARIANCE, rate, start)
    exact = linear_schemes.step("exact", HESSIAN, equation.noise.factor, 1.0)
    solution = linear_schemes.moments_at(exact, start, zero, 1)
    factor = np.linalg.cholesky(COVARIANCE)
    times, errors = 2 ** np.arange(2, 8), []
    for l in times:  # noqa: E741
        root = np.sqrt(2 * l - 1)
        two = np.hstack([(1 + root) / 2 * factor, (1 - root) / 2 * factor])
        step = linear_schemes.LinearStep(np.eye(3) - rate / l * HESSIAN, rate / l * two)
        moments = linear_schemes.moments_at(step, start, zero, int(l / rate))
        errors.append(
            np.hypot(*(np.linalg.norm(a - b) for a, b in zip(moments, solution, strict=True)))
        )
    return compare(
        SVAG.at(f"{SETTING}, η = {rate}, l from 4 to 128", 0.08),
        estimates.loglog_slope(1 / times, errors).value,
        "==",
        1.0,
        series={"l": times, "errors": errors},
    )
