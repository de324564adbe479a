"""JAX functions as problems: the contract, references that share no code, refusals."""

import functools

import numpy as np
import pytest
import seeds
from problem_contract import check_problem

jax = pytest.importorskip("jax", reason="JAX is not installed")

import jax_cases  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from jax.flatten_util import ravel_pytree  # noqa: E402

from aniso import checks, frameworks  # noqa: E402
from aniso.frameworks._jax_parameters import Parameters  # noqa: E402

line, LINE = jax_cases.line, jax_cases.LINE
X, Y = np.array([1.0, 2.0, -1.0]), np.array([0.0, 1.0, 1.0])


@functools.cache
def problem_in_double():
    with jax_cases.double():
        return frameworks.from_jax(jax_cases.mean, jax_cases.params(), jax_cases.data())


def reference(theta):
    """Losses, gradients of the examples and Hessian by jacobians of the raveled function."""
    inputs, targets = jax_cases.data()
    with jax_cases.double():
        _, unravel = ravel_pytree(jax.tree_util.tree_map(jnp.asarray, jax_cases.params()))

        def losses(point):
            return ((jax_cases.outputs(unravel(point), inputs) - targets) ** 2).mean(axis=1)

        point = jnp.asarray(theta)
        hessian = jax.jacrev(jax.jacrev(lambda t: losses(t).mean()))
        made = jax.jit(lambda t: (losses(t), jax.jacrev(losses)(t), hessian(t)))
        return tuple(map(np.asarray, made(point)))


def test_a_problem_agrees_with_jacobians_of_the_raveled_function():
    problem = problem_in_double()
    theta = problem.initial_theta
    with jax_cases.double():
        raveled = ravel_pytree(jax.tree_util.tree_map(jnp.asarray, jax_cases.params()))[0]
    np.testing.assert_array_equal(theta, raveled)
    losses, rows, hessian = reference(theta)
    np.testing.assert_allclose(problem.losses(theta), losses, rtol=1e-13)
    np.testing.assert_allclose(problem.per_example_gradients(theta), rows, atol=1e-14)
    np.testing.assert_allclose(problem.hessian(theta), hessian, atol=1e-14)
    centred = rows - rows.mean(axis=0)
    covariance = centred.T @ centred / len(rows)
    np.testing.assert_allclose(problem.at(theta).noise @ theta, covariance @ theta, atol=1e-13)
    assert problem.at(theta).by_block().alignment == pytest.approx(np.sum(hessian * covariance))
    assert problem.blocks == {"hidden": slice(0, 16), "out": slice(16, 31)}
    assert repr(problem) == "<JaxProblem: N = 5, D = 31, float64 on cpu, loss: a mean>"


def test_a_problem_passes_the_contract():
    with jax_cases.double():
        problem = frameworks.from_jax(line, LINE, (X, Y), chunk_size=2)
    check_problem(problem, problem.initial_theta, seeds.generator(0))


def test_any_number_of_vectors_passes_the_same_products(rng):
    """For (w x + b - y)^2 / 2: rows r (1, x), Hessian mean of (1, x)(1, x)^T."""
    problem = frameworks.from_jax(line, LINE, (X, Y), chunk_size=2)
    theta, features = problem.initial_theta, np.stack([np.ones(3), X], axis=1)
    rows = (0.5 * X - 1 - Y)[:, None] * features
    vectors, weights = rng.standard_normal((2, 19)), rng.standard_normal((18, 3))
    found, expected = problem.hessian_product(theta, vectors), features.T @ features / 3 @ vectors
    np.testing.assert_allclose(found, expected, atol=1e-5)
    gradients = problem.example_gradients(theta)
    np.testing.assert_allclose(gradients.project(vectors), rows @ vectors, atol=1e-5)
    np.testing.assert_allclose(gradients.combine(weights), weights @ rows, atol=1e-5)
    np.testing.assert_allclose(gradients.rows(1, 3), rows[1:3], atol=1e-6)


def test_single_precision_is_the_default_and_the_setting_stays():
    before, double = jax.config.jax_enable_x64, problem_in_double()
    assert not before
    problem = frameworks.from_jax(line, LINE, (X, Y))
    assert jax.config.jax_enable_x64 == before
    assert (problem.dtype, double.dtype) == (np.float32, np.float64)
    assert "float32" in repr(problem)
    for name in ("gradient", "losses", "per_example_gradients", "hessian"):
        assert getattr(problem, name)([1.0, 0.1]).dtype == np.float32
    # a problem in double precision stays one, whatever the caller's setting
    assert double.gradient(double.initial_theta).dtype == np.float64
    for chunk, _ in double._passes("losses", double.initial_theta):
        assert jax.config.jax_enable_x64 == before, chunk


