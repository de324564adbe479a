"""Diagnoses of many checkpoints, by any executor, kept in a folder as a monitor does."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.diagnostics import _step_store
from aniso.diagnostics.diagnosis import Diagnosis
from aniso.diagnostics.monitor import _measuring
from aniso.diagnostics.run_record import RunRecord
from aniso.problems import require_problem
from aniso.runs import executors

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.typing import ArrayLike, PathLike


class CheckpointsFailed(RuntimeError):
    """Some checkpoints could not be measured; the others are stored."""


def measure_checkpoints(
    problem: Problem,
    thetas: ArrayLike | dict[int, ArrayLike],
    folder: PathLike,
    *,
    seed: int,
    executor: str | Executor = "processes",
    measure: Callable[..., Any] | None = None,
    **settings: Any,
) -> RunRecord:
    """Measure many checkpoints, each as a unit of work of an executor.

    Parameters
    ----------
    problem : Problem, or callable () -> Problem
        Other processes get a copy of the problem, which must be picklable; or they call a function
        of a module that makes it.
    thetas : array_like, shape (T, D), or dict of int to array_like (D,)
        Checkpoints by step; those of an array have the steps 0, 1, ....
    folder : path-like
        Run directory, in the form of a :class:`Monitor`. Checkpoints that it has are not measured
        again, so that a call that was interrupted goes on.
    seed : int
        Root of the random probes. Each step has a generator of its own, as with a monitor.
    executor : str or concurrent.futures.Executor
        "serial", "processes:4", "dask://host:port", "mpi"; see :mod:`aniso.runs.executors`.
    measure : callable, optional
        As for :class:`Monitor`; other processes import it by name.
    **settings
        Further arguments of `measure`. Plain data.

    Returns
    -------
    RunRecord

    Raises
    ------
    InputError
        If an argument breaks its rule, or the folder belongs to other settings or to another
        problem.
    CheckpointsFailed
        After all others were measured and stored, if some failed; the message gives the reasons.

    Warns
    -----
    OtherTheta
        If a checkpoint was measured before at another theta. That diagnosis is put aside.

    Notes
    -----
    Results do not depend on the executor, the number of workers or their order.

    Examples
    --------
    >>> import tempfile
    >>> from aniso.diagnostics import Diagnosis, Reading
    >>> from aniso.problems import quadratic_problem
    >>> def measure(problem, theta, *, rng, learning_rate, optimizer):
    ...     return Diagnosis({"loss": Reading("loss", problem.loss(theta))})
    >>> problem = quadratic_problem([[4.0]], [0.0], [[1.0], [-1.0]])
    >>> record = measure_checkpoints(
    ...     problem, [[1.0], [2.0]], tempfile.mkdtemp(), seed=0, executor="serial", measure=measure
    ... )
    >>> record.series("loss").values  # 2 theta^2
    array([2., 8.])
    """
    made = problem() if callable(problem) else problem
    require_problem("problem", made)
    thetas = _by_step(thetas, made)
    seed, measure = checks.integer("seed", seed, low=0), _measuring(measure)
    if executor != "serial":
        _require_picklable("problem", problem)
        _require_picklable("measure", measure)
    parameters = {"settings": settings, "problem": _step_store.problem_size(made)}
    store = _step_store.StepStore(folder, parameters, seed, keep_theta=False)
    size = len(next(iter(thetas.values())))
    store.require_problem(_step_store.problem_witness(made, size))
    # a monitor has these at each step
    own = {"learning_rate": settings.get("learning_rate"), "optimizer": None}
    units = [
        (measure, problem, step, theta, seed, settings)
        for step, theta in thetas.items()
        if store.get(step, theta, own, alone=True) is None
    ]
    failed = {}

    def note(outcome):
        step, theta = outcome.unit[2:4]
        if outcome.error is not None:
            failed[step] = outcome.error
        else:
            store.put(step, theta, Diagnosis.from_json(outcome.value), own)

    executors.run_units(_measured, units, executor, on_done=note)
    if failed:
        reasons = "; ".join(
            f"step {step}: {type(error).__name__}: {error}" for step, error in failed.items()
        )
        raise CheckpointsFailed(
            f"{len(failed)} of {len(thetas)} checkpoints were not measured ({reasons}); the others "
            f"are stored in {str(folder)!r}, and a second call measures only what is missing"
        )
    found = store.diagnoses()
    return RunRecord({step: found[step] for step in thetas}, folder)


def _measured(unit):
    """Return the diagnosis of one checkpoint as JSON text."""
    measure, problem, step, theta, seed, settings = unit
    made = problem() if callable(problem) else problem
    rng = np.random.default_rng([seed, step])
    arguments = {"learning_rate": None, "optimizer": None} | settings
    return measure(made, theta, rng=rng, **arguments).to_json()


def _by_step(thetas, problem):
    if not isinstance(thetas, dict):
        thetas = dict(enumerate(thetas))
    if not thetas:
        raise checks.InputError("thetas is empty; expected at least one checkpoint")
    return {
        checks.integer("a step of thetas", step, low=0): problem.check_theta(theta)
        for step, theta in thetas.items()
    }


def _require_picklable(name, value):
    try:
        pickle.dumps(value)
    except Exception as error:
        raise checks.InputError(
            f"{name} can't be sent to other processes ({type(error).__name__}: {error}); expected "
            "a function of a module, for a problem one that returns it"
        ) from error
