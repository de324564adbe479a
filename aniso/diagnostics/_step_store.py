"""Diagnoses by step in a run directory: one JSON file a step, whole or absent.

run.json                 settings, size of the problem, seed, environments
problem.json             loss and gradient of the problem at two fixed points
step-000000000120.json   the diagnosis of step 120, the SHA-256 hash of its theta, and the learning
                         rate and the optimizer of that step
theta-000000000120.npz   theta of step 120, where it is kept
abandoned/               steps of a trajectory that another one has replaced
"""

import hashlib
import json
import re
import warnings
from pathlib import Path

import numpy as np

from aniso import checks
from aniso.descent import start_witness
from aniso.diagnostics.diagnosis import Diagnosis
from aniso.runs import array_files, files, run_directory

_SCHEMA, _VERSION = "aniso.diagnosis_of_a_step", 1
_NAME = re.compile(r"step-(\d+)\.json")


class OtherTheta(UserWarning):
    """A step was measured before at another theta; the run has taken another way since."""


def digest(theta):
    """SHA-256 hash of the numbers of theta, in double precision."""
    return hashlib.sha256(np.ascontiguousarray(theta, dtype=np.float64).data).hexdigest()


def read_steps(folder):
    """Return (hash of theta, Diagnosis, settings of the step) by step, in the order of the steps.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    dict of int to (str, Diagnosis, dict)

    Warns
    -----
    DamagedFile
        For each file that is no diagnosis; it is left out.
    """
    found = {}
    for path in sorted(Path(folder).iterdir()):
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if (content["schema"], content["schema_version"]) != (_SCHEMA, _VERSION):
                raise ValueError(f"its schema is {content['schema']!r}")
            diagnosis = Diagnosis.from_json(json.dumps(content["diagnosis"]))
            own = content.get("settings", {})
            found[int(name[1])] = content["theta_sha256"], diagnosis, own
        except (ValueError, KeyError, TypeError, checks.InputError) as error:
            warnings.warn(
                f"{str(path)!r} is damaged ({type(error).__name__}: {error}); the step counts as "
                "not measured",
                run_directory.DamagedFile,
                stacklevel=3,
            )
    return dict(sorted(found.items()))


def read_theta(folder, step):
    """Return theta of a step, shape (D,).

    Raises
    ------
    InputError
        If it was not kept, or is damaged.
    """
    try:
        return array_files.load_arrays(_path(folder, "theta", step, "npz"))[0]["theta"]
    except FileNotFoundError as error:
        raise checks.InputError(
            f"theta of step {step} was not kept in {str(folder)!r}; expected a monitor with "
            "keep_theta=True"
        ) from error


