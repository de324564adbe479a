"""Predicted costs: refused before work, memory within a fifth, seconds of the right size."""

import time
import tracemalloc

import numpy as np
import pytest
from test_networks import small_case

from aniso import checks, cost, losses, networks, threads
from aniso.networks.pre_flight import QUANTITIES


def middle_network(num_threads=1):
    rng = np.random.default_rng(2)
    model = networks.Stack(
        (
            networks.Convolution(6, 5),
            networks.MaxPooling(2),
            networks.Activation("relu"),
            networks.Convolution(8, 3),
            networks.MaxPooling(2),
            networks.Activation("relu"),
            networks.Flatten(),
            networks.Dense(24),
            networks.Activation("relu"),
            networks.Dense(10),
        ),
        (1, 20, 20),
    )
    network = networks.Network(
        model,
        losses.SoftmaxCrossEntropy(),
        rng.normal(size=(400, 1, 20, 20)),
        rng.integers(0, 10, 400),
        num_threads=num_threads,
    )
    return network, model.initial_parameters(rng)


def peak_of(run):
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.needs_jit  # the prediction is for layers as they run compiled, fused
def test_predicted_memory_is_within_a_fifth_of_the_peak():
    network, theta = middle_network()
    network.gradient(theta)  # the data's columns belong to the network, not to a quantity
    runs = {
        "per_example_gradients": lambda: network.per_example_gradients(theta),
        "linearisation": lambda: network.linearise(theta, "factors").prepare(),
        "dense_hessian": lambda: network.linearise(theta, "factors").hessian(),
    }
    for quantity, run in runs.items():
        predicted = network.cost(quantity).num_bytes
        assert abs(predicted / peak_of(run) - 1) < 0.2, (quantity, predicted, peak_of(run))


def test_costs_grow_linearly_with_the_data_and_the_vectors():
    network, _ = middle_network()
    half = network.subset(np.arange(200))
    for quantity in QUANTITIES:
        if quantity in ("alignment", "leading_eigenpairs"):
            continue  # quadratic in N, and a part that does not depend on N
        whole, part = network.cost(quantity).flops, half.cost(quantity).flops
        assert 1.6 < whole / part <= 2.001, quantity
    one, four = (network.cost("hessian_product", num_vectors=n).flops for n in (1, 4))
    assert four == 4 * one
    assert network.cost("alignment").flops > 3 * half.cost("alignment").flops


def test_predicted_seconds_have_the_right_size():
    network, theta = middle_network()
    network.gradient(theta)
    start = time.perf_counter()
    for _ in range(5):
        network.gradient(theta)
    seconds = (time.perf_counter() - start) / 5
    # an order of magnitude: other processes may take the processor from either measurement
    assert 0.1 < network.cost("gradient").seconds / seconds < 10


def test_unknown_quantities_and_long_computations_are_refused():
    network = small_case().network()
    with pytest.raises(checks.InputError, match="quantity='entropy'"):
        network.cost("entropy")
    with pytest.raises(checks.InputError, match="num_vectors=0"):
        network.cost("hessian_product", num_vectors=0)
    dear = network.cost("dense_hessian") + cost.Cost(0.0, 0.0, 100.0)
    with pytest.raises(checks.InputError, match="more than the limit of 10 s"):
        cost.require_time(dear, 10, "the dense Hessian")
    cost.require_time(dear, 1e4, "the dense Hessian")


def test_the_calibration_is_kept():
    assert cost.calibrated(np.float32, 1) is cost.calibrated(np.float32, 1)
    assert cost.calibrated(np.float32, 1).bytes_per_second > 1e6


def test_workers_add_in_the_order_of_the_items():
    items = [np.array([10.0 ** (20 - 4 * i)]) for i in range(10)]
    expected = threads.Workers(1).sum(np.copy, items)
    assert threads.Workers(3).sum(np.copy, items) == expected
    assert threads.Workers(2).map(abs, []) == []
    with pytest.raises(checks.InputError, match="num_threads=0"):
        threads.Workers(0)
