"""Bounds along one direction, and the limits of optimisers, against spectral radii."""

import numpy as np
import pytest
from reference_stability import hessians_of, spectral_radius
from scipy.sparse.linalg import aslinearoperator

from aniso import checks
from aniso.closed_forms import (
    adam_preconditioner,
    directional_threshold,
    preconditioned_hessian,
    preconditioned_sharpness,
    sharpness_limit,
    stability_threshold,
    threshold_along,
)
from aniso.matrices import curvatures_from_factors, example_curvatures

SAMPLINGS = ((1, True), (2, True), (2, False), (4, False))
MOMENTA = (0.0, 0.5, 0.9)


@pytest.mark.parametrize("momentum", MOMENTA)
def test_no_direction_lies_below_the_exact_threshold(momentum, rng):
    curvatures = curvatures_from_factors(rng.standard_normal((4, 3)))
    for size, replacement in SAMPLINGS:
        options = {"replacement": replacement, "momentum": momentum}
        exact = stability_threshold(curvatures, size, **options)
        directions = [*rng.standard_normal((40, 3)), exact.direction]
        bounds = [directional_threshold(curvatures, u, size, **options) for u in directions]
        assert min(bounds) >= exact.learning_rate * (1 - 1e-10)


@pytest.mark.parametrize("momentum", MOMENTA)
def test_one_dimension_is_exact(momentum, rng):
    along = rng.uniform(0.5, 3.0, 4)
    hessians = along[:, None, None]
    for size, replacement in SAMPLINGS:
        options = {"replacement": replacement, "momentum": momentum}
        rate = threshold_along(along, size, **options)
        assert spectral_radius(hessians, rate, size, replacement, momentum) == pytest.approx(1)
        made = stability_threshold(example_curvatures(hessians), size, **options)
        assert made.learning_rate == pytest.approx(rate)


def test_with_momentum_the_mixing_of_eigenvalues_belongs_to_the_bound():
    # H_i = diag(1, 9) + noise along the diagonal direction; without w^2 the bound is broken
    u = np.array([1.0, 1.0]) / np.sqrt(2)
    noise = 6.0 * np.outer(u, u)
    hessians = np.array([np.diag([5.0, 9.0]) + noise, np.diag([5.0, 9.0]) - noise])
    curvatures = example_curvatures(hessians)
    options = {"replacement": True, "momentum": 0.9}
    exact = stability_threshold(curvatures, 1, **options).learning_rate
    assert abs(spectral_radius(hessians, exact, 1, True, 0.9) - 1) < 1e-9
    assert directional_threshold(curvatures, u, 1, **options) >= exact
    assert threshold_along(curvatures.along(u), 1, spread=0.0, **options) < exact


def test_the_bound_is_infinite_where_momentum_leaves_none():
    assert threshold_along([1.0], 1, replacement=True, momentum=0.9, spread=100.0) == np.inf


@pytest.mark.parametrize("power", [-1000, -565, 2, 515, 1020])
@pytest.mark.parametrize("momentum", MOMENTA)
def test_a_unit_of_the_curvature_divides_the_threshold_to_the_last_bit(power, momentum, rng):
    options = {"replacement": True, "momentum": momentum}
    along, unit = rng.uniform(0.5, 3.0, 4), 2.0**power
    usual = threshold_along(along, 2, **options)
    assert threshold_along(unit * along, 2, **options) * unit == usual
    if abs(power) < 10:
        spread = unit * 0.3 * unit
        usual = threshold_along(along, 2, spread=0.3, **options)
        assert threshold_along(unit * along, 2, spread=spread, **options) * unit == usual
    rows, direction = rng.standard_normal((4, 3)), rng.standard_normal(3)
    even = power // 2 * 2
    found = directional_threshold(
        curvatures_from_factors(2.0 ** (even // 2) * rows), direction, 2, **options
    )
    usual = directional_threshold(curvatures_from_factors(rows), direction, 2, **options)
    assert found * 2.0**even == usual


@pytest.mark.parametrize("length", [1e-320, 1e-160, 1e160, 1e308])
def test_a_direction_may_have_any_length(length):
    curvatures = example_curvatures([[[1.0, 0.3], [0.3, 2.0]], [[2.0, 0.0], [0.0, 1.0]]])
    options = {"replacement": True, "momentum": 0.5}
    usual = directional_threshold(curvatures, [1.0, 1.0], 1, **options)
    found = directional_threshold(curvatures, [length, length], 1, **options)
    assert found == pytest.approx(usual, rel=1e-14)


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0, -2.0], "the mean curvature along the direction is -0.5"), ([], "is empty")],
)
def test_directions_without_a_threshold_are_refused(values, message):
    with pytest.raises(checks.InputError, match=message):
        threshold_along(values, 1, replacement=True)


