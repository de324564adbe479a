"""State of a run: all that the next step depends on, stored and restored."""

import numpy as np

from aniso import checks
from aniso.descent import start_witness
from aniso.descent.batches import BatchSampler
from aniso.descent.generator_states import set_state, state_text
from aniso.descent.structures import NEEDS_COVARIANCE
from aniso.runs import parameter_differences


class RunState:
    """All that the next step depends on, and the records of the steps before it.

    Parameters
    ----------
    theta : ndarray, shape (D,)
        Point in parameter space.
    rng : numpy.random.Generator
        Source of the random numbers; measurements use a separate child generator.
    settings : Settings
        Dynamics, step size, batches and number of steps.
    measurements : Measurements
        Quantities to record, and when.
    num_examples : int
        N.
    witnesses : dict of str to dict
        Identity of the start and of the problems, by :func:`aniso.descent.start_witness.witness`.

    Notes
    -----
    The noise covariance is not stored. Save a state where the covariance is due, or at the end of
    the run, in both cases before this step's record.
    """

    def __init__(self, theta, rng, settings, measurements, num_examples, witnesses):
        self.theta, self.step, self.witnesses = theta, 0, witnesses
        self.rng, self.measurement_rng = rng, rng.spawn(1)[0]
        self.settings, self.measurements = settings, measurements
        self.sampler = BatchSampler(num_examples, settings.batch_size, settings.sampling)
        self.start_vectors = None
        self.update_state = {} if settings.update is None else settings.update.start(len(theta))
        self.records = []

    def arrays(self):
        """Return the state's arrays by name."""
        arrays = {"theta": self.theta, "order": self.sampler.order}
        if self.start_vectors is not None:
            arrays["start_vectors"] = self.start_vectors
        arrays |= {f"update_{k}": v for k, v in self.update_state.items()}
        return arrays | {f"record_{k}": v for k, v in columns(self.records).items()}

    def details(self):
        """Settings, generators and the rest of the state, as plain data."""
        return {
            "settings": self.settings.parameters(),
            "measurements": self.measurements.parameters(),
            "witnesses": self.witnesses,
            "position": self.sampler.position,
            "rng": state_text(self.rng),
            "measurement_rng": state_text(self.measurement_rng),
        }

    def restore(self, stored):
        """Replace the start by the state of a checkpoint; the given generator gets its state too.

        Parameters
        ----------
        stored : runs.run_directory.Stored
            Arrays and details of the checkpoint.

        Raises
        ------
        InputError
            If the checkpoint belongs to other settings, measurements or numbers of parameters
            (`num_steps` may differ), or to another start, problem, data or kind of generator. If
            it lies beyond `num_steps`, or the run can't be extended from it.
        """
        self._refuse_foreign(stored)
        arrays, details = stored.arrays, stored.details
        self.step, self.theta = stored.step, arrays["theta"]
        self.sampler.order = arrays["order"]
        self.sampler.position = details["position"]
        set_state(self.rng, details["rng"])
        set_state(self.measurement_rng, details["measurement_rng"])
        self.start_vectors = arrays.get("start_vectors")
        self.update_state = {name: arrays[f"update_{name}"] for name in self.update_state}
        recorded = {
            k.removeprefix("record_"): v for k, v in arrays.items() if k.startswith("record_")
        }
        count = len(recorded.get("step", ()))
        self.records = [{k: v[i] for k, v in recorded.items()} for i in range(count)]

    def _refuse_foreign(self, stored):
        settings, step = self.settings, stored.step
        if "theta" not in stored.arrays:
            raise checks.InputError(
                f"the checkpoint in the run directory has no theta, but {sorted(stored.arrays)}; "
                "expected one of simulate_descent; choose another directory"
            )
        if stored.arrays["theta"].shape != self.theta.shape:
            raise checks.InputError(
                f"theta has shape {self.theta.shape}, the checkpoint in the run directory "
                f"{stored.arrays['theta'].shape}; expected the same; choose another directory"
            )
        own = self.details()
        parts = [
            {name: dict(details.get(name, {})) for name in ("settings", "measurements")}
            for details in (stored.details, own)
        ]
        for part in parts:
            part["settings"].pop("num_steps", None)  # more steps of the same run are its extension
        lines = list(parameter_differences(*parts))
        found = stored.details.get("witnesses", {})
        for name, witness in self.witnesses.items():
            differing = start_witness.differences(found.get(name, {}), witness)
            lines += [f"{name}: {line}" for line in differing]
        if lines:
            shown = "\n".join(f"  {line}" for line in lines)
            raise checks.InputError(
                f"the checkpoint in the run directory belongs to another run:\n{shown}\n"
                "expected the same settings, measurements, start and problem; choose another "
                "directory"
            )
        if step > settings.num_steps:
            raise checks.InputError(
                f"num_steps={settings.num_steps}; the run directory holds {step} steps; expected "
                f"num_steps >= {step}, or another directory"
            )
        recorded = set(np.asarray(stored.arrays.get("record_step", ()), dtype=int).tolist())
        unlike = recorded ^ {planned for planned in self.measurements.steps if planned < step}
        if unlike:
            raise checks.InputError(
                f"steps of the measurements differ from those of the run directory, first in step "
                f"{min(unlike)}; expected the same steps below {step}; choose another directory"
            )
        between = step % settings.refresh_interval != 0
        if between and step < settings.num_steps and settings.dynamics in NEEDS_COVARIANCE:
            raise checks.InputError(
                f"num_steps={settings.num_steps}; the run directory holds a run that ended after "
                f"{step} steps, between two evaluations of its noise covariance, of which nothing "
                f"is stored; expected an end at a multiple of "
                f"refresh_interval={settings.refresh_interval} to extend it; start anew in another "
                "directory"
            )


def columns(records):
    """Return the records as a dictionary of arrays.

    The first record gives the names. NaN fills the quantities that a diverged run did not measure.

    Examples
    --------
    >>> columns([{"step": 0, "loss": 2.0, "norm": 1.0}, {"step": 5, "loss": 1e9}])
    {'step': array([0, 5]), 'loss': array([2.e+00, 1.e+09]), 'norm': array([ 1., nan])}
    """
    if not records:
        return {}
    return {
        name: np.array([record.get(name, np.full(np.shape(value), np.nan)) for record in records])
        for name, value in records[0].items()
    }
