"""Curvature and noise of layer networks: exact quantities against independent routes.

Small random networks are compared with dense automatic differentiation. The FashionMNIST network is
checked by identities that hold to rounding, and by Proposition 1's bound on the network itself.
"""

import numpy as np

from aniso import datasets, networks
from aniso.matrices import eigenpairs, gradient_covariance, indicators, stochastic_traces
from aniso.problems import (
    AutogradModel,
    losses,
)
from aniso.propositions import symbols
from aniso.propositions.check import Statement, compare
from aniso.propositions.settings import Task

TITLE = "Networks: exact curvature and noise against autograd, differences and closed forms"

LEGEND = symbols.shared("θ", "D", "N", "L", "Tr", "H") | {
    "GGN": "generalised Gauss-Newton matrix",
    "Σ": "covariance of one example's gradient",
    "Σ_iso": "isotropic noise of the same trace",
    "g_i, g": "gradient of example i, and their mean",
    "v": "a direction",
    "V": "4 random directions",
    "h": "step of a difference",
    "X": "inputs, a column of ones appended",
    "p": "predicted probabilities",
    "â": "projection coefficient, u₁ᵀΣu₁ Tr H/(λ₁ Tr Σ)",
    "λ₁, λ_min": "largest and smallest eigenvalue of H",
    "u₁": "unit eigenvector of λ₁",
}

_BOUND = "the bound is rounding of some thousand products, relative to the largest entry"
_NETWORKS = "docs/theory/networks.md"
HESSIAN = Statement(
    "Hessian",
    "H of the network = H by automatic differentiation",
    _BOUND,
    f"{_NETWORKS}, Hessian beyond Gauss-Newton",
)
ALIGNMENT = Statement(
    "Tr(HΣ)",
    "Tr(HΣ) from factors = (1/N) ∑_i (g_i - g)ᵀ H (g_i - g) by automatic differentiation",
    _BOUND,
    f"{_NETWORKS}, Exact alignment of a network",
)
DIFFERENCES = Statement(
    "H v by differences",
    "H v = (∇L(θ + h v) - ∇L(θ - h v)) / 2h as h → 0",
    "the bound is far above h² and rounding over h, for h = 1e-6",
    f"{_NETWORKS}, Hessian beyond Gauss-Newton",
)
LEAST_SQUARES = Statement(
    "least squares",
    "H = 2 XᵀX / N",
    _BOUND,
    f"{_NETWORKS}, Derivatives of the losses",
)
LOGISTIC = Statement(
    "logistic",
    "H = Xᵀ diag(p (1 - p)) X / N",
    _BOUND,
    f"{_NETWORKS}, Derivatives of the losses",
)
NOT_GAUSS_NEWTON = Statement(
    "GGN in place of H is noticed",
    "planted falsehood: the GGN lacks the second derivatives across layers, so that it differs "
    "from H",
    "the bound is ten thousand times what is allowed to H",
    f"{_NETWORKS}, Cross-layer blocks",
)
PRODUCTS = Statement(
    "H V by two algorithms",
    "H V from the stored factors of the layers = H V from derivatives carried forward through them",
    _BOUND,
    f"{_NETWORKS}, Hessian beyond Gauss-Newton",
)
TRACES = Statement(
    "Tr H = Tr GGN",
    "piecewise-linear layers have no second derivative on the diagonal",
    _BOUND,
    f"{_NETWORKS}, Hessian beyond Gauss-Newton",
)
PROBES = Statement(
    "Tr H by probes",
    "exact Tr H = Hutchinson's estimate from products H v",
    "four standard errors of the estimate",
    "docs/theory/estimates.md, Hutchinson's estimator",
)
ALIGNMENTS = Statement(
    "Tr(HΣ) by two algorithms",
    "from Gram matrices of the layers = from N Hessian products",
    _BOUND,
    f"{_NETWORKS}, Exact alignment of a network",
)
PROPOSITION = Statement(
    "Proposition 1 on the network",
    "Tr(HΣ)/Tr(HΣ_iso) ≥ â D (λ₁/Tr H)² - |λ_min| Tr Σ/Tr(HΣ_iso), the last term for λ_min < 0",
    "residuals of the eigenpairs, 1e-8 λ₁ and 1e-4 λ₁ on a small correction",
    "docs/theory/propositions.md, Proposition 1 for an indefinite Hessian",
)


