"""Transfer of the arrays of the layer engine between places, with their checks.

The layer engine is written against the array API standard, so that the same code runs on NumPy,
PyTorch, CuPy and ``array_api_strict``. It runs on the device of its arrays
(:mod:`aniso.arrays.places`). Arrays on different devices are refused before any work is done. A
transfer is always explicit:

>>> import numpy as np
>>> to_device(np.arange(3), "cpu")
array([0, 1, 2])

NumPy arrays go to a graphics processor with ``to_device(array, "cuda")``, which makes them CuPy
arrays (extra ``aniso[gpu]``); with a ``torch.device`` they become PyTorch tensors.

"Arrays elsewhere" in docs/start/loss.md says on which places the engine has run.
"""

import math

import array_api_compat
import numpy as np

from aniso import checks
from aniso.arrays.places import NUMPY, is_foreign, is_numpy, place_of, resolve

__all__ = [
    "NUMPY",
    "asarray_like",
    "at_place",
    "checked",
    "checked_as_given",
    "copied",
    "held",
    "require_place",
    "to_device",
    "to_numpy",
]

# entries of another library's array that are tested for finiteness together
_BLOCK_ENTRIES = 2**22


def to_device(array, device):
    """Return the array at a place, moved only if it is elsewhere.

    Parameters
    ----------
    array : array
        Of NumPy, or of the library of the device.
    device : str, device or Place
        As in :func:`resolve`.

    Returns
    -------
    array

    Raises
    ------
    InputError
        If there is no such device, or the array belongs to a third library.

    Examples
    --------
    >>> to_device(np.ones(1), "cpu")
    array([1.])
    """
    there, here = resolve(array, device), place_of(array)
    if there == here:
        return array
    if there.is_numpy:
        return to_numpy(array)
    if here.is_numpy:
        # a copy, so that no code writes into the memory of the given array
        return there.namespace.asarray(np.asarray(array), device=there.handle, copy=True)
    if here.library != there.library:
        raise checks.InputError(
            f"the array is {here} and would become {there}; move it through "
            "aniso.arrays.transfer.to_numpy"
        )
    return array_api_compat.to_device(array, there.handle)


def to_numpy(array):
    """Return the array as NumPy's, copied from its device if it is on one.

    Examples
    --------
    >>> to_numpy([1.0])
    array([1.])
    """
    here = place_of(array)
    if here.is_numpy:
        return np.asarray(array)
    if here.library == "torch":
        return array.detach().cpu().numpy()
    if here.library == "cupy":
        return array.get()
    default = here.namespace.__array_namespace_info__().default_device()
    return np.asarray(array_api_compat.to_device(array, default))


def asarray_like(value, like):
    """Return a NumPy array, or a value that becomes one, at the place of `like`, in its precision.

    Parameters
    ----------
    value : array_like
        In NumPy.
    like : array
        Array whose library and device are used.

    Returns
    -------
    array

    Examples
    --------
    >>> asarray_like([1, 2], np.zeros(3))
    array([1, 2])
    """
    return to_device(np.asarray(value), place_of(like))


def require_place(name, value, place):
    """Refuse an array that is at another place.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : array_like
        A value that is no array, for instance a list of numbers, has no place and is accepted.
    place : Place
        Where it must be.

    Raises
    ------
    InputError
        If it is an array of another library or on another device.

    Examples
    --------
    >>> require_place("theta", np.zeros(3), NUMPY)
    """
    if not (is_numpy(value) or is_foreign(value)):
        return
    here = place_of(value)
    if here != place:
        raise checks.InputError(
            f"{name} is {here} and the data are {place}; expected one place: "
            f"aniso.arrays.transfer.{'to_numpy' if place.is_numpy else 'to_device'} moves {name}"
        )


