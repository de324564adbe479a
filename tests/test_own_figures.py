"""The claims of Figures 7 to 10, by hand and with planted falsehoods."""

import numpy as np
import pytest
from figure_cases import ONE_SEED, run, verdicts

from analysis import (
    fig3_fashion_mnist,
    fig7_flatness_and_accuracy,
    fig8_escape,
    fig9_depth,
    fig10_stability,
)
from aniso import checks

pytestmark = pytest.mark.needs_jit


def ends_of(seeds, slope, bonus):
    """What Figure 3 collects: accuracy on a line in log sharpness, and a bonus for SGD."""
    rng, count = np.random.default_rng(3), len(fig3_fashion_mnist.DYNAMICS)
    logarithm = rng.standard_normal((seeds, count))
    accuracy = 0.6 + slope * logarithm + 0.1 * rng.standard_normal((seeds, 1))
    accuracy[:, fig3_fashion_mnist.DYNAMICS.index("sgd")] += bonus
    shape = seeds, count, 2
    arrays = {"accuracy": np.ones(shape), "test_accuracy": np.zeros(shape)}
    arrays["expected_sharpness"] = np.ones(shape)
    arrays["test_accuracy"][..., -1] = accuracy
    arrays["expected_sharpness"][..., -1] = np.exp(logarithm)
    return arrays


def test_the_common_slope_and_what_it_leaves_over():
    found = fig7_flatness_and_accuracy.adjusted(ends_of(4, -0.02, 0.0))
    # the seeds' own heights do not count
    assert found.slope == pytest.approx(-0.02)
    assert found.slope_error == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(found.residual, 0.0, atol=1e-12)
    arrays = ends_of(40, -0.02, 0.09)
    found = fig7_flatness_and_accuracy.adjusted(arrays)
    sgd = fig3_fashion_mnist.DYNAMICS.index("sgd")
    others = np.delete(found.residual, sgd)
    # nine dynamics: the mean over them is removed
    assert found.residual[sgd] == pytest.approx(0.08, abs=0.01)
    np.testing.assert_allclose(others, -0.01, atol=0.01)
    told = fig7_flatness_and_accuracy.judge({}, arrays)
    assert str(told[0].verdict) == "holds"
    assert str(fig7_flatness_and_accuracy.judge({}, ends_of(40, 0.02, 0.0))[0].verdict) == "fails"


def test_lost_and_diverged_runs_leave_the_comparison():
    arrays = ends_of(4, -0.02, 0.0)
    arrays["accuracy"][0, 0, -1] = 0.2
    arrays["expected_sharpness"][1, 1, -1] = -1.0
    arrays["test_accuracy"][2, 2, -1] = np.nan
    arrays["expected_sharpness"][2, 2, -1] = np.nan
    found = fig7_flatness_and_accuracy.adjusted(arrays)
    assert found.slope == pytest.approx(-0.02)
    told = fig7_flatness_and_accuracy.judge({}, arrays)[0].measured
    assert "3 runs that lost the data or diverged are left out" in told
    one = {name: values[:1] for name, values in ends_of(2, -0.02, 0.0).items()}
    alone = fig7_flatness_and_accuracy.judge({}, one)
    assert str(alone[0].verdict) == "not resolved"
    assert alone[1].measured == "one seed: no error bars"


def passages(by_dynamics, seeds=3, runs=10):
    rng = np.random.default_rng(5)
    passage = np.zeros((seeds, len(fig8_escape.DYNAMICS), runs), dtype=int)
    slope = np.zeros((seeds, len(fig8_escape.DYNAMICS)))
    for name, (own, step) in by_dynamics.items():
        number = fig8_escape.DYNAMICS.index(name)
        slope[:, number] = own
        if step:
            passage[:, number] = step + rng.integers(0, 3, (seeds, runs))
    return {
        "passage": passage,
        "slope": slope,
        "trace": np.ones_like(slope),
        "forecast": np.full((seeds, 1), np.nan),
        "forecast_error": np.full((seeds, 1), np.nan),
    }


ORDERED = {
    "gld_dynamic": (1e-3, 0),
    "gld_diagonal": (2e-3, 90),
    "gld_leading": (0.10, 20),
    "gld_hessian": (0.09, 30),
    "gld_first_eigenvector": (0.2, 5),
    "sgd_gaussian": (0.1, 20),
    "sgd": (0.1, 20),
}


def test_figure_8_orders_by_slope():
    parameters = {"num_steps": 100, "forecast_steps": [10]}
    found = fig8_escape.judge(parameters, passages(ORDERED))
    assert verdicts(found) == {
        "order": "holds",
        "aligned noise leaves first": "holds",
        "forecast": "description",
        "equal trace": "description",
    }
    # the largest slope leaves late, and then isotropic noise early
    late = ORDERED | {"gld_first_eigenvector": (0.2, 60)}
    found = fig8_escape.judge(parameters, passages(late))
    assert verdicts(found)["order"] == "fails"
    # nearly equal slopes are no pair
    assert "widened for 15 pairs, of which 4 pass in the opposite order" in found[0].measured
    early = ORDERED | {"gld_dynamic": (1e-3, 2)}
    assert verdicts(fig8_escape.judge(parameters, passages(early))) | {"order": ""} == {
        "order": "",
        "aligned noise leaves first": "fails",
        "forecast": "description",
        "equal trace": "description",
    }


