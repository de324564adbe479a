"""aniso's own side of the curvature benchmark: the layer engine, and the plain autograd path."""

import numpy as np

from aniso import networks
from aniso.matrices import eigenpairs, gradient_covariance
from aniso.problems import losses

MODELS = {
    "fashion": (networks.fashion_mnist_network, losses.SoftmaxCrossEntropy()),
    "hidden512": (lambda: networks.one_hidden_layer(2, 512), losses.ClippedSquaredLoss()),
    "mlp": (
        lambda: networks.multilayer_perceptron((784, 128, 64, 10)),
        losses.SoftmaxCrossEntropy(),
    ),
}


def engine(problem):
    """Every quantity of the engine."""
    build, loss = MODELS[problem.model]
    network = networks.Network(
        build(), loss, problem.inputs, problem.targets, dtype=problem.inputs.dtype
    )
    theta, vectors = problem.theta, problem.vectors
    state = {}

    def linearisation():
        state["at"] = network.linearise(theta)
        state["at"].prepare()
        return vectors[:1]

    def at():
        if not state:
            linearisation()
        return state["at"]

    def covariance():
        if "noise" not in state:
            state["noise"] = gradient_covariance(at().gradient_factors)
        return state["noise"]

    def alignment():
        kept = ["gradient_factors", "_kept_gradients"]
        if at().strategy == "tangents":
            kept.append("_cache")  # formed for the alignment alone
        for name in kept:
            at().__dict__.pop(name, None)
        return np.array([at().noise_curvature().alignment])

    def leading():
        fresh = network.linearise(theta)
        hessian = fresh.hessian_operator(num_products=1500)
        tolerance = 1e-11 if problem.inputs.dtype == np.float64 else 1e-5
        pairs = eigenpairs.leading_eigenpairs(hessian, 400, method="block", tolerance=tolerance)
        state["residual"] = pairs.residuals.max()
        return pairs.values

    quantities = {
        "gradient": lambda: network.gradient(theta),
        "per_example_gradients": lambda: network.per_example_gradients(theta),
        "hessian_product_moving": lambda: network.hessian_product(theta, vectors[:, 0]),
        "linearisation": linearisation,
        "hessian_product_fixed": lambda: at().hessian_product(vectors[:, 0]),
        "hessian_product_block8": lambda: at().hessian_product(vectors[:, :8]),
        "hessian_product_block32": lambda: at().hessian_product(vectors[:, :32]),
        "hessian_product_block128": lambda: at().hessian_product(vectors),
        "hessian_trace": lambda: np.array([_fresh_trace(at())]),
        "alignment": alignment,
        "covariance_product": lambda: covariance() @ vectors[:, 0],
        "covariance_eigenpairs_20": lambda: covariance().leading_eigenpairs(20).values,
    }
    if problem.model != "mlp":
        quantities["dense_hessian"] = lambda: network.linearise(theta).hessian()
    if problem.model == "fashion":
        quantities["leading_eigenpairs_400"] = leading
    return quantities


def _fresh_trace(at):
    at.__dict__.pop("_kept_hessian_diagonal", None)
    at.__dict__.pop("_kept_gauss_newton_diagonal", None)
    return at.hessian_trace()


def autograd(problem):
    """The same network through autograd alone."""
    import autograd.numpy as anp
    from autograd import grad

    build, loss = MODELS[problem.model]
    model, inputs, targets = build(), problem.inputs, problem.targets

    def mean(theta):
        return anp.mean(loss(model.outputs(theta, inputs), targets))

    slope = grad(mean)
    product = grad(lambda theta, v: anp.sum(slope(theta) * v))
    return {
        "gradient": lambda: slope(problem.theta),
        "hessian_product_moving": lambda: product(problem.theta, problem.vectors[:, 0]),
    }
