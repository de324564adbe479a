"""Arrays at their places: what moves, what is refused, and the same numbers everywhere."""

import sys
import types

import numpy as np
import pytest
from networks_cases import NetworkCase
from place_cases import every_foreign_place, every_place

from aniso import checks, networks
from aniso.arrays import functions, places, transfer
from aniso.matrices import (
    eigenpairs,
    exact_traces,
    gradient_covariance,
)
from aniso.matrices import (
    noise as gradient_noise,
)
from aniso.networks import data
from aniso.problems import losses

# The order of additions differs between libraries: some thousand roundings at most.
ROUNDING = 1e-12

LOSSES = [
    (losses.SquaredLoss(), 3),
    (losses.ClippedSquaredLoss(0.05), 1),
    (losses.LogisticLoss(), 1),
    (losses.SoftmaxCrossEntropy(), 4),
]


def agree(actual, expected):
    actual, expected = transfer.to_numpy(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ROUNDING * scale)


def image_case(activation="relu", num_examples=12):
    rng = np.random.default_rng()
    layers = (
        networks.Convolution(2, 3, padding=1),
        networks.Activation(activation),
        networks.MaxPooling(2),
        networks.Flatten(),
        networks.Dense(4),
        networks.Activation(activation),
        networks.Dense(3),
    )
    model = networks.Stack(layers, (1, 6, 6))
    return NetworkCase(
        model,
        losses.SoftmaxCrossEntropy(),
        rng.normal(size=(num_examples, 1, 6, 6)),
        rng.integers(0, 3, num_examples),
        model.initial_parameters(rng),
    )


def strict(device):
    return pytest.importorskip("array_api_strict").Device(device)


# ---- moving


@every_place
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_arrays_come_back_as_they_went(place, dtype, rng):
    array = rng.normal(size=(3, 2)).astype(dtype)
    there = transfer.to_device(array, place)
    assert places.place_of(there) == place
    assert transfer.to_device(there, place) is there
    back = transfer.to_numpy(there)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(transfer.to_numpy(transfer.asarray_like(array, there)), array)


@every_foreign_place
def test_an_array_that_went_shares_no_memory(place):
    array = np.zeros(3)
    there = transfer.to_device(array, place)
    there += 1
    np.testing.assert_array_equal(array, 0)


def test_a_device_is_found_from_its_name_or_is_one():
    pytest.importorskip("array_api_strict")
    first = transfer.to_device(np.ones(2), strict("device1"))
    assert str(places.place_of(first)) == "array_api_strict on device1"
    second = transfer.to_device(first, "device2")
    assert places.place_of(second).device == "device2"
    assert transfer.to_device(second, places.NUMPY).tolist() == [1, 1]
    with pytest.raises(checks.InputError, match="device='device9' cannot be used"):
        transfer.to_device(first, "device9")


@pytest.mark.parametrize(
    ("device", "rule"), [("tpu", 'expected "cpu" or "cuda"'), (7, "expected a name or a device")]
)
def test_unknown_devices_are_refused(device, rule):
    with pytest.raises(checks.InputError, match=rule):
        places.resolve(np.zeros(1), device)


def test_a_missing_cupy_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(checks.InputError, match=r"aniso\[gpu\] installs CuPy"):
        image_case().network(device="cuda")


def test_a_cupy_without_a_device_is_named_with_its_remedy(monkeypatch):
    class CUDARuntimeError(RuntimeError):
        pass

    def refuse():
        raise CUDARuntimeError("cudaErrorInsufficientDriver")

    runtime = types.SimpleNamespace(getDeviceCount=refuse, CUDARuntimeError=CUDARuntimeError)
    fake = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with pytest.raises(checks.InputError, match=r"finds no device \(cudaErrorInsufficient.*driver"):
        image_case().network(device="cuda:1")


@pytest.mark.parametrize("text", ["\n  cudaErrorNoDevice", "", "\n"])
def test_the_reason_is_the_first_line_that_says_something(monkeypatch, text):
    def refuse():
        raise RuntimeError(text)

    fake = fake_cupy(refuse)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    reason = text.strip() or "RuntimeError"
    with pytest.raises(checks.InputError, match=f"cannot be used: {reason}; the extra"):
        places.resolve(np.zeros(1), "cuda")


