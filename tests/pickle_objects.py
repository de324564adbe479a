"""Objects of which the cases of pickling are made."""

from typing import NamedTuple

import numpy as np

from aniso import (
    descent,
    escape,
    langevin,
    networks,
)
from aniso.descent import schedules
from aniso.langevin import (
    drifts,
    ensembles,
    example_chains,
    first_passage,
    noises,
    regions,
)
from aniso.matrices import (
    noise,
)
from aniso.networks import architectures
from aniso.networks.gradients import streamed as streamed_gradients
from aniso.networks.layers import layer
from aniso.problems import (
    losses,
    quadratic,
)
from aniso.propositions import (
    check,
    constants,
    deep_alignment,
    deep_training,
    fisher_order,
    generalised_eigenvalues,
)

VECTOR = np.array([1.0, -2.0])
COVARIANCE = np.array([[2.0, 0.5], [0.5, 1.0]])
TIMES = [0.5, 1.0]


class Case(NamedTuple):
    """How an object is made, and what is asked of it: an array, a number or a text."""

    make: object
    ask: object


def squares(theta, inputs, targets):
    """Loss of a user: ``(x . theta - y)^2``."""
    return (inputs @ theta - targets) ** 2


def bend(x):
    """Drift of a user."""
    return x - x**3


# ---- networks and what is made of them


def network(activation="tanh", *, outputs=3):
    """A small network on eleven examples."""
    rng = np.random.default_rng(1)
    stack = architectures.multilayer_perceptron((4, 5, outputs), activation)
    targets = np.arange(11) % outputs
    return networks.Network(
        stack, losses.SoftmaxCrossEntropy(), rng.normal(size=(11, 4)), targets, num_threads=2
    )


def convolutions():
    """A network of convolutions in their fast forms."""
    rng = np.random.default_rng(2)
    stack = networks.Stack(
        (
            networks.Convolution(4, 3, padding=1),
            networks.MaxPooling(2),
            networks.Activation("relu"),
            networks.Convolution(4, 3, padding=1),
            networks.Activation("gelu"),
            networks.Flatten(),
            networks.Dense(2),
        ),
        (3, 8, 8),
    )
    return networks.Network(
        stack, losses.SquaredLoss(), rng.normal(size=(5, 3, 8, 8)), rng.normal(size=(5, 2))
    )


def theta_of(something):
    """Parameters that are the same in every process."""
    return np.cos(np.arange(something.num_parameters, dtype=float)) / 2


def used(something):
    """The network after its threads have started and its chunks have been kept."""
    something.gradient(theta_of(something))
    return something


def gradient(something):
    return something.gradient(theta_of(something))


def linearised(strategy="auto", activation="relu"):
    made = network(activation)
    found = made.linearise(theta_of(made), strategy)
    found.hessian_product(theta_of(made))
    return found


def hessian_and_trace(found):
    vector = np.sin(np.arange(found.network.num_parameters, dtype=float))
    return np.append(found.hessian_product(vector), found.hessian_trace())


def tangents():
    from aniso.networks.curvature.linearisation import Linearisation

    made = network()
    return Linearisation(made, theta_of(made))


def residual():
    block = networks.Residual((networks.Dense(3), networks.Activation("relu")))
    stack = networks.Stack((block, networks.Dense(1)), (3,))
    inputs = np.cos(np.arange(12.0)).reshape(4, 3)
    return networks.Network(stack, losses.SquaredLoss(), inputs, np.ones((4, 1)))


def product(operator):
    vector = np.sin(np.arange(operator.shape[1], dtype=float))
    return operator @ vector


def product_and_trace(operator):
    return np.append(product(operator), operator.trace())


def factors(made=None):
    made = made or network()
    return made.example_gradients(theta_of(made))


def streamed():
    made = network()
    return streamed_gradients.StreamedGradients(made, theta_of(made))


def mean_and_norms(gradients):
    return np.append(gradients.mean(), gradients.square_norms())


