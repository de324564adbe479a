"""Arrays of PyTorch and JAX as NumPy's."""

import numpy as np

from aniso import checks
from aniso.arrays import places, transfer


def on_host(name, value):
    """Return an array of PyTorch or JAX as NumPy's, another value as it is.

    Raises
    ------
    InputError
        If NumPy lacks the type of a tensor.
    """
    if not places.is_foreign(value):
        return value
    if not is_tensor(value):
        return np.asarray(value)
    try:
        return transfer.to_numpy(value)
    except TypeError as error:
        raise checks.InputError(
            f"{name} is a tensor of {value.dtype}; expected float32 or float64: {name}.float()"
        ) from error


def is_tensor(value):
    """Return whether a value is a tensor of PyTorch."""
    return type(value).__module__.partition(".")[0] == "torch"
