"""Each rule accepts what it states, in the stated form, and refuses the rest with a remedy."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aniso import checks


def refused(message):
    """InputError whose text contains `message` literally."""
    return pytest.raises(checks.InputError, match=re.escape(message))


def test_input_error_is_a_value_error():
    assert issubclass(checks.InputError, ValueError)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0)])
def test_number_becomes_a_float(value):
    result = checks.number("time", value)
    assert type(result) is float
    assert result == 2.0


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (float("nan"), {}, "time=nan; expected a finite number"),
        (float("inf"), {}, "time=inf; expected a finite number"),
        (True, {}, "time=True; expected a finite number"),
        (np.True_, {}, "expected a finite number"),
        ("2", {}, "time='2'; expected a finite number"),
        (None, {}, "time=None; expected a finite number"),
        (1j, {}, "expected a finite number"),
        (np.array("2"), {}, "expected a finite number"),
        (np.array(True), {}, "expected a finite number"),
        (np.array(1j), {}, "expected a finite number"),
        (np.ones(2), {}, "time has shape (2,); expected a finite number"),
        (-1, {"low": 0}, "time=-1; expected a finite number with 0 <= time"),
        (2, {"high": 1}, "time=2; expected a finite number with time <= 1"),
        (0, {"low": 0, "strict": True}, "with 0 < time"),
        (1, {"low": 0, "high": 1, "strict": True}, "with 0 < time < 1"),
    ],
)
def test_number_refuses(value, limits, message):
    with refused(message):
        checks.number("time", value, **limits)


def test_number_admits_its_limits_where_not_strict():
    assert checks.number("time", 0, low=0, high=1) == 0.0
    assert checks.number("time", 1, low=0, high=1) == 1.0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_returns_what_it_got(value):
    assert checks.number("time", value) == value


@pytest.mark.parametrize("value", [3, np.int32(3), np.uint8(3)])
def test_integer_becomes_an_int(value):
    result = checks.integer("num_steps", value, low=3, high=3)
    assert type(result) is int
    assert result == 3


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (3.0, {}, "num_steps=3.0; expected an integer"),
        (True, {}, "num_steps=True; expected an integer"),
        ("3", {}, "num_steps='3'; expected an integer"),
        (np.array([3]), {}, "expected an integer"),
        (-1, {"low": 0}, "num_steps=-1; expected an integer with 0 <= num_steps"),
        (9, {"high": 8}, "with num_steps <= 8"),
        (9, {"low": 1, "high": 8, "high_name": "N"}, "with 1 <= num_steps <= N=8"),
    ],
)
def test_integer_refuses(value, limits, message):
    with refused(message):
        checks.integer("num_steps", value, **limits)


def test_one_of_returns_the_member():
    assert checks.one_of("activation", "relu", ["abs", "relu"]) == "relu"
    for value in ("tanh", 1, None, ["relu"]):
        with refused("expected one of: abs, relu"):
            checks.one_of("activation", value, ["abs", "relu"])


def test_array_becomes_floats_of_the_stated_shape():
    result = checks.array("theta", [[1, 2, 3], [4, 5, 6]], shape=(2, None))
    assert result.dtype == np.float64
    assert result.shape == (2, 3)
    assert checks.array("theta", [True, False]).tolist() == [1.0, 0.0]
    assert checks.array("theta", [1, 2], dtype=np.float32).dtype == np.float32
    assert checks.array("theta", [], shape=(0,)).size == 0


def test_array_is_not_copied_without_need():
    given_array = np.ones(3)
    assert checks.array("theta", given_array) is given_array


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        ([[1, 2], [3]], None, "theta is not an array of numbers"),
        (["a"], None, "theta has dtype <U1; expected real numbers"),
        ([1j], None, "theta has dtype complex128; expected real numbers"),
        ([None], None, "theta has entries of type NoneType; expected real numbers"),
        ([1, 2], (3,), "theta has shape (2,); expected (3,)"),
        ([1, 2], (None, 2), "theta has shape (2,); expected (any, 2)"),
        ([[1, np.inf]], None, "theta has a non-finite entry inf at index (0, 1)"),
    ],
)
def test_array_refuses(value, shape, message):
    with refused(message):
        checks.array("theta", value, shape=shape)


def test_symmetric_matrix_admits_rounding_but_no_more():
    matrix = np.array([[1.0, 2.0], [2.0, 5.0]])
    matrix[0, 1] *= 1 + np.finfo(float).eps
    assert checks.symmetric_matrix("hessian", matrix) is matrix
    matrix[0, 1] = 2.0 + 1e-12
    with refused("hessian is not symmetric: entries (0, 1) and (1, 0) differ by"):
        checks.symmetric_matrix("hessian", matrix)


@pytest.mark.parametrize(
    ("value", "size", "message"),
    [
        (np.ones((2, 3)), None, "expected a square matrix"),
        (np.ones((0, 0)), None, "expected a square matrix (D, D), D >= 1"),
        (np.ones(4), None, "expected (any, any)"),
        (np.eye(2), 3, "hessian has shape (2, 2); expected (3, 3)"),
        ([[1, np.nan], [np.nan, 1]], None, "non-finite entry nan at index (0, 1)"),
    ],
)
def test_symmetric_matrix_refuses(value, size, message):
    with refused(message):
        checks.symmetric_matrix("hessian", value, size=size)


def test_covariance_matrix_admits_singular_ones_up_to_rounding(rng):
    factor = rng.standard_normal((3, 8))
    checks.covariance_matrix("covariance", factor.T @ factor, size=8)
    checks.covariance_matrix("covariance", np.zeros((2, 2)))


def test_covariance_matrix_refuses_a_negative_direction():
    with refused("covariance is not positive semi-definite: its smallest eigenvalue is -1e-10"):
        checks.covariance_matrix("covariance", np.diag([1.0, -1e-10]))
    with refused("covariance is not symmetric"):
        checks.covariance_matrix("covariance", [[1.0, 0.5], [0.0, 1.0]])


def test_class_labels_become_integers():
    labels = checks.class_labels("targets", [0.0, 2.0, 1.0], num_classes=3, num_examples=3)
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("value", "num_examples", "message"),
    [
        ([0, -1], None, "targets has the label -1 at index 1; expected integers in 0..2"),
        ([3], None, "targets has the label 3 at index 0"),
        ([0.5], None, "targets has the label 0.5 at index 0"),
        ([0, 1], 3, "targets has shape (2,); expected (3,)"),
        ([[0, 1]], None, "expected (any,)"),
    ],
)
def test_class_labels_refuses(value, num_examples, message):
    with refused(message):
        checks.class_labels("targets", value, num_classes=3, num_examples=num_examples)


@pytest.mark.parametrize("value", [None, 7, np.random.RandomState(0), "seed"])
def test_generator_refuses_what_is_not_one(value):
    with refused("expected a numpy.random.Generator, for instance numpy.random.default_rng"):
        checks.generator("rng", value)


def test_generator_is_returned_untouched(rng):
    state = rng.bit_generator.state
    assert checks.generator("rng", rng) is rng
    assert rng.bit_generator.state == state


def test_asymmetry_is_found_in_any_tile(rng):
    matrix = rng.standard_normal((600, 600))
    matrix += matrix.T
    assert checks.symmetric_matrix("matrix", matrix) is matrix
    for row, column in ((3, 5), (10, 599), (300, 580), (599, 598)):
        wrong = matrix.copy()
        wrong[row, column] += 1e-3
        low, high = sorted((row, column))
        with pytest.raises(checks.InputError, match=rf"entries \({low}, {high}\) and"):
            checks.symmetric_matrix("matrix", wrong)