def tasks(settings):
    """Return the tasks about networks.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return [
        Task("autograd", lambda: _against_autograd(settings), 3.0, "networks"),
        Task("linear models", lambda: _linear_models(settings)),
        Task("planted error", lambda: _planted_error(settings), 0.1, "networks"),
        Task("FashionMNIST network", lambda: _fashion_network(settings), 12.0, "networks"),
    ]


def _small_models():
    convolution = (
        networks.Convolution(2, 3),
        networks.MaxPooling(2),
        networks.Activation("relu"),
        networks.Convolution(2, 2, padding=1),
        networks.Activation("relu"),
        networks.Flatten(),
        networks.Dense(3),
    )
    smooth = [
        networks.Activation("tanh") if isinstance(layer, networks.Activation) else layer
        for layer in convolution
    ]
    return {
        "two convolutions, ReLU": networks.Stack(convolution, (1, 8, 8)),
        "two convolutions, tanh": networks.Stack(smooth, (1, 8, 8)),
        "perceptron, leaky ReLU": networks.multilayer_perceptron((6, 5, 4, 3), "leaky_relu"),
        "perceptron, GELU": networks.multilayer_perceptron((6, 5, 4, 3), "gelu"),
    }


def _problem(model, settings, name):
    rng = settings.rng(f"curvature/{name}")
    inputs = rng.standard_normal((12, *model.input_shape))
    targets = rng.integers(0, model.num_outputs, 12)
    return inputs, targets, model.initial_parameters(rng)


def _equal(statement, actual, expected, setting, tolerance=1e-10):
    """Check that two arrays agree, relative to the largest entry."""
    scale = max(float(np.abs(expected).max()), 1e-12)
    error = float(np.abs(np.asarray(actual) - expected).max()) / scale
    return compare(statement.at(setting), error, "<=", tolerance)


def _against_autograd(settings):
    found = []
    for name, model in _small_models().items():
        inputs, targets, theta = _problem(model, settings, name)
        loss = losses.SoftmaxCrossEntropy()
        network = networks.Network(model, loss, inputs, targets)
        plain = AutogradModel(model, loss, inputs, targets)
        at = network.linearise(theta)
        expected = plain.hessian(theta)
        found.append(_equal(HESSIAN, at.hessian(), expected, name))
        rows = plain.example_gradients(theta)
        centred = rows - rows.mean(axis=0)
        alignment = float(np.einsum("nd,de,ne->", centred, expected, centred)) / len(rows)
        measured = [at.noise_curvature().alignment]
        found.append(_equal(ALIGNMENT, measured, np.array([alignment]), name))
        found.append(_finite_difference(network, theta, settings, name))
    return found


def _finite_difference(network, theta, settings, name):
    # smooth between kinks: the central difference of the gradient errs by O(h^2)
    direction = settings.rng(f"curvature/{name}/direction").standard_normal(theta.size)
    step = 1e-6
    ahead, behind = (network.gradient(theta + sign * step * direction) for sign in (1, -1))
    product = network.hessian_product(theta, direction)
    error = np.linalg.norm((ahead - behind) / (2 * step) - product) / np.linalg.norm(product)
    return compare(DIFFERENCES.at(name), error, "<=", 1e-5)


def _linear_models(settings):
    """Check the closed forms of least squares and of logistic regression."""
    rng = settings.rng("curvature/linear")
    inputs, theta = rng.standard_normal((50, 4)), rng.standard_normal(5)
    extended = np.c_[inputs, np.ones(50)]
    model = networks.multilayer_perceptron((4, 1))
    squared = networks.Network(model, losses.SquaredLoss(), inputs, rng.standard_normal((50, 1)))
    logistic = networks.Network(model, losses.LogisticLoss(), inputs, rng.integers(0, 2, 50))
    probability = 1 / (1 + np.exp(-extended @ theta))
    weights = probability * (1 - probability)
    return [
        _equal(
            LEAST_SQUARES,
            squared.linearise(theta).hessian(),
            2 * extended.T @ extended / 50,
            "linear model, squared loss",
        ),
        _equal(
            LOGISTIC,
            logistic.linearise(theta).hessian(),
            (extended.T * weights) @ extended / 50,
            "linear model, logistic loss",
        ),
    ]


def _planted_error(settings):
    """Check that a Hessian without its cross-layer part is found to be wrong."""
    model = _small_models()["two convolutions, ReLU"]
    inputs, targets, theta = _problem(model, settings, "planted")
    at = networks.Network(model, losses.SoftmaxCrossEntropy(), inputs, targets).linearise(theta)
    expected, wrong = at.hessian(), at.generalized_gauss_newton()
    error = np.abs(expected - wrong).max() / np.abs(expected).max()
    return [compare(NOT_GAUSS_NEWTON.at("two convolutions, ReLU"), error, ">=", 1e-6)]


def _trained_fashion_network(settings):
    data = datasets.fashion_mnist()
    count = settings.pick(200, 600, 1200)
    images = data.train_images[:count, None] / 127.5 - 1.0
    model = networks.fashion_mnist_network()
    network = networks.Network(
        model, losses.SoftmaxCrossEntropy(), images, data.train_labels[:count]
    )
    theta = model.initial_parameters(settings.rng("curvature/fashion"))
    first = second = np.zeros_like(theta)
    for step in range(1, settings.pick(30, 100, 150) + 1):
        slope = network.gradient(theta)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        scale = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        theta = theta - 2e-3 * first / (1 - 0.9**step) / scale
    return network, theta


def _fashion_network(settings):
    network, theta = _trained_fashion_network(settings)
    setting = f"FashionMNIST network, D = {theta.size}, N = {network.num_examples}"
    at = network.linearise(theta, "factors")
    rng = settings.rng("curvature/fashion/vectors")
    vectors = rng.standard_normal((theta.size, 4))
    found = [
        _equal(
            PRODUCTS, at.hessian_product(vectors), network.hessian_product(theta, vectors), setting
        ),
        _equal(
            TRACES,
            [at.hessian_trace()],
            np.array([at.generalized_gauss_newton_diagonal.sum()]),
            setting,
        ),
    ]
    hessian = at.hessian_operator()
    covariance = gradient_covariance(at.gradient_factors)
    noise = at.noise_curvature()
    estimate = stochastic_traces.hutchinson(hessian, settings.pick(200, 400, 800), rng)
    error = estimate.standard_error
    there = PROBES.at(setting, 4 * error)
    found.append(compare(there, estimate.value, "==", at.hessian_trace(), standard_error=error))
    expected = np.array([indicators.alignment(hessian, covariance)])
    found.append(_equal(ALIGNMENTS, [noise.alignment], expected, setting))
    found.append(_first_proposition(at, hessian, covariance, noise, theta.size, setting))
    return found


def _first_proposition(at, hessian, covariance, noise, dimension, setting):
    # H has small negative eigenvalues here: Tr(H Sigma) can lose at most |lambda_min| Tr Sigma
    leading = eigenpairs.leading_eigenpairs(hessian, 1, method="block", tolerance=1e-8)
    lowest = eigenpairs.leading_eigenpairs(
        hessian, 1, which="smallest", method="block", tolerance=1e-4
    )
    value, vector = leading.values[0], leading.vectors[:, 0]
    trace, power = at.hessian_trace(), covariance.trace()
    coefficient = covariance.quadratic_form(vector) * trace / (value * power)
    bound = coefficient * dimension * (value / trace) ** 2
    loss = max(0.0, -float(lowest.values[0])) * power / noise.isotropic
    return compare(
        PROPOSITION.at(setting, 1e-6 * abs(noise.ratio)),
        noise.ratio,
        ">=",
        bound - loss,
        finding=f"â = {coefficient:.3g}, ratio {noise.ratio:.4g}, bound for λ_min ≥ 0 {bound:.4g}",
    )
