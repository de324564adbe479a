"""Networks of random layers against autograd at every place, and the rules of their doors."""

import numpy as np
import pytest
import reference_networks as reference
import seeds
from hypothesis import given, settings
from networks_cases import NetworkCase, cases
from place_cases import every_foreign_place

from aniso import checks, memory, networks
from aniso.arrays import places, transfer
from aniso.problems import losses
from aniso.problems.derivative_check import check_derivatives

# A matter of depth: some thousand operations on numbers of order one, each within eps.
RELATIVE = 1e-10


def agree(actual, expected, relative=RELATIVE, floor=1e-3):
    actual, expected = transfer.to_numpy(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    scale = max(np.abs(expected).max(initial=0), floor)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * scale)


def curvature_floor(expected):
    """Size below which autograd's curvature is rounding: 1 - p of a confident p, times J^2."""
    return 1e-3 * max(1.0, np.abs(expected["jacobians"]).max() ** 2)


def small_case(output_loss=None, seed=3):
    rng = seeds.generator(seed)
    layers = (
        networks.Convolution(2, 3),
        networks.MaxPooling(2),
        networks.Activation("relu"),
        networks.Flatten(),
        networks.Dense(4),
        networks.Activation("relu"),
        networks.Dense(3),
    )
    model = networks.Stack(layers, (1, 8, 8))
    inputs = rng.normal(size=(60, 1, 8, 8))
    return NetworkCase(
        model,
        output_loss or losses.SoftmaxCrossEntropy(),
        inputs,
        rng.integers(0, 3, 60),
        model.initial_parameters(rng),
    )


@given(cases())
@settings(max_examples=50)
def test_every_quantity_is_autograds(case):
    check_every_quantity(case, places.NUMPY)


@every_foreign_place
@given(case=cases())
@settings(max_examples=8)
def test_every_quantity_is_autograds_wherever_the_data_are(case, place):
    check_every_quantity(case, place)


def check_every_quantity(case, place):
    network, theta = case.network(place, num_threads=1), transfer.to_device(case.theta, place)
    targets = transfer.to_numpy(network.targets)
    expected = reference.derivatives(case.model, case.output_loss, case.inputs, targets, case.theta)
    agree(network.losses(theta), expected["losses"])
    agree(network.loss(theta), expected["losses"].mean())
    agree(network.gradient(theta), expected["gradient"])
    loss, gradient = network.loss_and_gradient(theta)
    agree(loss, expected["losses"].mean())
    agree(gradient, expected["gradient"])
    agree(network.per_example_gradients(theta), expected["rows"])
    agree(network.jacobians(theta), expected["jacobians"])
    floor = curvature_floor(expected)
    agree(network.hessian(theta), expected["hessian"], floor=floor)
    vectors = seeds.generator().normal(size=(case.theta.size, 3))
    block = transfer.to_device(vectors, place)
    for number, product in (
        ("hessian", network.hessian_product),
        ("gauss_newton", network.generalized_gauss_newton_product),
        ("fisher", network.fisher_product),
    ):
        wanted = expected[number] @ vectors
        agree(product(theta, block), wanted, floor=10 * floor)
        agree(product(theta, block[:, 0]), wanted[:, 0], floor=10 * floor)
    forms = np.einsum("ik,ij,jk->k", vectors, expected["hessian"], vectors)
    scale = max(np.abs(expected["hessian"]).max(), floor)
    scale *= np.abs(vectors).sum(axis=0).max() ** 2
    actual = transfer.to_numpy(network.quadratic_forms(theta, block))
    np.testing.assert_allclose(actual, forms, rtol=0, atol=RELATIVE * scale)
    assert network.quadratic_forms(theta, block[:, 0]) == pytest.approx(
        forms[0], rel=0, abs=RELATIVE * scale
    )
    second_order = network.linearise(theta)
    agree(second_order.hessian_trace(), np.trace(expected["hessian"]), floor=theta.shape[0] * floor)


def test_results_do_not_depend_on_threads():
    case = small_case()
    one, two = case.network(num_threads=1), case.network(num_threads=2)
    vectors = np.eye(case.theta.size)[:, :5]
    np.testing.assert_array_equal(one.gradient(case.theta), two.gradient(case.theta))
    np.testing.assert_array_equal(
        one.hessian_product(case.theta, vectors), two.hessian_product(case.theta, vectors)
    )


