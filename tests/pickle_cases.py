"""Objects of every class that a user may hold, each with a question that its copy must answer.

Objects of other classes are found inside these.
"""

import copy
import importlib.util
import os
import tempfile
from typing import NamedTuple

import numpy as np
import pickle_cases_quantities

from aniso import (
    closed_forms,
    datasets,
    descent,
    escape,
    frameworks,
    langevin,
    networks,
    threads,
)
from aniso.arrays import places
from aniso.datasets import sets
from aniso.descent import batches, run_state, schedules
from aniso.descent import structures as structures_of_descent
from aniso.escape import (
    efficiency,
    kramers,
    minimum_action,
    quadrature,
    quasi_potential,
    simulation,
)
from aniso.langevin import (
    convergence,
    drifts,
    ensembles,
    example_chains,
    example_sets,
    first_passage,
    linear_chain,
    linear_schemes,
    noises,
    regions,
    schemes,
    state_noises,
    two_basin_dynamics,
    walls,
)
from aniso.matrices import (
    curvatures_from_factors,
    eigenpairs,
    factored,
    gradient_covariance,
    indicators,
    noise,
    spectral_density,
    structures,
)
from aniso.networks import architectures, hosted, parameter_blocks
from aniso.networks.gradients import streamed as streamed_gradients
from aniso.networks.layers import layer
from aniso.problems import (
    _plans,
    activations,
    losses,
    quadratic,
    two_basin,
)
from aniso.problems.autograd_model import AutogradModel
from aniso.problems.autograd_problem import AutogradProblem
from aniso.propositions import (
    check,
    constants,
    deep_alignment,
    deep_search,
    deep_training,
    exact_losses,
    falsification,
    fisher_order,
    generalised_eigenvalues,
    report,
    small_networks,
    trained_networks,
)
from aniso.propositions import settings as proposition_settings
from aniso.runs import executors, run_directory

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


