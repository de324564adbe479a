"""The search for counterexamples, on margins whose minimum is known."""

import autograd.numpy as anp
import numpy as np
import pytest

from aniso import checks
from aniso.propositions import falsification
from aniso.propositions.check import Statement


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 - 3.0


def test_the_minimum_of_a_curved_valley_is_found(rng):
    worst = falsification.search(rosenbrock, rng.uniform(-2, 2, (3, 2)))
    assert worst.margin == pytest.approx(-3.0, abs=1e-8)
    np.testing.assert_allclose(worst.point, 1.0, atol=1e-3)
    assert worst.margin <= min(worst.start_margins)


def test_descents_begin_at_the_best_starts():
    starts = np.array([[5.0], [0.1], [3.0]])
    worst = falsification.search(
        lambda x: anp.abs(x[0]), starts, num_descents=1, max_iterations=1, target=-1.0
    )
    assert worst.margin <= 0.1
    assert worst.start_margins == (5.0, 0.1, 3.0)


def test_margins_that_are_not_finite_are_stepped_back_from():
    worst = falsification.search(lambda x: anp.log(x[0]) ** 2 + 1.0, [[0.3], [-1.0]])
    assert worst.margin == pytest.approx(1.0, abs=1e-8)


def test_a_target_ends_the_search_at_its_first_witness():
    kept = falsification.search(lambda x: x[0] ** 2 - 1, [[1.0]] * 5, target=-0.5)
    full = falsification.search(lambda x: x[0] ** 2 - 1, [[1.0]] * 5)
    assert kept.margin < -0.5
    assert kept.num_evaluations < full.num_evaluations


@pytest.mark.parametrize("starts", [np.empty((0, 2)), [1.0, 2.0], [[np.nan]]])
def test_starts_that_are_not_points_are_refused(starts):
    with pytest.raises(checks.InputError, match="starts"):
        falsification.search(lambda x: x[0], starts)


def test_verdicts_fail_for_a_broken_claim_and_for_a_search_without_teeth():
    broken = falsification.search(lambda x: x[0] ** 2 - 1, [[0.5]])
    sound = falsification.search(lambda x: x[0] ** 2 + 1, [[0.5]])
    statement = Statement("n", "c", "r", "o", "s", 1e-12)

    def outcome(worst, planted):
        found = falsification.verdicts(statement, "f", worst, planted)
        return [str(check.verdict) for check in found]

    assert outcome(sound, broken) == ["holds", "holds"]
    assert outcome(broken, broken) == ["fails", "holds"]
    assert outcome(sound, sound) == ["holds", "fails"]