def test_shares_and_means_of_passages_by_hand():
    arrays = passages({"sgd": (0.1, 0)}, seeds=1, runs=4)
    arrays["passage"][0, -1] = [2, 5, 0, 0]
    share, error = fig8_escape.left_by(arrays, 3)
    assert share[0, -1] == 0.25
    assert error[0, -1] == pytest.approx(np.sqrt(0.25 * 0.75 / 4))
    mean, bar = fig8_escape.mean_steps(arrays, 10)
    assert mean[-1] == 6.75  # 2, 5, 10, 10
    # Student's 3.18 for four runs in the place of 1.96
    widened = 3.1824463 / 1.9599640
    assert bar[-1] == pytest.approx(widened * np.std([2, 5, 10, 10], ddof=1) / 2)


def test_figure_8_refuses_runs_that_make_no_unit():
    with pytest.raises(checks.InputError, match="num_runs"):
        fig8_escape.make_units(fig8_escape.SCALES["small"] | {"num_runs": 3})


def test_figure_9_sees_a_coefficient_outside_its_bounds(drawn):
    from aniso.runs import array_files

    arrays, _ = array_files.load_arrays(drawn / "figures/data/fig9_depth_small.npz")
    parameters = fig9_depth.SCALES["small"]
    told = verdicts(fig9_depth.judge(parameters, arrays))
    assert {told[name] for name in told if "promise" not in name} == {"holds"}
    planted = {name: values.copy() for name, values in arrays.items()}
    planted["order_largest"][1, 0, 0] = planted["order_highest"][1, 0, 0] * (1 + 1e-4)
    planted["noise_coefficient"][2, 0, 0] = planted["noise_lower"][2, 0, 0] - 1e-3
    told = verdicts(fig9_depth.judge(parameters, planted))
    assert told["three hidden layers: order_smallest"] == "fails"
    assert told["convolutional: noise_coefficient"] == "fails"
    assert told["one hidden layer: noise_coefficient"] == "holds"
    planted["order_smallest"][0, 0, 0] = np.nan  # a reading that is missing decides nothing
    told = verdicts(fig9_depth.judge(parameters, planted))
    assert told["one hidden layer: order_smallest"] == "not resolved"


RATES = (0.1, 0.2, 0.4, 0.8)


def stays_up_to(rates, exact, full_batch):
    """What Figure 10 collects: at each start two runs of four leave at one rate, all above it."""
    passage = np.zeros((len(rates), len(RATES), 4), dtype=int)
    for seed, rate in enumerate(rates):
        passage[seed, np.array(RATES) > rate] = 7
        passage[seed, RATES.index(rate), 2:] = 7
    thresholds = {"exact": exact, "along": exact, "full_batch": full_batch}
    return {"passage": passage} | {name: np.array(v) for name, v in thresholds.items()}


def test_critical_learning_rates_by_hand():
    left = [[0, 0.5, 1, 1], [0, 0.5, 0.25, 1], [0, 0, 0, 0.5], [0.25, 1, 1, 1]]
    logarithm, error = fig10_stability.critical_rates(RATES, left, 4)
    # half of the weight between 0.1 and 0.2, half between 0.2 and 0.4: 0.2
    assert np.exp(logarithm[0]) == pytest.approx(0.2)
    assert error[0] == pytest.approx(np.log(2) * np.sqrt(0.25 / 3))
    # 1/2 and 1/4 become 3/8 both: 3/8 below sqrt(0.02), 5/8 above sqrt(0.32)
    assert logarithm[1] == pytest.approx(0.375 * np.log(0.02) / 2 + 0.625 * np.log(0.32) / 2)
    assert np.isnan(logarithm[2:]).all()
    assert np.isnan(error[2:]).all()


def test_figure_10_sees_whether_the_threshold_decides():
    parameters = {"learning_rates": RATES, "num_runs": 4}
    rates = [0.2, 0.4, 0.2, 0.4, 0.2]
    one, other = [0.4, 0.81, 0.41, 0.8, 0.39], [0.9, 0.9, 0.8, 0.8, 0.85]
    told = fig10_stability.judge(parameters, stays_up_to(rates, one, other))
    assert [str(claim.verdict) for claim in told] == ["holds", "holds", "description"]
    assert "exact: 0.499 times it" in told[2].measured
    exchanged = stays_up_to(rates, other, one)
    told = fig10_stability.judge(parameters, exchanged)
    assert str(told[1].verdict) == "fails"
    falling = fig10_stability.judge(parameters, stays_up_to(rates, [1 / t for t in one], other))
    assert str(falling[0].verdict) == "fails"
    exchanged["passage"][:3] = 0
    (few,) = fig10_stability.judge(parameters, exchanged)
    assert "fewer than three starts" in few.measured


def test_the_exact_threshold_of_a_start_is_below_the_others(drawn):
    from aniso.runs import array_files

    arrays, _ = array_files.load_arrays(drawn / "figures/data/fig10_stability_small.npz")
    assert (arrays["exact"] <= arrays["along"]).all()
    assert (arrays["exact"] <= arrays["full_batch"]).all()


def test_figure_7_draws_the_runs_of_figure_3(tmp_path, monkeypatch, capsys):
    small = fig3_fashion_mnist.SCALES
    monkeypatch.setitem(small, "small", ONE_SEED | {"num_steps": 10, "num_records": 2})
    assert run("fig3_fashion_mnist", tmp_path) == 0
    kept = sorted((tmp_path / "runs" / "fig3_fashion_mnist_small").rglob("result.npz"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    assert run("fig7_flatness_and_accuracy", tmp_path) == 0
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    assert not (tmp_path / "runs" / "fig7_flatness_and_accuracy_small").exists()
    del capsys
