"""Objects that hold the arrays they were made from, and how to ask them for their numbers."""

import autograd.numpy as anp
import numpy as np
import scipy.sparse
import seeds

from aniso import networks
from aniso.escape import efficiency
from aniso.langevin import (
    drift_functions,
    drifts,
    example_sets,
    noises,
    problems,
    regions,
)
from aniso.matrices import (
    curvatures_from_factors,
    example_curvatures,
    factored,
    gradient_covariance,
    indicators,
    spectral_density,
    structures,
)
from aniso.matrices import (
    noise as gradient_noise,
)
from aniso.networks.curvature.cached import CachedLinearisation
from aniso.networks.curvature.linearisation import Linearisation
from aniso.networks.gradients.kept import GradientFactors
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.problems import (
    AutogradModel,
    AutogradProblem,
    _output_curvature,
    losses,
    quadratic,
    two_basin,
)

SIZE = 3
MODEL = networks.one_hidden_layer(SIZE, 2)
STACK = networks.Stack((networks.Dense(2), networks.Activation("tanh"), networks.Dense(1)), (SIZE,))
_generator = seeds.generator(5)
INPUTS, LABELS = _generator.standard_normal((6, SIZE)), np.array([0, 1, 1, 0, 1, 0])
NETWORK = networks.Network(STACK, losses.LogisticLoss(), INPUTS, LABELS, num_threads=1)


def logistic(theta, inputs, targets):
    return anp.logaddexp(0.0, (1 - 2 * targets) * anp.dot(inputs, theta))


def symmetric(rng):
    root = rng.standard_normal((SIZE, SIZE))
    return root @ root.T


def products(operator):
    return operator @ np.eye(operator.shape[0])


def of_linearisation(at):
    return (
        at.loss,
        at.gradient,
        at.hessian(),
        at.hessian_diagonal,
        at.generalized_gauss_newton_diagonal,
        at.fisher_diagonal,
        at.fisher(),
        at.noise_curvature().alignment,
        products(at.hessian_operator()),
        gradient_covariance(at.gradient_factors).to_dense(),
    )


def of_objective(objective):
    theta = np.linspace(-1.0, 1.0, objective.num_parameters or SIZE)
    part = objective.subset([1, 0])
    return (
        objective.losses(theta),
        objective.per_example_gradients(theta),
        objective.hessian(theta),
        part.gradient(theta),
    )


def of_geometry(at):
    return at.gradient, at.noise.to_dense(), products(at.hessian), at.theta


def of_curvatures(curvatures):
    return curvatures.mean_product(np.ones(SIZE)), curvatures.along(np.ones(SIZE)), curvatures.rows


def of_drift(drift):
    return drifts.at(drift, np.full(drift.dimension, 0.3)), drift.hessian


def of_amplitude(noise):
    panel, out = np.ones((SIZE, drift_functions.LANES)), np.zeros((2 * SIZE, drift_functions.LANES))
    getattr(noise.amplitude, "py_func", noise.amplitude)(panel, noise.parameters, out)
    return (out,)


def of_region(region):
    return regions.margin(region, np.full(region.dimension, 0.3), np.eye(region.dimension))


def of_examples(examples):
    out = np.zeros((examples.dimension, drift_functions.LANES))
    panel, index = np.ones_like(out), np.zeros(drift_functions.LANES, dtype=np.int64)
    getattr(examples.gradient, "py_func", examples.gradient)(panel, index, examples.parameters, out)
    return (out,)


def vector(rng):
    return (rng.standard_normal(SIZE),)


def positive(rng):
    return (rng.uniform(0.5, 1.5, SIZE),)


def matrix(rng):
    return (symmetric(rng),)


def matrices(rng):
    return symmetric(rng), symmetric(rng)


def rows(rng):
    return (rng.standard_normal((5, SIZE)),)


def data(rng):
    return rng.standard_normal((6, SIZE)), rng.integers(0, 2, 6)


def network_theta(rng):
    return (rng.standard_normal(NETWORK.num_parameters),)


def model_theta(rng):
    return (rng.standard_normal(MODEL.num_parameters),)


def model_problem():
    return AutogradModel(MODEL, losses.LogisticLoss(), INPUTS, LABELS)


def region_function(theta, parameters, out):
    out[0] = parameters[0] - theta[0]
    out[1] = parameters[1]