def test_a_card_that_is_not_the_current_one_is_refused(monkeypatch):
    # CuPy's functions, and array-api-compat's around them, make arrays on the current card
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(lambda: 2))
    assert places.resolve(np.zeros(1), "cuda").device == "cuda:0"
    assert places.resolve(np.zeros(1), "cuda:0").device == "cuda:0"
    other = places.Place("cupy", "cuda:1", types.SimpleNamespace(id=1))
    for device in ("cuda:1", other):
        with pytest.raises(checks.InputError, match=r"current.*cuda:0.*Device\(1\)\.use\(\) first"):
            places.resolve(np.zeros(1), device)


def fake_cupy(count):
    class CUDARuntimeError(RuntimeError):
        pass

    runtime = types.SimpleNamespace(
        getDeviceCount=count, getDevice=lambda: 0, CUDARuntimeError=CUDARuntimeError
    )
    device = lambda number: types.SimpleNamespace(id=number)  # noqa: E731
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime, Device=device))


# ---- mixed places


def test_arrays_of_other_places_are_refused_before_any_work():
    pytest.importorskip("array_api_strict")
    case = image_case()
    one, other = places.resolve(case.inputs, strict("device1")), strict("device2")
    network = case.network(one)
    theta = transfer.to_device(case.theta, one)
    vectors = transfer.to_device(np.eye(theta.shape[0]), other)
    for call, rule in (
        (lambda: network.gradient(case.theta), "theta is numpy on cpu and the data are array_api_"),
        (lambda: network.gradient(transfer.to_device(case.theta, other)), "theta is .* on device2"),
        (lambda: network.hessian_product(theta, vectors), "vectors is .* on device2"),
        (lambda: case.network().gradient(theta), "the data are numpy on cpu.*to_numpy moves theta"),
        (lambda: network.linearise(theta).hessian_operator() @ vectors, "the right factor is"),
    ):
        with pytest.raises(checks.InputError, match=rule):
            call()
    with pytest.raises(checks.InputError, match=r"targets is numpy on cpu.*on device1"):
        networks.Network(case.model, case.output_loss, network.inputs, case.targets)


def test_libraries_do_not_become_each_other():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(checks.InputError, match="through backend"):
        transfer.to_device(torch.zeros(2), strict("device1"))
    assert not places.is_foreign([torch.zeros(1)])


@every_foreign_place
def test_lists_of_numbers_belong_nowhere_and_go_anywhere(place):
    case = image_case()
    network = case.network(place)
    agree(network.gradient(case.theta.tolist()), case.network().gradient(case.theta))


@every_foreign_place
def test_data_that_are_no_numbers_of_full_precision_are_refused_where_they_are(place):
    case = image_case()
    with pytest.raises(checks.InputError, match=r"dtype uint8.*scale_images"):
        case._replace(inputs=np.zeros((12, 1, 6, 6), np.uint8)).network(place)
    with pytest.raises(checks.InputError, match="not finite in float32"):
        case._replace(inputs=np.full((12, 1, 6, 6), 1e39)).network(place, dtype=np.float32)
    if place.library == "torch":
        torch = pytest.importorskip("torch")
        half = transfer.to_device(case.inputs, place).to(torch.bfloat16)
        targets = transfer.to_device(case.targets, place)
        with pytest.raises(checks.InputError, match=r"dtype bfloat16.*half precision"):
            networks.Network(case.model, case.output_loss, half, targets)
    covariance = gradient_covariance(
        case.network(place).example_gradients(transfer.to_device(case.theta, place))
    )
    with pytest.raises(checks.InputError, match=r"right factor has shape \(3,\); expected"):
        covariance @ transfer.to_device(np.ones(3), place)


@every_foreign_place
def test_wrong_numbers_are_refused_where_they_are(place):
    case = image_case()
    network, theta = case.network(place), case.theta.copy()
    with pytest.raises(checks.InputError, match="theta has shape"):
        network.gradient(transfer.to_device(theta[1:], place))
    theta[3] = np.nan
    with pytest.raises(checks.InputError, match=r"non-finite entry nan at index \(3,\)"):
        network.gradient(transfer.to_device(theta, place))
    with pytest.raises(checks.InputError, match="label 9"):
        case._replace(targets=np.full(12, 9)).network(place)
    complex_theta = place.namespace.astype(
        transfer.to_device(case.theta, place), place.dtype("complex128")
    )
    with pytest.raises(checks.InputError, match="expected real numbers"):
        network.gradient(complex_theta)