CASES = {
    # curvature and noise
    "autograd problem": Case(
        lambda: AutogradProblem(squares, rows(), np.ones(7)), lambda o: o.hessian(VECTOR)
    ),
    "quadratic problem": Case(bowl, lambda o: o.gradient(VECTOR)),
    "two-basin problem": Case(
        lambda: two_basin.two_basin_problem(rows()), lambda o: o.gradient(VECTOR)
    ),
    "autograd model": Case(
        lambda: AutogradModel(
            networks.multilayer_perceptron((2, 3, 2), "softplus"),
            losses.SquaredLoss(),
            rows(),
            rows(),
        ),
        gradient,
    ),
    "one hidden layer": Case(
        lambda: AutogradModel(
            networks.one_hidden_layer(2, 3, "leaky_relu"),
            losses.ClippedSquaredLoss(),
            rows(),
            np.arange(7) % 2,
        ),
        gradient,
    ),
    "local geometry": Case(lambda: bowl().at(VECTOR), lambda at: at.hessian @ at.gradient),
    "hessian operator": Case(lambda: bowl().at(VECTOR).hessian, product_and_trace),
    "gauss-newton operator": Case(
        lambda: (
            AutogradModel(
                networks.multilayer_perceptron((2, 2)), losses.SquaredLoss(), rows(), rows()
            )
            .at(np.ones(6))
            .gauss_newton
        ),
        product_and_trace,
    ),
    "network geometry": Case(
        lambda: network().at(np.cos(np.arange(network().num_parameters))),
        lambda at: at.hessian @ at.gradient,
    ),
    "gradient covariance": Case(
        lambda: noise.diffusion_covariance(
            noise.minibatch_covariance(noise.gradient_covariance(rows()), 2, replacement=True),
            0.1,
        ),
        product_and_trace,
    ),
    "dense covariance": Case(
        lambda: noise.gradient_covariance(rows()).to_dense(),
        lambda found: f"{found.convention} {found.trace()}",
    ),
    "sum of covariances": Case(
        lambda: noise.gradient_covariance(rows()).to_dense() + 1.0,
        lambda found: text(found.convention),
    ),
    "factored covariance": Case(
        lambda: factored.FactoredCovariance(rows(), 0.5), product_and_trace
    ),
    "diagonal covariance": Case(
        lambda: structures.diagonal_part(noise.gradient_covariance(rows())),
        product_and_trace,
    ),
    "leading part": Case(
        lambda: structures.leading_part(noise.gradient_covariance(rows()), 1),
        product_and_trace,
    ),
    "commutator": Case(lambda: indicators.Commutator(COVARIANCE, np.diag([1.0, 2.0])), product),
    "example curvatures": Case(
        lambda: curvatures_from_factors([VECTOR, VECTOR[::-1]]), lambda c: c.mean_product(VECTOR)
    ),
    "span of curvatures": Case(
        lambda: curvatures_from_factors([VECTOR]).span, lambda span: span.eigenvalues
    ),
    "stability threshold": Case(
        lambda: closed_forms.stability_threshold(
            curvatures_from_factors([VECTOR, VECTOR[::-1]]), 1, replacement=True
        ),
        lambda threshold: threshold.direction,
    ),
    "batch sharpness": Case(
        lambda: closed_forms.batch_sharpness_of_draws([1.0, 2.0], [1.0, 1.0]),
        lambda sharpness: sharpness.ratio_of_means.value,
    ),
    "eigenpairs": Case(lambda: eigenpairs.leading_eigenpairs(COVARIANCE, 1), lambda p: p.vectors),
    "block eigenpairs": Case(
        lambda: eigenpairs.leading_eigenpairs(COVARIANCE, 1, method="block"), lambda p: p.values
    ),
    "spectral density": Case(
        lambda: spectral_density.lanczos_quadrature(
            COVARIANCE,
            num_probes=2,
            num_steps=2,
            rng=np.random.default_rng(0),
            points=[1.0],
            width=0.5,
        ),
        lambda d: d.values,
    ),
    "derivative check": Case(
        lambda: bowl().check(VECTOR, np.random.default_rng(0)), lambda report: text(report)
    ),
    "plan": Case(lambda: _plans.Plan("hessian_product", "loop", 5, 1, "none"), text),
    # networks
    "network": Case(network, gradient),
    "used network": Case(lambda: used(network()), gradient),
    "network of convolutions": Case(lambda: used(convolutions()), gradient),
    "network of residual blocks": Case(lambda: used(residual()), gradient),
    "signed sum": Case(
        lambda: networks.Network(
            architectures.one_hidden_layer(2, 4),
            losses.LogisticLoss(),
            rows(),
            np.arange(7) % 2,
        ),
        gradient,
    ),
    "layers": Case(
        lambda: [e for kind in layer_classes() for e in kind.examples()], lambda e: text(e)
    ),
    "factors": Case(linearised, hessian_and_trace),
    "factors with a bilinear part": Case(lambda: linearised("factors", "relu"), hessian_and_trace),
    "tangents": Case(lambda: linearised("tangents"), hessian_and_trace),
    "tangents elsewhere": Case(tangents, hessian_and_trace),
    "operator": Case(lambda: linearised("factors").hessian_operator(), product_and_trace),
    "dense operator": Case(lambda: linearised().hessian_operator(10**9), product_and_trace),
    "gauss-newton of a network": Case(
        lambda: linearised().generalized_gauss_newton_operator(), product_and_trace
    ),
    "fisher of a network": Case(lambda: linearised().fisher_operator(), product),
    "operator elsewhere": Case(lambda: tangents().hessian_operator(), product_and_trace),
    "gradient factors": Case(factors, mean_and_norms),
    "factors of convolutions": Case(lambda: factors(convolutions()), mean_and_norms),
    "streamed gradients": Case(streamed, mean_and_norms),
    "layered covariance": Case(lambda: gradient_covariance(factors()), product_and_trace),
    "streamed covariance": Case(lambda: gradient_covariance(streamed()), product_and_trace),
    "noise curvature": Case(lambda: linearised().noise_curvature(), lambda found: text(found)),
    "parameter blocks": Case(lambda: parameter_blocks.blocks_of(network().stack), text),
    "hosted network": Case(lambda: hosted.HostedNetwork(network()), gradient),
    "workers": Case(lambda: threads.Workers(2), lambda w: np.array(w.map(abs, [-1, -2]))),
    "place": Case(lambda: places.NUMPY, text),
    # descent
    "settings": Case(settings, text),
    "schedules": Case(every_schedule, text),
    "updates": Case(every_update, text),
    "measurements": Case(measured, text),
    "descent": Case(descended, lambda found: found.theta),
    "injected noise": Case(
        lambda: structures_of_descent.STRUCTURES["gld_dynamic"](
            bowl().at(np.ones(2)), settings(), np.random.default_rng(0), None
        ),
        lambda found: found.covariance.trace(),
    ),
    "batches": Case(
        lambda: batches.BatchSampler(4, 2, "epochs"),
        lambda found: copy.copy(found).draw(np.random.default_rng(0)),
    ),
    "state of descent": Case(
        lambda: run_state.RunState(
            np.ones(2), np.random.default_rng(0), settings(), measured(), 7, {}
        ),
        lambda found: found.theta,
    ),
    # motion
    "problem": Case(problem, moments_of),
    "proportional noise": Case(
        lambda: langevin.LangevinProblem(
            drifts.of_quadratic([[1.0]]), noises.proportional([0.5]), [1.0]
        ),
        moments_of,
    ),
    "noise of theta between walls": Case(
        lambda: langevin.LangevinProblem(
            drifts.of_quadratic([[1.0]]),
            state_noises.diagonal(noises.no_amplitude, 1),
            [1.0],
            walls.reflecting_box([0.5], [2.0]),
        ),
        moments_of,
    ),
    "two-basin drift": Case(lambda: drifts.of_two_basin(rows()), drifts_at),
    "polynomial drift": Case(lambda: drifts.of_polynomial([0.0, 0.0, 1.0]), drifts_at),
    "interval": Case(lambda: regions.interval(-1.0, 2.0), exit_times),
    "half-space": Case(lambda: regions.half_space([1.0, 0.0], 1.0), exit_times),
    "ball": Case(lambda: regions.ball([0.0, 0.0], 1.0), exit_times),
    "sublevel set": Case(lambda: regions.sublevel_set(np.eye(2), 1.0), exit_times),
    "custom region": Case(
        lambda: regions.custom(regions.interval_margin, 1, parameters=[-1.0, 1.0, 1.0]), exit_times
    ),
    "least squares": Case(lambda: example_sets.least_squares(rows(), np.ones(7)), chain),
    "shifted quadratics": Case(lambda: example_sets.shifted_quadratics(np.eye(2), rows()), chain),
    "two-basin examples": Case(lambda: example_sets.two_basin_toy(rows()), chain),
    "scheme": Case(lambda: schemes.scheme("sra1"), text),
    "linear step": Case(
        lambda: linear_schemes.step("euler_maruyama", np.eye(1), np.eye(1), 0.1),
        lambda found: found.propagator,
    ),
    "order": Case(
        lambda: convergence.measure_convergence(walk(), "stochastic_heun"),
        lambda found: np.array(found.is_exact),
    ),
    "linear chain": Case(
        lambda: linear_chain.simulate_linear_chain([[1.0]], [[4.0]], 0.5, [0, 1], 40, seed=1), text
    ),
    "ensemble": Case(
        lambda: ensembles.simulate_ensemble(problem(), "exact", 0.5, [2], 40, seed=1),
        lambda found: found.covariance,
    ),
    "two-basin runs": Case(
        lambda: two_basin_dynamics.simulate_two_basin("gd", [[0.0, 0.0]], 2, seed=1, num_steps=3),
        lambda found: found.ends,
    ),
    "exits": Case(
        lambda: first_passage.simulate_exits(walk(), regions.interval(-1, 1), 0.1, 2.0, 20, seed=1),
        lambda found: found.times,
    ),
    # escape
    "mean exit time": Case(
        lambda: simulation.simulate_mean_exit_time(
            walk(), regions.interval(-1, 1), 0.1, 5.0, 40, seed=1
        ),
        text,
    ),
    "chain and equation": Case(
        lambda: simulation.simulate_chain_and_equation(
            drifts.of_quadratic([[0.0]]),
            [[25.0]],
            0.04,
            [0.0],
            regions.interval(-1, 1),
            9.0,
            40,
            seed=5,
        ),
        text,
    ),
    "kramers": Case(lambda: kramers.kramers_time(2.0, -1.0, 0.25, 0.25), text),
    "phase covariance": Case(
        lambda: closed_forms.heavy_ball_stationary_covariance(np.eye(2), COVARIANCE, 0.1, 0.5),
        lambda found: found.to_dense(),
    ),
    "exponent": Case(
        lambda: quasi_potential.exit_from_ball(np.eye(2), COVARIANCE, 1.0), lambda e: e.point
    ),
    "minimum action": Case(
        lambda: minimum_action.minimise_action(bend, [[2.0]], [-1.0], [0.0]), lambda a: a.path
    ),
    "quadrature": Case(lambda: quadrature.mean_exit_time(bend, 0.25, -1.0, -np.inf, 0.0), text),
    "efficiency": Case(
        lambda: efficiency.efficiency_by_slope(np.eye(2), COVARIANCE, TIMES), lambda c: c.values
    ),
    "forecast": Case(forecast, text),
    # what is stored, and what it costs
    "stored": Case(lambda: run_directory.Stored(3, {"x": VECTOR}, {}), lambda s: s.arrays["x"]),
    "outcome": Case(lambda: executors.run_units(abs, [-1], "serial")[0], text),
    "dataset": Case(lambda: datasets.fashion_mnist(), lambda d: d.train_labels),
    "official files": Case(lambda: sets.FASHION_MNIST, text),
    # propositions
    "drawn geometry": Case(
        lambda: frameworks.from_draws(iter(np.eye(3)), 3), lambda at: at.noise @ np.arange(3.0)
    ),
    "task result": Case(lambda: report.TaskResult("g", "n", (a_check(),), 0.5), text),
    "settings of propositions": Case(lambda: proposition_settings.Settings("quick", 0), text),
    "task": Case(lambda: proposition_settings.Task("name", bowl), lambda task: task.name),
    "worst case": Case(
        lambda: falsification.WorstCase(0.5, VECTOR, (1.0,), 3), lambda found: found.point
    ),
    "order constants": Case(
        lambda: fisher_order.order_constants(a_small_geometry()), lambda c: c.of_examples
    ),
    "Fisher order": Case(
        lambda: fisher_order.fisher_gauss_newton_order(a_small_geometry()), lambda o: o.largest
    ),
    "alignment bound": Case(
        lambda: deep_alignment.deep_alignment_bound(a_small_geometry()), lambda b: b.guaranteed
    ),
    "factor of the curvature": Case(a_factor, lambda f: f.extremes(reached_below=True).largest),
    "extremes": Case(lambda: a_factor().extremes(reached_below=True), lambda e: e.direction),
    "reading of images": Case(an_image_reading, lambda r: r.bound.upper),
    "output case": Case(lambda: exact_losses.OutputCase([1], [[2]], 3), text),
    "deep network": Case(lambda: deep_search.DeepNetwork("tanh"), text),
    "small network": Case(lambda: small_networks.SmallNetwork("logistic"), text),
    "snapshot": Case(a_snapshot, lambda found: found.hessian),
    "readings": Case(lambda: a_snapshot().readings(), text),
    "problem of training": Case(
        lambda: trained_networks.TrainingCase("synthetic", "logistic", "relu", 8, 0), text
    ),
}
CASES |= {name: Case(*each) for name, each in pickle_cases_quantities.QUANTITIES.items()}
CASES |= {
    f"activation {name}": Case(
        lambda name=name: activations.named(name), lambda found: found.value(VECTOR)
    )
    for name in activations.ACTIVATIONS
}
CASES |= {
    f"network activation {name}": Case(lambda name=name: network(name), gradient)
    for name in ("relu", "leaky_relu", "abs", "hard_tanh", "tanh", "softplus", "gelu")
}


