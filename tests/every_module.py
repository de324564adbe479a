"""All modules of a package, for tests that walk over them."""

import importlib
import pkgutil

OPTIONAL = {"jax", "lightning", "torch", "transformers"}
"""Packages that a user may do without; modules that need them are left out where they lack."""


def modules(package):
    """Yield the modules of a package, imported, in the order of their names."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            yield importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                raise
