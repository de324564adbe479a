"""Rules that all problems share: their data, their vectors, and finite symmetric results."""

import numpy as np
from autograd.tracer import isbox

from aniso import checks, memory
from aniso.problems._tracing import plain

# asking for the available memory takes as long as copying a few of these
_LARGE_BYTES = 2**26
# rounding of a sum of examples is far below, any interaction that matters far above
_INTERACTION = 1e-6
_WIDE_TYPES = {"u": np.int64, "i": np.int64, "f": np.float64}


class LossFailed(checks.InputError):
    """The user's loss raised an error, most often because theta has a wrong length."""


def checked_data(inputs, targets):
    """Return finite inputs (float64) and targets of the same number N >= 1 of rows, read-only.

    Integer targets become int64: ``1 - 2 * y`` of an unsigned label would wrap round to 255.

    Parameters
    ----------
    inputs, targets : array_like, shape (N, ...)
        Data, one example a row.

    Returns
    -------
    inputs, targets : array
        Read-only; copies, unless they were so already.

    Raises
    ------
    InputError
        If they are not finite numbers, are empty, or do not agree in N.
    AllocationRefused
        If the copies would not fit.
    """
    inputs = checks.array("inputs", inputs)
    if targets is None:
        raise checks.InputError(
            "targets=None; expected an array with an entry or a row for each example, "
            f"numpy.zeros({len(inputs) if inputs.ndim else 'N'}) where the loss uses none"
        )
    targets = checks.array("targets", targets, dtype=None)
    targets = targets.astype(_WIDE_TYPES.get(targets.dtype.kind, targets.dtype), copy=False)
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        raise checks.InputError(
            f"inputs has shape {inputs.shape} and targets {targets.shape}; expected the same "
            "number N of examples along their first axes"
        )
    if len(inputs) == 0:
        raise checks.InputError("N=0; expected at least one example")
    if inputs.nbytes + targets.nbytes > _LARGE_BYTES:
        memory.require(
            inputs.nbytes + targets.nbytes,
            "the copy of the data",
            "use networks.Network, which does not copy them, or fewer examples",
        )
    return checks.held(inputs), checks.held(targets)


def checked_vectors(vectors, size):
    """Return the vectors as given, (D,) or (D, K), and as columns (D, K)."""
    vectors = checks.array("vectors", vectors)
    if vectors.ndim not in (1, 2) or vectors.shape[0] != size:
        raise checks.InputError(
            f"vectors has shape {vectors.shape}; expected (D,) or (D, K) with D={size}"
        )
    return vectors, vectors.reshape(size, -1)


def checked_indices(indices, num_examples):
    """Return integer indices of examples, shape (n,), n >= 1, each in 0..N-1."""
    given = checks.as_given("indices", indices)
    if given.dtype.kind not in "iu" or given.ndim != 1 or given.size == 0:
        raise checks.InputError(f"indices={indices!r}; expected a non-empty vector of integers")
    outside = (given < 0) | (given >= num_examples)
    if outside.any():
        raise checks.InputError(
            f"indices has {int(given[outside][0])}; expected 0 <= index < N={num_examples}"
        )
    return given


def finite(name, values):
    """Return the values, refused where not finite: the loss is not differentiable there."""
    with np.errstate(over="ignore", invalid="ignore"):
        # one pass over the values: their sum is finite only where all are
        is_finite = np.isfinite(np.sum(values)) or np.isfinite(values).all()
    if not is_finite:
        raise checks.InputError(
            f"{name} is not finite; expected a loss that is differentiable at this theta"
        )
    return values


def require_independent_examples(rows, gradient):
    """Refuse per-example gradients whose mean is not the gradient of the mean loss.

    Parameters
    ----------
    rows : array, shape (N, D)
        Gradients of the examples.
    gradient : array, shape (D,)
        Gradient of the mean loss.

    Raises
    ------
    InteractingExamples
        If they differ by more than 1e-6 of the largest entry, far above rounding.

    Examples
    --------
    >>> require_independent_examples(np.array([[1.0], [3.0]]), np.array([2.0]))
    """
    difference = np.abs(rows.mean(axis=0) - gradient).max()
    scale = max(np.abs(gradient).max(), rows.max(), -rows.min())
    if difference > _INTERACTION * scale:
        raise checks.InteractingExamples(
            f"the mean of the per-example gradients differs from the gradient of the mean loss by "
            f"{difference:.3g} at scale {scale:.3g}; expected a loss of one example that does not "
            "depend on the other examples (batch normalisation, outputs centred over the batch and "
            "len(inputs) in the loss do): use fixed statistics, or the covariance of "
            "gradients of whole mini-batches, numpy.cov([problem.subset(batch).gradient(theta) "
            "for batch in batches], rowvar=False); gradient and Hessian are those of this loss"
        )


def symmetrised(matrix):
    """``(A + A^T) / 2`` of a matrix that is symmetric to 1e-6 of its largest entry.

    In single precision 1e-3 of the largest entry is enough.
    """
    scale = np.abs(matrix).max()
    worst = np.abs(matrix - matrix.T).max()
    if worst > (1e-6 if matrix.dtype == np.float64 else 1e-3) * scale:
        raise checks.InputError(
            f"the Hessian is not symmetric: entries differ by {worst:.3g} at scale {scale:.3g}; "
            "expected a twice differentiable loss; problem.check(theta, rng) names "
            "the wrong derivative"
        )
    return (matrix + matrix.T) / 2


def returned_values(loss, theta, inputs, targets):
    """Values of the loss, an array; a loss that autograd can't follow is refused."""
    try:
        values = loss(theta, inputs, targets)
    except checks.InputError:
        raise
    except (ValueError, IndexError) as error:
        raise LossFailed(
            f"loss raised {type(error).__name__} at theta of shape {np.shape(plain(theta))}, "
            f"inputs {inputs.shape} and targets {targets.shape}: {error}; expected a loss "
            "(theta, inputs, targets), in this order, and a theta of as many numbers as it takes "
            "(with num_parameters another length is refused)"
        ) from error
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
