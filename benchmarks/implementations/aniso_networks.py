"""aniso's networks: the layer engine, and the plain autograd path."""

import numpy as np

from aniso import matrices, networks
from aniso.problems import losses
from benchmarks.implementations import network_problems

NUM_PAIRS = 400
# the largest dense Hessian of a benchmark
_DENSE_PARAMETERS = 20_000
_STACKS = {
    "convolutional": networks.fashion_mnist_network,
    "2-512-1": lambda: networks.one_hidden_layer(2, 512),
    "2-32-1": lambda: networks.one_hidden_layer(2, 32),
    "784-128-64-10": lambda: networks.multilayer_perceptron((784, 128, 64, 10)),
}


def network_of(problem, **settings):
    """Return the network of a problem."""
    loss = losses.ClippedSquaredLoss() if problem.is_small else losses.SoftmaxCrossEntropy()
    return networks.Network(
        _STACKS[problem.model](),
        loss,
        problem.inputs,
        problem.targets,
        dtype=problem.inputs.dtype,
        **settings,
    )


def engine(model, num_examples, dtype):
    """Every quantity of the engine, and what a user keeps between two calls."""
    problem = network_problems.problem(model, num_examples, dtype)
    network, theta, vectors = network_of(problem), problem.theta, problem.vectors
    state = {}

    def linearisation():
        state["at"] = network.linearise(theta).prepare()

    def at():
        if "at" not in state:
            linearisation()
        return state["at"]

    def covariance():
        if "noise" not in state:
            state["noise"] = matrices.gradient_covariance(at().gradient_factors)
        return state["noise"]

    def leading():
        fresh = network.linearise(theta)
        tolerance = 1e-11 if network.dtype == np.float64 else 1e-5
        hessian = fresh.hessian_operator(num_products=1500)
        return matrices.leading_eigenpairs(
            hessian, NUM_PAIRS, method="block", tolerance=tolerance
        ).values

    def alignment():
        found = network.at(theta)
        return np.array([matrices.alignment(found.hessian, found.noise)])

    vector = np.ascontiguousarray(vectors[:, 0])  # as every peer gets it
    quantities = {
        "gradient": lambda: network.gradient(theta),
        "per_example_gradients": lambda: network.per_example_gradients(theta),
        "hessian_product_moving": lambda: network.hessian_product(theta, vector),
        "hessian_product_block8": lambda: network.hessian_product(theta, vectors[:, :8]),
    }
    if model == "convolutional":
        head = network_of(problem.head(100))
        quantities["gradient_100"] = lambda: head.gradient(theta)
    quantities |= {
        "linearisation": linearisation,
        "hessian_product_fixed": lambda: at().hessian_product(vector),
        "hessian_product_fixed8": lambda: at().hessian_product(vectors[:, :8]),
        "hessian_product_fixed32": lambda: at().hessian_product(vectors[:, :32]),
        "hessian_product_fixed128": lambda: at().hessian_product(vectors),
        "hessian_trace": lambda: np.array([network.at(theta).hessian.trace()]),
        "alignment": alignment,
        "covariance_product": lambda: covariance() @ vectors[:, 0],
        "covariance_eigenpairs_20": lambda: covariance().leading_eigenpairs(20).values,
    }
    if network.num_parameters < _DENSE_PARAMETERS:
        quantities["dense_hessian"] = lambda: network.linearise(theta).hessian()
    if model == "convolutional":
        quantities["leading_eigenpairs_400"] = leading
    return quantities


def autograd(model, num_examples, dtype):
    """The same network differentiated by autograd alone."""
    import autograd.numpy as anp
    from autograd import grad

    problem = network_problems.problem(model, num_examples, dtype)
    network = network_of(problem)
    loss, stack = network.output_loss, network.model

    def mean(theta):
        return anp.mean(loss(stack.outputs(theta, problem.inputs), problem.targets))

    slope = grad(mean)
    product = grad(lambda theta, v: anp.sum(slope(theta) * v))
    return {
        "gradient": lambda: slope(problem.theta),
        "hessian_product_moving": lambda: product(problem.theta, problem.vectors[:, 0]),
    }