def test_a_subset_is_the_network_on_those_examples():
    case = small_case()
    network, some = case.network(), np.array([5, 1, 7])
    rows = network.per_example_gradients(case.theta)[some]
    agree(network.subset(some).gradient(case.theta), rows.mean(axis=0))


def test_a_small_budget_streams_and_a_smaller_one_is_refused():
    case = small_case()
    whole = case.network()
    tight = case.network(memory_budget=8 * whole.bytes_per_example * 2, num_threads=1)
    assert tight.chunk_size < whole.chunk_size
    agree(tight.gradient(case.theta), whole.gradient(case.theta), relative=1e-13)
    with pytest.raises(memory.AllocationRefused, match="raise memory_budget"):
        case.network(memory_budget=whole.bytes_per_example, num_threads=1)
    rows = 8 * whole.num_examples * case.theta.size
    with pytest.raises(memory.AllocationRefused, match=r"matrices\.gradient_covariance"):
        case.network(memory_budget=rows - 1, num_threads=1).per_example_gradients(case.theta)
    narrow = case.network(memory_budget=8 * case.theta.size**2, num_threads=1)
    with pytest.raises(memory.AllocationRefused, match="use hessian_product"):
        narrow.hessian(case.theta)


def test_single_precision_stays_single_and_close():
    case = small_case()
    double, single = case.network(), case.network(dtype=np.float32)
    gradient = single.gradient(case.theta)
    assert gradient.dtype == np.float32
    # some hundred single-precision operations behind each entry
    agree(gradient, double.gradient(case.theta), relative=1e-4)
    vectors = np.eye(case.theta.size)[:, :4]
    product = single.hessian_product(case.theta, vectors)
    assert product.dtype == np.float32
    agree(product, double.hessian_product(case.theta, vectors), relative=1e-3)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"dtype": np.float16}, "half precision"),
        ({"dtype": "float12"}, "dtype=float12; expected float64 or float32"),
        ({"memory_budget": 0}, "memory_budget=0"),
        ({"memory_budget": "1GB"}, "memory_budget='1GB'"),
        ({"inputs": np.zeros((3, 1, 7, 8))}, "inputs has shape"),
        ({"inputs": np.zeros((0, 1, 8, 8)), "targets": np.zeros(0, int)}, "no examples"),
        ({"inputs": np.full((60, 1, 8, 8), np.nan)}, "non-finite"),
        ({"inputs": np.full((60, 1, 8, 8), 1e39), "dtype": np.float32}, "not finite in float32"),
        ({"inputs": np.zeros((60, 1, 8, 8), np.uint8)}, "dtype uint8.*scale_images"),
        ({"inputs": np.zeros((60, 1, 8, 8), np.float16)}, "dtype float16.*half precision"),
        ({"targets": np.full(60, 3)}, "label 3"),
        ({"targets": np.zeros(59, int)}, "shape"),
        ({"model": "perceptron"}, "networks.Stack"),
    ],
)
def test_bad_networks_are_refused(change, rule):
    case = small_case()
    given = {
        "model": case.model,
        "output_loss": case.output_loss,
        "inputs": case.inputs,
        "targets": case.targets,
    }
    with pytest.raises(checks.InputError, match=rule):
        networks.Network(**{**given, **change})


@pytest.mark.parametrize(
    ("indices", "rule"),
    [
        ([99], r"entry 99; expected integers in 0\.\.59"),
        ([-1], "entry -1"),
        ([], "chooses no examples"),
        (np.zeros(60, bool), "chooses no examples"),
        (slice(7, 7), "chooses no examples"),
        ([0.5], "dtype float64"),
        (np.ones(59, bool), "dtype bool"),
    ],
)
def test_subsets_of_no_examples_are_refused(indices, rule):
    with pytest.raises(checks.InputError, match=rule):
        small_case().network().subset(indices)


