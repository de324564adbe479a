"""Every public function that takes a covariance takes every kind of it, and no other convention."""

import inspect

import every_module
import numpy as np
import pytest
import scipy.sparse
from covariance_functions import FUNCTIONS, ISOTROPIC, OTHERS, dense
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import aniso
from aniso import checks, escape, networks
from aniso.escape import (
    efficiency,
)
from aniso.matrices import (
    gradient_covariance,
    noise,
)
from aniso.matrices.factored import DiagonalCovariance, FactoredCovariance
from aniso.problems import losses


def first_example(rng, isotropic):
    """Factor rows (4, 2) of mean zero, and their covariance."""
    rows = np.array([[1.0, 0.4], [-1.0, -0.4], [0.2, 0.9], [-0.2, -0.9]])
    if isotropic:
        rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    return rows * rng.uniform(0.8, 1.2)


class Bare(LinearOperator):
    """An operator with nothing but a product."""

    def __init__(self, matrix):
        self.matrix = matrix
        super().__init__(np.dtype(float), matrix.shape)

    def _matvec(self, vector):
        return self.matrix @ vector


def layered_covariance(rows):
    """Of a network of one linear unit: the gradients of (y - w x - b)^2 are its residuals' rows."""
    network = networks.Network(
        networks.Stack((networks.Dense(1),), (1,)),
        losses.SquaredLoss(),
        (rows[:, :1] / rows[:, 1:]),
        -rows[:, 1:] / 2,
    )
    # at theta = 0 the residual is y, and the gradient -2 y (x, 1)
    return gradient_covariance(network.example_gradients(np.zeros(2)))


def kinds(rows, stage):
    """The same matrix in every kind, one with a convention of the stage that is needed."""
    one = noise.gradient_covariance(rows)
    made = {"one example": one}
    made["mini-batch"] = noise.minibatch_covariance(one, 1, replacement=True)
    made["diffusion"] = noise.diffusion_covariance(made["mini-batch"], 1.0)
    matrix = rows.T @ rows / len(rows)
    yield "list", matrix.tolist()
    yield "array of another order", np.asfortranarray(matrix)
    yield "operator", aslinearoperator(matrix)
    yield "bare operator", Bare(matrix)
    yield "sparse", scipy.sparse.csr_array(matrix)
    yield "sparse matrix", scipy.sparse.csc_matrix(matrix)
    yield "factored", FactoredCovariance(rows, 1 / len(rows))
    for name, covariance in made.items():
        if name == (stage or name):
            yield f"gradient covariance, {name}", covariance
            yield f"dense, {name}", covariance.to_dense()
    if rows[:, 1].all():
        layered = layered_covariance(rows)
        if stage in ("mini-batch", "diffusion"):
            layered = noise.minibatch_covariance(layered, 1, replacement=True)
        if stage == "diffusion":
            layered = noise.diffusion_covariance(layered, 1.0)
        yield "layered", layered
    if not (matrix - np.diag(np.diag(matrix))).any():
        yield "diagonal", DiagonalCovariance(np.diag(matrix))


@pytest.mark.needs_jit
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_kind_gives_the_same_numbers(function, rng):
    compute, stage = FUNCTIONS[function]
    rows = first_example(rng, function in ISOTROPIC)
    expected = dense(compute(rows.T @ rows / len(rows)))
    for kind, covariance in kinds(rows, stage):
        found = dense(compute(covariance))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9, err_msg=kind)


@pytest.mark.parametrize(
    "function",
    [function for function, (_, stage) in FUNCTIONS.items() if stage],
    ids=lambda function: function.__name__,
)
def test_no_other_convention_is_taken(function, rng):
    compute, stage = FUNCTIONS[function]
    rows = first_example(rng, function in ISOTROPIC)
    for other in {"one example", "mini-batch", "diffusion"} - {stage}:
        for kind, covariance in kinds(rows, other):
            if other in kind:
                with pytest.raises(checks.InputError, match=f"expected the {stage} covariance"):
                    compute(covariance)
    with pytest.raises(checks.InputError, match="uncentred second moment"):
        compute(noise.empirical_fisher(rows))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_what_is_no_covariance_is_refused(function):
    compute, _ = FUNCTIONS[function]
    for wrong in (np.diag([1.0, np.nan]), np.array([[1.0, 0.5], [0.0, 1.0]])):
        for form in (wrong, aslinearoperator(wrong), scipy.sparse.csr_array(wrong)):
            with pytest.raises(checks.InputError):
                compute(form)


def test_every_function_that_takes_a_covariance_is_tested():
    found = set()
    for module in every_module.modules(aniso):
        if module.__name__.startswith(("aniso.propositions", "aniso.verify")):
            continue
        for name, value in vars(module).items():
            own = callable(value) and getattr(value, "__module__", None) == module.__name__
            if name.startswith("_") or not own:
                continue
            try:
                parameters = inspect.signature(value).parameters
            except ValueError:
                continue
            names = {"covariance", "diffusion_covariance", "minibatch_covariance"}
            if names & set(parameters):
                found.add(f"{module.__name__}.{name}")
    tested = {f"{function.__module__}.{function.__name__}" for function in FUNCTIONS}
    results = {name for name in found if name.rpartition(".")[2][0].isupper()} - tested
    assert found - results == tested | set(OTHERS)
    assert escape.efficiency_by_slope is efficiency.efficiency_by_slope
