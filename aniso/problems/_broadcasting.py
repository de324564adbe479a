"""Test on three examples whether a loss broadcasts over leading axes."""

import autograd.numpy as anp
import numpy as np

from aniso.problems._tracing import plain, traced

NUM_EXAMPLES = 3  # other than the two thetas, so that no two axes agree by accident
TOLERANCE = 1e-10  # rounding of a reordered sum is far below, any wrong pairing far above


def broadcasts(loss, theta, inputs, targets):
    """Return whether a loss broadcasts over leading axes.

    It then maps theta (..., D), inputs (..., n, d), targets (..., n) to losses (..., n).
    Two layouts are tried at two distinct perturbations of theta on three examples: several thetas
    on shared examples, theta (2, D); and one theta an example, theta (3, D), inputs (3, 1, d),
    targets (3, 1). Values and gradients must agree with separate calls.

    Parameters
    ----------
    loss : callable
        Per-example loss written with autograd's NumPy.
    theta : array, shape (D,)
        Point in parameter space.
    inputs : array, shape (N, ...)
        Inputs of the examples.
    targets : array, shape (N, ...)
        Targets of the examples.

    Returns
    -------
    bool
        False also where an error or a non-finite number occurs: separate calls are right in any
        case.

    Notes
    -----
    Costs six small evaluations with gradients. Functions that index ``theta[0]`` do not
    broadcast; ``theta[..., 0]`` does.

    Examples
    --------
    >>> def right(theta, x, y): return (theta[..., 0, None] * x - y) ** 2
    >>> def wrong(theta, x, y): return (theta[0] * x - y) ** 2
    >>> x = y = np.array([1.0, 2.0])
    >>> [broadcasts(loss, np.array([3.0]), x, y) for loss in (right, wrong)]
    [True, False]
    """
    some = np.arange(NUM_EXAMPLES) % len(inputs)
    inputs, targets = inputs[some], targets[some]
    wave = np.cos(1.0 + np.arange(theta.size))
    scale = 1e-2 * (1.0 + np.abs(theta))
    thetas = np.stack([theta + scale * wave, theta - 0.5 * scale * wave[::-1]])
    try:
        with np.errstate(all="ignore"):
            return _shared_examples_agree(loss, thetas, inputs, targets) and _tiled_examples_agree(
                loss, thetas, inputs, targets
            )
    except Exception:
        return False


def _shared_examples_agree(loss, thetas, inputs, targets):
    block = _values_and_gradients(loss, thetas, inputs, targets)
    separate = [_values_and_gradients(loss, theta, inputs, targets) for theta in thetas]
    return _agree(block, [np.stack(parts) for parts in zip(*separate, strict=True)])


def _tiled_examples_agree(loss, thetas, inputs, targets):
    # alternate the thetas, so that a loss which ignores the leading axis cannot agree
    tiled = thetas[np.arange(len(inputs)) % len(thetas)]
    block = _values_and_gradients(loss, tiled, inputs[:, None], targets[:, None])
    separate = [
        _values_and_gradients(loss, theta, inputs[i : i + 1], targets[i : i + 1])
        for i, theta in enumerate(tiled)
    ]
    return _agree(block, [np.stack(parts) for parts in zip(*separate, strict=True)])


def _values_and_gradients(loss, theta, inputs, targets):
    """Losses and the gradient of a weighted sum of them, weights distinct an example."""
    kept = []

    def weighted_sum(point):
        values = loss(point, inputs, targets)
        kept.append(plain(values))
        weights = 1.0 + np.arange(values.shape[-1])
        return anp.sum(weights * values)

    pull_back, _ = traced(weighted_sum, theta)
    return kept[0], pull_back(1.0)


def _agree(results, references):
    for result, reference in zip(results, references, strict=True):
        if result.shape != reference.shape or not np.isfinite(reference).all():
            return False
        if np.abs(result - reference).max() > TOLERANCE * (1e-300 + np.abs(reference).max()):
            return False
    return True
