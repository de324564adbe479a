"""Rows of the compiled passes: activations to some units in the last place, and sums."""

import math

import numpy as np
import pytest
from numba import njit

from aniso.networks.hidden import activations, sums

# on the host, arithmetic of 80 bits or more is the reference
EXACT = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
}
MOST_UNITS = 4.0


# inner kernels can be called from compiled functions alone
@njit
def respond(kind, shape, z, work, rows):
    activations.respond(kind, shape, z, len(z), work, rows[0], rows[1], rows[2])


@njit
def product_sum(own, other, memory):
    return sums.product_sum(own, other, len(own), memory)


@njit
def row_sum(own, memory):
    return sums.row_sum(own, len(own), memory)


def units_off(name, numbers):
    """Largest error of the compiled value, in units in the last place."""
    kind, shape = activations.described(name)
    count = len(numbers)
    rows = np.empty((3, count))
    respond(kind, shape, numbers, np.empty((2, count)), rows)
    exact = EXACT[name](numbers.astype(np.longdouble))
    return float(np.max(np.abs(rows[0] - exact) / np.spacing(np.abs(exact).astype(float))))


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 2e-19, reason="needs a longer format")
@pytest.mark.parametrize("name", EXACT)
def test_values_are_off_by_four_units_at_most_in_the_last_place(name, rng, monkeypatch):
    sizes = np.geomspace(1e-300, 30.0, 150)
    numbers = np.concatenate([sizes, -sizes, rng.normal(size=300), rng.uniform(-40, 40, 100)])
    assert units_off(name, numbers) <= MOST_UNITS
    plain = EXACT[name]
    monkeypatch.setitem(EXACT, name, lambda z: plain(z) * (1 + np.longdouble(2e-15)))
    assert units_off(name, numbers) > MOST_UNITS


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 67, 130, 131, 512, 511])
def test_sums_have_every_number_once(dtype, count, rng):
    memory = np.full(128, np.nan, dtype)
    # whole numbers: every order has the same exact sum
    own, other = rng.integers(-50, 50, (2, count)).astype(dtype)
    assert product_sum(own, other, memory) == own.astype(int) @ other.astype(int)
    assert row_sum(own, memory) == own.astype(int).sum()


@pytest.mark.parametrize("count", [63, 512])
def test_long_sums_round_less_than_sums_one_after_the_other(count, rng):
    own = rng.random(count).astype(np.float32)
    found = float(row_sum(own, np.empty(128, np.float32)))
    exact = math.fsum(own.tolist())
    depth = count if count < sums.FEW else count // 64 + 16
    assert abs(found - exact) <= depth * np.finfo(np.float32).eps * exact
