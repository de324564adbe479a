"""Fisher matrix, Gauss-Newton matrix and gradient noise of networks of any depth.

    F <= kappa_max G,   kappa_max = max_i exp(l_i) - 1 for cross-entropies, 2 max_i l_i for squares

and for one output or two classes ``kappa_min G <= F`` too. Theorems of this project: docs/theory/
deep.md has the proofs. The order within one example is checked in rational arithmetic.
"""

from fractions import Fraction

import numpy as np

from aniso import matrices, networks
from aniso.problems import AutogradModel, losses
from aniso.propositions import deep_alignment, deep_search, exact_losses, fisher_order, symbols
from aniso.propositions import deep_training as training
from aniso.propositions.check import Statement, Verdict, compare, without_comparison
from aniso.propositions.settings import Task

TITLE = (
    "Propositions at any depth: empirical Fisher, Gauss-Newton matrix and noise of deep networks"
)

LEGEND = {
    "F": "empirical Fisher matrix, the uncentred second moment of the examples' gradients",
    "G": "Gauss-Newton matrix of the loss",
    "r_i, S_i": "gradient and Hessian of the loss of example i in its output, S_i⁺ the "
    "pseudo-inverse",
    "ℓ_i": "loss of example i",
    "κ_i": "exp(ℓ_i) - 1 for the cross-entropies, 2 ℓ_i for the squared loss |f - y|²",
    "f, y": "output and target",
    "κ_min, κ_max": "extremes of κ_i over the examples",
    "κ": "a constant in F ≤ κ G",
    "C": "κ_min/κ_max",
    "λ, u": "leading eigenpair of G",
    "g": "mean gradient",
    "Σ": "covariance of one example's gradient, F - g gᵀ",
    "â": "projection coefficient, uᵀΣu Tr G/(λ Tr Σ)",
    "a": "C - (uᵀg)² Tr G/(λ Tr Σ)",
    "v": "a direction",
} | symbols.shared("D", "N", "L", "Tr", "ε")

_PAGE = "docs/theory/deep.md"
_ORDER = f"{_PAGE}, Order of the Fisher and the Gauss-Newton matrix"
_LEAST = f"{_PAGE}, The constants are the least possible"
_SPAN = f"{_PAGE}, Generalised eigenvalues in the span of the factors"
_ALONG = f"{_PAGE}, Noise along the leading eigenvector"
_ALIGNED = f"{_PAGE}, Alignment of the noise with the Gauss-Newton matrix"
_RATIONAL = "none: rational arithmetic"
_EIGENVALUES = "rounding of an eigendecomposition, 64 D ε, relative"
_SUMS = "rounding of sums over examples and factors, 1e-9, relative"
CONSTANT = Statement(
    "least constant, exact",
    "r_iᵀ S_i⁺ r_i = κ_i: largest difference over the cases",
    _RATIONAL,
    _LEAST,
)
PIVOTS = Statement(
    "order of one example, exact",
    "r_i r_iᵀ ≤ κ_i S_i: least pivot of κ_i S_i - r_i r_iᵀ over the cases",
    _RATIONAL,
    _ORDER,
)
SMALLER = Statement(
    "a smaller constant is refuted",
    "planted falsehood: r_i r_iᵀ ≤ κ S_i with κ = (1 - 1e-30) κ_i; share of the cases with a "
    "negative pivot",
    _RATIONAL,
    _LEAST,
)
OF_EXAMPLES = Statement(
    "constant of an example",
    "log(1 + κ_i) = ℓ_i: largest difference over the examples",
    "the bound is the rounding of the outputs, 64 ε max |f|",
    _ORDER,
)
ABOVE = Statement(
    "upper order",
    "F ≤ κ_max G: least eigenvalue of κ_max G - F, relative to |κ_max G|",
    _EIGENVALUES,
    _ORDER,
)
BELOW = Statement(
    "lower order, one output or two classes",
    "κ_min G ≤ F: least eigenvalue of F - κ_min G, relative to |F|",
    _EIGENVALUES,
    _ORDER,
)
REACHED = Statement(
    "the upper constant is reached",
    "vᵀ F v / vᵀ G v = κ_max in the worst direction v, where the factors of G are independent; "
    "relative to κ_max",
    _SUMS,
    _LEAST,
)
REACHED_BELOW = Statement(
    "the lower constant is reached",
    "smallest ratio vᵀ F v / vᵀ G v = κ_min, where the factors of G are independent; relative to "
    "κ_min",
    _SUMS,
    _LEAST,
)
SATURATED = Statement(
    "reached where losses are huge",
    "largest ratio vᵀ F v / vᵀ G v = exp(max ℓ_i) - 1; relative to the right side",
    "rounding of the outputs, 64 ε max |f|",
    _SPAN,
)
NOISE = Statement(
    "noise along u",
    "â ≥ a for one output or two classes",
    _SUMS,
    _ALONG,
)
CEILING = Statement(
    "ceiling of the noise along u",
    "â ≤ (κ_max λ - (uᵀg)²) Tr G/(λ Tr Σ), for any number of outputs",
    _SUMS,
    _ALONG,
)
ALIGNED_ABOVE = Statement(
    "alignment, upper bound",
    "Tr(GΣ) ≤ κ_max Tr(G²) - gᵀGg; relative to the right side",
    _SUMS,
    _ALIGNED,
)
ALIGNED_BELOW = Statement(
    "alignment, lower bound",
    "Tr(GΣ) ≥ κ_min Tr(G²) - gᵀGg, for one output or two classes; relative to Tr(GΣ)",
    _SUMS,
    _ALIGNED,
)
RATIO = Statement(
    "trace ratio within its bounds",
    "D Tr(GΣ)/(Tr G Tr Σ) ≤ κ_max D λ/Tr Σ; relative to the right side",
    _SUMS,
    _ALIGNED,
)

