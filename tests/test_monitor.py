"""Diagnoses along a run: what is measured, kept, read again, refused, and drawn."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import monitor_cases
import numpy as np
import pytest
from monitor_cases import THETA, measure, monitor

from aniso import checks, diagnostics
from aniso.problems import quadratic_problem
from aniso.runs import run_directory

TESTS = Path(__file__).parent


def counted():
    """The measurement of the cases, which notes the steps' learning rates."""
    calls = []

    def measure_and_count(*arguments, **settings):
        calls.append(settings["learning_rate"])
        return measure(*arguments, **settings)

    return measure_and_count, calls


def test_chosen_steps_are_measured(tmp_path):
    watched = monitor(tmp_path, steps=3)
    found = [watched.at_step(step, (step + 1) * THETA) for step in range(7)]
    assert [each is not None for each in found] == [True, False, False, True, False, False, True]
    assert watched.steps == (0, 3, 6)
    series = watched.series("loss")
    # 2 t^2 at theta = t (1, -1)
    np.testing.assert_array_equal(series.steps, [0, 3, 6])
    np.testing.assert_array_equal(series.values, [2.0, 32.0, 98.0])
    np.testing.assert_array_equal(series.errors, 0.0)
    np.testing.assert_array_equal(watched.series("drawn").errors, 0.5)
    assert watched.scalars(3, "noise/")["noise/loss"] == 32.0
    # a quantity that was refused has no number there
    np.testing.assert_array_equal(watched.series("small").steps, [0])
    chosen = monitor(tmp_path / "chosen", steps=[5, 1])
    assert [step for step in range(9) if chosen.due(step)] == [1, 5]


def test_a_folder_of_another_loss_or_other_data_is_refused(tmp_path):
    monitor(tmp_path).at_step(0, THETA)
    for curvature in (3.0 + 1e-6, 5.0):
        other = quadratic_problem(np.diag([curvature, 1.0]), np.zeros(2), [[1.0, 0.0], [-1.0, 0.0]])
        watched = diagnostics.Monitor(tmp_path, other, steps=2, seed=3, measure=measure)
        with pytest.raises(checks.InputError, match="another problem: its loss or its data differ"):
            watched.at_step(0, THETA)
        with pytest.raises(checks.InputError, match="another problem"):
            diagnostics.measure_checkpoints(
                other, {0: THETA}, tmp_path, seed=3, executor="serial", measure=measure
            )
    assert monitor(tmp_path).steps == (0,)


def test_a_step_of_another_learning_rate_or_optimizer_is_refused(tmp_path):
    class Optimizer:
        def __init__(self, rate):
            self.param_groups = [{"params": [THETA], "lr": rate}]

    watched = monitor(tmp_path)
    first = watched.at_step(0, THETA, learning_rate=0.1, optimizer=Optimizer(0.1))
    again = monitor(tmp_path)
    same = again.at_step(0, THETA, learning_rate=0.1, optimizer=Optimizer(0.1))
    assert same == first
    for rate, inner in ((0.5, 0.1), (0.1, 0.5)):
        with pytest.raises(checks.InputError, match=r"step 0 was measured with .*0.5"):
            again.at_step(0, THETA, learning_rate=rate, optimizer=Optimizer(inner))


def test_no_step_is_measured_twice_and_draws_do_not_depend_on_it(tmp_path):
    whole = monitor(tmp_path / "whole")
    for step in range(7):
        whole.at_step(step, THETA)
    counting, calls = counted()
    for last in (3, 7):  # the run ended after step 2, and began again
        watched = monitor(tmp_path / "parts", measure=counting)
        for step in range(last):
            watched.at_step(step, THETA)
    assert len(calls) == 4
    assert dict(watched.record) == dict(whole.record)
    assert len(set(whole.series("drawn").values)) == 4
    assert dict(diagnostics.read_record(tmp_path / "parts")) == dict(whole.record)


def test_other_settings_are_refused(tmp_path):
    monitor(tmp_path, level=1.0).at_step(0, THETA)
    for options in ({"level": 2.0}, {"seed": 4, "level": 1.0}, {}):
        with pytest.raises(checks.InputError, match="belongs to other parameters"):
            monitor(tmp_path, **options)
    assert monitor(tmp_path, level=1.0, steps=5).series("loss").values == [1.0]


