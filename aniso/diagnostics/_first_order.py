"""Quantities of first order: loss, gradient, and the covariance of the gradients."""

import math

import numpy as np

from aniso import matrices as mat
from aniso.diagnostics._context import positive
from aniso.diagnostics._found import Found, shown


def loss(context):
    """Mean loss."""
    losses = context.losses
    return Found(
        float(losses.mean()),
        "The mean loss is {shown}; single examples spread by "
        f"{float(losses.std()):.3g} around it.",
        details={"spread": float(losses.std()), "largest": float(losses.max())},
    )


def gradient_norm(context):
    """Norm of the gradient of the mean loss."""
    value = float(np.linalg.norm(context.gradient))
    return Found(
        value,
        "The gradient has the norm {shown}, "
        f"{value / math.sqrt(context.size):.3g} per parameter in the root mean square.",
        assumptions=_biased_by_subset(context),
    )


def covariance_trace(context):
    """Trace of the covariance of one example's gradient."""
    batch = context.batch_trace
    return Found(
        context.covariance_trace,
        "The gradients of single examples vary by {shown} in total; the mean of a batch of "
        f"{context.request.batch_size} varies by {batch:.3g}.",
        details={"batch": batch, "per_parameter": context.covariance_trace / context.size},
    )


def noise_scale(context):
    """Simple noise scale, with the interval of the distribution in the details."""
    scale = mat.simple_noise_scale(context.example_gradients)
    value = scale.of_examples * context.correction
    return Found(
        value,
        "Noise and gradient are equally large at a batch of {shown} examples; "
        + _against(context, value),
        details=_distribution(scale),
        assumptions=_biased_by_subset(context),
    )


def elementwise_noise_scale(context):
    """Noise scale of steps along the sign of the gradient."""
    scale = mat.elementwise_noise_scale(context.example_gradients)
    value = scale.of_examples * context.correction
    return Found(
        value,
        "For steps along signs of the gradient, noise and gradient are equally large at a batch of "
        "{shown} examples; " + _against(context, value),
        details=_distribution(scale),
        assumptions=_biased_by_subset(context),
    )


def gradient_signal(context):
    """Share of the squared gradient of a batch that is gradient."""
    square = float(context.gradient @ context.gradient)
    total = positive("|g|^2 + Tr S", square + context.batch_trace)
    value = square / total
    return Found(
        value,
        "Of the squared gradient of a batch, the share {shown} is signal and the share "
        f"{shown(1 - value)} is noise.",
        assumptions=_biased_by_subset(context),
    )


def _against(context, scale):
    batch, factor = context.request.batch_size, scale * context.batch_factor
    if scale == 0:
        return "there is no noise at any size."
    if factor == 0:
        return f"the batch of {batch} is all examples and has no noise."
    return f"with batches of {batch} the noise is {math.sqrt(factor):.3g} times the gradient."


def _distribution(scale):
    if not scale.is_resolved:
        return {"resolved": False}
    found, (low, high) = scale.of_distribution, scale.interval()
    return {
        "resolved": True,
        "of_distribution": found.value,
        "of_distribution_error": found.standard_error,
        "interval": [low, high],
    }


def _biased_by_subset(context):
    if context.used == context.request.num_examples:
        return ()
    return (
        f"The gradient is that of {context.used} examples; its square exceeds that of all by "
        f"about {context.covariance_trace / context.used:.2g}.",
    )
