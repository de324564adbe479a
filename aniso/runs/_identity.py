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
        If it holds anything but numbers, text, lists and dicts, or two names with the same text.
    """
    try:
        return json.loads(json.dumps(identity), object_pairs_hook=_distinct)
    except (TypeError, ValueError) as error:
        raise checks.InputError(
            f"parameters or seed of the run directory can't be stored ({error}); expected plain "
            "data: numbers, text, lists and dicts; for a function its name and version, for an "
            "array its hash"
        ) from error


def _distinct(pairs):
    # names are stored as text
    found = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"two names are {name!r} as text")
        found[name] = value
    return found


def parameter_differences(stored: dict[str, Any], asked: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each entry in which two nested dictionaries differ.

    Parameters
    ----------
    stored, asked : dict
        Plain data; the content of ``"parameters"`` at the top is shown without that word.

    Yields
    ------
    str

    Notes
    -----
    1 and 1.0 are the same number, True and 1 are not; NaN equals NaN.

    Examples
    --------
    >>> list(parameter_differences({"a": 1, "b": 2}, {"a": 1, "c": {"d": 3}}))
    ['b: stored 2, not asked for', 'c.d: not stored, asked for 3']
    """
    stored, asked = _leaves(stored), _leaves(asked)
    for path in sorted(stored.keys() | asked.keys(), key=lambda path: (_label(path), path)):
        if path not in asked:
            if not _is_filled(path, stored, asked):
                yield f"{_label(path)}: stored {stored[path]!r}, not asked for"
        elif path not in stored:
            if not _is_filled(path, asked, stored):
                yield f"{_label(path)}: not stored, asked for {asked[path]!r}"
        elif _text(stored[path]) != _text(asked[path]):
            yield f"{_label(path)}: stored {stored[path]!r}, asked for {asked[path]!r}"


def _leaves(content, path=()):
    # {"a": {"b": 1}, "c": {}} -> {("a", "b"): 1, ("c",): {}}
    if not isinstance(content, dict) or not content:
        return {path: content}
    leaves = {}
    for name, value in content.items():
        leaves |= _leaves(value, (*path, name))
    return leaves


def _is_filled(path, own, other):
    """Return whether an empty dictionary has entries in the other one, which are shown."""
    return own[path] == {} and any(longer[: len(path)] == path for longer in other)


def _label(path):
    shown = path[1:] if path[:1] == ("parameters",) and len(path) > 1 else path
    return ".".join(repr(name) if "." in name else name for name in shown)


def _text(value):
    return json.dumps(json.loads(json.dumps(value), parse_float=_number), sort_keys=True)


def _number(digits):
    value = float(digits)
    return int(value) if value.is_integer() else value
