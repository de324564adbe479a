"""Networks on some of their examples: nothing measured again, and threads only where they pay."""

import numpy as np
import pytest

from aniso import memory, networks
from aniso._blas_threads import _controller
from aniso.problems import losses
from aniso.threads import blas_threads


def image_network(rng, count=40, **options):
    images, labels = rng.normal(size=(count, 1, 28, 28)), rng.integers(0, 10, count)
    loss = losses.SoftmaxCrossEntropy()
    return networks.Network(networks.fashion_mnist_network(), loss, images, labels, **options)


def test_a_batch_measures_no_memory(monkeypatch, rng):
    network = image_network(rng, 4)
    theta = network.model.initial_parameters(rng)
    alone = image_network(rng, 4).subset([1, 3])

    def refuse():
        raise AssertionError("the memory was measured")

    monkeypatch.setattr(memory, "available_bytes", refuse)
    batch = network.subset([1, 3])
    assert batch.gradient(theta).shape == theta.shape
    assert batch.num_examples == alone.num_examples == 2
    assert network.num_examples == 4  # the network itself is as it was
    assert np.array_equal(batch.inputs, network.inputs[[1, 3]])
    assert np.array_equal(batch.targets, network.targets[[1, 3]])


def test_a_batch_of_a_batch_counts_within_it(rng):
    network = image_network(rng, 5)
    assert np.array_equal(network.subset([4, 2, 0]).subset([2, 0]).targets, network.targets[[0, 4]])


@pytest.mark.needs_jit  # without kernels the passes by layers choose other chunks
@pytest.mark.parametrize(("count", "size"), [(4, 4), (20, 10), (40, 20), (1200, 86)])
def test_chunks_hold_enough_work_for_a_thread(count, size):
    stack = networks.fashion_mnist_network()
    data = np.zeros((count, 1, 28, 28)), np.zeros(count, int)
    network = networks.Network(stack, losses.SoftmaxCrossEntropy(), *data)
    assert network.chunk_size == size


def test_few_units_are_one_chunk():
    network = networks.Network(
        networks.multilayer_perceptron((2, 8, 2)),
        losses.SoftmaxCrossEntropy(),
        np.zeros((1000, 2)),
        np.zeros(1000, int),
    )
    assert network.chunk_size == 1000


@pytest.mark.needs_jit
def test_a_batch_has_the_same_bits_on_any_number_of_threads(rng):
    seed = int(rng.integers(2**32))
    gradients = []
    for threads in (1, 2, 3):
        network = image_network(np.random.default_rng(seed), num_threads=threads)
        theta = network.model.initial_parameters(np.random.default_rng(seed))
        gradients.append(network.subset(slice(3, 23)).gradient(theta))
    assert np.array_equal(gradients[0], gradients[1])
    assert np.array_equal(gradients[0], gradients[2])


def test_the_threads_of_blas_are_restored_after_an_error():
    libraries = _controller().lib_controllers
    before = [library.get_num_threads() for library in libraries]
    inside = []

    def fail():
        with blas_threads(3):
            inside.extend(library.get_num_threads() for library in libraries)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == [3] * len(libraries)
    assert [library.get_num_threads() for library in libraries] == before
