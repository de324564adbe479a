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

import numba
from numba import types

from aniso import checks, kernel_cache

_PANEL = types.Array(types.float64, 2, "C")
_VECTOR = types.Array(types.float64, 1, "C")

PANEL_FUNCTION = types.void(_PANEL, _VECTOR, _PANEL)
"""Type of a drift, an amplitude or a region."""

ROW_FUNCTION = types.void(_PANEL, _VECTOR, _VECTOR)
"""Type of a potential."""

EXAMPLE_FUNCTION = types.void(_PANEL, types.Array(types.int64, 1, "C"), _VECTOR, _PANEL)
"""Type of the gradient of one example."""


@functools.cache
def pointer(function, signature):
    """A compiled function as the pointer that kernels take; compiled once per process.

    Functions of this package are kept on disk between processes, others are compiled anew.
    """
    source = getattr(function, "py_func", function)
    if numba.config.DISABLE_JIT:
        return source
    if source.__module__.startswith("aniso."):
        return kernel_cache.cfunc(signature, source)
    return numba.cfunc(signature, nopython=True, error_model="numpy")(source)


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