def test_single_precision_is_checked_in_double():
    problem = frameworks.from_jax(line, LINE, (X, Y))
    assert problem.check(problem.initial_theta, seeds.generator(1)).right


@pytest.mark.parametrize(
    ("reduce", "reduction"),
    [(jnp.mean, "mean"), (jnp.sum, "sum"), (lambda losses: losses, "none")],
)
def test_the_reduction_of_a_loss_is_found(reduce, reduction):
    problem = frameworks.from_jax(lambda p, x, y: reduce(line(p, x, y)), LINE, (X, Y))
    assert problem._checked.products.losses_of_batch.reduction == reduction
    residuals = 0.5 * X - 1 - Y
    theta = problem.initial_theta
    np.testing.assert_array_equal(theta, [-1.0, 0.5])  # keys are sorted: b, w
    np.testing.assert_allclose(problem.losses(theta), residuals**2 / 2, rtol=1e-6)
    expected = [residuals.mean(), (residuals * X).mean()]
    np.testing.assert_allclose(problem.gradient(theta), expected, rtol=1e-6)


def test_data_and_parameters_may_be_trees():
    def loss(params, inputs, targets):
        scale, (shift,) = params
        assert targets == ()
        return (scale * inputs["x"] + shift - inputs["y"]) ** 2 / 2

    tree = (jnp.asarray([0.5]), [jnp.asarray([-1.0])])
    inputs, targets = {"x": X.copy(), "y": Y}, ()
    problem = frameworks.from_jax(loss_of_rows(loss), tree, (inputs, targets), blocks="leaves")
    plain = frameworks.from_jax(line, LINE, (X, Y))
    assert problem.blocks == {"0": slice(0, 1), "1.0": slice(1, 2)}
    np.testing.assert_allclose(problem.losses([0.5, -1]), plain.losses([-1, 0.5]))
    inputs["x"] += 1
    np.testing.assert_allclose(problem.losses([0.5, -1]), plain.losses([-1, 0.5]))
    shifted = problem.params_of([2.0, 3.0])
    assert float(shifted[1][0][0]) == 3.0
    np.testing.assert_array_equal(problem.theta_of(shifted), [2.0, 3.0])
    with pytest.raises(checks.InputError, match="expected those of the problem"):
        problem.theta_of({"w": jnp.ones(2)})
    named = frameworks.from_jax(line, {"net": LINE}["net"], (X, Y), blocks={"all": slice(0, 2)})
    assert named.blocks == {"all": slice(0, 2)}


def loss_of_rows(loss):
    return lambda params, inputs, targets: loss(params, inputs, targets).reshape(-1)


def test_blocks_lie_below_the_keys_that_all_arrays_share():
    net = {"params": {"a": {"w": np.ones(2)}, "b": {"w": np.ones(1), "c": np.ones(3)}}}
    parameters = Parameters(net)
    assert parameters.blocks("keys") == {"a": slice(0, 2), "b": slice(2, 6)}
    assert list(parameters.blocks("leaves")) == ["a.w", "b.c", "b.w"]
    assert Parameters(np.ones(3)).blocks("keys") == {"params": slice(0, 3)}


@jax.custom_vjp
def square(x):
    return x**2


square.defvjp(lambda x: (x**2, x), lambda x, slope: (2 * x * slope,))


@jax.custom_vjp
def nested(x):
    return x**2


nested.defvjp(
    lambda x: (square(x), x), lambda x, slope: (slope * square(x + 1) - slope * (square(x) + 1),)
)


@jax.custom_vjp
def clipped(x):
    return x**2


clipped.defvjp(lambda x: (x**2, x), lambda x, slope: (2 * jax.lax.stop_gradient(x) * slope,))


@jax.custom_vjp
def wrong(x):
    return x**2


wrong.defvjp(lambda x: (x**2, x), lambda x, slope: (2.1 * x * slope,))


def of_square(rule):
    return lambda p, x, y: rule(p["w"] * x + p["b"] - y) / 2


def test_a_rule_without_forward_mode_is_differentiated_backwards():
    problem = frameworks.from_jax(of_square(nested), LINE, (X, Y))
    plain = frameworks.from_jax(line, LINE, (X, Y))
    assert problem._checked.hessian_way == "hessian_backward"
    assert not problem._checked.projects
    theta = problem.initial_theta
    np.testing.assert_allclose(problem.hessian(theta), plain.hessian(theta), rtol=1e-6)
    noise, expected = problem.at(theta).noise, plain.at(theta).noise
    np.testing.assert_allclose(noise @ theta, expected @ theta, rtol=1e-5)


