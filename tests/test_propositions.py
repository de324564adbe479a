"""Every check of the propositions, seen to hold, and seen to fail on a planted falsehood."""

import dataclasses
import functools

import numpy as np
import pytest
from check_cases import unexplained, unknown_sources

from aniso import checks, langevin, propositions
from aniso.closed_forms import diffusion
from aniso.matrices import indicators, structures
from aniso.problems.autograd_problem import AutogradProblem
from aniso.propositions import constants, extremal_spectra, proposition3, trained_networks
from aniso.propositions.settings import Settings

SETTINGS = Settings("quick", 0)
GROUPS = ("definition1", "proposition1", "proposition2", "proposition3")


def verdicts(group, task_name):
    """Verdicts of one task's checks, by the name of the check."""
    (task,) = [task for task in propositions.tasks(group, SETTINGS) if task.name == task_name]
    found = {}
    for check in task.run():
        found.setdefault(check.statement.name, set()).add(str(check.verdict))
    return found


def first_network(group):
    """Name of the first task that follows a network along training."""
    case, _ = trained_networks.runs(SETTINGS)[0]
    assert any(task.name == str(case) for task in propositions.tasks(group, SETTINGS))
    return str(case)


def scaled(function, factor):
    @functools.wraps(function)
    def wrong(*args, **kwargs):
        return factor * function(*args, **kwargs)

    return wrong


def louder(function):
    """The simulation with its noise covariance 20 % too large."""

    @functools.wraps(function)
    def wrong(hessian, covariance, *args, **kwargs):
        return function(hessian, 1.2 * covariance, *args, **kwargs)

    return wrong


def chain_in_place_of_sde(hessian, covariance, times):
    """Discrete closed form at eta = 0.2, where the continuous one is asked for."""
    return np.array(
        [
            diffusion.chain_escaping_efficiency(hessian, covariance / 0.2, 0.2, round(time / 0.2))
            for time in np.atleast_1d(times)
        ]
    )


def isotropic_in_place_of_optimal(_, covariance):
    return structures.isotropic_equivalent(covariance)


def slower_decay(num_parameters, num_leading, decay):
    """A spectrum that breaks the assumption of Proposition 1."""
    values = np.full(num_parameters, float(num_parameters) ** (0.5 - decay))
    values[:num_leading] = 1.0
    return values


def tiny_spectrum(num_parameters, *_):
    """Eigenvalues that sum to less than the leading one is said to be."""
    return np.full(num_parameters, 0.5 / num_parameters)


def narrower_weights(original):
    def wrong(*args):
        lowest, highest, explicit = original(*args)
        return 3 * lowest, highest / 3, explicit

    return wrong


def constants_of_one(*_):
    return 1e3, 1e-3, 1e3


def with_trace_ratio(value):
    """Readings that claim another alignment."""

    def wrong(*args):
        return tuple(dataclasses.replace(r, trace_ratio=value) for r in READINGS(*args))

    return wrong


def planted(group, task, names, target, attribute, wrong):
    marks = [pytest.mark.needs_jit] if task == "simulation" else []
    label = f"{group}: {names[0]}"
    return pytest.param(group, task, names, target, attribute, wrong, id=label, marks=marks)


