"""Provenance of numbers: the versions and the machine, stored with every result."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import aniso

_PACKAGES = ("numpy", "scipy", "autograd", "numba", "matplotlib")
# what aniso uses if it is there
_OPTIONAL = ("torch", "jax", "cupy", "pandas", "xarray", "distributed", "mpi4py", "lightning")


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
    packages = {"aniso": aniso.__version__} | _installed(_PACKAGES)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "num_cores": os.cpu_count(),
        "packages": packages,
    }


def show_versions() -> None:
    """Print the versions of aniso, Python and the packages it uses, and the machine.

    Put the output into a report of a bug.

    Examples
    --------
    >>> show_versions()
    aniso ...
    Python ...
    """
    found = environment()
    packages = found["packages"] | _installed(_OPTIONAL)
    print(f"aniso {packages.pop('aniso')}")
    print(f"Python {found['python']} on {found['platform']}")
    print(f"processor {found['processor']}, {found['num_cores']} cores")
    for name, version in packages.items():
        print(f"{name} {version}")
    absent = [name for name in _OPTIONAL if name not in packages]
    if absent:
        print("not installed: " + ", ".join(absent))


def _installed(names):
    """Return the versions of the packages that are installed, by name."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
