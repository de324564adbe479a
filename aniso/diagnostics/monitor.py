"""The same diagnosis at chosen steps of a training, kept in a folder."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.diagnostics import _step_store
from aniso.diagnostics.diagnosis import Diagnosis
from aniso.diagnostics.run_record import RunRecord
from aniso.problems import require_problem

if TYPE_CHECKING:
    from aniso.diagnostics.run_record import Series
    from aniso.problems import Problem
    from aniso.typing import Array, ArrayLike, PathLike


class Monitor:
    """Diagnoses at chosen steps of a training, one JSON file a step.

    The loop stays the caller's: plain NumPy, PyTorch or JAX. A monitor changes nothing in it. A
    training that ended and starts again is not measured twice: steps that are stored are read.

    Parameters
    ----------
    folder : path-like
        Run directory, made if absent.
    problem : Problem
        Whose geometry is measured.
    steps : int, or collection of int
        Every so many steps, 0 included; or the steps themselves.
    seed : int
        Root of the random probes. Each step has a generator of its own, made of seed and step.
    measure : callable, optional
        ``measure(problem, theta, *, rng, learning_rate, optimizer, **settings) -> Diagnosis``;
        :func:`aniso.diagnostics.measure` if not given.
    keep_theta : bool
        Whether theta is stored beside each diagnosis, 8 D bytes a step.
    **settings
        Further arguments of `measure`: batch_size, replacement, quantities, ... Plain data.

    Raises
    ------
    InputError
        If an argument breaks its rule, or the folder belongs to other settings.

    Notes
    -----
    A file is whole or absent: after a kill all steps before it are there. Over the ranks of a
    :func:`aniso.frameworks.sharded` problem all ranks measure, and the first reads and writes.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from aniso.diagnostics import Diagnosis, Reading
    >>> from aniso.problems import quadratic_problem
    >>> def measure(problem, theta, *, rng, learning_rate, optimizer):
    ...     return Diagnosis({"loss": Reading("loss", problem.loss(theta))})
    >>> problem = quadratic_problem([[4.0]], [0.0], [[1.0], [-1.0]])
    >>> monitor = Monitor(tempfile.mkdtemp(), problem, steps=2, seed=0, measure=measure)
    >>> theta = np.array([1.0])
    >>> for step in range(5):  # theta halves with each step of size 1/8
    ...     _ = monitor.at_step(step, theta)
    ...     theta = theta - problem.gradient(theta) / 8
    >>> monitor.series("loss").values  # 2 theta^2
    array([2.       , 0.125    , 0.0078125])
    """

    def __init__(
        self,
        folder: PathLike,
        problem: Problem,
        *,
        steps: int | Collection[int],
        seed: int,
        measure: Callable[..., Any] | None = None,
        keep_theta: bool = False,
        **settings: Any,
    ) -> None:
        self._problem = require_problem("problem", problem)
        self._steps = _checked_steps(steps)
        self._seed = checks.integer("seed", seed, low=0)
        checks.flag("keep_theta", keep_theta)
        self._measure, self._settings = _measuring(measure), settings
        # over many processes the first one reads and writes, and tells the others
        self._on_first = getattr(problem, "on_first", _here)
        self.folder, self._store = folder, None
        self._is_known = False
        self._on_first(lambda: self._open(keep_theta))

    def _open(self, keep_theta):
        parameters = {
            "settings": self._settings,
            "problem": _step_store.problem_size(self._problem),
        }
        self._store = _step_store.StepStore(self.folder, parameters, self._seed, keep_theta)

    def _require_problem(self, theta):
        # once, when D is known
        if not self._is_known:
            witness = _step_store.problem_witness(self._problem, len(theta))
            self._on_first(lambda: self._store.require_problem(witness))
            self._is_known = True

    def due(self, step: int) -> bool:
        """Return whether a step is one of those to measure."""
        step = checks.integer("step", step, low=0)
        if isinstance(self._steps, int):
            return step % self._steps == 0
        return step in self._steps

    def at_step(
        self,
        step: int,
        theta: ArrayLike,
        *,
        learning_rate: float | None = None,
        optimizer: Any = None,
    ) -> Diagnosis | None:
        """Measure a step if it is due and not yet measured.

        Parameters
        ----------
        step : int
            Number of steps of the training before this moment.
        theta : array_like, shape (D,), or model
            The parameters; or what the problem's `theta_of` takes: a PyTorch module, a pytree. Of
            a module, buffers such as running statistics are taken as they are at this step.
        learning_rate : float, optional
            That of this step; that of the settings if not given.
        optimizer : torch.optim.Optimizer, optional
            Read for learning rate, momentum and preconditioner, not changed.

        Returns
        -------
        Diagnosis or None
            None where the step is not due.

        Raises
        ------
        InputError
            If an argument breaks its rule. If the folder belongs to another loss or other data,
            known by loss and gradient at two fixed points, or the step was measured at this theta
            with another learning rate or optimizer.

        Warns
        -----
        OtherTheta
            If the step was measured before at another theta. It is measured again; that diagnosis
            and those of later steps are kept in the folder ``abandoned``.
        """
        if not self.due(step):
            return None
        problem, theta = self._located(theta)
        step = int(step)
        self._require_problem(theta)
        settings = dict(self._settings)
        if learning_rate is not None:
            settings["learning_rate"] = checks.number("learning_rate", learning_rate, low=0.0)
        settings.setdefault("learning_rate", None)
        own = {
            "learning_rate": settings["learning_rate"],
            "optimizer": _step_store.optimizer_settings(optimizer),
        }
        stored = self._on_first(lambda: _text(self._store.get(step, theta, own)))
        if stored is not None:
            return Diagnosis.from_json(stored)
        diagnosis = self._measure(
            problem,
            theta,
            optimizer=optimizer,
            rng=np.random.default_rng([self._seed, step]),
            **settings,
        )
        self._on_first(lambda: self._store.put(step, theta, diagnosis, own))
        return diagnosis

    def theta_of(self, value: Any) -> Array:
        """Return theta of a vector or a model, shape (D,), as :meth:`at_step` takes it.

        Raises
        ------
        InputError
            If it is no theta of the problem, nor a model of its kind.
        """
        return self._located(value)[1]

    def _located(self, value):
        """Return the problem, with the buffers of a model where one is given, and theta."""
        numeric = hasattr(value, "__array__") or (
            isinstance(value, (list, tuple))
            and all(isinstance(part, numbers.Real) for part in value)
        )
        if numeric:
            return self._problem, self._problem.check_theta(_numbers(value))
        if not hasattr(self._problem, "theta_of"):
            raise checks.InputError(
                f"theta is a {type(value).__name__}; expected a vector of shape (D,): "
                f"{type(self._problem).__name__} reads no models"
            )
        problem = self._problem
        if hasattr(problem, "with_state_of"):
            problem = problem.with_state_of(value)
        return problem, problem.check_theta(problem.theta_of(value))

    @property
    def all_ranks(self) -> bool:
        """Whether every process of a distributed training calls :meth:`at_step`."""
        return hasattr(self._problem, "on_first")

    # ---- what was measured

    @property
    def record(self) -> RunRecord:
        """Diagnoses so far, a :class:`RunRecord`."""
        texts = self._on_first(
            lambda: {step: _text(each) for step, each in self._store.diagnoses().items()}
        )
        found = {step: Diagnosis.from_json(text) for step, text in texts.items()}
        return RunRecord(found, self.folder)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps that were measured, a tuple of int, increasing."""
        return self.record.steps

    def scalars(self, step: int, prefix: str = "") -> dict[str, float]:
        """Readings of a step as flat floats; see :meth:`RunRecord.scalars`."""
        return self.record.scalars(step, prefix)

    def series(self, name: str) -> Series:
        """One reading along the run; see :meth:`RunRecord.series`."""
        return self.record.series(name)

    def to_xarray(self) -> Any:
        """All series as a data set; see :meth:`RunRecord.to_xarray`."""
        return self.record.to_xarray()

    def plot(self, figure: Any = None) -> Any:
        """Draw the run; see :meth:`RunRecord.plot`."""
        return self.record.plot(figure)

    def __repr__(self):
        every = f"every {self._steps} steps" if isinstance(self._steps, int) else "at chosen steps"
        return f"<Monitor {every} of {self._problem!r} in {str(self.folder)!r}>"


def _here(function):
    return function()


def _numbers(value):
    try:
        return transfer.to_numpy(value)
    except checks.InputError:  # of JAX, for instance
        return np.asarray(value)


def _text(diagnosis):
    return None if diagnosis is None else diagnosis.to_json()


def _checked_steps(steps):
    if isinstance(steps, numbers.Integral):
        return checks.integer("steps", steps, low=1)
    try:
        chosen = frozenset(checks.integer("an entry of steps", step, low=0) for step in steps)
    except TypeError as error:
        raise checks.InputError(
            f"steps={steps!r}; expected an integer >= 1, every so many steps, or the steps"
        ) from error
    if not chosen:
        raise checks.InputError("steps is empty; expected at least one step")
    return chosen


def _measuring(measure):
    if measure is None:
        from aniso.diagnostics import measure
    if not callable(measure):
        raise checks.InputError(f"measure={measure!r}; expected a function")
    return measure