OU = diffusion
READINGS = trained_networks.readings_along_training
FALSEHOODS = [
    planted(
        "definition1",
        "closed forms",
        ("closed form, SDE", "energy balance"),
        OU,
        "escaping_efficiency",
        scaled(OU.escaping_efficiency, 1.05),
    ),
    planted(
        "definition1",
        "closed forms",
        ("closed form, chain",),
        OU,
        "chain_escaping_efficiency",
        scaled(OU.chain_escaping_efficiency, 1.05),
    ),
    planted(
        "definition1",
        "closed forms",
        ("Lyapunov equation",),
        OU,
        "stationary_covariance",
        scaled(OU.stationary_covariance, 1.0001),
    ),
    planted(
        "definition1",
        "short and long times",
        ("slope at zero", "plateau", "chain to SDE"),
        OU,
        "escaping_efficiency",
        scaled(OU.escaping_efficiency, 0.95),
    ),
    planted(
        "definition1",
        "short and long times",
        ("ceiling of the slope",),
        indicators,
        "escape_rate",
        scaled(indicators.escape_rate, 1.05),
    ),
    planted(
        "definition1",
        "short and long times",
        ("optimal noise",),
        structures,
        "optimal_noise",
        isotropic_in_place_of_optimal,
    ),
    planted(
        "definition1",
        "simulation",
        ("simulated chain",),
        langevin,
        "simulate_linear_chain",
        louder(langevin.simulate_linear_chain),
    ),
    planted(
        "definition1",
        "simulation",
        ("simulation rejects the SDE",),
        OU,
        "escaping_efficiency",
        chain_in_place_of_sde,
    ),
    planted(
        "proposition1",
        "random matrices",
        ("first inequality", "second inequality"),
        indicators,
        "trace_ratio",
        lambda *_: 1.0,
    ),
    planted(
        "proposition1",
        "rate in D",
        ("rate in D", "saturation", "finite-D bound"),
        extremal_spectra,
        "spectrum",
        slower_decay,
    ),
    planted(
        "proposition1",
        "tightness and ceiling",
        ("tightness", "ceiling attained"),
        extremal_spectra,
        "spectral_trace_ratio",
        scaled(extremal_spectra.spectral_trace_ratio, 0.95),
    ),
    planted(
        "proposition1",
        "tightness and ceiling",
        ("ceiling",),
        extremal_spectra,
        "spectrum",
        tiny_spectrum,
    ),
    planted(
        "proposition1",
        "trained networks",
        ("trained network",),
        trained_networks,
        "readings_along_training",
        with_trace_ratio(1.0),
    ),
    planted(
        "proposition2",
        "Hessian is the GGN",
        ("Hessian = GGN",),
        AutogradProblem,
        "hessian_product",
        scaled(AutogradProblem.hessian_product, 1.05),
    ),
    planted(
        "proposition3",
        "network",
        ("along training", "after training"),
        proposition3,
        "guaranteed_coefficient",
        lambda *_: 10.0,
    ),
    planted(
        "proposition3",
        "network",
        ("anisotropy",),
        trained_networks,
        "readings_along_training",
        with_trace_ratio(0.5),
    ),
]


@pytest.mark.parametrize(("group", "task", "names", "target", "attribute", "wrong"), FALSEHOODS)
def test_a_planted_falsehood_fails(group, task, names, target, attribute, wrong, monkeypatch):
    task = first_network(group) if task == "network" else task
    before = verdicts(group, task)
    monkeypatch.setattr(target, attribute, wrong)
    after = verdicts(group, task)
    for name in names:
        assert "fails" not in before[name]
        assert "fails" in after[name]


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (
            ("lower sandwich", "upper sandwich"),
            narrower_weights(constants.weight_constants),
        ),
        (("Fisher along u", "Fisher along u, label-free bound"), constants_of_one),
    ],
)
def test_false_constants_fail_proposition2(names, wrong, monkeypatch):
    trained_networks.training.values.clear()
    with monkeypatch.context() as patched:
        patched.setattr(constants, "weight_constants", wrong)
        after = verdicts("proposition2", first_network("proposition2"))
    trained_networks.training.values.clear()
    before = verdicts("proposition2", first_network("proposition2"))
    for name in names:
        assert before[name] == {"holds"}
        assert after[name] == {"fails"}


@pytest.mark.parametrize("group", GROUPS)
def test_searches_survive_and_break_the_false_claims(group):
    found = verdicts(group, "falsification")
    assert found.pop("the search breaks a false claim") == {"holds"}
    assert found
    assert all(outcome == {"holds"} for outcome in found.values())


@pytest.mark.needs_jit
@pytest.mark.parametrize("group", GROUPS)
def test_every_check_of_a_group_has_a_planted_falsehood(group):
    planted_names = {
        name for case in FALSEHOODS if case.values[0] == group for name in case.values[2]
    }
    if group == "proposition2":
        planted_names |= {
            "lower sandwich",
            "upper sandwich",
            "Fisher along u",
            "Fisher along u, label-free bound",
        }
    for task in propositions.tasks(group, SETTINGS):
        if task.name == "falsification":
            continue
        found = task.run()
        assert {check.statement.name for check in found} <= planted_names, task.name
        assert unexplained(group, found) == []
        assert unknown_sources(found) == []


def dead_snapshot():
    """A network none of whose outputs lies within the clip."""
    case, _ = trained_networks.runs(SETTINGS)[0]
    loss = trained_networks.training_objective(case)
    return case, constants.snapshot(loss, np.full(loss.num_parameters, 0.0))


def test_a_network_without_active_examples_is_vacuous_not_a_pass(monkeypatch):
    case, dead = dead_snapshot()
    assert dead.num_active == 0
    monkeypatch.setattr(trained_networks, "snapshot", lambda *_: dead)
    monkeypatch.setattr(trained_networks.training, "values", {})
    for group in ("proposition2", "proposition3"):
        found = verdicts(group, str(case))
        assert found
        assert all(outcome == {"vacuous"} for outcome in found.values())
    assert verdicts("proposition1", "trained networks") == {"trained network": {"vacuous"}}


