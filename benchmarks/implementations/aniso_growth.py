"""Costs over sizes: quantities are named "quantity@size"."""

import functools

import numpy as np

from aniso import langevin, matrices, networks
from aniso.langevin import drifts, noises
from aniso.networks import StreamedGradients
from aniso.problems import losses
from benchmarks.implementations import network_problems
from benchmarks.implementations.aniso_networks import network_of
from benchmarks.implementations.aniso_vgg import network_and_theta
from benchmarks.implementations.ensemble_problems import linear_problem

_BUDGET = 400_000_000
_EXAMPLES_OF_WIDTHS = 100
_EXAMPLES_OF_BLOCKS = 300


def costs(over, sizes):
    """Quantities over sizes; `over` names one of the functions below."""
    return _COSTS[over](sizes)


def over_examples(sizes):
    """First and second derivatives of the convolutional network, over N."""
    found = {}
    for size in sizes:
        problem = network_problems.problem("convolutional", size)
        network, theta, vectors = network_of(problem), problem.theta, problem.vectors
        vector = vectors[:, 0]
        found |= {
            f"gradient@{size}": functools.partial(network.gradient, theta),
            f"per_example_gradients@{size}": functools.partial(
                network.per_example_gradients, theta
            ),
            f"hessian_product@{size}": functools.partial(network.hessian_product, theta, vector),
        }
    return found


def alignment(sizes):
    """Tr(H Sigma), exact and deflated to 1 %, of a perceptron 64-32-10 from theta, over N."""
    rng, stack = np.random.default_rng(0), networks.multilayer_perceptron((64, 32, 10))
    theta, found = stack.initial_parameters(rng), {}
    for size in sizes:
        inputs, labels = rng.standard_normal((size, 64)), rng.integers(0, 10, size)
        network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels)

        def exact(network=network):
            at = network.at(theta)
            return np.array([matrices.alignment(at.hessian, at.noise)])

        def deflated(network=network):
            at = network.at(theta)
            found = at.estimate_alignment(np.random.default_rng(0), relative_error=0.01)
            return np.array([found.value])

        found |= {f"exact@{size}": exact, f"deflated@{size}": deflated}
    return found


def over_parameters(sizes):
    """Derivatives of perceptrons 64-w-w-10 of given widths w, over D."""
    rng, found = np.random.default_rng(0), {}
    inputs = rng.standard_normal((_EXAMPLES_OF_WIDTHS, 64))
    labels = rng.integers(0, 10, _EXAMPLES_OF_WIDTHS)
    for width in sizes:
        stack = networks.multilayer_perceptron((64, width, width, 10))
        network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels)
        theta, size = stack.initial_parameters(rng), stack.num_parameters
        vector = rng.standard_normal(size)
        found |= {
            f"gradient@{size}": functools.partial(network.gradient, theta),
            f"per_example_gradients@{size}": functools.partial(
                network.per_example_gradients, theta
            ),
            f"hessian_product@{size}": functools.partial(network.hessian_product, theta, vector),
        }
    return found


def matrices_over_parameters(sizes):
    """Trace ratio of two arrays, and the dense Hessian of a perceptron 20-w-5, over D."""
    rng, found = np.random.default_rng(0), {}
    inputs, labels = rng.standard_normal((200, 20)), rng.integers(0, 5, 200)
    for size in sizes:
        stack = networks.multilayer_perceptron((20, max(1, (size - 5) // 26), 5))
        network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels)
        theta, own = stack.initial_parameters(rng), stack.num_parameters
        hessian = _positive(rng, own)
        covariance = _positive(rng, own)

        def dense(network=network, theta=theta):
            return network.linearise(theta).hessian()

        found |= {
            f"trace_ratio@{own}": functools.partial(matrices.trace_ratio, hessian, covariance),
            f"dense_hessian@{own}": dense,
        }
    return found


def _positive(rng, size):
    factor = rng.standard_normal((size, 50))
    return factor @ factor.T + np.eye(size)


def over_vectors(sizes):
    """Hessian products of a block at fixed theta, of the convolutional network, over K."""
    problem = network_problems.problem("convolutional", _EXAMPLES_OF_BLOCKS)
    at = network_of(problem).linearise(problem.theta, strategy="factors").prepare()
    return {
        f"hessian_product_fixed@{size}": functools.partial(
            at.hessian_product, np.ascontiguousarray(problem.vectors[:, :size])
        )
        for size in sizes
    }


def over_paths(sizes):
    """Moments of an Ornstein-Uhlenbeck process of 10 dimensions after 200 steps, over paths."""
    hessian, factor, start = linear_problem()
    problem = langevin.LangevinProblem(drifts.of_quadratic(hessian), noises.low_rank(factor), start)

    def ensemble(size):
        langevin.simulate_ensemble(problem, "euler_maruyama", 0.01, [200], size, 1)

    return {f"ensemble@{size}": functools.partial(ensemble, size) for size in sizes}


def over_images(sizes):
    """Tr Sigma and its diagonal in passes over images, within a budget of 400 MB, over N."""
    found = {}
    for size in sizes:
        network, theta = network_and_theta(size, width=1 / 8, memory_budget=_BUDGET)

        def passes(network=network, theta=theta):
            noise = matrices.gradient_covariance(StreamedGradients(network, theta))
            return np.append(noise.diagonal(), noise.trace())

        found[f"streamed_variances@{size}"] = passes
    return found


_COSTS = {
    function.__name__: function
    for function in (
        over_examples,
        alignment,
        over_images,
        over_parameters,
        matrices_over_parameters,
        over_vectors,
        over_paths,
    )
}
