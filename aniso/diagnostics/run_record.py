"""Diagnoses along a run: read from the folder of a monitor, as series, data set and picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import _extras, checks
from aniso.diagnostics import _step_store

if TYPE_CHECKING:
    from aniso.diagnostics.diagnosis import Diagnosis
    from aniso.typing import Array, PathLike


@dataclass(frozen=True)
class Series:
    """One quantity along a run.

    Attributes
    ----------
    name : str
    steps : ndarray of int, shape (T,)
        Steps at which it was measured, increasing.
    values : ndarray, shape (T,)
    errors : ndarray, shape (T,)
        Standard errors; 0 where the number is exact.
    """

    name: str
    steps: np.ndarray
    values: np.ndarray
    errors: np.ndarray


class RunRecord(Mapping):
    """Diagnoses by step, in the order of the steps; :func:`read_record` makes it.

    Parameters
    ----------
    diagnoses : mapping of int to Diagnosis
    folder : path-like, optional
        Where they are stored.

    Examples
    --------
    >>> from aniso.diagnostics import Diagnosis, Reading
    >>> made = [Diagnosis({"alignment": Reading("alignment", value)}) for value in (2.0, 3.0)]
    >>> record = RunRecord(dict(zip([0, 10], made)))
    >>> record.series("alignment").values, record.scalars(10)
    (array([2., 3.]), {'alignment': 3.0})
    >>> record
    <RunRecord: 2 steps, 0 to 10, of alignment>
    """

    def __init__(self, diagnoses: Mapping[int, Diagnosis], folder: PathLike | None = None) -> None:
        self._diagnoses = dict(sorted(diagnoses.items()))
        self.folder = None if folder is None else Path(folder)

    def __getitem__(self, step):
        return self._diagnoses[step]

    def __iter__(self):
        return iter(self._diagnoses)

    def __len__(self):
        return len(self._diagnoses)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps that were measured, a tuple of int, increasing."""
        return tuple(self._diagnoses)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all readings, in the order in which they are told, a tuple of str."""
        return tuple(dict.fromkeys(name for each in self.values() for name in each))

    def scalars(self, step: int, prefix: str = "") -> dict[str, float]:
        """Readings of a step and their standard errors as flat floats, for a logger.

        Parameters
        ----------
        step : int
        prefix : str
            Put before each name.

        Returns
        -------
        dict of str to float

        Raises
        ------
        InputError
            If the step was not measured.
        """
        if step not in self._diagnoses:
            raise checks.InputError(
                f"step={step!r} was not measured; expected one of {_shown(self.steps)}"
            )
        return self._diagnoses[step].scalars(prefix)

    def series(self, name: str) -> Series:
        """Return one reading along the run.

        Parameters
        ----------
        name : str
            Name of a reading, or "learning_rate".

        Returns
        -------
        Series
            Without the steps at which the quantity was refused.

        Raises
        ------
        InputError
            If no step has it.
        """
        if name == "learning_rate":
            rates = {step: each.settings.get(name) for step, each in self.items()}
            found = {step: (rate, 0.0) for step, rate in rates.items() if rate is not None}
        else:
            found = {
                step: (each[name].value, each[name].standard_error)
                for step, each in self.items()
                if name in each.readings
            }
        if not found:
            known = ", ".join([*self.names, "learning_rate"])
            raise checks.InputError(f"name={name!r} was not measured; expected one of {known}")
        values, errors = np.array(list(found.values()), dtype=np.float64).T
        return Series(name, np.array(list(found)), values, errors)

    def theta(self, step: int) -> Array:
        """Return theta of a step, shape (D,), of a monitor with ``keep_theta=True``.

        Raises
        ------
        InputError
            If it was not kept, or is damaged.
        """
        if self.folder is None:
            raise checks.InputError("the record has no folder; expected that of read_record")
        return _step_store.read_theta(self.folder, step)

    def to_xarray(self) -> Any:
        """Return all series as one data set with the dimension "step".

        Returns
        -------
        xarray.Dataset
            Standard errors are ``<name>_error``; where a quantity was refused stands nan. Formula
            and source are attributes of a variable. Settings of the first step are attributes.

        Raises
        ------
        ModuleNotFoundError
            If xarray is not installed.
        """
        with _extras.needed_for("to_xarray"):
            import xarray
        variables = {}
        for name in self.names:
            column = np.array([_number(each.readings.get(name)) for each in self.values()])
            reading = next(each[name] for each in self.values() if name in each.readings)
            told = {"formula": reading.formula, "source": reading.source}
            variables[name] = ("step", column[:, 0], told)
            variables[f"{name}_error"] = ("step", column[:, 1])
        settings = dict(next(iter(self.values())).settings) if len(self) else {}
        return xarray.Dataset(
            variables,
            {"step": list(self.steps)},
            {"settings": json.dumps(settings, ensure_ascii=False, default=str)},
        )

    def plot(self, figure: Any = None) -> list[Any]:
        """Draw the run: sharpness against 2/η, thresholds, noise scales, alignment.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            A new one of pyplot if not given.

        Returns
        -------
        list of matplotlib.axes.Axes
            One for each group of quantities that was measured.

        Raises
        ------
        InputError
            If none of them was measured.
        """
        from aniso.diagnostics import plots_of_runs

        return plots_of_runs.plot_run(self, figure)

    def __repr__(self):
        if not len(self):
            return "<RunRecord: no steps>"
        names = ", ".join(self.names[:6]) + (", ..." if len(self.names) > 6 else "")
        first, last = self.steps[0], self.steps[-1]
        return f"<RunRecord: {len(self)} steps, {first} to {last}, of {names}>"


def read_record(folder: PathLike) -> RunRecord:
    """Return the diagnoses that a monitor has stored so far, while it works or afterwards.

    Parameters
    ----------
    folder : path-like
        Folder of a :class:`Monitor` or of :func:`measure_checkpoints`.

    Returns
    -------
    RunRecord

    Raises
    ------
    InputError
        If there is no such folder.

    Warns
    -----
    DamagedFile
        For each damaged file; its step is left out.
    """
    if not (Path(folder) / "run.json").is_file():
        raise checks.InputError(
            f"folder={str(folder)!r} has no run.json; expected the folder of a Monitor"
        )
    found = _step_store.read_steps(folder)
    return RunRecord({step: diagnosis for step, (_, diagnosis, _) in found.items()}, folder)


def _number(reading):
    return (np.nan, np.nan) if reading is None else (reading.value, reading.standard_error)


def _shown(steps):
    if len(steps) <= 8:
        return ", ".join(map(str, steps)) or "none: nothing was measured yet"
    return f"{steps[0]}, {steps[1]}, ..., {steps[-1]}"
