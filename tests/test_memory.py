"""What would not fit is refused before it is allocated; what fits passes in silence."""

import numpy as np
import psutil
import pytest

from aniso import checks, memory


def test_what_fits_passes():
    assert memory.require(10**6, "a small array", "nothing", budget=10**6) is None
    assert memory.require(8, "a number", "nothing") is None


def test_one_byte_too_many_is_refused():
    with pytest.raises(memory.AllocationRefused) as refusal:
        memory.require(10**6 + 1, "the dense Hessian", "use hessian_operator", budget=10**6)
    assert str(refusal.value) == (
        "the dense Hessian needs 1.00 MB, more than the budget of 1.00 MB; use hessian_operator"
    )
    assert isinstance(refusal.value, MemoryError)


def test_the_budget_without_one_is_most_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    memory.require(900, "an array", "use less")
    with pytest.raises(memory.AllocationRefused, match="901 B, more than the budget of 900 B"):
        memory.require(901, "an array", "use less")


def test_more_than_the_machine_has_is_refused():
    too_much = psutil.virtual_memory().total
    with pytest.raises(memory.AllocationRefused):
        memory.require(too_much, "an array", "use less")


@pytest.mark.parametrize("budget", [0, -1, 1e9, "1 GB"])
def test_a_budget_is_a_number_of_bytes(budget):
    with pytest.raises(checks.InputError, match="budget"):
        memory.require(1, "an array", "use less", budget=budget)


def test_available_bytes_is_plausible():
    available = memory.available_bytes()
    assert type(available) is int
    assert 0 < available <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (11_330**2 * 8, "1.03 GB"),
        (5 * 10**15, "5000.00 TB"),
        (np.int64(2_500_000), "2.50 MB"),
    ],
)
def test_bytes_in_the_unit_of_a_reader(num_bytes, text):
    assert memory.format_bytes(num_bytes) == text
