"""The one loop: gradient, noise, step, record, checkpoint."""

import contextlib
import math
import time
from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.descent import start_witness
from aniso.descent.hosted import on_host
from aniso.descent.measurements import Measurements
from aniso.descent.point import Point
from aniso.descent.run_state import RunState, columns
from aniso.descent.settings import Settings
from aniso.descent.structures import STRUCTURES
from aniso.problems import (
    LossFailed,
)
from aniso.runs import interruptions

SECONDS_BETWEEN_CHECKPOINTS = 10.0


@dataclass(frozen=True)
class DescentResult:
    """A run of descent, whole or ended by divergence.

    Attributes
    ----------
    theta : ndarray, shape (D,)
        Last iterate; of a diverged run the last finite one that was recorded or stepped to.
    step : int
        Steps done.
    status : {"finished", "diverged"}
    message : str
        Iteration and loss at which the run diverged; "" otherwise.
    records : dict of str to ndarray
        ``step`` (R,) and every recorded quantity (R, ...): "loss", those of the
        :class:`Measurements`, and of the step taken from there ``noise_square_norm``, the squared
        norm of the injected eps, and ``noise_trace``, its expectation (NaN where no step followed
        or it is not computed).
    """

    theta: np.ndarray
    step: int
    status: str
    message: str
    records: dict


def simulate_descent(
    objective, theta, settings, rng, *, measurements=None, run=None, progress=None
):
    """Run of ``theta <- theta - eta (grad L(theta) + eps)`` with the noise of the settings.

    Parameters
    ----------
    objective : Objective, ModelObjective or networks.Network
        Mean loss over N examples.
    theta : array_like, shape (D,)
        Start; it is not changed.
    settings : Settings
    rng : numpy.random.Generator
        Measurements draw from a child of it, so that recording more changes no iterate.
    measurements : Measurements, optional
        What is recorded; the loss at start and end if not given.
    run : run_store.RunDirectory, optional
        Where checkpoints go and from which an interrupted run goes on; opened by the caller.
    progress : callable, optional
        ``progress(step, num_steps)`` after every step.

    Returns
    -------
    DescentResult

    Raises
    ------
    InputError
        If an argument breaks its rule, or `run` holds a run of other settings or measurements,
        or from another start, or of another objective or data: told by the loss and the gradient
        at the start, up to rounding.
    NotConverged
        If eigenvectors of the Hessian do not reach their tolerance.
    KeyboardInterrupt
        After Ctrl-C, SIGTERM or run_store.ask_to_stop; with `run` not before a checkpoint has
        been written, where the noise covariance is next due. A second Ctrl-C does not wait.

    Notes
    -----
    A run that is interrupted, killed included, and resumed ends with the bits of the
    uninterrupted one: a checkpoint holds the state of all generators and is taken where the
    noise covariance is about to be evaluated anew, or at the end. A run that ended is extended by
    the same settings with a larger `num_steps`; where its noise covariance is kept over several
    steps, only from an end at which it is due.
    """
    if not hasattr(objective, "num_examples"):
        raise checks.InputError(
            f"objective of type {type(objective).__name__} has no num_examples; expected an "
            "Objective, a ModelObjective or a networks.Network"
        )
    objective = on_host(objective)
    theta = np.array(checks.parameters(theta, getattr(objective, "num_parameters", None)))
    if not isinstance(settings, Settings):
        raise checks.InputError(f"settings={settings!r}; expected descent.Settings")
    checks.generator("rng", rng)
    settings.check_examples(objective.num_examples)
    if measurements is None:
        measurements = Measurements((0, settings.num_steps))
    measurements.check_run(objective, settings.num_steps)
    witnesses = {} if run is None else _witnesses(objective, theta, measurements)
    state = RunState(theta, rng, settings, measurements, objective.num_examples, witnesses)
    if run is not None:
        stored = run.latest_checkpoint()
        if stored is not None:
            state.restore(stored)
    return _Loop(objective, settings, measurements, state, run, progress).go()


def _witnesses(objective, theta, measurements):
    found = {"objective": start_witness.witness(objective, theta)}
    if "test" in measurements.quantities:
        held_out = on_host(measurements.test_objective)
        found["test_objective"] = start_witness.witness(held_out, theta)
    return found


class _Loop:
    def __init__(self, objective, settings, measurements, state, run, progress):
        self.objective, self.settings, self.state = objective, settings, state
        self.measurements, self.steps = measurements, frozenset(measurements.steps)
        self.run, self.progress = run, progress
        self.structure = STRUCTURES.get(settings.dynamics)
        self.covariance = None
        self.interval = SECONDS_BETWEEN_CHECKPOINTS

    def go(self):
        # without a directory there is nothing to wait for
        waiting = contextlib.nullcontext() if self.run is None else interruptions.deferred()
        with waiting, np.errstate(over="ignore", invalid="ignore"):
            result = self._steps()  # a diverging run is told by its loss
            if self.run is not None and interruptions.requested():
                raise KeyboardInterrupt
            return result

    def _steps(self):
        settings, state = self.settings, self.state
        saved = time.monotonic()
        while state.step < settings.num_steps:
            due = state.step % settings.refresh_interval == 0
            if self.run is not None and due:
                stop = self.run.attend(state.step, settings.num_steps)
                stop = stop or interruptions.requested()
                if stop or time.monotonic() - saved >= self.interval:
                    self._save()
                    saved = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
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
        # a theta that has run away ends the run; any other refusal is the caller's to know
        try:
            return action()
        except LossFailed:
            raise
        except checks.InputError as error:
            if self.state.step == 0 or not self._has_run_away():
                raise
            return f"step {self.state.step}: {error}{self._last_loss()}"

    def _has_run_away(self):
        """Whether the objective refuses theta, or its loss or gradient there is beyond bounds."""
        theta = self.state.theta
        try:
            loss, gradient = self.objective.loss(theta), self.objective.gradient(theta)
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
        moved = state.theta - settings.learning_rate * direction
        if not np.isfinite(moved).all():
            return f"theta is not finite after step {state.step + 1}{self._last_loss()}"
        state.theta, state.step = moved, state.step + 1
        return ""

    def _minibatch(self, recorded):
        state = self.state
        batch = self.objective.subset(state.sampler.draw(state.rng))
        direction = batch.gradient(state.theta)
        if not recorded:
            return direction, np.nan, np.nan
        point = Point(self.objective, state.theta, self.settings, state.rng)
        noise = direction - point.gradient
        return direction, _square_norm(noise), point.exact_covariance.trace()

    def _gaussian(self, due):
        settings, state = self.settings, self.state
        if self.structure is None:
            return self.objective.gradient(state.theta), 0.0, 0.0
        silent = settings.injection == "refresh_steps" and not due
        if settings.dynamics == "gld_constant" or not due:
            gradient = self.objective.gradient(state.theta)
        if due or self.covariance is None:
            point = Point(self.objective, state.theta, settings, state.rng, state.start_vectors)
            if settings.dynamics != "gld_constant":
                gradient = point.gradient
                if not np.isfinite(gradient).all():
                    return gradient, np.nan, np.nan
            self.covariance = self.structure(point)
            state.start_vectors = point.start_vectors
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
        record = self.measurements.at(self.objective, state.theta, state.measurement_rng)
        record |= {"noise_square_norm": square_norm, "noise_trace": trace}
        state.records.append({"step": state.step} | record)

    def _too_large(self):
        """The message of a loss beyond the limit, which is recorded with it; "" otherwise."""
        state = self.state
        loss = float(self.objective.loss(state.theta))
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


def _square_norm(vector):
    return float(np.sum(np.square(vector, dtype=np.float64)))
