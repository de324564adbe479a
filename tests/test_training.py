"""Adam against its definition, written out scalar by scalar."""

import numpy as np
import pytest

from aniso import checks, descent
from aniso.descent.adam import adam_iterates


class Valley:
    def gradient(self, theta):
        return np.array([2.0, 20.0]) * theta + np.sin(theta)


def by_the_book(gradient, theta, rates):
    """Algorithm 1 of Kingma and Ba, one coordinate at a time."""
    m, v, path = [0.0, 0.0], [0.0, 0.0], []
    theta = list(theta)
    for t, rate in enumerate(rates, start=1):
        g = gradient(np.array(theta))
        for i in range(2):
            m[i] = 0.9 * m[i] + 0.1 * g[i]
            v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
            theta[i] -= rate * (m[i] / (1 - 0.9**t)) / ((v[i] / (1 - 0.999**t)) ** 0.5 + 1e-8)
        path.append(list(theta))
    return np.array(path)


def test_the_iterates_are_those_of_the_algorithm():
    rates = np.linspace(0.1, 0.01, 25)
    start = np.array([1.0, -2.0])
    found = np.array(list(adam_iterates(Valley(), start, rates)))
    # two dozen operations an iteration, errors carried along 25 of them
    np.testing.assert_allclose(found, by_the_book(Valley().gradient, start, rates), rtol=1e-12)
    assert (start == [1.0, -2.0]).all()


def test_the_iterates_have_the_bits_of_the_update():
    adam, theta = descent.Adam((0.8, 0.99), 1e-6), np.array([1.0, -2.0])
    rates, state = [0.1, 0.3, 0.2, 0.4], adam.start(2)
    iterates = list(adam_iterates(Valley(), theta, rates, decay_rates=(0.8, 0.99), floor=1e-6))
    for count, (rate, found) in enumerate(zip(rates, iterates, strict=True), start=1):
        direction, state = adam.direction(Valley().gradient(theta), state, count)
        theta = theta - rate * direction
        assert (found == theta).all()


def test_without_a_floor_a_coordinate_without_a_gradient_stays():
    class Bowl:
        def gradient(self, theta):
            return 2 * theta * [1, 0, 1]

    theta, adam = np.array([0.0, 1.0, 1.0]), descent.Adam(floor=0.0)
    iterates = list(adam_iterates(Bowl(), theta, [0.1, 0.1], floor=0.0))
    assert iterates[0].tolist() == [0.0, 1.0, 0.9]
    assert (iterates[1][:2] == [0.0, 1.0]).all()
    direction, _ = adam.direction(Bowl().gradient(theta), adam.start(3), 1)
    assert direction.tolist() == [0.0, 0.0, 1.0]
    # a gradient whose square underflows has no root either
    assert np.isfinite(adam.direction(np.array([1e-170]), adam.start(1), 1)[0]).all()


def test_a_gradient_that_is_not_finite_names_the_iteration():
    class Cliff:
        def gradient(self, theta):
            return np.where(theta < 0.85, np.nan, theta)

    with pytest.raises(FloatingPointError, match="iteration 3"):
        list(adam_iterates(Cliff(), [1.0], [0.1] * 9))


@pytest.mark.parametrize(
    ("theta", "rates", "more", "message"),
    [
        ([np.nan], [0.1], {}, "theta"),
        ([[1.0]], [0.1], {}, "theta"),
        ([1.0], [-0.1], {}, "learning_rate=-0.1"),
        ([1.0], [0.1], {"decay_rates": (0.9, 1.0)}, "decay_rates=1.0"),
        ([1.0], [0.1], {"floor": -1.0}, "floor"),
    ],
)
def test_bad_settings_are_refused(theta, rates, more, message):
    with pytest.raises(checks.InputError, match=message):
        list(adam_iterates(Valley(), theta, rates, **more))
