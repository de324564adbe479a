"""Deltas at the outputs and their tangents, written to a plan's memory."""

import numpy as np

from aniso.networks import passes
from aniso.networks.plans import kernels
from aniso.problems import losses


def write_deltas(output_loss, z, tangents, targets, scale, deltas, moved, part):
    """Write the gradients of the losses in the outputs, and the tangents of these gradients.

    Parameters
    ----------
    output_loss : loss
        One of :mod:`aniso.problems.losses`.
    z, deltas : ndarray, shape (C, N)
        Outputs, and `scale` times the gradients in them.
    tangents, moved : ndarray, shape (K, C, N)
        Tangents of the outputs, and of the scaled gradients. K may be 0.
    targets : ndarray
        Targets of the examples of `part`.
    scale : float
        Factor of both results.
    part : slice
        Examples to write.

    Returns
    -------
    bool
        Whether all outputs are finite.
    """
    if isinstance(output_loss, losses.SoftmaxCrossEntropy):
        return kernels.softmax_tangents(
            z, tangents, targets, scale, deltas, moved, part.start, part.stop
        )
    own = z[:, part]
    outputs = own.T.astype(np.float64)
    deltas[:, part] = scale * output_loss.gradient(outputs, targets).T
    if len(tangents):
        matrices = scale * output_loss.hessian(outputs, targets)
        moved[:, :, part] = passes.weighted(matrices, tangents[:, :, part])
    return bool(np.isfinite(own).all())
