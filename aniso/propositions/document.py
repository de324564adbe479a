"""Results of a verification as a JSON document, and back.

``verification.schema.json`` describes the document. In version 2 the claims have new names, and
every source is a heading of the theory pages; the structure is the same as in version 1.
"""

import dataclasses
import json
import math
from collections import Counter

from aniso import checks
from aniso.propositions.check import Check, Statement, Verdict
from aniso.propositions.report import TaskResult, passed

SCHEMA_NAME = "aniso.verification"
SCHEMA_VERSION = 2
_WORDS = tuple(field.name for field in dataclasses.fields(Statement))
_NUMBERS = ("measured", "bound", "margin", "tolerance", "standard_error")


def as_document(results, settings, environment, seconds):
    """Return the run as JSON-ready data.

    Parameters
    ----------
    results : sequence of aniso.propositions.report.TaskResult
        Checks of each task.
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.
    environment : dict
        From :func:`aniso.runs.provenance.environment`.
    seconds : float
        Wall-clock time of the run.

    Returns
    -------
    dict
        Numbers that JSON lacks (nan, inf) are None.
    """
    counts = Counter(check.verdict for result in results for check in result.checks)
    return {
        "schema": SCHEMA_NAME,
        "schema_version": SCHEMA_VERSION,
        "scale": settings.scale,
        "seed": settings.seed,
        "environment": environment,
        "seconds": seconds,
        "verdict": "holds" if passed(results) else "fails",
        "counts": {verdict.value: counts[verdict] for verdict in Verdict},
        "tasks": [
            {
                "group": result.group,
                "name": result.name,
                "seconds": result.seconds,
                "error": result.error,
                "checks": [_plain(check) for check in result.checks],
            }
            for result in results
        ],
    }


def write_document(stream, data):
    """Write a document as JSON text to an open text stream."""
    json.dump(data, stream, indent=1, allow_nan=False)
    stream.write("\n")


def results_of(data):
    """Return the results that :func:`as_document` has described.

    Parameters
    ----------
    data : dict
        The JSON document.

    Returns
    -------
    list of aniso.propositions.report.TaskResult
        Numbers that are null in JSON are nan.

    Raises
    ------
    InputError
        If the document has another schema or another version.
    """
    for name, expected in (("schema", SCHEMA_NAME), ("schema_version", SCHEMA_VERSION)):
        if data.get(name) != expected:
            raise checks.InputError(
                f"{name}={data.get(name)!r}; expected {expected!r}; write the file anew with "
                "python -m aniso.verify_propositions --json FILE"
            )
    return [
        TaskResult(
            task["group"],
            task["name"],
            tuple(_check_of(plain) for plain in task["checks"]),
            task["seconds"],
            task["error"],
        )
        for task in data["tasks"]
    ]


def _plain(check):
    plain = dataclasses.asdict(check) | {"margin": check.margin}
    plain |= plain.pop("statement")
    plain |= {name: _finite(plain[name]) for name in _NUMBERS}
    plain["series"] = {
        name: [_finite(value) for value in values] for name, values in check.series.items()
    }
    return plain


def _check_of(plain):
    return Check(
        Statement(**{name: plain[name] for name in _WORDS}),
        _number(plain["measured"]),
        plain["relation"],
        _number(plain["bound"]),
        Verdict(plain["verdict"]),
        plain["standard_error"],
        plain["finding"],
        {name: tuple(map(_number, values)) for name, values in plain["series"].items()},
    )


def _finite(value):
    return value if value is not None and math.isfinite(value) else None


def _number(value):
    return math.nan if value is None else value
