"""Arguments of a network, checked: data, precision, numbers of examples."""

import numpy as np

from aniso import checks
from aniso.arrays import places, transfer


def _check_precision(inputs):
    given = str(inputs.dtype).rpartition(".")[2]  # torch.float16 and its like
    if given == "uint8":
        raise checks.InputError(
            "inputs has dtype uint8; expected float64 or float32: "
            "image_transformations.scale_images makes numbers of grey values"
        )
    if given in ("float16", "bfloat16"):
        raise checks.InputError(
            f"inputs has dtype {given}; expected float64 or float32: half precision has rounded "
            "the data already"
        )


def placed(output_loss, inputs, targets, device, dtype, model):
    """Return checked inputs and targets, and the place of the passes.

    Parameters
    ----------
    output_loss : loss
        One of :mod:`aniso.problems.losses`.
    inputs, targets : array
        At one place.
    device : str, device or Place, optional
        As in :func:`aniso.arrays.places.resolve`.
    dtype : numpy.dtype
        Precision of the passes.
    model : Stack
        Architecture, whose shapes the data must have.

    Returns
    -------
    inputs : array
        Inputs of NumPy are returned as they are, in the precision in which they were given.
    targets : array
        At the place.
    place : places.Place

    Raises
    ------
    InputError
        If inputs or targets have a wrong shape, precision, place or value.
    """
    here, place = places.place_of(inputs), places.resolve(inputs, device)
    shape = (None, *model.input_shape)
    inputs = transfer.checked_as_given("inputs", inputs, here, shape=shape, dtype=dtype)
    _check_precision(inputs)
    if inputs.shape[0] == 0:
        raise checks.InputError("inputs has no examples; expected N >= 1")
    if not here.is_numpy:
        inputs = transfer.to_device(inputs, place)
    elif places.is_foreign(targets):
        here = place  # targets may be there already
    transfer.require_place("targets", targets, here)
    given = output_loss.check_targets(
        transfer.to_numpy(targets) if places.is_foreign(targets) else targets,
        inputs.shape[0],
        model.num_outputs,
    )
    return inputs, transfer.to_device(given, place), place


def floating(dtype):
    """Return a precision as NumPy's dtype, float64 or float32.

    Raises
    ------
    InputError
        If it is another one.

    Examples
    --------
    >>> floating("float32")
    dtype('float32')
    """
    if not isinstance(dtype, (str, type, np.dtype)):
        dtype = str(dtype).rpartition(".")[2]  # torch.float32 and its like
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise checks.InputError(
            f"dtype={dtype}; expected float64 or float32: half precision loses second derivatives"
        )
    return found


def checked_indices(indices, num_examples):
    """Return numbers of examples as an array of int (n,), or as a slice.

    Parameters
    ----------
    indices : array of int (n,), array of bool (N,), or slice
        Selects examples.
    num_examples : int
        N.

    Returns
    -------
    ndarray or slice

    Raises
    ------
    InputError
        If there is none, or one is no number of an example.

    Examples
    --------
    >>> checked_indices([True, False, True], 3)
    array([0, 2])
    """
    if isinstance(indices, slice):
        start, stop, step = indices.indices(num_examples)
        if len(range(start, stop, step)) > 0:
            return slice(start, stop, step)
        indices = []
    given = transfer.to_numpy(indices)
    if given.dtype == bool and given.shape == (num_examples,):
        given = np.flatnonzero(given)
    if given.size == 0:
        raise checks.InputError("indices chooses no examples; expected at least one")
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise checks.InputError(
            f"indices has shape {given.shape} and dtype {given.dtype}; expected integers (n,), "
            f"or flags ({num_examples},)"
        )
    low, high = int(given.min()), int(given.max())
    if low < 0 or high >= num_examples:
        raise checks.InputError(
            f"indices has the entry {low if low < 0 else high}; expected integers in "
            f"0..{num_examples - 1}"
        )
    return given