def test_a_kill_within_a_write_leaves_all_earlier_steps(tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    command = [sys.executable, str(TESTS / "monitor_cases.py"), str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert diagnostics.read_record(tmp_path).steps == (0, 2)
    counting, calls = counted()
    watched = monitor(tmp_path, measure=counting)
    for step in range(5):
        watched.at_step(step, THETA)
    assert len(calls) == 1
    assert watched.steps == (0, 2, 4)


def test_a_damaged_file_is_named_and_measured_again(tmp_path):
    watched = monitor(tmp_path)
    before = watched.at_step(0, THETA)
    path = tmp_path / "step-000000000000.json"
    content = path.read_text()
    # what a write that is not whole or absent would leave
    path.write_text(content[: len(content) // 2])
    with pytest.warns(run_directory.DamagedFile, match=r"step-0+\.json.* damaged"):
        assert diagnostics.read_record(tmp_path).steps == ()
    with pytest.warns(run_directory.DamagedFile):
        again = monitor(tmp_path)
    assert again.at_step(0, THETA) == before
    assert path.read_text() == content


def test_a_step_at_another_theta_is_measured_again(tmp_path):
    watched = monitor(tmp_path)
    for step in (0, 2, 4):
        watched.at_step(step, THETA)
    with pytest.warns(diagnostics.OtherTheta, match=r"step 2 was .* 2 diagnoses"):
        watched.at_step(2, 2 * THETA)
    assert watched.steps == (0, 2)
    np.testing.assert_array_equal(watched.series("loss").values, [2.0, 8.0])
    put_aside = sorted(path.name for path in (tmp_path / "abandoned").iterdir())
    assert put_aside == ["step-000000000002.json", "step-000000000004.json"]
    assert diagnostics.read_record(tmp_path).steps == (0, 2)


def test_theta_is_kept_where_asked(tmp_path):
    watched = monitor(tmp_path, keep_theta=True)
    watched.at_step(2, THETA)
    np.testing.assert_array_equal(watched.record.theta(2), THETA)
    monitor(tmp_path / "none").at_step(2, THETA)
    with pytest.raises(checks.InputError, match="keep_theta=True"):
        diagnostics.read_record(tmp_path / "none").theta(2)


def test_learning_rates_are_those_of_the_steps(tmp_path):
    counting, calls = counted()
    watched = monitor(tmp_path, measure=counting, learning_rate=0.5)
    watched.at_step(0, THETA)
    watched.at_step(2, THETA, learning_rate=0.25)
    assert calls == [0.5, 0.25]
    np.testing.assert_array_equal(watched.series("learning_rate").values, [0.5, 0.25])


def test_models_of_frameworks_are_read(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from aniso import frameworks

    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    data = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [0.0]])
    problem = frameworks.from_torch(model, torch.nn.MSELoss(), data)

    def loss(problem, theta, **_):
        return diagnostics.Diagnosis({"loss": diagnostics.Reading("loss", problem.loss(theta))})

    watched = diagnostics.Monitor(tmp_path, problem, steps=1, seed=0, measure=loss)
    with torch.no_grad():
        model.weight.fill_(2.0)
    watched.at_step(0, model)
    watched.at_step(1, torch.tensor([4.0]))
    np.testing.assert_array_equal(watched.series("loss").values, [10.0, 40.0])  # 5/2 w^2


def test_jax_arrays_are_read(tmp_path):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    watched = monitor(tmp_path)
    watched.at_step(0, jax.numpy.array([1.0, -1.0]))
    assert watched.series("loss").values == [2.0]


def test_checkpoints_are_the_same_by_every_executor(tmp_path):
    watched = monitor(tmp_path / "monitor", steps=1)
    thetas = {2: THETA, 5: 3 * THETA}
    for step, theta in thetas.items():
        watched.at_step(step, theta)
    options = {"seed": 3, "measure": measure}
    with ThreadPoolExecutor(2) as pool:
        for number, executor in enumerate(("serial", "processes:2", pool)):
            record = diagnostics.measure_checkpoints(
                monitor_cases.problem,
                thetas,
                tmp_path / str(number),
                executor=executor,
                **options,
            )
            assert dict(record) == dict(watched.record)


def test_checkpoints_by_dask(tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        record = diagnostics.measure_checkpoints(
            monitor_cases.problem(),
            [THETA, 2 * THETA],
            tmp_path,
            seed=3,
            measure=measure,
            executor=client.get_executor(pure=False),
        )
    np.testing.assert_array_equal(record.series("loss").values, [2.0, 8.0])


def test_failed_checkpoints_are_named_and_the_others_kept(tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    thetas = [THETA, -THETA, 2 * THETA]
    arguments = monitor_cases.problem(), thetas, tmp_path / "run"
    options = {"seed": 3, "executor": "serial", "broken": str(broken)}
    with pytest.raises(diagnostics.CheckpointsFailed, match=r"1 of 3 .*step 1: ZeroDivision"):
        diagnostics.measure_checkpoints(
            *arguments, measure=monitor_cases.measure_or_fail, **options
        )
    assert diagnostics.read_record(tmp_path / "run").steps == (0, 2)
    broken.unlink()
    counting, calls = counted()

    def measure_the_rest(problem, theta, *, broken, **settings):  # noqa: ARG001
        return counting(problem, theta, **settings)

    record = diagnostics.measure_checkpoints(*arguments, measure=measure_the_rest, **options)
    assert len(calls) == 1
    np.testing.assert_array_equal(record.series("loss").values, [2.0, 2.0, 8.0])


def test_a_checkpoint_at_another_theta_leaves_the_later_ones(tmp_path):
    problem, folder = monitor_cases.problem(), tmp_path / "run"
    counting, calls = counted()
    options = {"seed": 3, "executor": "serial", "measure": counting}
    diagnostics.measure_checkpoints(problem, {5: THETA, 10: 2 * THETA}, folder, **options)
    with pytest.warns(diagnostics.OtherTheta, match="step 5 was .* That diagnosis is now in"):
        record = diagnostics.measure_checkpoints(
            problem, {10: 2 * THETA, 5: 3 * THETA}, folder, **options
        )
    assert len(calls) == 3
    assert record.steps == (5, 10)
    # a monitor goes on in the same folder
    watched = diagnostics.Monitor(folder, problem, steps=5, seed=3, measure=counting)
    watched.at_step(10, 2 * THETA)
    assert len(calls) == 3


def test_a_record_is_a_data_set(tmp_path):
    pytest.importorskip("xarray", reason="xarray is not installed")
    watched = monitor(tmp_path, level=1.0)
    watched.at_step(0, THETA)
    watched.at_step(2, 3 * THETA)
    found = watched.to_xarray()
    np.testing.assert_array_equal(found["step"], [0, 2])
    np.testing.assert_array_equal(found["loss"], [1.0, 17.0])
    np.testing.assert_array_equal(found["drawn_error"], [0.5, 0.5])
    np.testing.assert_array_equal(found["small"], [1.0, np.nan])
    assert found["loss"].attrs["formula"] == "L"


def test_bad_input_is_refused(tmp_path):
    for steps in (0, [], "often", [1, -1], 1.5):
        with pytest.raises(checks.InputError, match="steps"):
            monitor(tmp_path, steps=steps)
    with pytest.raises(checks.InputError, match="problem is of type"):
        diagnostics.Monitor(tmp_path, THETA, steps=1, seed=0, measure=measure)
    with pytest.raises(checks.InputError, match="plain data"):
        monitor(tmp_path / "other", level=np.ones(2))
    watched = monitor(tmp_path / "good")
    for theta in (np.ones(3), [np.nan, 0.0]):
        with pytest.raises(checks.InputError, match="theta"):
            watched.at_step(0, theta)
    with pytest.raises(checks.InputError, match="reads no models"):
        watched.at_step(0, object())
    with pytest.raises(checks.InputError, match=r"step=0 was not measured; expected one of none"):
        watched.scalars(0)
    with pytest.raises(checks.InputError, match=r"name='loss' was not measured"):
        watched.series("loss")
    with pytest.raises(checks.InputError, match=r"no run\.json"):
        diagnostics.read_record(tmp_path / "nothing")
    options = {"seed": 0, "measure": lambda *_, **__: None}
    with pytest.raises(checks.InputError, match="measure can't be sent"):
        diagnostics.measure_checkpoints(
            monitor_cases.problem, [THETA], tmp_path / "sent", executor="processes:1", **options
        )
    with pytest.raises(checks.InputError, match="thetas is empty"):
        diagnostics.measure_checkpoints(monitor_cases.problem, [], tmp_path / "sent", **options)


def drawn_record(**settings):
    """A run of three steps with readings of every panel."""
    names = {
        "loss": [1.0, 0.5, 0.25],
        "leading_eigenvalue": [5.0, 9.0, 10.0],
        "stability_threshold": [0.3, 0.25, 0.2],
        "noise_scale": [10.0, 100.0, 1000.0],
        "alignment": [3.0, 2.0, 1.0],
        "trace_ratio": [1.0, 20.0, 30.0],
    }
    made = {
        10 * i: diagnostics.Diagnosis(
            {
                name: diagnostics.Reading(name, values[i], {"probes": 0.1})
                for name, values in names.items()
            },
            settings=settings,
        )
        for i in range(3)
    }
    return diagnostics.RunRecord(made)


def test_a_run_is_drawn():
    from matplotlib.figure import Figure

    record = drawn_record(learning_rate=0.2, batch_size=32)
    found = record.plot(Figure())
    assert [axes.get_title(loc="left") for axes in found] == [
        "loss",
        "curvature",
        "learning rate",
        "noise scale, examples",
        "alignment",
        "alignment over that of isotropic noise",
    ]
    curvature = {line.get_label(): line for line in found[1].get_lines()}
    np.testing.assert_array_equal(curvature["λ₁ of H"].get_ydata(), [5.0, 9.0, 10.0])
    np.testing.assert_array_equal(curvature["λ₁ of H"].get_xdata(), [0, 10, 20])
    np.testing.assert_array_equal(curvature["2/η"].get_ydata(), [10.0] * 3)
    assert [line.get_ydata()[0] for line in found[2].get_lines()] == [0.3, 0.2]
    assert found[3].get_lines()[1].get_ydata()[0] == 32
    assert found[3].get_yscale() == "log"
    assert len(found[4].collections) == 1  # the band of the error


def test_what_was_not_measured_has_no_panel(tmp_path):
    from matplotlib.figure import Figure

    watched = monitor(tmp_path)
    watched.at_step(0, THETA)
    assert [axes.get_title(loc="left") for axes in watched.plot(Figure())] == ["loss"]
    nothing = diagnostics.Diagnosis({"other": diagnostics.Reading("other", 1.0)})
    with pytest.raises(checks.InputError, match="the readings other; expected one of loss"):
        diagnostics.RunRecord({0: nothing}).plot()
