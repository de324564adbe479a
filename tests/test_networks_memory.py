"""What a network takes beside its data, measured: within the budget, for any number of examples."""

import time
import tracemalloc

import numpy as np
import pytest
import seeds

from aniso import memory, networks, threads
from aniso.matrices import centred_squares, exact_traces, gradient_covariance
from aniso.networks import initialisation
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.problems import losses

BUDGET = 6_000_000
NUM_VECTORS = 16
MODEL = networks.vgg11((3, 16, 16), width=1 / 32)


def peak_bytes(function):
    """Bytes that a call took beyond what was there, at its worst moment."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def network(num_examples, budget=BUDGET, dtype=np.float32, given=np.float32):
    rng = seeds.generator()
    inputs = rng.standard_normal((num_examples, *MODEL.input_shape)).astype(given)
    targets = rng.integers(0, 10, num_examples)
    return lambda: networks.Network(
        MODEL,
        losses.SoftmaxCrossEntropy(),
        inputs,
        targets,
        dtype=dtype,
        num_threads=2,
        memory_budget=budget,
    )


def block(num_vectors):
    shape = (MODEL.num_parameters, num_vectors)
    return seeds.generator().standard_normal(shape).astype(np.float32)


def noise(at, theta):
    return gradient_covariance(StreamedGradients(at, theta))


def diagonal_of_rows(gradients):
    """The way to the diagonal where the mean gradient is large beside the deviations."""
    return centred_squares.square_sums_of_rows(gradients, gradients.mean())


QUANTITIES = {
    "trace": lambda at, theta: noise(at, theta).trace(),
    "diagonal": lambda at, theta: noise(at, theta).diagonal(),
    "diagonal_of_rows": lambda at, theta: diagonal_of_rows(StreamedGradients(at, theta)),
    "covariance_product": lambda at, theta: noise(at, theta) @ block(1)[:, 0],
    "hessian_product": lambda at, theta: at.hessian_product(theta, block(1)[:, 0]),
}
BLOCKS = {
    "hessian_products": lambda at, theta, vectors: at.hessian_product(theta, vectors),
    "forms": lambda at, theta, vectors: at.quadratic_forms(theta, vectors),
    "covariance_products": lambda at, theta, vectors: noise(at, theta) @ vectors,
}


@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_data_are_neither_copied_nor_masked(given):
    few, many = (peak_bytes(network(count, given=given)) for count in (100, 800))
    # a mask of the 700 further images would have 0.5 MB, a copy in single precision 2.2 MB; their
    # labels take 8 bytes a number several times over
    assert many - few < 100_000


@pytest.mark.parametrize("num_examples", [60, 240])
@pytest.mark.parametrize("name", QUANTITIES)
def test_one_vector_stays_within_the_budget(name, num_examples):
    theta = initialisation.he_normal(MODEL, seeds.generator()).astype(np.float32)
    QUANTITIES[name](network(4)(), theta)  # kernels compile
    make = network(num_examples)
    assert peak_bytes(lambda: QUANTITIES[name](make(), theta)) <= BUDGET


@pytest.mark.parametrize("num_examples", [60, 240])
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_stay_within_the_budget(name, num_examples):
    theta = initialisation.he_normal(MODEL, seeds.generator()).astype(np.float32)
    vectors = block(NUM_VECTORS)
    BLOCKS[name](network(4)(), theta, vectors)
    make = network(num_examples)
    # the products that are returned don't count
    allowed = BUDGET + (0 if name == "forms" else vectors.nbytes)
    assert peak_bytes(lambda: BLOCKS[name](make(), theta, vectors)) <= allowed


def test_tangents_of_few_parameters_pass_in_blocks():
    layers = []
    for _ in range(2):
        layers += [networks.Convolution(4, 3, padding=1), networks.Activation("relu")]
    layers += [networks.MaxPooling(4), networks.Flatten(), networks.Dense(10)]
    model, rng = networks.Stack(layers, (3, 16, 16)), seeds.generator()
    inputs, targets = rng.standard_normal((60, 3, 16, 16)), rng.integers(0, 10, 60)
    theta, vectors = model.initial_parameters(rng), rng.standard_normal((model.num_parameters, 64))

    def forms(at):
        return at.quadratic_forms(theta, vectors)

    at = networks.Network(
        model, losses.SoftmaxCrossEntropy(), inputs, targets, num_threads=2, memory_budget=BUDGET
    )
    assert at.data.vectors_at_once > 8
    forms(at.subset(slice(0, 4)))  # kernels compile
    assert peak_bytes(lambda: forms(at)) <= BUDGET


def test_results_that_wait_do_not_grow_with_the_tasks():
    started, waiting = [], []

    class Part:
        def __iadd__(self, other):
            time.sleep(0.002)  # slower than the tasks
            waiting.append(len(started) - len(waiting) - 1)
            return self

    def start(number):
        started.append(number)
        return Part()

    threads.Workers(2).sum(start, range(30))
    assert len(waiting) == 29
    assert max(waiting) <= 4


def test_a_smallest_budget_gives_the_same_numbers():
    theta = initialisation.he_normal(MODEL, seeds.generator())
    make = network(6, None, np.float64, np.float64)
    wide, vectors = make(), block(3).astype(np.float64)
    needed = 4 * wide.bytes_per_example * 2 + wide.data.vector_bytes
    with pytest.raises(memory.AllocationRefused, match=r"6 vectors of 9854 numbers.*raise mem"):
        wide_again(wide, needed - 1)
    tight = wide_again(wide, needed)
    assert tight.chunk_size == tight.data.vectors_at_once == 1

    def agree(actual, expected):
        scale = np.abs(expected).max()
        # the order of additions differs: some thousand roundings at most
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-11 * scale)

    agree(tight.hessian_product(theta, vectors), wide.hessian_product(theta, vectors))
    agree(tight.quadratic_forms(theta, vectors), wide.quadratic_forms(theta, vectors))
    agree(noise(tight, theta) @ vectors, noise(wide, theta) @ vectors)
    at, there = tight.linearise(theta, "tangents"), wide.linearise(theta, "tangents")
    curvature, expected = at.noise_curvature(), there.noise_curvature()
    agree(curvature.alignment, expected.alignment)
    agree(curvature.alignments, expected.alignments)
    alignment = exact_traces.trace_of_product(at.hessian_operator(), noise(tight, theta))
    agree(alignment, expected.alignment)


def wide_again(of, budget):
    return networks.Network(
        of.model, of.output_loss, of.inputs, of.targets, num_threads=2, memory_budget=budget
    )
