"""Random numbers of the tests: every generator and every seed follows from ``--seed``."""

import zlib

import numpy as np


class _Source:
    """The option's value, and the entropy of the test that runs."""

    seed = 0
    sequence = np.random.SeedSequence(0)


def set_seed(seed):
    """Set the value of ``--seed``; before any test module is imported."""
    _Source.seed = seed


def begin(test):
    """Start the random numbers of a test, which its name and ``--seed`` determine."""
    _Source.sequence = _sequence(test)


def generator(key=None):
    """Return a generator: that of `key`, or without a key the test's next one.

    What outlives a test (a constant of a module, a fixture of wider scope) needs a key, so that it
    is the same whichever test comes first. Equal keys give equal numbers.
    """
    return np.random.default_rng(_Source.sequence.spawn(1)[0] if key is None else _sequence(key))


def fixed(number):
    """Return a generator that ``--seed`` does not change.

    It is for a case whose numbers must not change with the seed.
    """
    return np.random.default_rng(number)


def integer(key):
    """Return an integer below 2^32, to be the seed of counter-based streams."""
    return int(_sequence(key).generate_state(1)[0])


def _sequence(key):
    return np.random.SeedSequence([_Source.seed, zlib.crc32(str(key).encode())])
