"""Functions that compiled kernels call: drifts, potentials, noise amplitudes, regions.

Each works on a panel of paths, `theta` (D, L), one column a path, and writes its answer into its
last argument. A kernel takes it as a pointer, so one compiled kernel works with every function.
Your own drift is as fast as a built-in one, and no kernel is compiled again for it.

==============  ======================================  ==========================================
role            arguments                               writes
==============  ======================================  ==========================================
drift           theta, parameters (P,), out (D, L)      the drift, minus the gradient
potential       theta, parameters (P,), out (L,)        the loss, or any observable
amplitude       theta, parameters (P,), out (2 D, L)    row i the amplitude g_i, row D + i its
                                                        derivative in theta_i
noise           theta, parameters (P,), out (rows, L)   D standard deviations, or a factor F_ij in
                                                        row i r + j, or a covariance Sigma_ij in
                                                        row i D + j
region          theta, parameters (P,), out (2, L)      row 0 a margin, positive inside, row 1 its
                                                        variance per unit of time
example         theta, index (L,), parameters (P,),     the gradient of example index[lane] in each
gradient        out (D, L)                              lane
==============  ======================================  ==========================================

A function writes every entry of `out` at every call, and reads nothing from it before. `out` holds
NaN at first. Before a run users' functions are tried at the start and around it, see
:mod:`aniso.langevin.function_trials`. A function that raises during a run leaves NaN.
"""

import functools
import importlib
import sys
from typing import NamedTuple

import numba
import numpy as np
from numba import types

from aniso import _arguments, checks
from aniso.arrays import kernel_cache

_PANEL = types.Array(types.float64, 2, "C")
_VECTOR = types.Array(types.float64, 1, "C")

PANEL_FUNCTION = types.void(_PANEL, _VECTOR, _PANEL)
"""Type of a drift, an amplitude or a region."""

ROW_FUNCTION = types.void(_PANEL, _VECTOR, _VECTOR)
"""Type of a potential."""

NOISE_FUNCTION = types.int64(
    types.int64,
    _PANEL,
    _PANEL,
    types.int64,
    types.float64,
    _PANEL,
    _PANEL,
    _VECTOR,
    _PANEL,
)
"""Type of the increments of a form of noise, see `_kernels.state_noise`."""

EXAMPLE_FUNCTION = types.void(_PANEL, types.Array(types.int64, 1, "C"), _VECTOR, _PANEL)
"""Type of the gradient of one example."""


class CarriesFunctions:
    """Base class of objects that hold compiled functions; it pickles them by name.

    This holds for the functions of this package. An unpickled object calls the functions of its own
    process. They are compiled once, kept on disk, and give the same bits. Without this class, numba
    would send their code and compile it again in every process.
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
    """Return a compiled function as the pointer that kernels take; compiled once per process.

    Functions of this package are kept on disk between processes; others are compiled again. If
    such a function raises in a kernel, the exception is lost and `out` holds NaN. Entries that the
    function does not write are NaN too. The run then stops with NonFiniteState.

    Raises
    ------
    InputError
        If the function can't be compiled.
    """
    source = getattr(function, "py_func", function)
    if numba.config.DISABLE_JIT:
        return source
    if is_built_in(function):
        return kernel_cache.cfunc(signature, source)
    compiled = numba.njit(error_model="numpy", forceinline=True)(source)
    guarded = _GUARDS[signature](compiled)
    try:
        return numba.cfunc(signature, nopython=True, error_model="numpy")(guarded)
    except (numba.errors.NumbaError, TypeError) as error:
        raise checks.InputError(
            f"{getattr(source, '__name__', source)!r} can't be compiled; expected a function that "
            f"numba.njit compiles: {error}"
        ) from error


def _guarded_panel(compiled):
    def guarded(theta, parameters, out):
        _blank_panel(out)
        try:
            compiled(theta, parameters, out)
        except Exception:
            _blank_panel(out)

    return guarded


def _guarded_row(compiled):
    def guarded(theta, parameters, out):
        _blank_row(out)
        try:
            compiled(theta, parameters, out)
        except Exception:
            _blank_row(out)

    return guarded


def _guarded_example(compiled):
    def guarded(theta, index, parameters, out):
        _blank_panel(out)
        try:
            compiled(theta, index, parameters, out)
        except Exception:
            _blank_panel(out)

    return guarded


_GUARDS = {
    PANEL_FUNCTION: _guarded_panel,
    ROW_FUNCTION: _guarded_row,
    EXAMPLE_FUNCTION: _guarded_example,
}


@kernel_cache.njit(forceinline=True)
def _blank_panel(out):
    # loops, which take a third of the time of fill
    for i in range(out.shape[0]):
        for lane in range(out.shape[1]):
            out[i, lane] = np.nan


@kernel_cache.njit(forceinline=True)
def _blank_row(out):
    for lane in range(out.shape[0]):
        out[lane] = np.nan


def is_built_in(function):
    """Return whether a function is one of this package, which its tests cover.

    Examples
    --------
    >>> is_built_in(pointer), is_built_in(print)
    (True, False)
    """
    source = getattr(function, "py_func", function)
    return str(getattr(source, "__module__", "")).startswith("aniso.")


def parameter_array(name, value):
    """Return the parameters of a function as kernels take them, an array of its own.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    value : array_like, shape (P,)
        Of any strides and any real type; a copy is taken.

    Returns
    -------
    numpy.ndarray, shape (P,)
        In double precision, contiguous and writeable.

    Examples
    --------
    >>> parameter_array("parameters", np.arange(3)[::-1]).tolist()
    [2.0, 1.0, 0.0]
    """
    return np.array(checks.array(name, value, shape=(None,)), order="C")


def hold_arrays(made, *names):
    """Replace arrays of a frozen dataclass by copies of its own, as compiled functions take them.

    Parameters
    ----------
    made : object
        Frozen dataclass under construction.
    names : str
        Its fields that hold an array or None. The copies are contiguous float64 and writable:
        numba refuses read-only arrays where a signature is declared.
    """
    for name in names:
        value = getattr(made, name)
        if value is not None:
            object.__setattr__(made, name, np.array(checks.array(name, value), order="C"))


def is_compiled(function):
    """Return whether a function is one of numba's, or numba is switched off and all are alike."""
    return hasattr(function, "py_func") or bool(numba.config.DISABLE_JIT)


def require_callable(name, function, arguments=("theta", "parameters", "out")):
    """Return the function, after checking that it can be called with the arguments of its role.

    Parameters
    ----------
    name : str
        Role of the function, for the message.
    function : callable
        Compiled with ``numba.njit``, or plain.
    arguments : tuple of str
        Names of its arguments.

    Raises
    ------
    InputError
        If it is no function, or takes other arguments.

    Examples
    --------
    >>> require_callable("drift", 3)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: drift=3; expected a function (theta, parameters, out), compiled \
with numba.njit
    """
    return _arguments.require_function(name, function, arguments, ", compiled with numba.njit")
