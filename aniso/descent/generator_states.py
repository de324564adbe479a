"""State of a random generator as text, so that a resumed run draws the same numbers."""

import json

import numpy as np

from aniso import checks


def require_spawning(name, rng):
    """Refuse a generator that has no child generators.

    Raises
    ------
    InputError
        If its bit generator was not seeded by a numpy.random.SeedSequence.

    Examples
    --------
    >>> require_spawning("rng", np.random.default_rng(0))
    """
    if not isinstance(rng.bit_generator.seed_seq, np.random.bit_generator.ISpawnableSeedSequence):
        raise checks.InputError(
            f"{name} has a bit generator that can't spawn others; expected one that is seeded by a "
            "numpy.random.SeedSequence, for instance numpy.random.default_rng(0)"
        )


def state_text(rng):
    """Return the state of a generator as JSON.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> text = state_text(rng)
    >>> first = rng.random()
    >>> set_state(rng, text)
    >>> rng.random() == first
    True
    """
    return json.dumps(rng.bit_generator.state, default=_plain)


def set_state(rng, text):
    """Put a generator into the state that :func:`state_text` wrote.

    Raises
    ------
    InputError
        If the state is of another kind of bit generator.
    """
    state, own = json.loads(text, object_hook=_from_plain), rng.bit_generator.state
    if state["bit_generator"] != own["bit_generator"]:
        raise checks.InputError(
            f"rng has the bit generator {own['bit_generator']}, the checkpoint in the run "
            f"directory {state['bit_generator']}; expected the same; choose another directory"
        )
    rng.bit_generator.state = state


def _plain(value):
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    return value.item()


def _from_plain(content):
    if content.keys() == {"array", "dtype"}:
        return np.array(content["array"], dtype=content["dtype"])
    return content