def rows():
    return np.random.default_rng(3).normal(size=(7, 2))


# ---- descent


def settings():
    return descent.Settings("gld_leading", 0.1, 4, 2, "epochs", num_pairs=2, refresh_interval=2)


def bowl():
    return quadratic.quadratic_problem(np.diag([3.0, 1.0]), np.zeros(2), rows() / 9)


def every_schedule():
    table = schedules.Tabulated((1.0, 0.5))
    return schedules.Steps((3,)), schedules.Cosine(4), schedules.WarmUp(2, table)


def every_update():
    decays = descent.CoupledDecay(0.1), descent.DecoupledDecay(0.1)
    return descent.HeavyBall(0.9), descent.Adam(), *decays


def forecast():
    at = bowl().at(np.ones(2))
    batch = noise.minibatch_covariance(at.noise, 2, replacement=True)
    return escape.forecast(at, batch, 0.1, 3, np.random.default_rng(0), level=99.0, num_paths=9)


def measured():
    return descent.Measurements(range(5), ("gradient_norm",))


def descended():
    return descent.simulate_descent(
        bowl(), np.ones(2), settings(), np.random.default_rng(0), measurements=measured()
    )


# ---- motion


def problem():
    return langevin.LangevinProblem(
        drifts.of_quadratic(np.eye(2)), noises.constant(COVARIANCE), [0, 0]
    )


def walk():
    return langevin.LangevinProblem(drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0])


def moments_of(something):
    found = ensembles.simulate_ensemble(something, "euler_maruyama", 0.1, [3], 20, seed=1)
    return found.mean


def exit_times(region):
    start = [0.0] * region.dimension
    brownian = langevin.LangevinProblem(
        drifts.of_quadratic(np.zeros((region.dimension, region.dimension))),
        noises.diagonal(np.ones(region.dimension)),
        start,
    )
    return first_passage.simulate_exits(brownian, region, 0.1, 2.0, 20, seed=1).times


def margins(region):
    theta = np.full(region.dimension, 0.25)
    return np.array(regions.margin(region, theta, np.eye(region.dimension)))


def drifts_at(drift):
    return drifts.at(drift, np.full(drift.dimension, 0.25))


def chain(examples):
    found = example_chains.simulate_sgd(
        examples, 0.1, 1, "with_replacement", np.full(examples.dimension, 0.5), [2], 20, seed=1
    )
    return found.mean


# ---- the rest


def a_check():
    statement = check.Statement("order", "x >= y", "an example", "none", "by hand", 0.1)
    return check.compare(statement, 2.0, ">=", 1.0, series={"x": [1.0, 2.0]})


def a_snapshot():
    inputs = np.random.default_rng(4).normal(size=(9, 2))
    model = networks.one_hidden_layer(2, 3, "abs")
    problem = networks.Network(model, losses.LogisticLoss(), inputs, np.arange(9) % 2)
    return constants.snapshot(problem, np.cos(np.arange(model.num_parameters)))


def a_small_geometry():
    inputs = np.random.default_rng(4).normal(size=(9, 2))
    model = networks.multilayer_perceptron((2, 3, 1), "tanh")
    problem = networks.Network(model, losses.LogisticLoss(), inputs, np.arange(9) % 2)
    return problem.at(np.cos(np.arange(model.num_parameters)))


def an_image_reading():
    order = fisher_order.fisher_gauss_newton_order(a_small_geometry())
    bound = deep_alignment.deep_alignment_bound(a_small_geometry())
    return deep_training.ImageReading(3, 0.5, 0.1, order, 2.0, bound, 7.0)


def a_factor():
    return generalised_eigenvalues.Factor(np.diag([1.0, 2.0]), np.array([3.0, 2.0]), np.arange(2))


def text(value):
    return str(value)


def layer_classes(base=None):
    """All kinds of layers."""
    for kind in (base or layer.Layer).__subclasses__():
        yield kind
        yield from layer_classes(kind)
