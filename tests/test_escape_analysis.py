"""The figure of six noise structures: equal traces, orders that agree and orders that reverse."""

import numpy as np
import pytest

from analysis import alignment_and_exit, figure_command

pytestmark = pytest.mark.needs_jit


def test_all_structures_have_one_trace_and_one_plateau():
    hessian, covariances = alignment_and_exit.structures(alignment_and_exit.SCALES["small"])
    np.testing.assert_allclose(np.trace(covariances, axis1=1, axis2=2), 0.6, rtol=1e-12)
    assert len(covariances) == len(alignment_and_exit.STRUCTURES)
    slopes = 0.5 * np.einsum("ij,sij->s", hessian, covariances)
    # the last is the optimum, lambda_1 Tr Sigma / 2
    assert slopes.argmax() == 5
    assert slopes[5] == pytest.approx(0.5 * 4.0 * 0.6)


def computed(parameters, folder):
    units = alignment_and_exit.make_units(parameters)
    values = [
        alignment_and_exit.compute_unit(unit, folder / unit["structure"], None) for unit in units
    ]
    return alignment_and_exit.collect(parameters, units, values)


def test_the_orders_agree_on_the_level_and_disagree_on_the_ball(tmp_path, capsys):
    figure = alignment_and_exit.FIGURE
    folders = ["--output", str(tmp_path / "figures"), "--runs", str(tmp_path / "runs")]
    assert figure_command.main(figure, [*folders, "--executor", "serial"]) == 0
    said = capsys.readouterr().out
    assert "[fails] of any two structures the one of larger Tr(H Sigma) leaves the ball" in said
    assert "[fails] of any two structures the one of larger Tr(H Sigma) leaves the sub" not in said
    shown = (tmp_path / "figures" / "alignment_and_exit_small.md").read_text()
    assert "ball: SGD has the larger slope and leaves *later* than GLD dynamic" in shown
    assert "- sublevel set:" not in shown
    with np.load(tmp_path / "figures" / "data" / "alignment_and_exit_small.npz") as arrays:
        error = arrays["simulated_error"][:, 1:]
        z = (arrays["simulated"] - arrays["curve"])[:, 1:] / error
    assert np.abs(z).max() < 5.5  # 240 scores of 200 paths each, skewed


def test_censored_exits_are_shown_as_such(tmp_path):
    parameters = alignment_and_exit.SCALES["small"]
    parameters = parameters | {"num_paths": 50, "step_size": 0.1, "horizon": 0.2}
    censored = computed(parameters, tmp_path)
    assert np.isnan(censored["exit"]).any()
    assert "censored" in alignment_and_exit.table(parameters, censored)
    for claim in alignment_and_exit.judge(parameters, censored):
        assert "nan" not in claim.measured


def arrays_of(exit_times):
    return {
        "slope": np.arange(6.0) + 1,
        "plateau": np.ones(6),
        "exit": np.column_stack([exit_times] * 2),
        "exit_error": np.full((6, 2), 0.01),
        "chain": np.ones((6, 2)),
        "exponent": np.ones((6, 2)),
    }


@pytest.mark.parametrize(
    ("times", "verdict"),
    [([6, 5, 4, 3, 2, 1], "holds"), ([6, 5, 4, 3, 1, 2], "fails"), ([6, 5, 4, 3, 2, 2], "not")],
)
def test_the_verdict_follows_the_least_favourable_pair(times, verdict):
    parameters = alignment_and_exit.SCALES["small"]
    arrays = arrays_of(np.array(times, dtype=float))
    for claim in alignment_and_exit.judge(parameters, arrays):
        assert str(claim.verdict).startswith(verdict)
        assert (
            f"{int(verdict == 'fails')} of 15 pairs leave in the opposite order" in claim.measured
        )
    assert len(alignment_and_exit.reversals(arrays)) == 2 * (verdict == "fails")
    ends = alignment_and_exit.table(parameters, arrays).endswith("The orders agree.\n")
    assert ends == (verdict != "fails")
