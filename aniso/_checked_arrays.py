"""Matrices that were checked once: read-only arrays of which a property is known.

Only arrays that own their memory and are read-only are remembered, as nothing changes them. They
are forgotten with the array.
"""

import weakref

_known = {}


def _is_fixed(array):
    return array.flags.owndata and not array.flags.writeable


def remember(kind, array):
    """Remember that an array has a property; an array that can change is not remembered.

    Parameters
    ----------
    kind : str
        Name of the property.
    array : ndarray
        Array that has been checked.
    """
    if not _is_fixed(array):
        return
    key = kind, id(array)
    _known[key] = weakref.ref(array, lambda _: _known.pop(key, None))


def is_known(kind, array):
    """Return whether an array is remembered to have a property.

    Examples
    --------
    >>> import numpy as np
    >>> array = np.eye(2)
    >>> remember("symmetric", array)
    >>> is_known("symmetric", array)
    False
    >>> array.setflags(write=False)
    >>> remember("symmetric", array)
    >>> is_known("symmetric", array), is_known("symmetric", np.eye(2))
    (True, False)
    """
    reference = _known.get((kind, id(array)))
    return reference is not None and reference() is array and _is_fixed(array)