@pytest.mark.parametrize("detour", ["another device", "the host"])
def test_a_planted_transfer_is_found(monkeypatch, detour):
    pytest.importorskip("array_api_strict")
    case = image_case()
    place = places.resolve(case.inputs, strict("device1"))
    network, theta = case.network(place), transfer.to_device(case.theta, place)

    def forward(self, parameters, prepared):  # noqa: ARG001
        if detour == "the host":
            return np.asarray(parameters[0]) @ np.asarray(prepared), prepared
        zeros = place.namespace.zeros((parameters[0].shape[0], 1))
        return parameters[0] @ prepared + zeros, prepared

    monkeypatch.setattr(networks.Dense, "forward", forward)
    with pytest.raises((RuntimeError, ValueError), match=r"devices|to a NumPy array"):
        network.loss(theta)


# ---- the same numbers everywhere


@every_place
@pytest.mark.parametrize(("loss", "num_outputs"), LOSSES)
def test_losses_agree_everywhere(loss, num_outputs, place, rng):
    outputs = 0.5 + 2 * rng.normal(size=(2, 9, num_outputs))
    outputs[0, 0] = 500.0  # no overflow
    targets = loss.sample_targets(outputs[0], rng)
    if isinstance(loss, losses.ClippedSquaredLoss):
        targets = (targets > 0.5).astype(np.int64)
    own, labels = (transfer.to_device(a, place) for a in (outputs, targets))
    for name in ("__call__", "gradient", "hessian"):
        function = getattr(loss, name)
        agree(function(own, labels), function(outputs, targets))
    agree(loss.fisher_information(own), loss.fisher_information(outputs))
    seeds = [np.random.default_rng(5) for _ in range(2)]
    drawn = loss.sample_targets(own, seeds[0])
    assert places.place_of(drawn) == place
    agree(drawn, loss.sample_targets(outputs, seeds[1]))


@every_place
def test_functions_beside_the_standard_agree_everywhere(place, rng):
    array = rng.normal(size=(3, 4))
    own = transfer.to_device(array, place)
    agree(functions.contiguous(own.T), array.T)
    agree(functions.erf(own), functions.erf(array))
    agree(functions.inner_products(own, own), (array * array).sum(axis=1))
    agree(functions.reshape(own, (2, 6)), array.reshape(2, 6))
    for indices in ([2, 0], np.array([True, False, True]), slice(1, 3)):
        agree(functions.take(own, indices), array[indices])
    single = place.namespace.astype(own, place.dtype("float32"))
    total = functions.double_sum(single)
    assert total.dtype == place.dtype("float64")
    agree(total, array.astype(np.float32).sum(dtype=np.float64))


@every_place
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_linearisations_agree_everywhere(activation, place):
    case = image_case(activation)
    here = case.network().linearise(case.theta, "tangents")
    theta = transfer.to_device(case.theta, place)
    there = case.network(place).linearise(theta)
    assert there.strategy == "tangents" or place.is_numpy
    assert there.loss == pytest.approx(here.loss, rel=1e-14)
    for name in ("hessian_diagonal", "generalized_gauss_newton_diagonal", "gradient"):
        agree(getattr(there, name), getattr(here, name))
    for name in ("hessian", "generalized_gauss_newton", "fisher"):
        agree(getattr(there, name)(), getattr(here, name)())
    for name in ("hessian_trace", "generalized_gauss_newton_trace"):
        assert getattr(there, name)() == pytest.approx(getattr(here, name)(), rel=1e-11)
    for mine, other in zip(there.layer_blocks(), here.layer_blocks(), strict=True):
        agree(mine, other)


@every_place
def test_operators_take_vectors_of_the_host_and_of_their_place(place, rng):
    case = image_case()
    theta = transfer.to_device(case.theta, place)
    there, here = case.network(place).linearise(theta), case.network().linearise(case.theta)
    vectors = rng.normal(size=(case.theta.size, 2))
    own = transfer.to_device(vectors, place)
    for name in ("hessian", "generalized_gauss_newton", "fisher"):
        operator, dense = getattr(there, f"{name}_operator")(), getattr(here, name)()
        for given, wanted in ((vectors, dense @ vectors), (vectors[:, 0], dense @ vectors[:, 0])):
            agree(operator @ given, wanted)
        for given, wanted in ((own, dense @ vectors), (own[:, 0], dense @ vectors[:, 0])):
            product = operator @ given
            assert places.place_of(product) == place
            agree(product, wanted)
    operator = there.hessian_operator()
    assert operator.trace() == pytest.approx(here.hessian_trace(), rel=1e-11)
    agree(operator.diagonal(), here.hessian_diagonal)


