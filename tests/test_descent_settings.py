"""Settings, presets and measurements that are refused; runs on another device."""

import itertools
import json

import numpy as np
import pytest
import seeds
from descent_cases import bowl, chosen
from place_cases import every_foreign_place

from aniso import checks, descent, networks
from aniso.arrays import places, transfer
from aniso.problems import losses
from aniso.problems.two_basin import two_basin_problem

# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dynamics": "adam"}, "dynamics='adam'; expected one of: gd"),
        ({"dynamics": "sgd"}, "batch_size=None"),
        ({"dynamics": "sgd", "batch_size": 3}, "sampling=None"),
        ({"dynamics": "gld_constant"}, "standard_deviation=None"),
        ({"dynamics": "gd", "learning_rate": -1.0}, "learning_rate"),
        ({"dynamics": "gd", "refresh_interval": 0}, "refresh_interval"),
        ({"dynamics": "gd", "power_iterations": 0}, "power_iterations"),
        ({"dynamics": "gd", "covariance_source": "guess"}, "covariance_source"),
        # what is given is checked, whether or not the dynamics needs it
        ({"dynamics": "gd", "batch_size": -3}, "batch_size=-3; expected an integer with 1 <="),
        ({"dynamics": "gd", "sampling": "zzz"}, "sampling='zzz'; expected one of"),
        ({"dynamics": "gd", "standard_deviation": -4.0}, "standard_deviation=-4.0; expected"),
        ({"dynamics": "gd", "rescaled": "no"}, "rescaled='no'; expected True or False"),
        ({"dynamics": "gd", "num_steps": 2.0}, "num_steps=2.0; expected an integer"),
        ({"dynamics": "gd", "num_pairs": None}, "num_pairs=None; expected an integer"),
        ({"dynamics": "gd", "injection": None}, "injection=None; expected one of"),
        ({"dynamics": "gd", "eigenvalues": "all"}, "eigenvalues='all'; expected one of"),
        ({"dynamics": "gd", "eigen_tolerance": 1}, "eigen_tolerance=1; expected a finite number"),
        ({"dynamics": "gd", "divergence_loss": 0}, "divergence_loss=0; expected a finite number"),
    ],
)
def test_settings_are_refused(arguments, message):
    with pytest.raises(checks.InputError, match=message):
        descent.Settings(**({"learning_rate": 0.1, "num_steps": 1} | arguments))


def test_wrong_arguments_are_refused(rng):
    objective = bowl(rng)
    with pytest.raises(checks.InputError, match="settings"):
        descent.simulate_descent(objective, np.ones(4), {}, rng)
    with pytest.raises(checks.InputError, match="rng"):
        descent.simulate_descent(objective, np.ones(4), chosen("gd"), 0)
    large = chosen("sgd", batch_size=13, sampling="epochs")
    with pytest.raises(checks.InputError, match="batch_size"):
        descent.simulate_descent(objective, np.ones(4), large, rng)
    few = chosen("gld_dynamic", batch_size=7, covariance_source="batches")
    with pytest.raises(checks.InputError, match="two batches"):
        descent.simulate_descent(objective, np.ones(4), few, rng)
    with pytest.raises(checks.InputError, match="test_problem"):
        descent.Measurements((0,), ("test",))
    with pytest.raises(checks.InputError, match="quantities"):
        descent.Measurements((0,), ("beauty",))
    from aniso.descent.sharpness import expected_sharpness

    with pytest.raises(checks.InputError, match="even"):
        expected_sharpness(objective, np.ones(4), 0.1, 3, rng)


def test_settings_of_numpy_are_plain_data():
    made = chosen("gd", num_steps=np.int64(3), rescaled=np.True_, learning_rate=np.float32(0.5))
    assert json.loads(json.dumps(made.parameters()))["num_steps"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2.5,),), "steps=2.5; expected an integer with 0 <= steps"),
        (((-1,),), "steps=-1; expected an integer"),
        ((5,), "steps=5; expected a sequence"),
        (((5,), "sharpness"), "quantities='sharpness'; expected a sequence"),
        (((2,), ("sharpness",), None, 0.1, 3), "num_draws=3; expected an even number"),
        (((2,), ("sharpness",), None, 0.1, 0), "num_draws=0; expected an integer with 2 <="),
        (((2,), ("sharpness",), None, -0.1), "radius=-0.1; expected a finite number"),
        (((2,), ("test",), object()), "test_problem is of type object, not a problem"),
        (((2,), ("groups",)), "groups={}; 'groups' needs a problem for each group"),
        (((2,), (), None, 0.1, 2, {"a": 3}), "groups\\['a'\\] is of type int, not a problem"),
        (((2,), ("distance",)), "origin=None; 'distance' needs the point to measure from"),
        (((2,), ("distance",), None, 0.1, 2, {}, [np.nan]), "origin .* finite"),
    ],
)
def test_measurements_are_refused(arguments, message):
    with pytest.raises(checks.InputError, match=message):
        descent.Measurements(*arguments)