def test_a_wrong_second_derivative_leaves_first_order_alone():
    problem = frameworks.from_jax(of_square(clipped), LINE, (X, Y))
    assert "first order only" in repr(problem)
    assert problem.at(problem.initial_theta).noise.trace() > 0
    with pytest.raises(checks.InputError, match=r"do not exist: forward: .*; backward: wrong"):
        problem.hessian_product(problem.initial_theta, [1.0, 1.0])


def branching(params, inputs, targets):
    return line(params, inputs, targets) * (2 if params["w"] > 0 else 1)


def coupled(params, inputs, targets):
    return line(params, inputs - inputs.mean(), targets).mean()


def coupled_rows(params, inputs, targets):
    return line(params, inputs - inputs.mean(), targets)


def weighted(params, inputs, targets):
    return (line(params, inputs, targets) * (inputs**2)).sum() / (inputs**2).sum()


def noisy(params, inputs, targets):
    return line(params, inputs + np.random.standard_normal(inputs.shape), targets)  # noqa: NPY002


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (coupled, checks.InteractingExamples, "from_draws"),
        (coupled_rows, checks.InteractingExamples, "changes with the other examples"),
        (weighted, checks.InteractingExamples, "neither the mean nor the sum"),
        (noisy, checks.InputError, "draws random numbers"),
        (branching, checks.InputError, "branches"),
        (of_square(wrong), checks.InputError, "disagree with differences"),
        (lambda p, x, y: jax.lax.stop_gradient(line(p, x, y)), checks.InputError, "disagree"),
        (lambda p, x, y: x + y, checks.InputError, "does not depend on params"),  # noqa: ARG005
        (lambda p, x, y: line(p, x, y) * jnp.inf, checks.InputError, "not finite"),
        (lambda p, x, y: line(p, x, y)[:2], checks.InputError, r"returned shape \(2,\)"),
        (lambda p, x, y: (x > y).sum() + 0 * 1, checks.InputError, "array of int"),  # noqa: ARG005
        (lambda p, x, y: 1.0, checks.InputError, "float"),  # noqa: ARG005
        (lambda p, x: x, checks.InputError, "loss raised TypeError"),  # noqa: ARG005
        ("mean", checks.InputError, "loss is a str"),
    ],
)
def test_a_loss_without_losses_of_examples_is_refused(loss, error, words):
    with pytest.raises(error, match=words):
        frameworks.from_jax(loss, LINE, (X, Y))


def test_labels_out_of_range_are_refused():
    def loss(params, inputs, targets):
        return (params[targets] - inputs) ** 2

    good = frameworks.from_jax(loss, np.ones(2), (X, np.array([0, 1, 1])))
    assert good.num_parameters == 2
    with pytest.raises(checks.InputError, match="beyond an array"):
        frameworks.from_jax(loss, np.ones(2), (X, np.array([0, 1, 2])))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"w": 0.5, "rng": jax.random.key(0)}, r"params\['rng'\] has dtype key"),
        ({"w": 0.5, "rng": np.zeros(2, np.uint32)}, r"params\['rng'\] has dtype uint32"),
        ({"w": np.ones(2, np.float16)}, "float16"),
        ({"w": np.ones(2, np.complex64)}, "complex64"),
        ({"w": jnp.tanh}, "is a .*; expected an array"),
        ({"w": 1}, "is a int"),
        (LINE | {"w": np.nan}, "not finite"),
        ({}, "no numbers"),
    ],
)
def test_what_are_no_parameters_is_refused_by_name(params, words):
    with pytest.raises(checks.InputError, match=words):
        frameworks.from_jax(line, params, (X, Y))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X, "data is a ndarray"),
        ((X, Y, Y), "data is a tuple"),
        ((X, Y[:2]), r"has \[3, 2\] entries"),
        ((X * np.nan, Y), "inputs has a non-finite"),
        (({"x": X}, np.array(["a"] * 3)), "targets has dtype <U1"),
        ((X[:0], Y[:0]), r"has \[0, 0\] entries"),
    ],
)
def test_what_are_no_data_is_refused(data, words):
    with pytest.raises(checks.InputError, match=words):
        frameworks.from_jax(line, LINE, data)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"blocks": "layers"}, "blocks"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"blocks": {}}, "blocks"),
    ],
)
def test_wrong_arguments_are_refused(given, words):
    with pytest.raises(checks.InputError, match=words):
        frameworks.from_jax(line, LINE, (X, Y), **given)
