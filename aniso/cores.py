"""Processor cores that this process may use."""

import os


def available():
    """Return their number, at least 1.

    Notes
    -----
    Linux says which cores a process may run on; macOS and Windows only how many there are.

    Examples
    --------
    >>> available() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
