"""The noise scale from the gradient norms of batches of two sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.estimates import Estimate
from aniso.matrices._noise_scale import NoiseScale, require_squares, scale_of_parts
from aniso.matrices.convention import minibatch_scale

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


def noise_scale_of_batches(
    small_square_norms: ArrayLike,
    large_square_norms: ArrayLike,
    small_batch_size: int,
    large_batch_size: int,
    *,
    replacement: bool,
    num_examples: int | None = None,
    paired: bool = False,
) -> NoiseScale:
    """Simple noise scale ``Tr S_1 / |g|^2`` from square norms of batch gradients of two sizes.

    Parameters
    ----------
    small_square_norms, large_square_norms : array_like, shapes (n,) and (m,)
        ``|g_B|^2`` of independent batches of either size, at least 2 each.
    small_batch_size, large_batch_size : int
        Examples per batch, the first smaller than the second.
    replacement : bool
        Whether a batch may contain an example twice. With fresh examples from a distribution, True.
    num_examples : int, optional
        N, needed without replacement.
    paired : bool
        Whether entry k of both arrays comes from the same draw, for instance a large batch and the
        mean over its parts. The pairs, n = m, must be independent of each other.

    Returns
    -------
    NoiseScale
        Its noise ``Tr S_1`` and its signal ``|g|^2`` are unbiased. The error bars come from the
        spread of the batches: jackknife over the pairs, or independent means.

    Raises
    ------
    InputError
        If an argument breaks its rule, or the squares of its spread leave the numbers.

    Notes
    -----
    ``E|g_B|^2 = |g|^2 + c_B Tr S_1`` with c_B of :func:`aniso.matrices.minibatch_scale`. Two sizes
    give two equations. Source: McCandlish et al. 2018, appendix A, for the case with replacement.

    Examples
    --------
    Gradients 1 and 3, all batches with replacement: 1, 3 and the pairs with means 1, 2, 2, 3.

    >>> scale = noise_scale_of_batches([1.0, 9.0], [1.0, 4.0, 4.0, 9.0], 1, 2, replacement=True)
    >>> scale.noise.value, scale.signal.value  # variance 1 and mean 2, squared
    (1.0, 4.0)
    """
    small = _square_norms("small_square_norms", small_square_norms)
    large = _square_norms("large_square_norms", large_square_norms)
    checks.flag("replacement", replacement)
    checks.flag("paired", paired)
    small_batch_size = checks.integer("small_batch_size", small_batch_size, low=1)
    large_batch_size = checks.integer("large_batch_size", large_batch_size, low=1)
    if large_batch_size <= small_batch_size:
        raise checks.InputError(
            f"large_batch_size={large_batch_size}; expected more than "
            f"small_batch_size={small_batch_size}"
        )
    if not replacement and num_examples is None:
        raise checks.InputError(
            "num_examples=None; expected N, the number of examples that batches without "
            "replacement are drawn from"
        )
    count = large_batch_size if num_examples is None else num_examples
    first, second = (
        minibatch_scale(count, size, replacement=replacement)
        for size in (small_batch_size, large_batch_size)
    )
    kind = f"batches of {small_batch_size} and {large_batch_size}"
    # rows: noise and signal as combinations of the two means
    weights = np.array([[1.0, -1.0], [-second, first]]) / (first - second)
    if paired:
        if small.shape != large.shape:
            raise checks.InputError(
                f"large_square_norms has shape {large.shape}; expected {small.shape}, one for each "
                "small one, as paired=True"
            )
        parts = weights @ np.stack([small, large])
        means = parts.mean(axis=1)
        left_out = (means[:, None] * len(small) - parts) / (len(small) - 1)
        return scale_of_parts(kind, *means, left_out)
    for each in (small, large):
        require_squares(each - each.mean())
    means = weights @ [small.mean(), large.mean()]
    variances = np.array([each.var(ddof=1) / len(each) for each in (small, large)])
    errors = (weights * variances) @ weights.T
    samples = min(len(small), len(large))
    noise, signal = (
        Estimate(float(means[part]), float(np.sqrt(errors[part, part])), samples) for part in (0, 1)
    )
    return NoiseScale(kind, noise, signal, float(errors[0, 1]))


def _square_norms(name, value):
    value = checks.array(name, value, shape=(None,))
    if value.size < 2 or value.min() < 0:
        raise checks.InputError(
            f"{name} has {value.size} entries, the least {value.min(initial=np.inf):g}; expected "
            "at least 2 numbers >= 0"
        )
    return value
