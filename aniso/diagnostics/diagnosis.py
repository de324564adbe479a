"""The readings of a problem at one theta, as a frozen mapping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from aniso import checks
from aniso.diagnostics.reading import Reading, plain, read

if TYPE_CHECKING:
    from pathlib import Path

    from aniso.typing import PathLike


SCHEMA_NAME = "aniso.diagnosis"
SCHEMA_VERSION = 1
_MAPPINGS = ("readings", "refused", "blocks", "settings", "problem", "environment")


@dataclass(frozen=True, repr=False)
class Diagnosis(Mapping):
    """Readings by name, in the order in which they are told.

    Attributes
    ----------
    readings : mapping of str to Reading
    refused : mapping of str to str
        Quantities that could not be computed, and the reason with its number.
    blocks : mapping of str to mapping of str to float
        By block of theta: columns such as "Tr H", "Tr Sigma", "Tr(H Sigma)", "ratio", "share".
    settings : mapping
        What was asked: batch_size, replacement, learning_rate, quantities, relative_error, seed.
    problem : mapping
        What was measured: kind, num_examples, num_parameters, dtype, loss, used_examples; unit
        where an example is no entry of the data but a token.
    environment : mapping
        Versions and processor.
    seconds : float
        Wall-clock time of the measurement.

    Examples
    --------
    >>> diagnosis = Diagnosis({"alignment": Reading("alignment", 2.0, {"probes": 0.5})})
    >>> diagnosis["alignment"].value, diagnosis.scalars("noise/")
    (2.0, {'noise/alignment': 2.0, 'noise/alignment_error': 0.5})
    >>> Diagnosis.from_json(diagnosis.to_json()) == diagnosis
    True
    """

    readings: Mapping[str, Reading]
    refused: Mapping[str, str] = field(default_factory=dict)
    blocks: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self):
        for name in _MAPPINGS:
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self):
        # views of mappings can't be pickled
        return type(self), (*(dict(getattr(self, name)) for name in _MAPPINGS), self.seconds)

    def __getitem__(self, name):
        if name in self.refused:
            raise KeyError(f"{name} was refused: {self.refused[name]}")
        return self.readings[name]

    def __iter__(self):
        return iter(self.readings)

    def __len__(self):
        return len(self.readings)

    def __repr__(self):
        from aniso.diagnostics import table

        return table.as_text(self)

    def _repr_html_(self):
        from aniso.diagnostics import page

        return page.as_notebook_output(self)

    def scalars(self, prefix: str = "") -> dict[str, float]:
        """Readings and their standard errors as flat floats, for a logger.

        Parameters
        ----------
        prefix : str
            Put before each name.

        Returns
        -------
        dict of str to float
        """
        made = {}
        for name, reading in self.items():
            made[prefix + name] = reading.value
            if reading.errors:
                made[f"{prefix}{name}_error"] = reading.standard_error
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as JSON-ready data, where NaN and infinities are marked."""
        return {
            "schema": SCHEMA_NAME,
            "schema_version": SCHEMA_VERSION,
            "readings": [reading.as_dict() for reading in self.values()],
            "refused": dict(self.refused),
            "blocks": plain({name: dict(columns) for name, columns in self.blocks.items()}),
            "settings": plain(dict(self.settings)),
            "problem": plain(dict(self.problem)),
            "environment": plain(dict(self.environment)),
            "seconds": self.seconds,
        }

    def to_json(self) -> str:
        """Return the diagnosis as JSON text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)

    def to_dataframe(self) -> Any:
        """Return one row for each reading, see :func:`aniso.diagnostics.frames.as_dataframe`."""
        from aniso.diagnostics import frames

        return frames.as_dataframe(self)

    def to_xarray(self) -> Any:
        """Return a data set of the readings, see :func:`aniso.diagnostics.frames.as_dataset`."""
        from aniso.diagnostics import frames

        return frames.as_dataset(self)

    def plot(self, axes: Any = None) -> Any:
        """Draw the readings, see :func:`aniso.diagnostics.plots.plot_readings`."""
        from aniso.diagnostics import plots

        return plots.plot_readings(self, axes)

    def plot_spectrum(self, axes: Any = None) -> Any:
        """Draw the eigenvalues, see :func:`aniso.diagnostics.plots.plot_spectrum`."""
        from aniso.diagnostics import plots

        return plots.plot_spectrum(self, axes)

    def plot_blocks(self, axes: Any = None) -> Any:
        """Draw ratio and share by block, see :func:`aniso.diagnostics.plots.plot_blocks`."""
        from aniso.diagnostics import plots

        return plots.plot_blocks(self, axes)

    def to_html(self, file: PathLike) -> Path:
        """Write one page for a browser, see :func:`aniso.diagnostics.page.write_page`."""
        from aniso.diagnostics import page

        return page.write_page(self, file)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the diagnosis of :meth:`to_json`.

        Raises
        ------
        InputError
            If the text is no diagnosis of this version.
        """
        try:
            data = json.loads(text)
            found = data["schema"], data["schema_version"]
        except (ValueError, TypeError, KeyError) as error:
            raise checks.InputError(
                f"the text is no diagnosis ({type(error).__name__}: {error}); expected what "
                "to_json wrote"
            ) from error
        if found != (SCHEMA_NAME, SCHEMA_VERSION):
            raise checks.InputError(
                f"the text is {found[0]!r} version {found[1]!r}; expected "
                f"{SCHEMA_NAME!r} version {SCHEMA_VERSION}"
            )
        readings = [Reading.from_dict(part) for part in data["readings"]]
        rest = {name: read(data[name]) for name in (*_MAPPINGS[1:], "seconds")}
        return cls({reading.name: reading for reading in readings}, **rest)
