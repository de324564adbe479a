"""The curvature engine: exact against autograd, finite differences, closed forms and itself.

On random small networks against dense automatic differentiation; on the FashionMNIST network by
identities that hold to rounding; and Proposition 1's bound on the network itself.
"""

import numpy as np

from aniso import datasets, networks
from aniso.matrices import eigenpairs, gradient_covariance, indicators, stochastic_traces
from aniso.problems import (
    AutogradModel,
    losses,
)
from aniso.propositions.check import Task, compare

TITLE = "The curvature engine: exact against autograd, finite differences, closed forms and itself"

SOURCE = "definitions; Zhu et al. 2019, section 3 and Figure 5"
_ROUNDING = "the bound is rounding of some thousand products, relative to the largest entry"


def tasks(settings):
    """Tasks of the curvature engine.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    return [
        Task("autograd", lambda: _against_autograd(settings)),
        Task("linear models", lambda: _linear_models(settings)),
        Task("planted error", lambda: _planted_error(settings)),
        Task("FashionMNIST network", lambda: _fashion_network(settings)),
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


def _equal(name, actual, expected, claim, setting, tolerance=1e-10):
    scale = max(float(np.abs(expected).max()), 1e-12)
    error = float(np.abs(np.asarray(actual) - expected).max()) / scale
    return compare(
        name,
        error,
        "<=",
        tolerance,
        claim=claim,
        setting=setting,
        tolerance=0.0,
        tolerance_reason=_ROUNDING,
        source=SOURCE,
    )


def _against_autograd(settings):
    found = []
    for name, model in _small_models().items():
        inputs, targets, theta = _problem(model, settings, name)
        loss = losses.SoftmaxCrossEntropy()
        network = networks.Network(model, loss, inputs, targets)
        plain = AutogradModel(model, loss, inputs, targets)
        at = network.linearise(theta)
        expected = plain.hessian(theta)
        found.append(
            _equal("Hessian", at.hessian(), expected, "engine H = autograd's Hessian", name)
        )
        rows = plain.example_gradients(theta)
        centred = rows - rows.mean(axis=0)
        alignment = float(np.einsum("nd,de,ne->", centred, expected, centred)) / len(rows)
        found.append(
            _equal(
                "Tr(HΣ)",
                [at.noise_curvature().alignment],
                np.array([alignment]),
                "Tr(HΣ) from factors = (1/N) Σ_i (g_i − g)ᵀ H (g_i − g) by autograd",
                name,
            )
        )
        found.append(_finite_difference(network, theta, settings, name))
    return found


def _finite_difference(network, theta, settings, name):
    # smooth between kinks: the central difference of the gradient errs by O(h^2)
    direction = settings.rng(f"curvature/{name}/direction").standard_normal(theta.size)
    step = 1e-6
    ahead, behind = (network.gradient(theta + sign * step * direction) for sign in (1, -1))
    product = network.hessian_product(theta, direction)
    error = np.linalg.norm((ahead - behind) / (2 * step) - product) / np.linalg.norm(product)
    return compare(
        "H v by differences",
        error,
        "<=",
        1e-5,
        claim="H v = (∇L(θ + h v) − ∇L(θ − h v)) / 2h as h → 0",
        setting=name,
        tolerance=0.0,
        tolerance_reason="the bound is far above h² and rounding over h, for h = 1e-6",
        source=SOURCE,
    )


def _linear_models(settings):
    """Closed forms: H = 2 XᵀX / N for least squares, XᵀPX / N for logistic regression."""
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
            "least squares",
            squared.linearise(theta).hessian(),
            2 * extended.T @ extended / 50,
            "H = 2 XᵀX / N",
            "linear model, squared loss",
        ),
        _equal(
            "logistic",
            logistic.linearise(theta).hessian(),
            (extended.T * weights) @ extended / 50,
            "H = Xᵀ diag(p (1 − p)) X / N",
            "linear model, logistic loss",
        ),
    ]


def _planted_error(settings):
    """Without its cross-layer part the Hessian must be seen to be wrong."""
    model = _small_models()["two convolutions, ReLU"]
    inputs, targets, theta = _problem(model, settings, "planted")
    at = networks.Network(model, losses.SoftmaxCrossEntropy(), inputs, targets).linearise(theta)
    expected, wrong = at.hessian(), at.generalized_gauss_newton()
    error = np.abs(expected - wrong).max() / np.abs(expected).max()
    return [
        compare(
            "dropped cross-layer term",
            error,
            ">=",
            1e-6,
            claim="GGN ≠ H in a network of several layers: a dropped term is found",
            setting="two convolutions, ReLU",
            tolerance=0.0,
            tolerance_reason="the bound is ten thousand times what is allowed to the engine",
            source=SOURCE,
        )
    ]


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
            "two routes to H V",
            at.hessian_product(vectors),
            network.hessian_product(theta, vectors),
            "cached factors = tangents through the layers",
            setting,
        ),
        _equal(
            "Tr H = Tr GGN",
            [at.hessian_trace()],
            np.array([at.generalized_gauss_newton_diagonal.sum()]),
            "piecewise-linear layers have no second derivative on the diagonal",
            setting,
        ),
    ]
    hessian = at.hessian_operator()
    covariance = gradient_covariance(at.gradient_factors)
    noise = at.noise_curvature()
    estimate = stochastic_traces.hutchinson(hessian, settings.pick(200, 400, 800), rng)
    found.append(
        compare(
            "Tr H by probes",
            estimate.value,
            "==",
            at.hessian_trace(),
            claim="exact Tr H = Hutchinson's estimate of Tr(v ↦ H v)",
            setting=setting,
            tolerance=4 * estimate.standard_error,
            tolerance_reason="four standard errors of the estimate",
            source=SOURCE,
            standard_error=estimate.standard_error,
        )
    )
    found.append(
        _equal(
            "two routes to Tr(HΣ)",
            [noise.alignment],
            np.array([indicators.alignment(hessian, covariance)]),
            "Gram matrices of layers = N Hessian products",
            setting,
        )
    )
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
        "Proposition 1 on the network",
        noise.ratio,
        ">=",
        bound - loss,
        claim="Tr(HΣ)/Tr(HΣ̄) ≥ â D (λ₁/Tr H)², less |λ_min| Tr Σ / Tr(HΣ̄) for H not ⪰ 0",
        setting=setting,
        tolerance=1e-6 * abs(noise.ratio),
        tolerance_reason="residuals of the eigenpairs, 1e-8 λ₁ and 1e-4 λ₁ on a small correction",
        source=SOURCE,
        finding=f"â = {coefficient:.3g}, ratio {noise.ratio:.4g}, bound for H ⪰ 0 {bound:.4g}",
    )
