"""What NumPy would make plain numbers of, by dropping a mask or a unit, is refused everywhere."""

import numpy as np
import pytest
import scipy.sparse

from aniso import checks, networks
from aniso.closed_forms import diffusion
from aniso.datasets import transformations
from aniso.escape import censoring, kramers, minimum_action
from aniso.langevin import LangevinProblem, drifts, noises, regions
from aniso.matrices import (
    eigenpairs,
    gradient_covariance,
    indicators,
    noise,
    operands,
    subspaces,
)
from aniso.matrices.factored import DiagonalCovariance, FactoredCovariance
from aniso.problems import losses, quadratic
from aniso.problems.autograd_problem import AutogradProblem


class Quantity(np.ndarray):
    """Numbers with a unit, as astropy has them."""

    unit = "kg"
    value = 1.0


def masked(array):
    array = np.asarray(array)
    mask = np.zeros(array.shape, bool)
    mask.flat[-1] = True
    return np.ma.masked_array(array, mask)


LOSSES = {
    "masked": (masked, "masked array, 1 of"),
    "mask of nothing": (lambda array: np.ma.masked_array(array), "masked array, 0 of"),
    "masked in a list": (lambda array: [masked(array)], "masked array"),
    "masked rows in a list": (lambda array: list(masked(np.atleast_2d(array))), "masked array"),
    "unit": (lambda array: np.asarray(array, float).view(Quantity), "has the unit kg"),
    "sparse": (lambda array: scipy.sparse.csr_array(np.atleast_2d(array)), "sparse|shape"),
    "complex": (
        lambda array: np.asarray(array) + 0j,
        "complex|real|integer|bool|uint8",
    ),
    "objects": (lambda array: np.asarray(array, object), "object|integer|bool|uint8"),
}
PLACES = {
    "array": (lambda a: checks.array("value", a), np.ones((2, 2))),
    "number": (lambda a: checks.number("value", a), np.float64(1.0)),
    "symmetric": (lambda a: checks.symmetric_matrix("value", a), np.eye(2)),
    "inputs": (
        lambda a: AutogradProblem(lambda t, x, y: x @ t - y, a, np.ones(3)),
        np.ones((3, 2)),
    ),
    "targets": (
        lambda a: AutogradProblem(lambda t, x, y: x @ t - y, np.ones((3, 2)), a),
        np.ones(3),
    ),
    "theta": (lambda a: objective().hessian(a), np.ones(2)),
    "subset": (lambda a: objective().subset(a), np.array([0, 1])),
    "vectors": (lambda a: objective().hessian_product(np.ones(2), a), np.ones((2, 2))),
    "network inputs": (lambda a: network(inputs=a), np.ones((3, 2))),
    "network targets": (lambda a: network(targets=a), np.array([0, 1, 1])),
    "network theta": (lambda a: network().gradient(a), np.ones(6)),
    "network vectors": (lambda a: network().hessian_product(np.ones(6), a), np.ones((6, 2))),
    "gradients": (noise.gradient_covariance, np.ones((3, 2))),
    "uncentred": (noise.empirical_fisher, np.ones((3, 2))),
    "hessian": (lambda a: indicators.alignment(a, np.eye(2)), np.eye(2)),
    "covariance": (lambda a: indicators.alignment(np.eye(2), a), np.eye(2)),
    "eigenpairs": (lambda a: eigenpairs.leading_eigenpairs(a, 1), np.eye(2)),
    "basis": (lambda a: subspaces.captured_share(np.eye(2), a), np.eye(2)[:, :1]),
    "times": (lambda a: diffusion.escaping_efficiency(np.eye(2), np.eye(2), a), [1.0]),
    "variances": (DiagonalCovariance, np.ones(2)),
    "form": (lambda a: FactoredCovariance(np.eye(2), 1.0).quadratic_form(a), np.ones(2)),
    "drift": (drifts.of_polynomial, np.array([0.0, 0.0, 1.0])),
    "noise": (noises.constant, np.eye(2)),
    "start": (
        lambda a: LangevinProblem(drifts.of_quadratic(np.eye(2)), noises.diagonal([1.0, 1.0]), a),
        np.zeros(2),
    ),
    "region": (lambda a: regions.ball(a, 1.0), np.zeros(2)),
    "rows": (quadratic.noise_rows, np.eye(2)),
    "exit times": (
        lambda a: censoring.estimate_mean_exit_time(a, [True, True], 4.0),
        np.array([1.0, 2.0]),
    ),
    "exited": (
        lambda a: censoring.estimate_mean_exit_time([1.0, 4.0], a, 4.0),
        np.array([True, False]),
    ),
    "kramers": (lambda a: kramers.kramers_time(a, -1.0, 0.25, 0.25), np.float64(2.0)),
    "images": (lambda a: transformations.scale_images(a, 0, 1), np.zeros((2, 2), np.uint8)),
}