_ACTIVATIONS = ("tanh", "gelu", "relu")
# Widths and examples: more parameters than factors of G, and fewer.
_ONE_OUTPUT = (((4, 16, 1), 20), ((4, 5, 6, 1), 20), ((4, 3, 3, 1), 60), ((4, 3, 3, 3, 1), 80))
_TWO_CLASSES = (((4, 5, 6, 2), 20), ((4, 3, 3, 2), 60))
_SEVERAL = (((4, 8, 3), 10), ((4, 5, 6, 3), 10), ((4, 3, 3, 3), 60), ((4, 3, 3, 3, 3), 60))
_CASES = [
    *(("logistic", widths, count) for widths, count in _ONE_OUTPUT),
    *(("squared", widths, count) for widths, count in _ONE_OUTPUT[1::2]),
    *(("cross-entropy", widths, count) for widths, count in (*_TWO_CLASSES, *_SEVERAL)),
    ("squared", (4, 3, 3, 2), 60),
]
_HUGE_LOSSES = (40.0, 60.0)


def tasks(settings):
    """Return the tasks about networks of any depth.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return [
        Task("one example, exact", lambda: _exact(settings)),
        Task("random networks", lambda: _random_networks(settings)),
        Task("huge losses", lambda: _huge_losses(settings)),
        Task("falsification", lambda: deep_search.searches(settings)),
        *(
            Task(f"FashionMNIST network, {name}", lambda name=name: _along_training(settings, name))
            for name in training.LOSSES
        ),
    ]


def _exact(settings):
    count, rng = settings.pick(40, 100, 1000), settings.rng("deep/exact")
    makers = {
        "softmax, 2 to 7 classes": lambda: exact_losses.softmax_case(
            rng, int(rng.integers(2, 8)), 30
        ),
        "logistic": lambda: exact_losses.logistic_case(rng, 30),
        "squared, 1 to 5 outputs": lambda: exact_losses.squared_case(rng, int(rng.integers(1, 6))),
    }
    found = []
    for name, make in makers.items():
        cases = [make() for _ in range(count)]
        largest = exact_losses.largest_loss(cases)
        setting = f"{name}, {count} cases, log(1 + κ_max) = {largest:.3g}"
        errors, pivots, refuted = [], [], 0
        for case in cases:
            errors.append(abs(exact_losses.least_constant(case) - case.constant))
            pivots.append(exact_losses.least_pivot(exact_losses.difference(case, case.constant)))
            smaller = case.constant * (1 - Fraction(1, 10**30))
            refuted += exact_losses.least_pivot(exact_losses.difference(case, smaller)) < 0
        found += [
            compare(CONSTANT.at(setting), float(max(errors)), "==", 0.0),
            compare(PIVOTS.at(setting), float(min(pivots)), ">=", 0.0),
            compare(SMALLER.at(setting), refuted / count, "==", 1.0),
        ]
    return found


_LOSSES = {
    "logistic": losses.LogisticLoss(),
    "squared": losses.SquaredLoss(),
    "cross-entropy": losses.SoftmaxCrossEntropy(),
}


def _random_problem(settings, name, widths, count, activation):
    """Random data and weights of a network, and the words for it."""
    setting = f"{activation}, {'-'.join(map(str, widths))}, {name}, N = {count}"
    rng = settings.rng(f"deep/{setting}")
    model = networks.multilayer_perceptron(widths, activation)
    inputs, num_outputs = rng.standard_normal((count, widths[0])), widths[-1]
    if name == "squared":
        targets = rng.standard_normal((count, num_outputs))
    else:
        targets = rng.integers(0, max(2, num_outputs), count)
    theta = rng.uniform(0.5, 2.0) * model.initial_parameters(rng)
    return networks.Network(model, _LOSSES[name], inputs, targets), theta, setting


def _random_networks(settings):
    found = []
    for repetition in range(settings.pick(1, 1, 10)):
        for activation in _ACTIVATIONS:
            for name, widths, count in _CASES:
                found += _of_random_network(
                    *_random_problem(settings, name, widths, count + repetition, activation)
                )
    return found


def _of_random_network(problem, theta, setting):
    at = problem.at(theta)
    order = fisher_order.fisher_gauss_newton_order(at)
    bound = deep_alignment.deep_alignment_bound(at)
    constants, dimension = order.constants, problem.num_parameters
    rows, fisher, curvature = _by_autograd(problem, theta)
    rounding = 64 * dimension * np.finfo(float).eps
    found = [_excess(ABOVE, constants.highest * curvature, fisher, setting, rounding)]
    if problem.output_loss != _LOSSES["squared"]:
        error = np.abs(np.log1p(constants.of_examples) - problem.losses(theta)).max()
        size = 64 * np.finfo(float).eps * max(1.0, np.abs(problem.outputs(theta)).max())
        found.append(compare(OF_EXAMPLES.at(setting), error, "<=", size))
    if order.rank == order.num_factors:
        found.append(_reached(order, _ratio(order.direction, fisher, curvature), setting))
    aligned = matrices.alignment(curvature, at.noise)
    square, mean = np.square(curvature).sum(), rows.mean(axis=0)
    ceiling = constants.highest * square - mean @ curvature @ mean
    found += [
        compare(CEILING.at(setting, 1e-9 * bound.upper), bound.coefficient, "<=", bound.upper),
        compare(ALIGNED_ABOVE.at(setting, 1e-9), aligned / ceiling, "<=", 1.0),
    ]
    if constants.two_sided:
        floor = constants.lowest * square - mean @ curvature @ mean
        found += [
            _excess(BELOW, fisher, constants.lowest * curvature, setting, rounding),
            compare(ALIGNED_BELOW.at(setting, 1e-9), floor / aligned, "<=", 1.0),
            _promise([("random weights", bound)], setting),
        ]
        if order.rank == order.num_factors:
            least = problem.losses(theta).min()
            squared = problem.output_loss == _LOSSES["squared"]
            found.append(_reached_below(order, 2 * least if squared else np.expm1(least), setting))
    return found


def _by_autograd(problem, theta):
    """Gradients of the examples, F and G, dense, by automatic differentiation."""
    plain = AutogradModel(problem.model, problem.output_loss, problem.inputs, problem.targets)
    rows, jacobians = plain.per_example_gradients(theta), plain.jacobians(theta)
    weighted = plain.output_hessians(theta) @ jacobians
    dimension = rows.shape[1]
    curvature = jacobians.reshape(-1, dimension).T @ weighted.reshape(-1, dimension)
    return rows, rows.T @ rows / len(rows), (curvature + curvature.T) / (2 * len(rows))


def _excess(statement, larger, smaller, setting, tolerance):
    """Check ``smaller <= larger`` by the least eigenvalue of the difference."""
    least = np.linalg.eigvalsh(larger - smaller)[0] / np.linalg.norm(larger, 2)
    return compare(statement.at(setting, tolerance), least, ">=", 0.0)


def _ratio(vector, above, below):
    return (vector @ above @ vector) / (vector @ below @ vector)


def _reached(order, ratio, setting):
    return compare(REACHED.at(setting, 1e-9), ratio / order.constants.highest, "==", 1.0)


def _reached_below(order, constant, setting):
    return compare(REACHED_BELOW.at(setting, 1e-9), order.smallest / constant, "==", 1.0)


def _huge_losses(settings):
    """Check the largest ratio where its constant has up to 26 digits."""
    found = []
    for activation in _ACTIVATIONS:
        for name, widths, count in (
            ("logistic", (4, 5, 6, 1), 20),
            ("cross-entropy", (4, 5, 6, 3), 10),
        ):
            problem, theta, setting = _random_problem(settings, name, widths, count, activation)
            for largest in _HUGE_LOSSES:
                wrong, scaled = _with_largest_loss(problem, theta, largest)
                order = fisher_order.fisher_gauss_newton_order(wrong.at(scaled))
                reached = order.largest / np.expm1(wrong.losses(scaled).max())
                size = 64 * np.finfo(float).eps * np.abs(wrong.outputs(scaled)).max()
                there = f"{setting}, largest loss {largest:g}"
                found.append(compare(SATURATED.at(there, size), reached, "==", 1.0))
    return found


def _with_largest_loss(problem, theta, largest):
    """The problem with its boldest label made wrong, and theta scaled to the given largest loss."""
    outputs, targets = problem.outputs(theta), problem.targets.copy()
    one_output = outputs.shape[1] == 1
    example = int(np.argmax(np.ptp(np.c_[outputs, 0 * outputs] if one_output else outputs, axis=1)))
    targets[example] = outputs[example, 0] < 0 if one_output else np.argmin(outputs[example])
    wrong = networks.Network(problem.model, problem.output_loss, problem.inputs, targets)
    scaled, last = theta.copy(), list(problem.blocks.values())[-1]
    # the outputs are linear in the last layer, and so is a large loss
    for _ in range(40):
        scaled[last] *= largest / wrong.losses(scaled).max()
    return wrong, scaled


def _along_training(settings, name):
    """Check the network on images along training."""
    count, steps = training.plan(name, settings)
    readings = training.readings_along_training(name, count, steps, settings.seed)
    setting = f"{name}, N = {count}"
    found = []
    for item in readings:
        there, order, bound = f"{setting}, step {item.step}", item.order, item.bound
        found += [
            compare(CEILING.at(there, 1e-9 * bound.upper), bound.coefficient, "<=", bound.upper),
            compare(RATIO.at(there, 1e-9), item.trace_ratio / bound.ratio_ceiling, "<=", 1.0),
        ]
        if order.rank == order.num_factors:
            found.append(_reached(order, item.reached, there))
            if order.constants.two_sided:
                found.append(_reached_below(order, np.expm1(item.least_loss), there))
    found.append(_promise([(f"step {item.step}", item.bound) for item in readings], setting))
    return found


def _promise(bounds, setting):
    """Check â >= a at the worst place with a > 0, and say where a promises nothing."""
    promised = [(place, bound) for place, bound in bounds if not bound.is_vacuous]
    finding = _along(bounds, setting) if len(bounds) > 1 else ""
    if not promised:
        finding = finding or "a ≤ 0 promises nothing for these weights"
        return without_comparison(NOISE.at(setting), Verdict.VACUOUS, finding)
    place, bound = min(promised, key=lambda pair: pair[1].coefficient - pair[1].guaranteed)
    there = NOISE.at(f"{setting}, {place}", 1e-9 * bound.coefficient)
    return compare(there, bound.coefficient, ">=", bound.guaranteed, finding=finding)


def _along(bounds, setting):
    """Return the measured coefficients and the guaranteed a at every place, as text."""
    measured = [bound.coefficient for _, bound in bounds]
    text = f"{setting}: â from {min(measured):.3g} to {max(measured):.3g} at "
    text += ", ".join(place for place, _ in bounds)
    if not bounds[0][1].constants.two_sided:
        ceilings = [bound.upper for _, bound in bounds]
        return (
            f"{text}; several outputs have no lower constant, C = 0, so that a ≤ 0 is vacuous; "
            f"the ceiling is from {min(ceilings):.3g} to {max(ceilings):.3g}"
        )
    values = ", ".join(f"{bound.guaranteed:.2g}" for _, bound in bounds)
    return f"{text}; a = {values}, vacuous where a ≤ 0"
