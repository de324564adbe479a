"""Batch sharpness of a problem, from sampled batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.closed_forms import batch_sharpness_of_draws
from aniso.descent.batches import BatchSampler
from aniso.matrices import minibatch_scale
from aniso.problems import require_problem

if TYPE_CHECKING:
    from aniso.closed_forms import BatchSharpness
    from aniso.problems import Problem
    from aniso.typing import ArrayLike


def sample_batch_sharpness(
    problem: Problem,
    theta: ArrayLike,
    batch_size: int,
    num_batches: int,
    rng: np.random.Generator,
    *,
    replacement: bool,
) -> BatchSharpness:
    """Estimate both batch sharpnesses of a problem from the same sampled batches.

    Parameters
    ----------
    problem : problems.Problem
        A network may be on another device.
    theta : array_like, shape (D,)
        Point in parameter space.
    batch_size : int
        B; at most N without replacement.
    num_batches : int
        Independent batches, at least 2.
    rng : numpy.random.Generator
        Draws the batches.
    replacement : bool
        Whether a batch may contain an example twice. No default: the two differ.

    Returns
    -------
    closed_forms.BatchSharpness
        The mean of ratios ``E[g_B^T H_B g_B / |g_B|^2]`` and the ratio of means
        ``E[g_B^T H_B g_B] / E|g_B|^2``, each with its standard error.

    Raises
    ------
    InputError
        If an argument breaks its rule, or a batch has a zero gradient.

    Notes
    -----
    One gradient and one Hessian product of each batch. H_B is the full Hessian of the batch's loss.

    Examples
    --------
    With the Hessian 2 for every batch both are 2:

    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0]])
    >>> rng = np.random.default_rng(0)
    >>> made = sample_batch_sharpness(bowl, [3.0], 1, 10, rng, replacement=True)
    >>> round(made.mean_of_ratios.value, 9), round(made.ratio_of_means.value, 9)
    (2.0, 2.0)
    """
    problem = require_problem("problem", problem).on_host()
    theta = problem.check_theta(transfer.to_numpy(theta))
    num_batches = checks.integer("num_batches", num_batches, low=2)
    checks.generator("rng", rng)
    minibatch_scale(problem.num_examples, batch_size, replacement=replacement)
    drawn = "with_replacement" if replacement else "without_replacement"
    sampler = BatchSampler(problem.num_examples, batch_size, drawn)
    curvatures, square_norms = np.empty(num_batches), np.empty(num_batches)
    for number in range(num_batches):
        batch = problem.subset(sampler.draw(rng))
        gradient = np.asarray(batch.gradient(theta), dtype=np.float64)
        product = np.asarray(batch.hessian_product(theta, gradient), dtype=np.float64)
        curvatures[number], square_norms[number] = gradient @ product, gradient @ gradient
    return batch_sharpness_of_draws(curvatures, square_norms)
