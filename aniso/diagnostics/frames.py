"""A diagnosis as a table of pandas and as a data set of xarray."""

import json
import math

from aniso import _extras
from aniso.diagnostics.reading import CAUSES


def as_dataframe(diagnosis):
    """Return one row for each reading and each refused quantity.

    Parameters
    ----------
    diagnosis : Diagnosis

    Returns
    -------
    pandas.DataFrame
        Its index "quantity" holds the names. Columns: value; standard_error; the errors by cause
        (error_probes, error_examples, error_iteration), 0 where a cause has none; formula;
        sentence; source; assumptions, joined by "; "; refused, the reason or "". A refused quantity
        has the value NaN.

    Raises
    ------
    ModuleNotFoundError
        If pandas is not installed.
    """
    with _extras.needed_for("to_dataframe"):
        import pandas
    rows = {}
    for name, reading in diagnosis.items():
        rows[name] = {
            "value": reading.value,
            "standard_error": reading.standard_error,
            **{f"error_{cause}": reading.errors.get(cause, 0.0) for cause in CAUSES},
            "formula": reading.formula,
            "sentence": reading.sentence,
            "source": reading.source,
            "assumptions": "; ".join(reading.assumptions),
            "refused": "",
        }
    numbers = ["value", "standard_error", *(f"error_{cause}" for cause in CAUSES)]
    words = ["formula", "sentence", "source", "assumptions", "refused"]
    for name, reason in diagnosis.refused.items():
        rows[name] = dict.fromkeys(numbers, math.nan) | dict.fromkeys(words, "")
        rows[name]["refused"] = reason
    index = pandas.Index(list(rows), name="quantity", dtype=object)
    return pandas.DataFrame(list(rows.values()), index=index, columns=numbers + words)


def as_dataset(diagnosis):
    """Return a variable for each reading, the columns of the blocks and the spectral density.

    Parameters
    ----------
    diagnosis : Diagnosis

    Returns
    -------
    xarray.Dataset
        A reading is a variable without dimension; its standard error is ``<name>_error``. Formula,
        sentence, source and assumptions are attributes of the variable. Columns of the blocks are
        ``block <column>`` with the dimension "block". A density is ``<name>_density``, with
        ``_lower`` and ``_upper``, over ``<name>_eigenvalue``. Settings, problem, environment and
        refused quantities are attributes, as JSON texts, which every file format takes. Data sets
        of several checkpoints can be joined by ``xarray.concat``.

    Raises
    ------
    ModuleNotFoundError
        If xarray or pandas is not installed.
    """
    with _extras.needed_for("to_xarray"):
        import xarray
    variables, coordinates = {}, {}
    for name, reading in diagnosis.items():
        told = {
            "formula": reading.formula,
            "sentence": reading.sentence,
            "source": reading.source,
            "assumptions": "; ".join(reading.assumptions),
        }
        variables[name] = ((), reading.value, told)
        if reading.errors:
            errors = {f"error_{cause}": size for cause, size in reading.errors.items()}
            variables[f"{name}_error"] = ((), reading.standard_error, errors)
        curves = reading.details
        if "eigenvalues" in curves and "density" in curves:
            dimension = f"{name}_eigenvalue"
            coordinates[dimension] = curves["eigenvalues"]
            for curve in ("density", "lower", "upper"):
                if curve in curves:
                    variables[f"{name}_{curve}"] = (dimension, curves[curve])
    if diagnosis.blocks:
        coordinates["block"] = list(diagnosis.blocks)
        columns = dict.fromkeys(name for block in diagnosis.blocks.values() for name in block)
        for column in columns:
            entries = [block.get(column, math.nan) for block in diagnosis.blocks.values()]
            variables[f"block {column}"] = ("block", entries)
    parts = ("settings", "problem", "environment", "refused")
    attributes = {name: _text(getattr(diagnosis, name)) for name in parts}
    return xarray.Dataset(variables, coordinates, attributes | {"seconds": diagnosis.seconds})


def _text(mapping):
    return json.dumps(dict(mapping), ensure_ascii=False, default=str)
