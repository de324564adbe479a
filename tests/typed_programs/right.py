"""A program of a user with complete hints: the type checker accepts it."""

import numpy as np
from numpy.typing import NDArray

import aniso
from aniso import closed_forms, descent, escape, langevin, matrices, networks, problems
from aniso.typing import Array, ArrayLike


def loss(theta: Array, inputs: Array, targets: Array) -> Array:
    values: Array = (inputs @ theta - targets) ** 2 / 2
    return values


def indicators(problem: aniso.Problem, theta: ArrayLike) -> dict[str, float]:
    at = problem.at(theta)
    pairs = aniso.leading_eigenpairs(at.hessian, 1)
    batch = aniso.minibatch_covariance(at.noise, 10, replacement=True)
    change = aniso.expected_loss_change(at.gradient, at.hessian, batch, 0.1)
    return {
        "loss": at.loss,
        "alignment": aniso.alignment(at.hessian, at.noise),
        "sharpness": float(pairs.values[0]),
        "change": change.total,
    }


def estimated(at: aniso.LocalGeometry, rng: np.random.Generator) -> aniso.Estimate:
    found = at.estimate_alignment(rng, method="hutchinson", num_products=20)
    value: float = found.value
    assert value >= 0.0
    return aniso.Estimate.from_samples([0.5, 1.5])


def train(network: networks.Network, rng: np.random.Generator) -> NDArray[np.float64]:
    settings = descent.Settings("sgd", learning_rate=0.1, num_steps=10, batch_size=5)
    start = networks.initialisation.he_normal(network.model, rng)
    plan = descent.Measurements((0, 10), ("accuracy",))
    run = aniso.simulate_descent(network, start, settings, rng, measurements=plan)
    theta: NDArray[np.float64] = run.theta
    return theta


def exit_time(hessian: ArrayLike) -> float:
    drift = langevin.drifts.of_quadratic(hessian)
    noise = langevin.noises.constant(np.eye(2))
    problem = aniso.LangevinProblem(drift, noise, np.zeros(2))
    region = langevin.regions.ball([0.0, 0.0], 1.0)
    found = escape.simulate_mean_exit_time(problem, region, 0.1, 100.0, 50, 0)
    return 0.0 if found.mean is None else found.mean.value


stack = aniso.multilayer_perceptron((2, 3, 1))
data = np.arange(8.0).reshape(4, 2)
own = aniso.Network(stack, problems.SquaredLoss(), data, np.zeros((4, 1)))
written = aniso.AutogradProblem(loss, inputs=[[1.0], [2.0]], targets=[0.0, 0.0])
print(indicators(own, np.ones(stack.num_parameters)), indicators(written, [1.0]))
curvatures = matrices.example_curvatures(np.ones((3, 2, 2)))
threshold = closed_forms.stability_threshold(curvatures, 2, replacement=True)
print(threshold.learning_rate, aniso.kramers_time(1.0, -1.0, 0.5, 0.1).value)
