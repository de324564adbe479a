"""Packages that are optional, and the extra of ``pip install`` that brings each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

EXTRAS = {
    "accelerate": "transformers",
    "cupy": "gpu",
    "distributed": "dask",
    "jax": "jax",
    "lightning": "lightning",
    "mpi4py": "mpi",
    "pandas": "tables",
    "torch": "torch",
    "transformers": "transformers",
    "xarray": "tables",
}
"""Extra by the name of a package."""


@contextlib.contextmanager
def needed_for(what: str) -> Iterator[None]:
    """Run imports; where an optional package is absent, name what to install.

    Parameters
    ----------
    what : str
        Who needs the package, for the message.

    Raises
    ------
    ModuleNotFoundError
        As :func:`absent` makes it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        told = absent(what, error)
        if told is error:
            raise
        raise told from error


def absent(what: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return the error that names what to install; the error itself for any other package.

    Parameters
    ----------
    what : str
        Who needs the package, for the message.
    error : ModuleNotFoundError
        Error of the import.

    Returns
    -------
    ModuleNotFoundError

    Examples
    --------
    >>> print(absent("JaxProblem", ModuleNotFoundError("No module named 'jax'", name="jax")))
    jax is not installed; expected it for JaxProblem: pip install 'aniso[jax]'
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return error
    return ModuleNotFoundError(
        f"{package} is not installed; expected it for {what}: "
        f"pip install 'aniso[{EXTRAS[package]}]'",
        name=error.name,
    )