def test_measurements_that_the_run_cannot_serve_are_refused_before_it(rng):
    begun = []
    for plan, message in [
        (descent.Measurements((0, 5)), "go up to 5; expected steps <= num_steps=3"),
        (descent.Measurements((3,), ("accuracy",)), "has no outputs"),
    ]:
        with pytest.raises(checks.InputError, match=message):
            descent.simulate_descent(
                bowl(rng),
                np.ones(4),
                chosen("gd", num_steps=3),
                rng,
                measurements=plan,
                progress=lambda *_: begun.append(1),
            )
    assert not begun


REFRESHED = "gld_leading", "gld_hessian", "gld_first_eigenvector"


@pytest.mark.parametrize("dynamics", descent.DYNAMICS)
@pytest.mark.parametrize("preset", ["as_stated", "as_published"])
def test_every_field_of_the_presets(preset, dynamics):
    given = {"learning_rate": 0.1, "num_steps": 1, "batch_size": 3, "standard_deviation": 0.2}
    stated = {
        "dynamics": dynamics,
        "sampling": "with_replacement",
        "num_pairs": 20,
        "refresh_interval": 10 if dynamics in REFRESHED else 1,
        "rescaled": True,
        "covariance_source": "examples",
        "eigenvalues": "positive",
        "injection": "every_step",
        "power_iterations": None,
        "eigen_tolerance": 1e-2,
        "divergence_loss": 1e6,
    }
    published = {
        "sampling": "epochs",
        "covariance_source": "batches",
        "eigenvalues": "magnitude",
        "power_iterations": 30,
    }
    if dynamics == "gld_leading":
        published |= {"rescaled": False, "injection": "refresh_steps"}
    expected = given | stated | (published if preset == "as_published" else {})
    make = getattr(descent, preset)
    assert make(dynamics, **given).parameters() == expected
    own = {"sampling": "without_replacement", "refresh_interval": 7, "power_iterations": 4}
    assert make(dynamics, **given, **own).parameters() == expected | own


def test_all_presets_run_on_a_toy(rng):
    objective = two_basin_problem(0.01 * rng.standard_normal((20, 2)))
    common = {"learning_rate": 0.001, "num_steps": 3, "batch_size": 2, "num_pairs": 2}
    for preset, dynamics in itertools.product(
        (descent.as_stated, descent.as_published), descent.DYNAMICS
    ):
        more = {"standard_deviation": 0.1} if dynamics == "gld_constant" else {}
        result = descent.simulate_descent(
            objective, np.ones(2), preset(dynamics, **common, **more), rng
        )
        assert result.status == "finished"


# ---- networks on another device


@every_foreign_place
@pytest.mark.parametrize("name", ["gd", "gld_diagonal", "sgd_gaussian", "sgd"])
def test_a_run_on_another_device_is_the_run_on_the_host(place, name):
    rng = seeds.generator()
    layers = networks.Convolution(2, 3), networks.Activation("relu"), networks.MaxPooling(2)
    model = networks.Stack((*layers, networks.Flatten(), networks.Dense(3)), (1, 6, 6))
    theta = 0.3 * rng.standard_normal(model.num_parameters)
    inputs, labels = rng.standard_normal((12, 1, 6, 6)), rng.integers(0, 3, 12)
    chosen = descent.as_stated(name, learning_rate=0.05, num_steps=3, batch_size=4)
    plan = {"steps": (0, 3), "quantities": ("accuracy", "test", "gradient_norm", "noise")}
    results = []
    for where in (places.NUMPY, place):
        network = networks.Network(
            model,
            losses.SoftmaxCrossEntropy(),
            inputs,
            labels,
            device=None if where.is_numpy else where,
        )
        measured = descent.Measurements(**plan, test_problem=network)
        results.append(
            descent.simulate_descent(
                network, theta, chosen, seeds.generator(7), measurements=measured
            )
        )
    host, device = results
    # the same draws; sums in another order
    np.testing.assert_allclose(device.theta, host.theta, rtol=0, atol=1e-10)
    assert device.records.keys() == host.records.keys()
    for quantity, values in host.records.items():
        np.testing.assert_allclose(device.records[quantity], values, rtol=1e-8, err_msg=quantity)


@every_foreign_place
def test_expected_sharpness_of_a_network_elsewhere_is_that_on_the_host(place):
    from aniso.descent.sharpness import expected_sharpness

    data = seeds.generator()
    model = networks.Stack(
        (networks.Dense(3), networks.Activation("tanh"), networks.Dense(1)), (2,)
    )
    inputs, targets = data.standard_normal((6, 2)), data.standard_normal((6, 1))
    theta = model.initial_parameters(data)

    def sharpness(where, theta):
        own = (transfer.to_device(array, where) for array in (inputs, targets))
        network = networks.Network(model, losses.SquaredLoss(), *own)
        return expected_sharpness(network, theta, 0.1, 20, seeds.generator(3)).value

    expected = sharpness(places.NUMPY, theta)
    # the same draws, and sums in another order
    assert sharpness(place, theta) == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert sharpness(place, transfer.to_device(theta, place)) == sharpness(place, theta)