def radius_of(form, step, momentum):
    """Spectral radius of an optimiser on one eigenvalue, ``step = eta lambda``, step by step."""
    columns = []
    for theta, memory in ((1.0, 0.0), (0.0, 1.0)):
        gradient = step * theta
        if form == "averaged":
            memory = momentum * memory + (1 - momentum) * gradient
            columns.append((theta - memory, memory))
        else:
            memory = momentum * memory + gradient
            used = gradient + momentum * memory if form == "nesterov" else memory
            columns.append((theta - used, memory))
    return np.abs(np.linalg.eigvals(np.array(columns).T)).max()


@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize("form", ["heavy_ball", "nesterov", "averaged"])
def test_the_spectral_radius_is_one_at_the_limit(form, momentum):
    limit = sharpness_limit(1.0, momentum=momentum, form=form)
    assert radius_of(form, limit, momentum) == pytest.approx(1)
    assert radius_of(form, 0.99 * limit, momentum) < 1 < radius_of(form, 1.01 * limit, momentum)
    assert sharpness_limit(0.1, momentum=momentum, form=form) == pytest.approx(10 * limit)


def test_frozen_adam_with_the_usual_rate_is_stable_up_to_38():
    assert sharpness_limit(1.0, momentum=0.9, form="averaged") == pytest.approx(38)
    # the limit of the heavy ball is another
    assert radius_of("averaged", sharpness_limit(1.0, momentum=0.9), 0.9) < 0.99


def test_frozen_adam_stops_being_stable_at_its_preconditioned_sharpness(rng):
    root = rng.standard_normal((4, 4))
    hessian, squares = root @ root.T, rng.uniform(0.1, 3.0, 4)
    preconditioner = adam_preconditioner(squares, num_steps=7, floor=0.01)
    sharpness = preconditioned_sharpness(hessian, preconditioner).values[0]
    for factor, grows in ((0.99, False), (1.01, True)):
        rate = factor * sharpness_limit(sharpness, momentum=0.9, form="averaged")
        theta, mean = np.ones(4), np.zeros(4)
        for _ in range(300):
            mean = 0.9 * mean + 0.1 * hessian @ theta
            theta = theta - rate * mean / preconditioner
        assert (np.linalg.norm(theta) > 1) == grows


def test_the_preconditioner_is_that_of_the_steps_of_adam(rng):
    gradients = rng.standard_normal((5, 3))
    first = second = np.zeros(3)
    for count, gradient in enumerate(gradients, start=1):
        first, second = 0.8 * first + 0.2 * gradient, 0.95 * second + 0.05 * gradient**2
        step = first / (1 - 0.8**count) / (np.sqrt(second / (1 - 0.95**count)) + 0.1)
        made = adam_preconditioner(second, decay_rates=(0.8, 0.95), num_steps=count, floor=0.1)
        np.testing.assert_allclose(first / made, step, rtol=1e-12)


def test_the_preconditioned_operator_is_the_dense_one(rng):
    hessian = hessians_of(rng.standard_normal((1, 3, 3)))[0]
    scales = rng.uniform(0.5, 2.0, 3)
    dense = hessian / np.sqrt(scales[:, None] * scales)
    for given in (hessian, aslinearoperator(hessian)):
        np.testing.assert_allclose(preconditioned_hessian(given, scales).to_dense(), dense)
    values = np.linalg.eigvals(hessian / scales[:, None]).real
    assert preconditioned_sharpness(hessian, scales).values[0] == pytest.approx(values.max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sharpness_limit(0.0), "learning_rate=0.0; expected"),
        (lambda: sharpness_limit(1.0, momentum=-0.1), "momentum=-0.1; expected"),
        (lambda: sharpness_limit(1.0, form="adam"), "form='adam'; expected one of: heavy_ball"),
        (lambda: adam_preconditioner([-1.0]), "second_moments has 1 entries, the least -1"),
        (lambda: adam_preconditioner([1.0], num_steps=0), "num_steps=0; expected"),
        (lambda: preconditioned_hessian(np.eye(2), [1.0, 0.0]), "entry 0.0 at index 1"),
    ],
)
def test_arguments_that_break_their_rule_are_refused(make, message):
    with pytest.raises(checks.InputError, match=message):
        make()
