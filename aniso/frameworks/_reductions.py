"""Reduction of a batch by a loss, found by its values: one rule for all frameworks."""

import numpy as np

from aniso import checks

WEIGHTED_BATCHES = (
    "The loss is a weighted mean, and a batch here divides by the mean weight w̄ of all examples: "
    "its gradient is the mean of w_i ∇l_i / w̄. A batch of the training loop divides by its own "
    "weights; to first order its noise is that of w_i (∇l_i − g) / w̄."
)
"""Assumption about the noise of a batch where the weights of the examples differ."""


SINGLE = 1e-5
"""Relative error of a sum in single precision."""

EXPECTED = (
    "expected a loss that is their mean, their sum or one number for each, or gradients of whole "
    "batches by from_draws"
)
"""Remedy for a loss of all examples that is not made of their own losses."""


def reduction_of(whole, singles, tolerance, remedy):
    """Return "none", "mean" or "sum"; None for a loss that weights or couples its examples.

    Parameters
    ----------
    whole : ndarray, shape () or (n, ...)
        Loss of a batch.
    singles : ndarray, shape (n,)
        Losses of its examples alone.
    tolerance : float
        Error of the values, relative to the largest.
    remedy : str
        What is expected, for the message.

    Raises
    ------
    InputError
        If the loss of a batch is neither a number nor one for each example.
    InteractingExamples
        If the loss of an example changes with the other examples.

    Examples
    --------
    >>> reduction_of(np.array(3.0), np.array([1.0, 2.0]), 1e-9, "")
    'sum'
    """
    count = len(singles)
    error = tolerance * max(float(np.abs(singles).max()), 1e-30)
    if whole.ndim and whole.size == len(whole) == count:
        if np.abs(whole.reshape(count) - singles).max() <= error:
            return "none"
        raise checks.InteractingExamples(
            f"the loss of an example changes with the other examples of its batch; {remedy}"
        )
    if whole.ndim:
        raise checks.InputError(
            f"loss returned shape {whole.shape} for {count} examples; expected a number, or one "
            "for each example: average over the other axes"
        )
    for name, expected in (("mean", singles.mean()), ("sum", singles.sum())):
        if abs(whole - expected) <= error:
            return name
    return None


def told(reduction, *, weights_differ=False):
    """Return what a loss reduces, in words for a repr.

    Examples
    --------
    >>> told("sum")
    'a sum, divided by N'
    """
    words = {"none": "one for each example", "sum": "a sum, divided by N"}
    kind = words.get(reduction, f"a {reduction}")
    return f"{kind}, with a fixed denominator in batches" if weights_differ else kind


def coupled(remedy, detail=""):
    """Return the error for a loss that is no reduction of the losses of its examples."""
    return checks.InteractingExamples(
        "the loss of a batch is neither the mean nor the sum of the losses of its examples: it "
        f"weights them, or couples them{detail}; {remedy}"
    )
