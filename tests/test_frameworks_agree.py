"""One network as a problem of the engine, of autograd, of PyTorch and of JAX: the same numbers."""

import functools

import numpy as np
import pytest
import seeds

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
jax = pytest.importorskip("jax", reason="JAX is not installed")

import jax_cases  # noqa: E402

from aniso import frameworks, matrices, networks  # noqa: E402
from aniso.problems import AutogradModel, losses  # noqa: E402

ROUNDING = 1e-11  # thousands of roundings of numbers of the result's size
STEPS = (0, 5, 20)
LOSS = losses.SoftmaxCrossEntropy()


def data():
    rng = seeds.generator("data")
    return rng.standard_normal((12, 3)), rng.integers(0, 3, 12)


def jax_loss(params, inputs, targets):
    (first, shift), (last, offset) = params
    outputs = jax.numpy.tanh(inputs @ first.T + shift) @ last.T + offset
    chosen = jax.numpy.take_along_axis(outputs, targets[:, None], axis=1)[:, 0]
    return jax.scipy.special.logsumexp(outputs, axis=1) - chosen


def made(kind, stack, theta):
    """The problem of the stack in a framework, from parameters in the order of the engine."""
    inputs, targets = data()
    if kind == "autograd":
        return AutogradModel(stack, LOSS, inputs, targets)
    sizes, parts = [(4, 3), (4,), (3, 4), (3,)], []
    for shape in sizes:
        start = sum(part.size for part in parts)
        parts.append(theta[start : start + np.prod(shape)].reshape(shape))
    if kind == "JAX":
        params = [tuple(parts[:2]), tuple(parts[2:])]
        with jax_cases.double():
            return frameworks.from_jax(jax_loss, params, (inputs, targets), chunk_size=6)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    model = model.double()
    torch.nn.utils.vector_to_parameters(torch.tensor(theta), model.parameters())
    return frameworks.from_torch(model, torch.nn.CrossEntropyLoss(), (inputs, targets))


@functools.cache
def trained():
    """Engine, and thetas of a short descent; checkpoints at the given steps."""
    stack = networks.multilayer_perceptron((3, 4, 3), "tanh")
    engine = networks.Network(stack, LOSS, *data(), num_threads=1)
    theta, checkpoints = stack.initial_parameters(seeds.generator("theta")), []
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            checkpoints.append(theta)
        theta = theta - 0.5 * engine.gradient(theta)
    return stack, engine, checkpoints


def readings(problem, theta):
    """All numbers of the geometry at a theta."""
    at = problem.at(theta)
    blocks = at.by_block()
    vectors = seeds.generator("vectors").standard_normal((theta.size, 3))
    return {
        "loss": at.loss,
        "losses": problem.losses(theta),
        "gradient": at.gradient,
        "rows": problem.per_example_gradients(theta),
        "Hessian products": at.hessian @ vectors,
        "noise products": at.noise @ vectors,
        "Tr(H Sigma)": blocks.alignment,
        "trace ratio": blocks.ratio,
        "alignments of blocks": blocks.alignments,
        "traces of blocks": np.stack([blocks.hessian_traces, blocks.covariance_traces]),
        "largest eigenvalue": matrices.leading_eigenpairs(at.hessian, 1).values,
        "batch noise": matrices.minibatch_covariance(at.noise, 4, replacement=False).trace(),
    }


@pytest.mark.filterwarnings("ignore:`torch.jit.script")  # of PyTorch itself
@pytest.mark.parametrize("kind", ["autograd", "PyTorch", "JAX"])
def test_all_readings_agree_at_every_checkpoint(kind):
    stack, engine, checkpoints = trained()
    problem = made(kind, stack, checkpoints[0])
    if kind != "autograd":
        np.testing.assert_array_equal(problem.initial_theta, checkpoints[0])
    assert [part.stop for part in problem.blocks.values()] == [16, 31]
    before = np.inf
    for theta in checkpoints:
        expected = readings(engine, theta)
        for name, found in readings(problem, theta).items():
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(
                found, expected[name], atol=ROUNDING * scale, rtol=0, err_msg=name
            )
        assert expected["loss"] < before
        before = expected["loss"]


def test_a_small_difference_would_be_seen():
    _, engine, checkpoints = trained()
    expected, other = (readings(engine, checkpoints[0] + shift) for shift in (0.0, 1e-8))
    for name, found in other.items():
        difference = np.abs(found - expected[name]).max()
        assert difference > 10 * ROUNDING * np.abs(expected[name]).max(), name
