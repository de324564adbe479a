"""Provenance of numbers: the versions and the machine, stored with every result."""

import importlib.metadata
import os
import platform

import aniso

_PACKAGES = ("numpy", "scipy", "autograd", "numba", "matplotlib")


def environment():
    """Return versions and machine as plain data.

    Returns
    -------
    dict
        ``python``, ``platform``, ``processor``, ``num_cores`` and ``packages`` (name to version;
        packages that are not installed are left out).

    Examples
    --------
    >>> sorted(environment())
    ['num_cores', 'packages', 'platform', 'processor', 'python']
    """
    packages = {"aniso": aniso.__version__}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "num_cores": os.cpu_count(),
        "packages": packages,
    }
