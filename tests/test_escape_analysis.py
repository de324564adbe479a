import importlib.util
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from aniso import checks

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="the script simulates hundreds of exits"
)


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[1] / "analysis" / "alignment_and_exit.py"
    spec = importlib.util.spec_from_file_location("alignment_and_exit", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_all_structures_have_one_trace_and_one_plateau(script):
    hessian, covariances = script.structures(script.Parameters())
    np.testing.assert_allclose(np.trace(covariances, axis1=1, axis2=2), 0.6, rtol=1e-12)
    assert len(covariances) == len(script.STRUCTURES)
    slopes = 0.5 * np.einsum("ij,sij->s", hessian, covariances)
    # the last is the optimum, lambda_1 Tr Sigma / 2
    assert slopes.argmax() == 5
    assert slopes[5] == pytest.approx(0.5 * 4.0 * 0.6)


def test_the_orders_agree_on_the_level_and_disagree_on_the_ball(script, tmp_path, capsys):
    script.main(["--quick", "--output", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "ball: SGD has the larger slope and leaves *later* than GLD dynamic" in shown
    assert "- sublevel set:" not in shown
    for ending in ("npz", "json", "md", "png"):
        assert (tmp_path / f"alignment_and_exit.{ending}").stat().st_size > 100
    # stored data are used again if and only if the parameters agree
    parameters = script.Parameters(num_paths=200, step_size=0.05)
    before = (tmp_path / "alignment_and_exit.npz").stat().st_mtime_ns
    arrays = script.stored(parameters, tmp_path)
    assert (tmp_path / "alignment_and_exit.npz").stat().st_mtime_ns == before
    error = np.array(arrays["simulated_error"])[:, 1:]
    z = (arrays["simulated"] - arrays["curve"])[:, 1:] / error
    assert np.abs(z).max() < 5.5  # 240 scores of 200 paths each, skewed
    other = script.Parameters(num_paths=50, step_size=0.1, horizon=0.2)
    censored = script.stored(other, tmp_path)
    assert (tmp_path / "alignment_and_exit.npz").stat().st_mtime_ns > before
    assert np.isnan(censored["exit"]).any()
    assert "censored" in script.table(other, censored)


def test_no_reversal_is_said_so(script):
    arrays = {
        "slope": np.arange(6.0) + 1,
        "plateau": np.ones(6),
        "exit": np.column_stack([6.0 - np.arange(6)] * 2),
        "exit_error": np.full((6, 2), 0.01),
        "chain": np.ones((6, 2)),
        "exponent": np.ones((6, 2)),
    }
    assert script.reversals(arrays) == []
    assert script.table(script.Parameters(), arrays).endswith("The orders agree.\n")


def test_a_missing_folder_is_refused(script, tmp_path):
    with pytest.raises(checks.InputError, match="expected an existing one"):
        script.main(["--output", str(tmp_path / "absent")])
