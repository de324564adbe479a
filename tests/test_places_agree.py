"""The same numbers at every place: losses, functions, linearisations, operators, noise."""

import numpy as np
import pytest
import seeds
from image_networks import agree, image_case
from place_cases import every_foreign_place, every_place

from aniso import checks, networks
from aniso.arrays import functions, places, transfer
from aniso.matrices import (
    eigenpairs,
    exact_traces,
    gradient_covariance,
)
from aniso.networks import data
from aniso.problems import losses

LOSSES = [
    (losses.SquaredLoss(), 3),
    (losses.ClippedSquaredLoss(0.05), 1),
    (losses.LogisticLoss(), 1),
    (losses.SoftmaxCrossEntropy(), 4),
]


@every_place
@pytest.mark.parametrize(("loss", "num_outputs"), LOSSES)
def test_losses_agree_everywhere(loss, num_outputs, place, rng):
    outputs = 0.5 + 2 * rng.normal(size=(2, 9, num_outputs))
    outputs[0, 0] = 500.0  # no overflow
    targets = loss.sample_targets(outputs[0], rng)
    if isinstance(loss, losses.ClippedSquaredLoss):
        targets = (targets > 0.5).astype(np.int64)
    own, labels = (transfer.to_device(a, place) for a in (outputs, targets))
    for name in ("__call__", "gradient", "hessian", "whitened_gradient"):
        function = getattr(loss, name)
        agree(function(own, labels), function(outputs, targets))
    agree(loss.fisher_information(own), loss.fisher_information(outputs))
    agree(loss.hessian_root(own), loss.hessian_root(outputs))
    drawn = loss.sample_targets(own, seeds.generator(5))
    assert places.place_of(drawn) == place
    agree(drawn, loss.sample_targets(outputs, seeds.generator(5)))


@every_place
def test_functions_beside_the_standard_agree_everywhere(place, rng):
    array = rng.normal(size=(3, 4))
    own = transfer.to_device(array, place)
    agree(functions.contiguous(own.T), array.T)
    agree(functions.normal_distribution(own), functions.normal_distribution(array))
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
    dense = gradient_covariance(case.network().per_example_gradients(case.theta))
    noise = gradient_covariance(there.gradient_factors)
    agree(noise.trace(), np.float64(dense.trace()))
    agree(noise.diagonal(), dense.diagonal())
    vectors = rng.normal(size=(case.theta.size, 2))
    own = transfer.to_device(vectors, place)
    agree(noise @ vectors, dense @ vectors)
    agree(noise @ own, dense @ vectors)
    agree(noise.quadratic_form(own), dense.quadratic_form(vectors))
    samples = [m.sample(seeds.generator(3), 4) for m in (noise, dense)]
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
