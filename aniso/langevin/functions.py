"""Functions that compiled kernels call: drifts, potentials, noise amplitudes, regions.

Each works on a panel of paths, `theta` (D, L), one column a path, and writes its answer into its
last argument. A kernel takes it as a pointer, so that one compiled kernel serves every function:
a drift of one's own costs what a built-in one costs, and nothing is compiled again for it.

==============  ======================================  ==========================================
role            arguments                               writes
==============  ======================================  ==========================================
drift           theta, parameters (P,), out (D, L)      the drift, minus the gradient
potential       theta, parameters (P,), out (L,)        the loss, or any observable
amplitude       theta, parameters (P,), out (2 D, L)    row i the amplitude g_i, row D + i its
                                                        derivative in theta_i
region          theta, parameters (P,), out (2, L)      row 0 a margin, positive inside, row 1 its
                                                        variance per unit of time
example         theta, index (L,), parameters (P,),     the gradient of example index[lane] in each
gradient        out (D, L)                              lane
==============  ======================================  ==========================================
"""

import functools
import importlib
import sys
from typing import NamedTuple

import numba
from numba import types

from aniso import checks

_PANEL = types.Array(types.float64, 2, "C")
_VECTOR = types.Array(types.float64, 1, "C")

PANEL_FUNCTION = types.void(_PANEL, _VECTOR, _PANEL)
"""Type of a drift, an amplitude or a region."""

ROW_FUNCTION = types.void(_PANEL, _VECTOR, _VECTOR)
"""Type of a potential."""

EXAMPLE_FUNCTION = types.void(_PANEL, types.Array(types.int64, 1, "C"), _VECTOR, _PANEL)
"""Type of the gradient of one example."""


class CarriesFunctions:
    """What holds compiled functions: in a pickle those of this package are names.

    A copy calls the kernels of its own process. They are compiled once, kept on disk, and give the
    same bits; numba alone would send their code, and compile it anew in every process.
    """

    def __getstate__(self):
        return {name: _reference(value) for name, value in vars(self).items()}

    def __setstate__(self, state):
        for name, value in state.items():
            found = value.function() if isinstance(value, _Reference) else value
            object.__setattr__(self, name, found)


class _Reference(NamedTuple):
    module: str
    name: str

    def function(self):
        return getattr(importlib.import_module(self.module), self.name)


def _reference(value):
    source = getattr(value, "py_func", None)
    module = getattr(source, "__module__", None) or ""
    if not module.startswith("aniso."):
        return value
    reference = _Reference(module, source.__qualname__)
    return reference if getattr(sys.modules[module], reference.name, None) is value else value


@functools.cache
def pointer(function, signature):
    """A compiled function as the pointer that kernels take; compiled once per process.

    Functions of this package are kept on disk between processes, others are compiled anew.
    """
    source = getattr(function, "py_func", function)
    if numba.config.DISABLE_JIT:
        return source
    cached = source.__module__.startswith("aniso.")
    return numba.cfunc(signature, nopython=True, cache=cached, error_model="numpy")(source)


def is_compiled(function):
    """Whether a function is one of numba's, or numba is switched off and all are alike."""
    return hasattr(function, "py_func") or bool(numba.config.DISABLE_JIT)


def require_callable(name, function):
    """The function, after checking that it can be called at all.

    Examples
    --------
    >>> require_callable("drift", 3)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: drift=3; expected a function (theta, parameters, out), compiled \
with numba.njit
    """
    if not callable(function):
        raise checks.InputError(
            f"{name}={function!r}; expected a function (theta, parameters, out), compiled with "
            "numba.njit"
        )
    return function