@every_place
def test_noise_and_its_alignment_agree_everywhere(place, rng):
    case = image_case()
    theta = transfer.to_device(case.theta, place)
    there, here = (
        case.network(place).linearise(theta),
        case.network().linearise(case.theta, "tangents"),
    )
    dense = gradient_noise.gradient_covariance(case.network().per_example_gradients(case.theta))
    noise = gradient_covariance(there.gradient_factors)
    agree(noise.trace(), np.float64(dense.trace()))
    agree(noise.diagonal(), dense.diagonal())
    vectors = rng.normal(size=(case.theta.size, 2))
    own = transfer.to_device(vectors, place)
    agree(noise @ vectors, dense @ vectors)
    agree(noise @ own, dense @ vectors)
    agree(noise.quadratic_form(own), dense.quadratic_form(vectors))
    samples = [m.sample(np.random.default_rng(3), 4) for m in (noise, dense)]
    assert places.place_of(samples[0]) == place
    agree(*samples)
    agree(
        eigenpairs.leading_eigenpairs(noise, 2).values,
        eigenpairs.leading_eigenpairs(dense, 2).values,
    )
    alignment = np.float64(exact_traces.trace_of_product(here.hessian(), dense))
    agree(np.float64(there.noise_curvature().alignment), alignment)
    agree(np.float64(exact_traces.trace_of_product(there.hessian_operator(), noise)), alignment)
    for name in ("alignments", "hessian_traces", "covariance_traces"):
        agree(getattr(there.noise_curvature(), name), getattr(here.noise_curvature(), name))
    pairs = [eigenpairs.leading_eigenpairs(at.hessian_operator(), 2) for at in (there, here)]
    agree(*(each.values for each in pairs))
    with pytest.raises(AssertionError):
        agree(noise.trace() * (1 + 1e-9), np.float64(dense.trace()))


@every_foreign_place
def test_the_factors_are_numpys(place):
    case = image_case()
    theta = transfer.to_device(case.theta, place)
    with pytest.raises(checks.InputError, match="use strategy='tangents'"):
        case.network(place).linearise(theta, "factors")


@every_place
def test_single_precision_stays_single(place):
    case = image_case()
    theta = transfer.to_device(case.theta, place)
    network = case.network(place, dtype=place.dtype("float32"))
    for result in (network.gradient(theta), network.hessian_product(theta, theta)):
        assert result.dtype == place.dtype("float32")
    for result in (network.losses(theta), network.quadratic_forms(theta, theta[:, None])):
        assert result.dtype == place.dtype("float64")
    # some hundred single-precision operations behind each entry
    expected = case.network().gradient(case.theta)
    actual = transfer.to_numpy(network.gradient(theta))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@every_place
def test_a_subset_is_the_network_on_those_examples(place):
    case = image_case()
    theta, some = transfer.to_device(case.theta, place), [5, 1, 7]
    rows = case.network().per_example_gradients(case.theta)
    agree(case.network(place).subset(some).gradient(theta), rows[some].mean(axis=0))
    agree(case.network(place).subset(slice(2, 4)).gradient(theta), rows[2:4].mean(axis=0))


@every_foreign_place
def test_data_that_do_not_fit_are_sent_in_chunks(place, monkeypatch):
    case = image_case(num_examples=40)
    whole = case.network(place)
    budget = 8 * whole.bytes_per_example
    sent, to_device = [], transfer.to_device

    def record(array, where):
        sent.append(array.shape)
        return to_device(array, where)

    monkeypatch.setattr(data.transfer, "to_device", record)
    network = networks.Network(
        case.model, case.output_loss, case.inputs, case.targets, device=place, memory_budget=budget
    )
    assert network.data.streamed
    assert places.is_numpy(network.inputs)
    assert not whole.data.streamed
    theta, sent[:] = to_device(case.theta, place), []
    gradient = network.gradient(theta)
    images = [shape[0] for shape in sent if len(shape) == 4]
    assert sum(images) == 40
    assert max(images) * network.bytes_per_example <= budget
    agree(gradient, case.network().gradient(case.theta))
    agree(network.subset([3]).gradient(theta), case.network().subset([3]).gradient(case.theta))


def test_tensors_that_track_gradients_are_taken_as_numbers():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    case = image_case()
    place = places.resolve(case.inputs, torch.device("cpu"))
    theta = transfer.to_device(case.theta, place).requires_grad_()
    gradient = case.network(place).gradient(theta)
    assert not gradient.requires_grad
    agree(gradient, case.network().gradient(case.theta))
