"""The covariance of a mini-batch gradient that a run of descent imitates."""

import numpy as np

from aniso.arrays import transfer
from aniso.matrices import FactoredCovariance, noise


def batch_covariance(at, settings, rng):
    """Return the covariance of the mean gradient of a mini-batch, by the settings' method.

    Parameters
    ----------
    at : problems.LocalGeometry
        Gradients at the present theta.
    settings : Settings
        `covariance_source` decides: exact, or estimated from the batches of one epoch.
    rng : numpy.random.Generator
        Draws the epoch; unused where the covariance is exact.

    Returns
    -------
    GradientCovariance or FactoredCovariance
    """
    if settings.covariance_source == "batches":
        return _estimated_covariance(at, settings, rng)
    return exact_batch_covariance(at, settings)


def exact_batch_covariance(at, settings):
    """Return the covariance of the mean gradient of a mini-batch, from the per-example gradients.

    Parameters
    ----------
    at : problems.LocalGeometry
        Gradients at the present theta.
    settings : Settings
        Size of the batch, and whether it is drawn with replacement.

    Returns
    -------
    GradientCovariance
    """
    return noise.minibatch_covariance(
        at.noise, settings.batch_size, replacement=settings.replacement
    )


def _estimated_covariance(at, settings, rng):
    # the published estimate: gradients of the disjoint batches of one shuffled epoch, ddof 1
    count, size = at.problem.num_examples, settings.batch_size
    num_batches = count // size
    order = rng.permutation(count)[: num_batches * size].reshape(num_batches, size)
    weights = np.zeros((num_batches, count))
    np.put_along_axis(weights, order, 1 / size, axis=1)
    gradients = at.example_gradients
    weights = transfer.to_device(weights.astype(gradients.dtype), gradients.place)
    rows = np.asarray(transfer.to_numpy(gradients.combine(weights)), dtype=np.float64)
    return FactoredCovariance(rows - rows.mean(axis=0), 1 / (num_batches - 1))
