import numba
import numpy as np
import pytest
import seeds
from check_cases import unexplained, unknown_sources

from aniso.closed_forms import diffusion
from aniso.langevin import regions
from aniso.propositions import dynamics, exit_times, orders_of_convergence
from aniso.propositions.check import Verdict
from aniso.propositions.settings import Settings

SEED = seeds.integer("escape_dynamics_checks")
QUICK = Settings("quick", SEED)
pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="the checks take thousands of paths"
)


@pytest.mark.parametrize("task", dynamics.tasks(QUICK), ids=lambda task: task.name)
def test_every_check_holds(task):
    found = task.run()
    assert found
    for check in found:
        assert check.verdict is Verdict.HOLDS, check
    assert unexplained("dynamics", found) == []
    assert unknown_sources(found) == []


def failures(name):
    (task,) = (task for task in dynamics.tasks(QUICK) if task.name == name)
    return {check.statement.name for check in task.run() if check.verdict is Verdict.FAILS}


def test_a_wider_interval_is_seen(monkeypatch):
    # mean exit time 1.21 in place of 1
    monkeypatch.setattr(
        exit_times.regions,
        "interval",
        lambda low, high: regions.Region(
            1, regions.interval_margin, lambda c: np.array([1.1 * low, 1.1 * high, c[0, 0]])
        ),
    )
    assert {"first passage, bridge", "first passage, shift"} <= failures("Brownian exit")


def test_five_per_cent_of_curvature_is_seen(monkeypatch):
    closed = diffusion.stationary_covariance
    monkeypatch.setattr(
        diffusion,
        "stationary_covariance",
        lambda hessian, covariance: closed(1.05 * np.asarray(hessian), covariance),
    )
    assert failures("exponents") == {
        "exponent, minimum action",
        "exponent, commuting noise",
        "exponent, exact exit time",
    }


def test_a_wrong_covariance_in_time_is_seen(monkeypatch):
    monkeypatch.setattr(
        diffusion,
        "covariance_at",
        lambda _, covariance, time: covariance * time,  # no restoring force
    )
    assert "covariance in time" in failures("Ornstein-Uhlenbeck paths")


def test_wrong_weights_of_svag_are_seen(monkeypatch):
    # with half the noise the chain tends to another equation, and the error stays
    class Weaker(orders_of_convergence.linear_schemes.LinearStep):
        def __init__(self, propagator, factor):
            super().__init__(propagator, factor if factor.shape[1] < 6 else 0.7 * factor)

    monkeypatch.setattr(orders_of_convergence.linear_schemes, "LinearStep", Weaker)
    assert failures("modified equations") == {"SVAG tends to the equation"}
