"""The layer engine in the array libraries of this machine, on its processor and graphics card.

The same code runs everywhere; NumPy has threads over chunks and its fused convolution beside it. A
time ends when a number made of the result has come to the host, so that no device is at work still.
"""

import numpy as np

from aniso import checks, networks
from aniso.arrays import places, transfer
from aniso.networks import StreamedGradients
from aniso.problems import losses
from benchmarks.implementations import network_problems
from benchmarks.worker import Measured


def _device(name):
    if not name.startswith("torch "):
        return name
    import torch

    return torch.device(name.removeprefix("torch "))


def at(place, model, num_examples, dtype):
    """Derivatives at a place: "cpu", "cuda" of CuPy, "torch cpu" or "torch cuda"."""
    try:
        place = places.resolve(np.zeros(1), _device(place))
    except checks.InputError as error:
        raise ImportError(str(error)) from error
    network, theta, vectors = _network(model, num_examples, dtype, place)
    total = place.namespace.sum

    def arrived(result):
        return Measured(value=float(total(result)))

    return {
        "gradient": lambda: arrived(network.gradient(theta)),
        "square_norms": lambda: arrived(StreamedGradients(network, theta).square_norms()),
        "hessian_product": lambda: arrived(network.hessian_product(theta, vectors[:, 0])),
        "hessian_product_block8": lambda: arrived(network.hessian_product(theta, vectors[:, :8])),
    }


def _network(model, num_examples, dtype, place):
    if model == "convolutional":
        problem = network_problems.problem(model, num_examples, dtype)
        stack, theta, vectors = networks.fashion_mnist_network(), problem.theta, problem.vectors
        inputs, targets = problem.inputs, problem.targets
    else:
        rng, stack = np.random.default_rng(0), networks.vgg11()
        inputs = rng.random((num_examples, *stack.input_shape)).astype(dtype)
        targets = rng.integers(0, stack.num_outputs, num_examples)
        theta = stack.initial_parameters(rng).astype(dtype)
        vectors = rng.standard_normal((stack.num_parameters, 8)).astype(dtype)
    network = networks.Network(
        stack, losses.SoftmaxCrossEntropy(), inputs, targets, dtype=dtype, device=place
    )
    return network, *(transfer.to_device(a, place) for a in (theta, vectors))