def initial_snapshot():
    """A logistic network before training: every example is active."""
    case = trained_networks.TrainingCase(trained_networks.POINTS, "logistic", "relu", 32, 0)
    loss = trained_networks.training_objective(case)
    theta = trained_networks.initial_parameters(case, loss.model)
    return case, constants.snapshot(loss, theta)


def test_the_constants_of_proposition3_by_hand():
    case, taken = initial_snapshot()
    by_hand = dataclasses.replace(
        taken,
        num_active=3,
        num_examples=4,
        lowest_weight=1.0,
        highest_weight=2.0,
        hessian=np.diag([5.0, 3.0]),
        empirical_fisher=np.diag([2.0, 6.0]),
        gradient=np.array([0.5, 7.0]),
        gradient_covariance=np.diag([1.0, 3.0]),
    ).readings()
    # (1 - 3/4) * 1/2, and 1/2 - 0.5^2 * 8 / (5 * 4)
    assert proposition3.guaranteed_coefficient(by_hand, "clipped squared") == 0.125
    assert proposition3.guaranteed_coefficient(by_hand, "logistic") == pytest.approx(0.4)
    with pytest.raises(checks.InputError, match="loss='squared'; expected one of"):
        proposition3.guaranteed_coefficient(by_hand, "squared")
    for wrong in ({"data": "images"}, {"loss": "squared"}, {"activation": "tanh"}):
        with pytest.raises(checks.InputError, match="expected one of"):
            dataclasses.replace(case, **wrong)


def test_the_readings_of_a_snapshot_by_hand():
    _, taken = initial_snapshot()
    by_hand = dataclasses.replace(
        taken,
        num_parameters=10,
        lowest_weight=0.5,
        highest_weight=2.0,
        hessian=np.diag([4.0, 1.0]),
        empirical_fisher=np.diag([4.0, 1.5]),
        gradient=np.array([1.0, 0.0]),
        gradient_covariance=np.diag([3.0, 1.5]),
    ).readings(with_pencil=True)
    assert by_hand.pencil == pytest.approx((1.0, 1.5))
    assert by_hand.excess_below == pytest.approx(1.0 / 4)  # least of 4 - 2 and 1.5 - 0.5, over |F|
    assert by_hand.excess_above == pytest.approx(0.5 / 8)  # least of 8 - 4 and 2 - 1.5, over |w H|
    assert by_hand.fisher_coefficient == pytest.approx(4 * 5 / (4 * 5.5))
    assert by_hand.projection_coefficient == pytest.approx(3 * 5 / (4 * 4.5))
    assert by_hand.trace_ratio == pytest.approx(10 * 13.5 / (5 * 4.5))
    assert by_hand.guaranteed_ratio == pytest.approx(3 * 5 / (4 * 4.5) * 10 * 16 / 25)


def test_a_mean_gradient_along_u_makes_proposition3_vacuous_for_the_logistic_loss():
    _, taken = initial_snapshot()
    steep = dataclasses.replace(taken, gradient=100 * taken.leading_eigenpair[1])
    assert proposition3.guaranteed_coefficient(taken.readings(), "logistic") > 0
    assert proposition3.guaranteed_coefficient(steep.readings(), "logistic") < 0


def test_proposition1_holds_with_equality_by_hand():
    eigenvalues = np.array([1.0, 0.5, 0.0])
    noise = extremal_spectra.least_aligned_noise(eigenvalues, 0.9)
    # s_1 = 0.9 / 1.5 = 0.6; ratio = 3 * 0.6 / 1.5 = 1.2 = 0.9 * 3 / 1.5^2
    assert extremal_spectra.spectral_trace_ratio(eigenvalues, noise) == pytest.approx(1.2)


def test_the_published_rate_breaks_beyond_d_equal_one():
    """Not a rounding matter: at d = 2 the published bound exceeds the ceiling D."""
    size, decay = 1000, 2.0
    eigenvalues = extremal_spectra.spectrum(size, 1, decay)
    best = np.zeros(size)
    best[0] = 1.0
    ratio = extremal_spectra.spectral_trace_ratio(eigenvalues, best)
    # the measured a of this noise is Tr H / lambda_1, the largest there is
    assert ratio < eigenvalues.sum() * size ** (2 * decay - 1)
