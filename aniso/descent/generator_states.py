"""State of a random generator as text, so that a resumed run draws the same numbers."""

import json

import numpy as np


def state_text(rng):
    """Return the state of a generator as JSON.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> text = state_text(rng)
    >>> first = rng.random()
    >>> restored(text).random() == first
    True
    """
    return json.dumps(rng.bit_generator.state, default=_plain)


def restored(text):
    """Return a generator in the state that :func:`state_text` wrote."""
    state = json.loads(text, object_hook=_from_plain)
    bit_generator = getattr(np.random, state["bit_generator"])()
    bit_generator.state = state
    return np.random.Generator(bit_generator)


def _plain(value):
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    return value.item()


def _from_plain(content):
    if content.keys() == {"array", "dtype"}:
        return np.array(content["array"], dtype=content["dtype"])
    return content