def checked(name, value, place, *, shape, dtype):
    """Return a finite real array at a place: :func:`aniso.checks.array` for every library.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : array_like
        An array at `place`, or a list of numbers.
    place : Place
        Library and device of the result.
    shape : tuple
        Lengths; None leaves one free.
    dtype : numpy.dtype
        Type of the entries of the result.

    Returns
    -------
    array

    Raises
    ------
    InputError
        If it is at another place, or its shape or an entry is wrong.

    Examples
    --------
    >>> checked("theta", [1, 2], NUMPY, shape=(2,), dtype=np.float64)
    array([1., 2.])
    """
    require_place(name, value, place)
    if place.is_numpy:
        return checks.array(name, value, shape=shape, dtype=dtype)
    if not is_foreign(value):
        return to_device(checks.array(name, value, shape=shape, dtype=dtype), place)
    value = _real_array(name, value, place, shape)
    _require_finite(name, value, place, dtype)
    return place.namespace.astype(value, place.dtype(dtype), copy=False)


def copied(array):
    """Return a copy of the array at its own place.

    Examples
    --------
    >>> given = np.zeros(1)
    >>> copied(given) is given
    False
    """
    return place_of(array).namespace.asarray(array, copy=True)


def held(array):
    """Return the array as an object keeps it: :func:`aniso.checks.held` for every library.

    Examples
    --------
    >>> held(np.zeros(1)).flags.writeable
    False
    """
    return checks.held(array) if is_numpy(array) else copied(array)


def checked_as_given(name, value, place, *, shape, dtype):
    """Return a finite real array at a place in its own precision, for data converted in pieces.

    Parameters
    ----------
    name, value, place, shape
        As for :func:`checked`.
    dtype : numpy.dtype
        Precision in which the entries must be finite.

    Returns
    -------
    array
        Not copied if it was one.

    Raises
    ------
    InputError
        As for :func:`checked`.

    Examples
    --------
    >>> checked_as_given("inputs", np.ones(2), NUMPY, shape=(2,), dtype=np.float32).dtype
    dtype('float64')
    """
    require_place(name, value, place)
    if not is_foreign(value):
        given = checks.real_array(name, value, shape=shape)
        checks.require_finite(name, given, dtype=dtype)
        return to_device(given, place)
    value = _real_array(name, value, place, shape)
    _require_finite(name, value, place, dtype)
    return value


def _real_array(name, value, place, shape):
    xp = place.namespace
    if place.library == "torch":
        value = value.detach()
    if not xp.isdtype(value.dtype, ("bool", "integral", "real floating")):
        raise checks.InputError(f"{name} has dtype {value.dtype}; expected real numbers")
    given = tuple(value.shape)
    agrees = len(given) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, given, strict=True)
    )
    if not agrees:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise checks.InputError(f"{name} has shape {given}; expected ({wanted})")
    return value


def _require_finite(name, array, place, dtype):
    xp, count, entries = place.namespace, array.shape[0], math.prod(array.shape)
    step = max(1, _BLOCK_ENTRIES * count // max(1, entries))
    for start in range(0, count, step):
        part = array[start : min(start + step, count), ...]
        with np.errstate(over="ignore"):  # array_api_strict computes with NumPy
            part = xp.astype(part, place.dtype(dtype), copy=False)
        if not bool(xp.all(xp.isfinite(part))):
            checks.require_finite(name, to_numpy(array), dtype=dtype)  # names the entry


def at_place(function, array, place):
    """Return ``function(array)``, computed at a place and moved back to the place of the array.

    Parameters
    ----------
    function : callable
        Of one array at `place`, giving another one there.
    array : array
        At `place`, or NumPy's, which crosses over and back.
    place : Place
        Library and device of the computation.

    Returns
    -------
    array

    Raises
    ------
    InputError
        If the array is at a third place.

    Examples
    --------
    >>> at_place(lambda x: 2 * x, np.ones(1), NUMPY)
    array([2.])
    """
    if is_numpy(array) and not place.is_numpy:
        return to_numpy(function(to_device(array, place)))
    require_place("the array", array, place)
    return function(array)
