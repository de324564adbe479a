"""The one loop: gradient, noise, step, record, checkpoint."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks, runs
from aniso.arrays import transfer
from aniso.descent import start_witness
from aniso.descent.batch_noise import exact_batch_covariance
from aniso.descent.generator_states import require_spawning
from aniso.descent.measurements import Measurements
from aniso.descent.run_state import RunState, columns
from aniso.descent.settings import Settings
from aniso.descent.step_blocks import StepBlocks
from aniso.descent.structures import NEEDS_COVARIANCE, STRUCTURES
from aniso.descent.updates import advanced
from aniso.problems import LossFailed, require_problem
from aniso.runs import interruptions

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.runs.run_directory import RunDirectory
    from aniso.typing import Array, ArrayLike


SECONDS_BETWEEN_CHECKPOINTS = 10.0


@dataclass(frozen=True, repr=False)
class DescentResult:
    """Result of a run of descent, finished or ended by divergence.

    Attributes
    ----------
    theta : ndarray, shape (D,)
        Last iterate; of a diverged run the last finite one.
    step : int
        Steps done.
    status : {"finished", "diverged"}
        "diverged" if the loss or an iterate was no longer finite.
    message : str
        Iteration and loss at which the run diverged; "" otherwise.
    records : dict of str to ndarray
        ``step`` (R,), "loss" (R,) and every quantity of the :class:`Measurements` (R, ...).
        ``noise_square_norm`` (R,) is the squared norm of the eps injected in the next step, and
        ``noise_trace`` (R,) its expectation. Both are NaN where no step followed or they are not
        computed.
    """

    theta: np.ndarray
    step: int
    status: str
    message: str
    records: dict[str, Array]

    def __repr__(self):
        text = f"<DescentResult: {self.status} after {self.step} steps, D = {len(self.theta)}"
        if len(self.records.get("loss", ())):
            text += f", last recorded loss {float(self.records['loss'][-1]):.6g}"
        if self.records:
            text += f"; records of {', '.join(self.records)}"
        return text + (f"; {self.message}>" if self.message else ">")


def simulate_descent(
    problem: Problem,
    theta: ArrayLike,
    settings: Settings,
    rng: np.random.Generator,
    *,
    measurements: Measurements | None = None,
    run: RunDirectory | None = None,
    progress: Callable[..., Any] | None = None,
) -> DescentResult:
    """Run ``theta <- theta - eta (grad L(theta) + eps)`` with the noise of the settings.

    The settings may add momentum or Adam, weight decay and a schedule of the learning rate.

    Parameters
    ----------
    problem : problems.Problem
        Mean loss over N examples; a network may be on another device.
    theta : array_like, shape (D,)
        Start; it is not changed.
    settings : Settings
        Dynamics, learning rate, batch size and number of steps.
    rng : numpy.random.Generator
        Source of the random numbers. Measurements use a separate child generator, so that
        recording more quantities changes no iterate. After a resumed run it stands where it does
        after an uninterrupted one.
    measurements : Measurements, optional
        Recorded quantities and their steps; the loss at start and end if not given.
    run : runs.run_directory.RunDirectory, optional
        Directory of the checkpoints. An interrupted run continues from its last checkpoint. The
        caller opens it.
    progress : callable, optional
        ``progress(step, num_steps)`` after every step. Without it, plain steps of SGD on a network
        are taken in blocks of some hundredths of a second, which takes less time.

    Returns
    -------
    DescentResult

    Raises
    ------
    InputError
        If an argument breaks its rule. If `run` holds a run of other settings or measurements,
        from another start, or of another problem or data; the loss and the gradient at the start
        are compared, up to rounding. In single precision a few changed examples among more than
        10^4 change neither by more than that.
    NotConverged
        If eigenvectors of the Hessian do not reach their tolerance.
    KeyboardInterrupt
        After Ctrl-C, SIGTERM or a request to stop. With `run` a checkpoint is written first, at the
        next step whose noise covariance is due. A second Ctrl-C does not wait.

    Notes
    -----
    A run that was interrupted, or even killed, and then resumed ends with the same bits as an
    uninterrupted one. A checkpoint holds the state of all generators. It is taken before a new
    evaluation of the noise covariance, or at the end. The same settings with a larger `num_steps`
    extend a run that ended. If the noise covariance is kept over several steps, the run must have
    ended at a step of a new evaluation.
    """
    problem = require_problem("problem", problem).on_host()
    theta = np.array(problem.check_theta(theta))
    if not isinstance(settings, Settings):
        raise checks.InputError(f"settings={settings!r}; expected descent.Settings")
    require_spawning("rng", checks.generator("rng", rng))
    stored = _checked_checkpoint(measurements, run, progress)
    settings.check_examples(problem.num_examples)
    if measurements is None:
        measurements = Measurements((0, settings.num_steps))
    measurements.check_run(problem, settings.num_steps)
    witnesses = {} if run is None else _witnesses(problem, theta, measurements)
    state = RunState(theta, rng, settings, measurements, problem.num_examples, witnesses)
    if stored is not None:
        state.restore(stored)
    return _Loop(problem, settings, measurements, state, run, progress).go()


def _checked_checkpoint(measurements, run, progress):
    """Return the last checkpoint of a run, after checking the optional arguments."""
    if measurements is not None and not isinstance(measurements, Measurements):
        raise checks.InputError(
            f"measurements={measurements!r}; expected descent.Measurements, or None"
        )
    if progress is not None and not callable(progress):
        raise checks.InputError(
            f"progress={progress!r}; expected a function of step and num_steps, or None"
        )
    if run is None:
        return None
    if not isinstance(run, runs.run_directory.RunDirectory):
        raise checks.InputError(
            f"run={run!r}; expected an open runs.run_directory.RunDirectory, or None: "
            "`with RunDirectory(folder, parameters, seed=1) as run:`"
        )
    return run.latest_checkpoint()


def _witnesses(problem, theta, measurements):
    found = {"problem": start_witness.witness(problem, theta)}
    if "test" in measurements.quantities:
        held_out = measurements.test_problem.on_host()
        found["test_problem"] = start_witness.witness(held_out, theta)
    if "groups" in measurements.quantities:
        for name, problem in measurements.groups.items():
            found[f"group {name}"] = start_witness.witness(problem.on_host(), theta)
    return found


class _Loop:
    def __init__(self, problem, settings, measurements, state, run, progress):
        self.problem, self.settings, self.state = problem, settings, state
        self.measurements, self.steps = measurements, frozenset(measurements.steps)
        self.run, self.progress = run, progress
        self.blocks = StepBlocks(problem, settings, measurements.steps)
        self.structure = STRUCTURES.get(settings.dynamics)
        self.covariance = None
        # a covariance that is kept over several steps is not stored
        kept = settings.dynamics in NEEDS_COVARIANCE
        self.steps_between_stops = settings.refresh_interval if kept else 1
        self.interval = SECONDS_BETWEEN_CHECKPOINTS

    def go(self):
        # without a directory there is nothing to wait for
        waiting = contextlib.nullcontext() if self.run is None else interruptions.deferred()
        with waiting, np.errstate(over="ignore", invalid="ignore"):
            result = self._steps()  # the loss of a diverging run ends it
            if self.run is not None and interruptions.requested():
                interruptions.stop()
            return result

    def _steps(self):
        settings, state = self.settings, self.state
        saved = time.monotonic()
        while state.step < settings.num_steps:
            if self.run is not None and state.step % self.steps_between_stops == 0:
                stop = self.run.attend(state.step, settings.num_steps)
                stop = stop or interruptions.requested()
                if stop or time.monotonic() - saved >= self.interval:
                    self._save()
                    saved = time.monotonic()
                if stop:
                    interruptions.stop()
            if self.progress is None and self.blocks.advance(state, self.steps_between_stops):
                continue
            due = state.step % settings.refresh_interval == 0
            message = self._guarded(lambda due=due: self._step(due))
            if message:
                return self._result("diverged", message)
            if self.progress is not None:
                self.progress(state.step, settings.num_steps)
        if self.run is not None:
            self._save()
        if state.step in self.steps:
            message = self._guarded(self._last_record)
            if message:
                return self._result("diverged", message)
        return self._result("finished", "")

    def _guarded(self, action):
        # where theta has run away, the refusal ends the run; any other refusal goes to the caller
        try:
            return action()
        except LossFailed:
            raise
        except checks.InputError as error:
            if self.state.step == 0 or not self._has_run_away():
                raise
            return f"step {self.state.step}: {error}{self._last_loss()}"

    def _has_run_away(self):
        """Whether the problem refuses theta, or its loss or gradient there is beyond bounds."""
        theta = self.state.theta
        try:
            loss, gradient = self.problem.loss(theta), self.problem.gradient(theta)
        except checks.InputError:
            return True
        return not (loss <= self.settings.divergence_loss and math.isfinite(gradient @ gradient))

    def _save(self):
        state = self.state
        self.run.save_checkpoint(
            state.step, state.arrays(), state.details(), num_steps=self.settings.num_steps
        )

    def _step(self, due):
        """One step; the message of a divergence, or ""."""
        settings, state = self.settings, self.state
        recorded = state.step in self.steps
        if recorded:
            message = self._too_large()
            if message:
                return message
        if settings.dynamics == "sgd":
            direction, square_norm, trace = self._minibatch(recorded)
        else:
            direction, square_norm, trace = self._gaussian(due)
        if recorded:
            self._record(square_norm, trace)
        moved, memory = advanced(
            state.theta,
            direction,
            settings.learning_rate_at(state.step),
            settings.update,
            settings.decay,
            state.update_state,
            state.step + 1,
        )
        # an infinite square of Adam would leave theta where it is
        for name, array in {"theta": moved, **memory}.items():
            if not np.isfinite(array).all():
                return f"{name} is not finite after step {state.step + 1}{self._last_loss()}"
        state.theta, state.update_state, state.step = moved, memory, state.step + 1
        return ""

    def _minibatch(self, recorded):
        state = self.state
        batch = self.problem.subset(state.sampler.draw(state.rng))
        direction = batch.gradient(state.theta)
        if not recorded:
            return direction, np.nan, np.nan
        at = self.problem.at(state.theta)
        noise = direction - _mean_gradient(at)
        trace = exact_batch_covariance(at, self.settings).trace()
        return direction, _square_norm(noise), trace

    def _gaussian(self, due):
        settings, state = self.settings, self.state
        if self.structure is None:
            return self.problem.gradient(state.theta), 0.0, 0.0
        silent = settings.injection == "refresh_steps" and not due
        if settings.dynamics == "gld_constant" or not due:
            gradient = self.problem.gradient(state.theta)
        if due or self.covariance is None:
            at = self.problem.at(state.theta)
            if settings.dynamics != "gld_constant":
                gradient = _mean_gradient(at)
                if not np.isfinite(gradient).all():
                    return gradient, np.nan, np.nan
            injected = self.structure(at, settings, state.rng, state.start_vectors)
            self.covariance = injected.covariance
            state.start_vectors = injected.eigenvectors
        if silent:
            return gradient, 0.0, 0.0
        noise = transfer.to_numpy(self.covariance.sample(state.rng, 1))[0]
        return gradient + noise, _square_norm(noise), self.covariance.trace()

    def _last_record(self):
        message = self._too_large()
        if not message:
            self._record(np.nan, np.nan)
        return message

    def _record(self, square_norm, trace):
        state = self.state
        record = self.measurements.at(self.problem, state.theta, state.measurement_rng)
        record |= {"noise_square_norm": square_norm, "noise_trace": trace}
        state.records.append({"step": state.step} | record)

    def _too_large(self):
        """The message of a loss beyond the limit, which is recorded with it; "" otherwise."""
        state = self.state
        loss = float(self.problem.loss(state.theta))
        if math.isfinite(loss) and loss <= self.settings.divergence_loss:
            return ""
        state.records.append({"step": state.step, "loss": loss})
        return f"loss {loss:g} at step {state.step}"

    def _last_loss(self):
        if not self.state.records:
            return ""
        last = self.state.records[-1]
        return f"; the last recorded loss was {last['loss']:g} at step {last['step']}"

    def _result(self, status, message):
        state = self.state
        return DescentResult(state.theta, state.step, status, message, columns(state.records))


def _mean_gradient(at):
    # the noise needs the gradients of the examples, so that their mean costs little more
    return transfer.to_numpy(at.example_gradients.mean())


def _square_norm(vector):
    return float(np.sum(np.square(vector, dtype=np.float64)))