class StepStore:
    """The run directory of diagnoses by step, for one set of settings.

    Parameters
    ----------
    folder : path-like
    parameters : dict
        Plain data that define the measurement.
    seed : int
    keep_theta : bool
        Whether theta is stored beside each diagnosis.

    Raises
    ------
    InputError
        If the folder belongs to other parameters.
    """

    def __init__(self, folder, parameters, seed, keep_theta):
        self.folder = Path(folder)
        self._parameters, self._seed, self._keep_theta = parameters, seed, keep_theta
        with self._open():
            self._known = read_steps(self.folder)

    def require_problem(self, witness):
        """Refuse another problem than that of the stored steps; note the first one.

        Parameters
        ----------
        witness : dict
            Of :func:`problem_witness`.

        Raises
        ------
        InputError
            If its loss or its data differ.
        """
        path = self.folder / "problem.json"
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if found := start_witness.differences(stored, witness):
                raise checks.InputError(
                    f"{str(self.folder)!r} holds diagnoses of another problem: its loss or its "
                    f"data differ ({'; '.join(found)}); expected the same one, or a folder of its "
                    "own"
                )
            return
        with self._open(), files.atomic_writer(path) as stream:
            json.dump(witness, stream)

    def _open(self):
        return run_directory.RunDirectory(self.folder, self._parameters, seed=self._seed)

    def get(self, step, theta, settings, *, alone=False):
        """Return the stored diagnosis of a step at theta; None if there is none.

        Parameters
        ----------
        step : int
        theta : ndarray, shape (D,)
        settings : dict
            Plain data: what belongs to this step alone.
        alone : bool
            Whether later steps do not follow from this one.

        Raises
        ------
        InputError
            If the step was measured at this theta with other settings.

        Warns
        -----
        OtherTheta
            If the step was measured at another theta. It is put aside, with all later ones unless
            it stands alone.
        """
        if step not in self._known:
            return None
        found, diagnosis, stored = self._known[step]
        if found == digest(theta):
            if _plain(settings) != stored:
                raise checks.InputError(
                    f"step {step} was measured with {stored}; found {_plain(settings)}: expected "
                    "the same settings, or a folder of its own"
                )
            return diagnosis
        later = [step] if alone else [each for each in self._known if each >= step]
        told = f": the run took another way. Its {len(later)} diagnoses from that step on are"
        if alone:
            told = ". That diagnosis is"
        warnings.warn(
            f"step {step} was measured before at another theta{told} now in "
            f"{self.folder / 'abandoned'!s}",
            OtherTheta,
            stacklevel=4,
        )
        with self._open():
            (self.folder / "abandoned").mkdir(exist_ok=True)
            for each in later:
                self._put_aside(each)
        return None

    def _put_aside(self, step):
        del self._known[step]
        for kind, ending in (("theta", "npz"), ("step", "json")):
            path = _path(self.folder, kind, step, ending)
            if path.exists():
                path.replace(self.folder / "abandoned" / path.name)

    def put(self, step, theta, diagnosis, settings):
        """Write the diagnosis of a step; the file of the step appears last, and whole."""
        content = {
            "schema": _SCHEMA,
            "schema_version": _VERSION,
            "step": step,
            "theta_sha256": digest(theta),
            "settings": _plain(settings),
            "diagnosis": diagnosis.to_dict(),
        }
        with self._open():
            if self._keep_theta:
                path = _path(self.folder, "theta", step, "npz")
                array_files.save_arrays(path, {"theta": np.asarray(theta)}, f"step {step}")
            with files.atomic_writer(_path(self.folder, "step", step, "json")) as stream:
                json.dump(content, stream, indent=1, allow_nan=False, ensure_ascii=False)
        self._known[step] = content["theta_sha256"], diagnosis, content["settings"]

    def diagnoses(self):
        """Return the diagnoses by step, in the order of the steps."""
        return {step: diagnosis for step, (_, diagnosis, _) in sorted(self._known.items())}


def _path(folder, kind, step, ending):
    return Path(folder) / f"{kind}-{step:012d}.{ending}"


def problem_size(problem):
    """Return N, D and the precision, which identify the problem of a run."""
    return {
        "num_examples": int(problem.num_examples),
        "num_parameters": problem.num_parameters,
        "dtype": np.dtype(problem.dtype).name,
    }


def problem_witness(problem, num_parameters):
    """Return loss and gradient of a problem at two fixed points, see `start_witness.witness`.

    Running statistics, which a training changes, take no part. Over many processes all must call
    it.
    """
    if hasattr(problem, "without_statistics"):
        problem = problem.without_statistics()
    return start_witness.witness(problem, 0.1 * np.cos(0.7 * np.arange(num_parameters)))


def optimizer_settings(optimizer):
    """Return name and numbers of an optimizer's groups, plain data; None for no optimizer."""
    if optimizer is None:
        return None
    groups = [
        {name: value for name, value in group.items() if name != "params"}
        for group in getattr(optimizer, "param_groups", ())
    ]
    return {"name": type(optimizer).__name__, "groups": groups}


def _plain(settings):
    return json.loads(json.dumps(settings, default=str))