def torch_gradients():
    import torch

    model = torch.nn.Linear(2, 1, dtype=torch.float64)
    data = torch.ones(3, 2), torch.ones(3, 1)
    made = frameworks.from_torch(model, torch.nn.MSELoss(), data, engine="torch")
    return made.example_gradients(np.ones(3))


def torch_problem(engine, loss):
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 1, dtype=torch.float64))
    data = torch.arange(6.0).reshape(3, 2).double(), torch.ones(3, 1, dtype=torch.float64)
    return frameworks.from_torch(model, getattr(torch.nn, loss)(), data, engine=engine)


def tensor_operator():
    import torch

    operator = torch_operators.Applied(torch.eye(2, dtype=torch.float64))
    return frameworks.from_matrices(operator, per_example_gradients=np.eye(2))


def jax_gradients():
    import jax_cases

    with jax_cases.double():
        made = frameworks.from_jax(jax_cases.line, jax_cases.LINE, (VECTOR, VECTOR))
    return made.example_gradients(np.ones(2))


if importlib.util.find_spec("jax"):
    CASES["gradients of a JAX problem"] = Case(jax_gradients, mean_and_norms)
if importlib.util.find_spec("torch"):
    import torch_operators

    CASES["gradients of a PyTorch problem"] = Case(torch_gradients, mean_and_norms)
    CASES["PyTorch model on the engine"] = Case(
        lambda: torch_problem("aniso", "MSELoss"), lambda made: made.gradient(np.ones(3))
    )
    CASES["PyTorch model with outputs"] = Case(
        lambda: torch_problem("torch", "SmoothL1Loss"),
        lambda made: made.output_gradients(np.ones(3)),
    )
    CASES["operator of tensors"] = Case(tensor_operator, lambda at: at.hessian @ VECTOR[:2])