def test_bad_parameters_and_vectors_are_refused():
    case = small_case()
    network = case.network()
    with pytest.raises(checks.InputError, match="theta has shape"):
        network.gradient(case.theta[:-1])
    with pytest.raises(checks.InputError, match="non-finite"):
        network.gradient(np.full_like(case.theta, np.inf))
    with pytest.raises(checks.InputError, match="vectors has shape"):
        network.hessian_product(case.theta, np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("layers", "shape", "rule"),
    [
        ((networks.Convolution(1, 2),), (1, 3, 3), "expected a vector"),
        ((networks.Activation("relu"),), (3,), "no parameters"),
        (("relu",), (3,), "expected layers"),
    ],
)
def test_bad_stacks_are_refused(layers, shape, rule):
    with pytest.raises(checks.InputError, match=rule):
        networks.Stack(layers, shape)
    with pytest.raises(checks.InputError, match="widths"):
        networks.multilayer_perceptron((3,))


def test_initial_parameters_have_the_stated_scale(rng):
    model = networks.fashion_mnist_network()
    normal = model.initial_parameters(rng, standard_deviation=0.02)
    assert np.abs(normal).max() <= 0.04
    uniform = model.initial_parameters(rng)
    first = uniform[model.parameter_slices[0]]
    assert np.abs(first).max() <= 1 / 5
    stacked = model.outputs(np.stack([normal, uniform]), np.zeros((2, 1, 28, 28)))
    assert stacked.shape == (2, 2, 10)


def test_planted_errors_are_found(monkeypatch):
    case = small_case()
    expected = reference.derivatives(
        case.model, case.output_loss, case.inputs, case.targets, case.theta
    )
    with monkeypatch.context() as patch:
        patch.setattr(networks.Dense, "second_order", lambda *_: (None, None))
        dropped = case.network().linearise(case.theta, "tangents").hessian()
    with monkeypatch.context() as patch:
        backward = networks.Activation.backward
        patch.setattr(
            networks.Activation,
            "backward",
            lambda self, own, memory, delta: backward(
                self, own, memory._replace(slope=1 - memory.slope), delta
            ),
        )
        network = case.network()
        network.ways._made = ()  # by the layers' rules
        masked = network.gradient(case.theta)
    for actual, name in ((dropped, "hessian"), (masked, "gradient")):
        with pytest.raises(AssertionError):
            agree(actual, expected[name])


def test_blocks_name_every_layer_with_parameters():
    case = small_case()
    network = case.network()
    assert list(network.blocks) == ["Convolution 1", "Dense 2", "Dense 3"]
    parts = [part for part in case.model.parameter_slices if part.stop > part.start]
    assert list(network.blocks.values()) == parts
    assert parts[0].start == 0
    assert parts[-1].stop == network.num_parameters


def test_reprs_fit_on_a_screen():
    case = small_case()
    network = case.network()
    wide = networks.one_hidden_layer(2, 512)
    deep = networks.multilayer_perceptron([3] * 60)
    at = network.linearise(case.theta)
    for shown in (case.model, network, at, at.noise_curvature(), wide, deep):
        lines = repr(shown).splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 120
    assert "N = 60 examples" in repr(network)
    assert f"D = {case.theta.size}" in repr(at)
    assert "(1, 512)" in repr(wide)


def test_products_and_linearisations_of_smooth_networks_share_no_pass_in_vain(monkeypatch, rng):
    model = networks.multilayer_perceptron((4, 5, 3), "tanh")
    network = networks.Network(
        model, losses.SoftmaxCrossEntropy(), rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    )
    theta, passes = model.initial_parameters(rng), []
    own = networks.Network.outputs
    monkeypatch.setattr(networks.Network, "outputs", lambda *given: passes.append(1) or own(*given))
    at = network.linearise(theta)
    at.hessian_product(rng.normal(size=(theta.size, 32)))
    network.hessian_product(theta, rng.normal(size=(theta.size, 32)))
    assert not passes
    assert at.loss == pytest.approx(network.loss(theta), rel=1e-14)
    at.generalized_gauss_newton()
    at.fisher()
    at.hessian_trace()
    assert len(passes) == 2  # one of the linearisation, one of the loss of the network


def test_derivatives_are_compared_in_double_precision(rng):
    model = networks.multilayer_perceptron((3, 5, 2), "tanh")
    inputs, labels = rng.standard_normal((20, 3)), rng.integers(0, 2, 20)
    network = networks.Network(
        model, losses.SoftmaxCrossEntropy(), inputs, labels, dtype=np.float32
    )
    theta = model.initial_parameters(rng)
    assert network.check(theta, rng).right
    with pytest.raises(checks.InputError, match="problem computes in float32; expected double"):
        check_derivatives(network, theta, rng)
