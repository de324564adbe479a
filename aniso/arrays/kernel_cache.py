"""Compiled functions that are kept on disk and are never older than their sources.

Numba keeps a compiled function as long as its own file does not change. It does not notice a change
of another file with a function that is called. Here a compiled function is kept as long as no
source file of its folder changes. This is the folder directly below the package, with all its
subfolders. A compiled function may use functions and constants of this folder only.

Where no folder can be written, functions are compiled in each process, after one warning.
"""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, sigutils
from numba.core.ccallback import CFunc
from numba.core.registry import CPUDispatcher


def njit(*, inner: bool = False, seconds: int = 0, **options: Any) -> Callable[..., Any]:
    """Compile a function as ``numba.njit`` does and keep it on disk.

    Parameters
    ----------
    inner : bool
        Whether the function is made for calls from compiled functions. These compile it without
        the code for calls from Python, in less time. A call from Python compiles it once more.
    seconds : int
        About how long it takes to compile. Above 1, a terminal shows it before it begins.
    **options
        Options of ``numba.njit``, other than ``cache``.

    Returns
    -------
    callable
        A decorator.

    Examples
    --------
    >>> @njit()
    ... def double(x):
    ...     return 2 * x
    >>> double(3)
    6
    """

    def decorate(function):
        if inner and not numba.config.DISABLE_JIT:
            compiled = _InnerFunction(function, options)
        else:
            compiled = numba.njit(**options)(function)
        if not numba.config.DISABLE_JIT:
            compiled._cache = _cache_of(function, seconds)
        return compiled

    return decorate


class _InnerFunction(CPUDispatcher):
    """A compiled function without a Python wrapper, and one with it for calls from Python."""

    def __init__(self, function, options):
        without = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        super().__init__(function, targetoptions={"nopython": True, **options, **without})
        self._from_python = numba.njit(**options)(function)

    def __call__(self, *arguments):
        return self._from_python(*arguments)


def cfunc(signature, function):
    """Compile a function to a C callback as ``numba.cfunc`` does and keep it on disk."""
    callback = CFunc(
        function,
        sigutils.normalize_signature(signature),
        locals={},
        options={"nopython": True, "error_model": "numpy"},
    )
    callback._cache = _cache_of(function)
    callback.compile()
    return callback


class _Implementation(caching.FunctionCache._impl_class):
    """Numba's own choice of the folder, with a stamp that covers all sources of a function."""

    def __init__(self, function):
        super().__init__(function)
        own = self._locator.get_source_stamp
        folder = home(Path(function.__code__.co_filename))
        self._locator.get_source_stamp = lambda: (own(), digest(folder))


class _Cache(caching.FunctionCache):
    _impl_class = _Implementation

    def __init__(self, function, seconds):
        super().__init__(function)
        self._function, self._seconds = function, seconds

    def load_overload(self, *arguments):
        try:
            found = super().load_overload(*arguments)
        except Exception:
            # a file that was cut off is as good as none, and is written again
            self._try(self.flush)
            found = None
        if found is None:
            _announce(self._function, self._seconds)
        return found

    def save_overload(self, *arguments):
        self._try(super().save_overload, *arguments)

    def _try(self, write, *arguments):
        try:
            write(*arguments)
        except OSError as error:
            _warn(f"{self.cache_path} can't be written ({error})")


def _cache_of(function, seconds=0):
    source = Path(function.__code__.co_filename)
    if not source.exists() or function.__closure__:
        # typed at a prompt, or imported from an archive: there is no folder to compare with;
        # and what a closure holds is not the same object in another process
        return caching.NullCache()
    try:
        return _Cache(function, seconds)
    except RuntimeError:
        folder = source.parent
        _warn(f"neither {folder / '__pycache__'} nor a folder in the home directory can be written")
        return caching.NullCache()


def home(source):
    """Return the folder whose sources count for a source file.

    That is the folder directly below the outermost package. Outside packages it is the folder of
    the file.
    """
    folder = source.parent
    while (folder.parent / "__init__.py").exists() and (
        folder.parent.parent / "__init__.py"
    ).exists():
        folder = folder.parent
    return folder


@functools.cache
def digest(folder):
    """Return a hash of the names and contents of all Python files in a folder and below."""
    found = hashlib.sha256()
    for source in sorted(folder.rglob("*.py")):
        content = source.read_bytes()
        found.update(f"{source.relative_to(folder)} {len(content)} ".encode())
        found.update(content)
    return found.hexdigest()


def _announce(function, seconds):
    """Show on a terminal that a function is being compiled, if that takes more than a second."""
    here = multiprocessing.parent_process() is None  # other processes share the terminal
    if seconds > 1 and here and sys.stderr is not None and sys.stderr.isatty():
        name = f"{function.__module__}.{function.__name__}".replace("._kernels", "")
        print(f"{name}: compiling once, about {seconds} s", file=sys.stderr, flush=True)


_warned = []


def _warn(reason):
    """Warn once in a process that compiled functions are not kept."""
    if _warned:
        return
    _warned.append(reason)
    warnings.warn(
        f"compiled functions are not kept: {reason}; each process compiles them again, which takes "
        "up to a minute; set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=4,
    )