def layer_classes(base=None):
    """All kinds of layers."""
    for kind in (base or layer.Layer).__subclasses__():
        yield kind
        yield from layer_classes(kind)


def environment(path):
    """Variables for a process that finds the tests."""
    return os.environ | {"PYTHONPATH": path}


NEVER_HELD = (
    {
        "Chain": "the layers of a residual block at one shape of inputs",
        "NoiseArguments": "the noise of one run, as its kernel takes it",
        "Work": "how the cells of one run are computed",
        "RecordedNode": "an operation of a loss while its gradients are formed",
        "Run": "an experiment of langevin between its checks and its cells",
        "PackedMap": "the map of second moments while its eigenvalue is computed",
        "ExampleMotion": "a motion on examples between its checks and its cells",
        "Rule": "an entry of a table in its module",
        "Stage": "a layer during one pass",
        "Processes": "a pool of processes while units run",
        "Monitor": "writes to a folder, which other processes read by read_record",
        "StepStore": "the folder of a monitor",
    }
    | dict.fromkeys(
        ("Ranks", "ShardedGradients", "ShardedProblem"),
        "belongs to a rank of torch.distributed",
    )
    | dict.fromkeys(
        ("Columns", "Deflation", "DiagonalRoot", "Factor", "Identity", "Pilot", "Plan"),
        "a part of an estimate of a trace while it is made",
    )
    | dict.fromkeys(
        ("Boundary", "ExampleChain", "ModelRemainder", "Moments", "SimulatedExits"),
        "a part of a forecast while it is made",
    )
    | dict.fromkeys(
        ("Context", "Found", "Request", "Sizes"), "a part of a diagnosis while it is measured"
    )
    | dict.fromkeys(
        ("PatchDerivatives", "UnitDerivatives"),
        "derivatives of a stage while the cross-layer matrix is assembled",
    )
    | dict.fromkeys(
        ("Batches", "Equation", "Exits", "Lanes", "Paths", "Progress", "Runs", "Steps", "Sums"),
        "a record of arguments of a compiled kernel",
    )
    | dict.fromkeys(("ChainExits", "ChainLanes"), "a record of exits of chains in a kernel")
    | dict.fromkeys(
        (
            "ActivationMemory",
            "AverageMemory",
            "PoolingMemory",
            "ResidualMemory",
            "PooledMemory",
            "Tiles",
            "Memory",
        ),
        "what a layer keeps of a forward pass until the backward pass",
    )
)
"""Classes whose objects live within one call, and what they are."""

REFUSED = {
    "run directory": lambda: run_directory.RunDirectory(tempfile.mkdtemp(), {}, seed=1),
}