# name: arrays that the caller has, what is made of them, what is read of it
MAKERS = {
    "ExampleCurvatures of factors": (
        lambda rng: (rng.standard_normal((4, 2, SIZE)), np.tile(np.eye(2), (4, 1, 1))),
        curvatures_from_factors,
        of_curvatures,
    ),
    "ExampleCurvatures": (
        lambda rng: (np.array([symmetric(rng), symmetric(rng)]),),
        example_curvatures,
        of_curvatures,
    ),
    "AutogradProblem": (data, lambda x, y: AutogradProblem(logistic, x, y), of_objective),
    "AutogradModel": (
        data,
        lambda x, y: AutogradModel(MODEL, losses.LogisticLoss(), x, y),
        of_objective,
    ),
    "QuadraticLoss": (
        lambda rng: (symmetric(rng), *vector(rng)),
        quadratic.QuadraticLoss,
        lambda made: (made(np.ones(SIZE), np.ones((2, SIZE)), None),),
    ),
    "quadratic_problem": (
        lambda rng: (symmetric(rng), *vector(rng), *rows(rng)),
        quadratic.quadratic_problem,
        of_objective,
    ),
    "two_basin_problem": (
        lambda rng: (rng.standard_normal((5, 2)),),
        two_basin.two_basin_problem,
        of_objective,
    ),
    "LocalGeometry": (
        vector,
        lambda theta: AutogradProblem(logistic, INPUTS, LABELS).at(theta),
        of_geometry,
    ),
    "LocalGeometry of a model": (
        model_theta,
        lambda theta: model_problem().at(theta),
        of_geometry,
    ),
    "NetworkGeometry": (network_theta, NETWORK.at, of_geometry),
    "OutputCurvature": (
        lambda rng: (rng.standard_normal((4, 2, SIZE)), np.tile(np.eye(2), (4, 1, 1))),
        lambda jacobians, weights: _output_curvature.OutputCurvature(jacobians, weights, 4),
        lambda made: (products(made), made.diagonal()),
    ),
    "CachedLinearisation": (
        network_theta,
        lambda theta: CachedLinearisation(NETWORK, theta),
        of_linearisation,
    ),
    "CachedLinearisation by tangents": (
        network_theta,
        lambda theta: CachedLinearisation(NETWORK, theta, "tangents"),
        of_linearisation,
    ),
    "Linearisation": (
        network_theta,
        lambda theta: Linearisation(NETWORK, theta),
        of_linearisation,
    ),
    "example_gradients": (
        network_theta,
        NETWORK.example_gradients,
        lambda made: (made.rows(0, 6), made.mean(), made.square_norms()),
    ),
    "GradientFactors": (
        network_theta,
        lambda theta: GradientFactors(NETWORK, theta),
        lambda made: (made.rows(0, 6), made.gram(), made.mean()),
    ),
    "StreamedGradients": (
        network_theta,
        lambda theta: StreamedGradients(NETWORK, theta),
        lambda made: (made.rows(0, 6), made.mean(), made.square_norms(), made.theta),
    ),
    "network covariance, kept": (
        network_theta,
        lambda theta: gradient_covariance(GradientFactors(NETWORK, theta)),
        lambda made: (made.trace(), products(made), made.rows, made.mean),
    ),
    "network covariance, streamed": (
        network_theta,
        lambda theta: gradient_covariance(StreamedGradients(NETWORK, theta)),
        lambda made: (made.trace(), products(made), made.rows, made.mean),
    ),
    "gradient_covariance": (
        rows,
        gradient_noise.gradient_covariance,
        lambda made: (made.trace(), products(made)),
    ),
    "empirical_fisher": (
        rows,
        gradient_noise.empirical_fisher,
        lambda made: (made.trace(), products(made)),
    ),
    "minibatch_covariance": (
        rows,
        lambda given: gradient_noise.minibatch_covariance(
            gradient_noise.gradient_covariance(given), 2, replacement=True
        ),
        lambda made: (made.trace(), products(made)),
    ),
    "FactoredCovariance": (
        rows,
        lambda given: factored.FactoredCovariance(given, 0.5),
        lambda made: (made.trace(), products(made)),
    ),
    "DiagonalCovariance": (
        positive,
        factored.DiagonalCovariance,
        lambda made: (made.trace(), products(made)),
    ),
    "from_eigenpairs": (
        lambda rng: (*positive(rng), np.eye(SIZE)),
        structures.from_eigenpairs,
        lambda made: (products(made),),
    ),
    "Commutator": (matrices, indicators.Commutator, lambda made: (products(made),)),
    "Commutator of sparse matrices": (
        lambda rng: tuple(scipy.sparse.csr_array(part) for part in matrices(rng)),
        indicators.Commutator,
        lambda made: (products(made),),
    ),
    "lanczos_quadrature": (
        vector,
        lambda points: spectral_density.lanczos_quadrature(
            np.diag([1.0, 2.0, 3.0]),
            num_probes=2,
            num_steps=2,
            rng=seeds.generator(0),
            points=points,
        ),
        lambda made: (made.points, made.values),
    ),
    "efficiency curve": (
        lambda rng: (*matrices(rng), *positive(rng)),
        efficiency.efficiency_by_closed_form,
        lambda made: (made.times, made.values),
    ),
    "drifts.of_quadratic": (matrix, drifts.of_quadratic, of_drift),
    "drifts.of_two_basin": (
        lambda rng: (rng.standard_normal((5, 2)),),
        drifts.of_two_basin,
        of_drift,
    ),
    "drifts.of_table": (
        lambda rng: (np.linspace(-1.0, 1.0, 7), rng.standard_normal(7)),
        drifts.of_table,
        of_drift,
    ),
    "drifts.of_polynomial": (vector, drifts.of_polynomial, of_drift),
    "drifts.of_function": (
        matrix,
        lambda given: drifts.of_function(
            drift_functions.quadratic_drift, SIZE, parameters=given.reshape(-1)
        ),
        of_drift,
    ),
    "Drift": (
        matrix,
        lambda given: drifts.Drift(SIZE, drift_functions.quadratic_drift, given.reshape(-1)),
        of_drift,
    ),
    "noises.constant": (matrix, noises.constant, lambda made: (made.covariance,)),
    "noises.low_rank": (rows, noises.low_rank, lambda made: (made.covariance,)),
    "noises.diagonal": (positive, noises.diagonal, lambda made: (made.covariance,)),
    "noises.proportional": (vector, noises.proportional, of_amplitude),
    "noises.state_dependent": (
        vector,
        lambda given: noises.state_dependent(noises.proportional_amplitude, SIZE, parameters=given),
        of_amplitude,
    ),
    "regions.half_space": (vector, lambda given: regions.half_space(given, 2.0), of_region),
    "regions.ball": (vector, lambda given: regions.ball(given, 2.0), of_region),
    "regions.sublevel_set": (matrix, lambda given: regions.sublevel_set(given, 2.0), of_region),
    "regions.custom": (
        positive,
        lambda given: regions.custom(region_function, SIZE, parameters=given),
        of_region,
    ),
    "LangevinProblem": (
        lambda rng: (*matrices(rng), *vector(rng)),
        lambda hessian, covariance, start: problems.LangevinProblem(
            drifts.of_quadratic(hessian), noises.constant(covariance), start
        ),
        lambda made: (made.start, made.noise.covariance, *of_drift(made.drift)),
    ),
    "example_sets.least_squares": (data, example_sets.least_squares, of_examples),
    "example_sets.shifted_quadratics": (
        lambda rng: (symmetric(rng), *rows(rng)),
        example_sets.shifted_quadratics,
        of_examples,
    ),
    "example_sets.two_basin_toy": (
        lambda rng: (rng.standard_normal((5, 2)),),
        example_sets.two_basin_toy,
        of_examples,
    ),
    "example_sets.custom": (
        lambda rng: (np.concatenate([symmetric(rng).ravel(), rng.standard_normal(4 * SIZE)]),),
        lambda given: example_sets.custom(
            example_sets.shifted_quadratic_gradient, 4, SIZE, parameters=given
        ),
        of_examples,
    ),
}


def changed(array):
    """Change the caller's array in place: a step of descent, a buffer used again."""
    entries = array.data if scipy.sparse.issparse(array) else array
    entries *= 3
    entries += 1


AT_A_THETA = [
    name
    for name in MAKERS
    if any(word in name for word in ("earisation", "radient", "ovariance", "Point", "perator"))
]


def made_for(name):
    draw, make, _ = MAKERS[name]
    return make(*draw(seeds.generator(1)))
