"""Whatever is made at a theta, from data or from settings, holds what it was made from."""

import inspect

import every_module
import numpy as np
import pytest
from held_cases import AT_A_THETA, INPUTS, LABELS, MAKERS, STACK, changed, made_for
from place_cases import every_place
from scipy.sparse.linalg import LinearOperator

import aniso
from aniso import networks
from aniso.arrays import transfer
from aniso.langevin import (
    regions,
)
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.problems import (
    losses,
)


@pytest.fixture(autouse=True)
def _plain_functions_are_as_good(monkeypatch):
    monkeypatch.setattr(regions.functions, "is_compiled", lambda function: True)  # noqa: ARG005


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_made_does_not_follow_the_arrays_it_was_made_from(name, rng):
    draw, make, read = MAKERS[name]
    arrays = draw(rng)
    expected = read(make(*(array.copy() for array in arrays)))
    made = make(*arrays)
    for array in arrays:
        changed(array)
    for number, value in zip(read(made), expected, strict=True):
        np.testing.assert_array_equal(number, value)


@pytest.mark.parametrize("name", AT_A_THETA)
def test_what_is_read_at_a_theta_is_a_copy_or_read_only(name, rng):
    draw, make, read = MAKERS[name]
    made = make(*draw(rng))
    before = [np.copy(value) for value in read(made)]
    for value in read(made):
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value += 1
    for number, value in zip(read(made), before, strict=True):
        np.testing.assert_array_equal(number, value)


def test_every_operator_and_everything_at_a_theta_is_among_the_makers():
    exempt = {
        "PlacedOperator": "has no data of its own",
        "SymmetricOperator": "given by a function",
        "_Counted": "lives within a call",
        "_Deflated": "lives within a call",
        "_RealOperator": "wraps an operator that its caller gave",
        "PackedMap": "lives within a call",
        "GivenMatrix": "keeps copies of arrays, and operators that its caller gave",
        "TensorOperator": "wraps an operator that its caller gave",
        "InjectedNoise": "lives within a step",
        "JaxGradients": "copies theta; the contract of problems tests it",
        "JaxTokenGradients": "copies theta; the contract of problems tests it",
        "TorchGradients": "copies theta; the contract of problems tests it",
        "ShardedGradients": "copies theta; the contract of problems tests it on two ranks",
        "_HessianOperator": "reads the theta of its geometry",
        "_NetworkMatrix": "reads the theta of its geometry",
        "ModelRemainder": "gets the copy that forecast makes",
        "RunState": "gets the copy that simulate_descent makes",
        "DescentResult": "made of what simulate_descent computed",
    }
    made = {cls.__name__ for name in MAKERS for cls in type(made_for(name)).__mro__}
    modules = [
        module
        for module in every_module.modules(aniso)
        if "propositions" not in module.__name__ and not module.__name__.endswith("__main__")
    ]
    classes = {
        cls
        for module in modules
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == module.__name__
    }
    wanted = {
        cls.__name__
        for cls in classes
        if issubclass(cls, LinearOperator) or "theta" in inspect.signature(cls.__init__).parameters
    }
    assert sorted(wanted - made - set(exempt)) == []


@every_place
def test_a_linearisation_holds_its_theta_in_every_library(place, rng):
    network = networks.Network(
        STACK,
        losses.LogisticLoss(),
        transfer.to_device(INPUTS, place),
        transfer.to_device(LABELS, place),
    )
    start = rng.standard_normal(network.num_parameters)
    theta = transfer.copied(transfer.to_device(start, place))
    at, rows = network.linearise(theta), StreamedGradients(network, theta)
    theta -= 1.0
    at_start = network.gradient(transfer.to_device(start, place))
    for gradient in (at.gradient, rows.mean()):
        np.testing.assert_array_equal(transfer.to_numpy(gradient), transfer.to_numpy(at_start))
        gradient += 1.0
    np.testing.assert_array_equal(transfer.to_numpy(at.gradient), transfer.to_numpy(at_start))