def objective():
    return AutogradProblem(lambda theta, x, y: (x @ theta - y) ** 2, np.ones((3, 2)), np.ones(3))


def network(inputs=None, targets=None):
    return networks.Network(
        networks.Stack((networks.Dense(2),), (2,)),
        losses.SoftmaxCrossEntropy(),
        np.ones((3, 2)) if inputs is None else inputs,
        np.array([0, 1, 1]) if targets is None else targets,
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_would_lose_a_meaning_is_refused(place, loss):
    function, plain = PLACES[place]
    make, message = LOSSES[loss]
    function(plain)
    if (loss, place) == ("objects", "number"):
        return  # the number that is in it
    may_be_sparse = ("hessian", "covariance", "eigenpairs", "noise", "rows")
    if loss == "sparse" and place in may_be_sparse:
        function(make(plain))
        return
    if place in ("number", "kramers"):
        message = "masked array|has the unit|sparse|expected a finite number|real numbers"
    with pytest.raises(checks.InputError, match=message):
        function(make(plain))


def test_products_with_a_masked_vector_are_refused():
    covariance = gradient_covariance(network().example_gradients(np.ones(6)))
    for operator in (
        FactoredCovariance(np.eye(6), 1.0),
        DiagonalCovariance(np.ones(6)),
        covariance,
    ):
        for vectors in (np.ones(6), np.ones((6, 2))):
            with pytest.raises(checks.InputError, match="masked array"):
                operator @ masked(vectors)
    with pytest.raises(checks.InputError, match="masked array"):
        network().linearise(np.ones(6)).hessian_operator() @ masked(np.ones(6))


def test_the_single_masked_number_is_refused():
    for value in ([1.0, np.ma.masked], np.ma.masked):
        with pytest.raises(checks.InputError, match="masked array, 1 of 1"):
            checks.array("value", value)
    with pytest.raises(checks.InputError, match="masked array"):
        checks.number("value", np.ma.masked)


def test_a_drift_that_returns_a_masked_array_is_refused():
    with pytest.raises(checks.InputError, match="the drift's result is a masked array"):
        minimum_action.minimise_action(
            lambda x: masked(-x), np.eye(2), [0.0, 0.0], [1.0, 0.0], num_points=9
        )


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_object_keeps_its_numbers():
    matrix = np.matrix([[2.0, 1.0], [1.0, 3.0]])
    assert indicators.alignment(matrix, np.eye(2)) == 5.0
    assert type(operands.symmetric("matrix", matrix)) is np.ndarray


def test_long_lists_are_taken_as_they_are():
    assert checks.array("value", [[1, 2.0], (True, np.float32(4))]).tolist() == [[1, 2], [1, 4]]


def test_what_numpy_can_make_no_array_of_is_refused_with_its_name():
    class Stubborn:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("needs detach()")

    with pytest.raises(checks.InputError, match=r"theta is not an array of numbers: needs detach"):
        checks.array("theta", Stubborn())
