"""Arrays at their places: what moves and what is refused."""

import sys
import types

import numpy as np
import pytest
from image_networks import agree, image_case
from place_cases import ABSENT, every_foreign_place, every_place

from aniso import checks, networks
from aniso.arrays import places, transfer
from aniso.matrices import (
    gradient_covariance,
)


def strict(device):
    return pytest.importorskip("array_api_strict").Device(device)


@pytest.mark.parametrize("name", ABSENT)
def test_a_place_is_at_hand_or_reported(name):
    if ABSENT[name]:
        pytest.skip(f"no tests at {name}: {ABSENT[name]}")


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
    with pytest.raises(checks.InputError, match=r"through aniso\.arrays\.transfer"):
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
