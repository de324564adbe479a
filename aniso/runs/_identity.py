"""The identity of a run, its parameters and seed: as plain data, and compared with another one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aniso import checks


def plain_data(identity):
    """Return a dictionary as JSON would give it back.

    Raises
    ------
    InputError
        If it holds anything but numbers, text, lists and dicts.
    """
    try:
        return json.loads(json.dumps(identity))
    except (TypeError, ValueError) as error:
        raise checks.InputError(
            f"parameters or seed of the run directory can't be stored ({error}); expected plain "
            "data: numbers, text, lists and dicts; for a function its name and version, for an "
            "array its hash"
        ) from error


def parameter_differences(stored: dict[str, Any], asked: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each entry in which two nested dictionaries differ.

    Parameters
    ----------
    stored, asked : dict
        Plain data; the content of ``"parameters"`` at the top is shown without that word.

    Yields
    ------
    str

    Examples
    --------
    >>> list(parameter_differences({"a": 1, "b": 2}, {"a": 1, "c": {"d": 3}}))
    ['b: stored 2, not asked for', 'c.d: not stored, asked for 3']
    """
    stored, asked = _flat(stored), _flat(asked)
    for name in sorted(stored.keys() | asked.keys()):
        if name not in asked:
            yield f"{name}: stored {stored[name]!r}, not asked for"
        elif name not in stored:
            yield f"{name}: not stored, asked for {asked[name]!r}"
        elif stored[name] != asked[name]:
            yield f"{name}: stored {stored[name]!r}, asked for {asked[name]!r}"


def _flat(content, prefix=""):
    # {"parameters": {"a": 1}, "seed": 2} -> {"a": 1, "seed": 2}
    flat = {}
    for name, value in (content or {}).items():
        label = name if not prefix else f"{prefix}.{name}"
        if name == "parameters" and not prefix:
            flat |= _flat(value)
        elif isinstance(value, dict):
            flat |= _flat(value, label)
        else:
            flat[label] = value
    return flat
