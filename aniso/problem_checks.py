"""Rules that every objective shares: its data, its vectors, and finite symmetric results."""

import numpy as np
from autograd.tracer import isbox

from aniso import checks

_WIDE_TYPES = {"u": np.int64, "i": np.int64, "f": np.float64}


def checked_data(inputs, targets):
    """Finite inputs (float64) and targets of the same number N >= 1 of rows.

    Integer targets become int64: ``1 - 2 * y`` of an unsigned label would wrap round to 255.
    """
    inputs = checks.array("inputs", inputs)
    targets = checks.array("targets", targets, dtype=None)
    targets = targets.astype(_WIDE_TYPES.get(targets.dtype.kind, targets.dtype), copy=False)
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        raise checks.InputError(
            f"inputs has shape {inputs.shape} and targets {targets.shape}; expected the same "
            "number N of examples along their first axes"
        )
    if len(inputs) == 0:
        raise checks.InputError("N=0; expected at least one example")
    return inputs, targets


def checked_vectors(vectors, size):
    """The vectors as given, (D,) or (D, K), and as columns (D, K)."""
    vectors = checks.array("vectors", vectors)
    if vectors.ndim not in (1, 2) or vectors.shape[0] != size:
        raise checks.InputError(
            f"vectors has shape {vectors.shape}; expected (D,) or (D, K) with D={size}"
        )
    return vectors, vectors.reshape(size, -1)


def checked_indices(indices, num_examples):
    """Integer indices of examples, shape (n,), n >= 1, each in 0..N-1."""
    given = checks.as_given("indices", indices)
    if given.dtype.kind not in "iu" or given.ndim != 1 or given.size == 0:
        raise checks.InputError(f"indices={indices!r}; expected a non-empty vector of integers")
    outside = (given < 0) | (given >= num_examples)
    if outside.any():
        raise checks.InputError(
            f"indices has {int(given[outside][0])}; expected 0 <= index < N={num_examples}"
        )
    return given


def identity_columns(size, part):
    """Columns `part` (a slice) of the identity of `size`."""
    columns = np.zeros((size, part.stop - part.start))
    columns[np.arange(part.start, part.stop), np.arange(part.stop - part.start)] = 1.0
    return columns


def finite(name, values):
    """The values, refused where not finite: the loss is not differentiable there."""
    if not np.isfinite(values).all():
        raise checks.InputError(
            f"{name} is not finite; expected a loss that is differentiable at this theta"
        )
    return values


def symmetrised(matrix):
    """``(A + A^T) / 2`` of a matrix that is symmetric to 1e-6 of its largest entry."""
    scale = np.abs(matrix).max()
    worst = np.abs(matrix - matrix.T).max()
    if worst > 1e-6 * scale:
        raise checks.InputError(
            f"the Hessian is not symmetric: entries differ by {worst:.3g} at scale {scale:.3g}; "
            "expected a twice differentiable loss; objective.check(theta, rng) tells what is wrong"
        )
    return (matrix + matrix.T) / 2


def returned_values(loss, theta, inputs, targets):
    """What the loss returns, an array; a loss that autograd can't follow is refused."""
    try:
        values = loss(theta, inputs, targets)
    except TypeError as error:
        if not isbox(theta):
            raise
        raise checks.InputError(
            f"loss can't be traced by autograd ({error}); expected a function written with "
            "autograd.numpy in place of numpy"
        ) from error
    if isinstance(values, (list, tuple)):
        raise checks.InputError(
            f"loss returned a {type(values).__name__}; expected an array of shape (N,), for "
            "instance autograd.numpy.array of it"
        )
    return values
