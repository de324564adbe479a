"""Losses of one example in the model's outputs, with their first two derivatives.

Every loss is called as ``loss(outputs, targets)`` with outputs (..., n, C) and returns (..., n).
The call is differentiable by autograd; the derivatives are in closed form. Everything runs in the
library and on the device of the outputs, where the targets must be too. ``sample_targets`` and
``fisher_information`` belong to the probability model whose negative log-likelihood the loss is
(up to a constant). Samples are drawn by NumPy, so that a seed gives the same samples everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import autograd.numpy as anp
import numpy as np

from aniso import checks
from aniso.arrays import places, transfer
from aniso.problems import link_functions

if TYPE_CHECKING:
    from aniso.typing import Array


@dataclass(frozen=True)
class SquaredLoss:
    """Squared error, ``l = sum_c (f_c - y_c)^2`` (no factor 1/2).

    Targets have the shape of the outputs, (n, C). The model is y ~ N(f, I/2).

    Examples
    --------
    >>> loss = SquaredLoss()
    >>> loss(np.array([[3.0, 1.0]]), np.array([[1.0, 0.0]]))
    array([5.])
    >>> loss.gradient(np.array([[3.0, 1.0]]), np.array([[1.0, 0.0]]))
    array([[4., 2.]])
    """

    def __call__(self, outputs: Array, targets: Array) -> Array:
        _same_trailing("targets", targets.shape, outputs.shape[-2:])
        return _functions(outputs).sum((outputs - targets) ** 2, axis=-1)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """``2 (f - y)``, shape (..., n, C)."""
        _same_trailing("targets", targets.shape, outputs.shape[-2:])
        return 2 * (outputs - targets)

    def hessian(self, outputs: Array, targets: Array) -> Array:  # noqa: ARG002
        """``2 I``, shape (..., n, C, C)."""
        return self.fisher_information(outputs)

    def hessian_root(self, outputs: Array) -> Array:
        """``sqrt(2) I``, a root L of the Hessian, ``S = L L^T``, shape (..., n, C, C)."""
        return self.fisher_information(outputs) / math.sqrt(2)

    def whitened_gradient(self, outputs: Array, targets: Array) -> Array:
        """w with ``r = L w``, so that ``|w|^2 = r^T S^+ r = 2 l``, shape (..., n, C)."""
        return self.gradient(outputs, targets) / math.sqrt(2)

    def sample_targets(self, outputs: Array, rng: np.random.Generator) -> Array:
        """``y = f + z / sqrt(2)``, z standard normal, shape (..., n, C)."""
        checks.generator("rng", rng)
        noise = transfer.asarray_like(rng.standard_normal(tuple(outputs.shape)), outputs)
        return outputs + math.sqrt(0.5) * noise

    def fisher_information(self, outputs: Array) -> Array:
        """``E[grad grad^T] = 2 I``, shape (..., n, C, C)."""
        num_outputs, xp = outputs.shape[-1], _functions(outputs)
        shape = (*outputs.shape, num_outputs)
        return xp.asarray(xp.broadcast_to(2 * _identity(outputs), shape), copy=True)

    def check_targets(self, targets: Array, num_examples: int, num_outputs: int) -> Array:
        """Return finite targets, shape (N, C); (N,) is taken as one column where C = 1."""
        if num_outputs == 1 and np.ndim(targets) == 1:
            targets = np.asarray(targets)[:, None]
        if num_outputs > 1 and np.ndim(targets) == 1:
            raise checks.InputError(
                f"targets has shape {np.shape(targets)}; expected ({num_examples}, {num_outputs}), "
                f"a target for each output; of labels, numpy.eye({num_outputs})[targets] makes "
                "one-hot rows, and SoftmaxCrossEntropy takes the labels themselves"
            )
        return checks.array("targets", targets, shape=(num_examples, num_outputs))


@dataclass(frozen=True)
class ClippedSquaredLoss:
    """Squared error of a clipped output, ``l = (min(max(f, delta), 1 - delta) - y)^2``.

    The loss of Zhu et al. (2019), Figure 4. One output; an example is *active* where
    delta < f < 1 - delta, and its derivatives are 0 elsewhere, at the bounds included. The model
    is y ~ N(clip(f), 1/2), so sampled targets are real numbers although the data are 0 and 1.

    Parameters
    ----------
    delta : float
        Margin, 0 < delta < 1/2.

    Examples
    --------
    >>> loss = ClippedSquaredLoss(delta=0.25)
    >>> outputs, targets = np.array([[0.5], [7.0]]), np.array([0, 0])
    >>> loss(outputs, targets)
    array([0.25  , 0.5625])
    >>> loss.gradient(outputs, targets)
    array([[1.],
           [0.]])
    """

    delta: float = 1e-3

    def __post_init__(self):
        checks.number("delta", self.delta, low=0, high=0.5, strict=True)

    def __call__(self, outputs: Array, targets: Array) -> Array:
        _same_trailing("targets", targets.shape, _single(outputs)[-1:])
        clipped = _functions(outputs).clip(outputs[..., 0], self.delta, 1 - self.delta)
        return (clipped - _real(targets)) ** 2

    def active(self, outputs: Array) -> Array:
        """Return whether delta < f < 1 - delta, boolean, shape (..., n)."""
        _single(outputs)
        return (outputs[..., 0] > self.delta) & (outputs[..., 0] < 1 - self.delta)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """``2 (f - y)`` where active, else 0, shape (..., n, 1)."""
        _same_trailing("targets", targets.shape, _single(outputs)[-1:])
        slope = _indicator(self.active(outputs)) * (2 * (outputs[..., 0] - _real(targets)))
        return slope[..., None]

    def hessian(self, outputs: Array, targets: Array) -> Array:  # noqa: ARG002
        """2 where active, else 0, shape (..., n, 1, 1)."""
        return self.fisher_information(outputs)

    def hessian_root(self, outputs: Array) -> Array:
        """``sqrt(2)`` where active, else 0, shape (..., n, 1, 1)."""
        return self.fisher_information(outputs) / math.sqrt(2)

    def whitened_gradient(self, outputs: Array, targets: Array) -> Array:
        """w with ``r = L w``; where active ``w^2 = r^2 / S = 2 l``, shape (..., n, 1)."""
        return self.gradient(outputs, targets) / math.sqrt(2)

    def sample_targets(self, outputs: Array, rng: np.random.Generator) -> Array:
        """``y = clip(f) + z / sqrt(2)``, z standard normal, shape (..., n)."""
        checks.generator("rng", rng)
        clipped = _functions(outputs).clip(outputs[..., 0], self.delta, 1 - self.delta)
        noise = transfer.asarray_like(rng.standard_normal(tuple(clipped.shape)), clipped)
        return clipped + math.sqrt(0.5) * noise

    def fisher_information(self, outputs: Array) -> Array:
        """``E[grad grad^T]``: 2 where active, else 0, shape (..., n, 1, 1)."""
        return 2.0 * _indicator(self.active(outputs))[..., None, None]

    def check_targets(self, targets: Array, num_examples: int, num_outputs: int) -> Array:
        """Return labels 0 and 1, integers of shape (N,); the model must have one output."""
        return _binary_labels(targets, num_examples, num_outputs, type(self).__name__)


@dataclass(frozen=True)
class LogisticLoss:
    """Logistic loss, ``l = log(1 + exp(f)) - y f``, y in {0, 1}, one output.

    The model is P(y = 1) = 1 / (1 + exp(-f)).

    Examples
    --------
    >>> loss = LogisticLoss()
    >>> loss.gradient(np.array([[0.0], [0.0]]), np.array([0, 1]))
    array([[ 0.5],
           [-0.5]])
    >>> loss.hessian(np.array([[0.0]]), np.array([0]))
    array([[[0.25]]])
    """

    def __call__(self, outputs: Array, targets: Array) -> Array:
        _same_trailing("targets", targets.shape, _single(outputs)[-1:])
        # for y in {0, 1}; keeps relative accuracy where the label is predicted with confidence
        margin = (1.0 - 2.0 * _real(targets)) * outputs[..., 0]
        xp = _functions(outputs)
        return xp.logaddexp(xp.zeros_like(margin), margin)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """``p - y``, shape (..., n, 1), to relative accuracy for either label."""
        _same_trailing("targets", targets.shape, _single(outputs)[-1:])
        sign = 1.0 - 2.0 * _real(targets)
        return (sign * link_functions.expit(sign * outputs[..., 0]))[..., None]

    def hessian(self, outputs: Array, targets: Array) -> Array:  # noqa: ARG002
        """``p (1 - p)``, shape (..., n, 1, 1)."""
        return self.fisher_information(outputs)

    def hessian_root(self, outputs: Array) -> Array:
        """``L = sqrt(p (1 - p))``, to relative accuracy, shape (..., n, 1, 1)."""
        return _functions(outputs).sqrt(self.fisher_information(outputs))

    def whitened_gradient(self, outputs: Array, targets: Array) -> Array:
        """w with ``r = L w``, so that ``w^2 = r^2 / S = exp(l) - 1``, shape (..., n, 1)."""
        _same_trailing("targets", targets.shape, _single(outputs)[-1:])
        sign = (1.0 - 2.0 * _real(targets))[..., None]
        return sign * _functions(outputs).exp(sign * outputs / 2)

    def sample_targets(self, outputs: Array, rng: np.random.Generator) -> Array:
        """Return labels y, 1 with probability p, int64, shape (..., n)."""
        checks.generator("rng", rng)
        probability = link_functions.expit(outputs[..., 0])
        draws = transfer.asarray_like(rng.random(tuple(probability.shape)), outputs)
        xp = _functions(outputs)
        return xp.astype(draws < probability, xp.int64)

    def fisher_information(self, outputs: Array) -> Array:
        """``E[grad grad^T] = p (1 - p)``, shape (..., n, 1, 1)."""
        _single(outputs)
        return (link_functions.expit(outputs) * link_functions.expit(-outputs))[..., None]

    def check_targets(self, targets: Array, num_examples: int, num_outputs: int) -> Array:
        """Return labels 0 and 1, integers of shape (N,); the model must have one output."""
        return _binary_labels(targets, num_examples, num_outputs, type(self).__name__)


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Cross-entropy of a softmax, ``l = log sum_c exp(f_c) - f_y``, labels y in 0..C-1.

    The model is P(y = c) = exp(f_c) / sum_k exp(f_k).

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> loss.gradient(np.array([[0.0, 0.0]]), np.array([1]))
    array([[ 0.5, -0.5]])
    >>> loss.hessian(np.array([[0.0, 0.0]]), np.array([1]))
    array([[[ 0.25, -0.25],
            [-0.25,  0.25]]])
    """

    def __call__(self, outputs: Array, targets: Array) -> Array:
        _same_trailing("targets", targets.shape, outputs.shape[-2:-1])
        own = link_functions.one_hot(targets, outputs.shape[-1]) * outputs
        return link_functions.log_sum_exp(outputs) - _functions(outputs).sum(own, axis=-1)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """``p - e_y``, to relative accuracy, shape (..., n, C)."""
        _same_trailing("targets", targets.shape, outputs.shape[-2:-1])
        own = link_functions.one_hot(targets, outputs.shape[-1])
        others = link_functions.softmax(outputs) * (1 - own)
        # p_y - 1 is minus the sum of the others, without a difference
        return others - own * _functions(outputs).sum(others, axis=-1)[..., None]

    def hessian(self, outputs: Array, targets: Array) -> Array:  # noqa: ARG002
        """``diag(p) - p p^T``, shape (..., n, C, C)."""
        return self.fisher_information(outputs)

    def hessian_root(self, outputs: Array) -> Array:
        """Root L of the Hessian, ``S = L L^T``, shape (..., n, C, C).

        Column k, that of the most probable class, is 0: the rank of S is C - 1. With q = sqrt(p),
        ``L_cj = q_j (delta_cj - (p_c + q_k delta_ck) / (1 + q_k))`` for j != k. Each column is
        accurate relative to its own size, however small.
        """
        xp = _functions(outputs)
        amplitudes, largest, leading = _amplitudes(outputs)
        mirror = (amplitudes**2 + largest * leading) / (1 + largest)
        columns = (amplitudes * (1 - leading))[..., None, :]
        return columns * (
            xp.broadcast_to(_identity(outputs), mirror.shape + mirror.shape[-1:])
            - mirror[..., :, None]
        )

    def whitened_gradient(self, outputs: Array, targets: Array) -> Array:
        """w with ``r = L w``, so that ``|w|^2 = r^T S^+ r = exp(l) - 1``, shape (..., n, C).

        With L, q and k of `hessian_root`: ``w_j = q_j / q_k`` if the label is k, else
        ``w_j = q_j / (1 + q_k) - delta_jy / q_y``, and ``w_k = 0``.
        """
        _same_trailing("targets", targets.shape, outputs.shape[-2:-1])
        xp = _functions(outputs)
        amplitudes, largest, leading = _amplitudes(outputs)
        own = xp.broadcast_to(
            link_functions.one_hot(targets, outputs.shape[-1]), tuple(outputs.shape)
        )
        is_leading = xp.sum(own * leading, axis=-1, keepdims=True)
        scaled = amplitudes / (largest + 1 - is_leading)
        root_of_label = xp.exp(self(outputs, targets) / 2)[..., None]
        return (1 - leading) * (scaled - own * root_of_label)

    def sample_targets(self, outputs: Array, rng: np.random.Generator) -> Array:
        """Return labels y drawn from the softmax, int64, shape (..., n)."""
        checks.generator("rng", rng)
        # Gumbel's trick: argmax_c f_c + G_c has the softmax's distribution
        noise = transfer.asarray_like(rng.gumbel(size=tuple(outputs.shape)), outputs)
        return _functions(outputs).argmax(outputs + noise, axis=-1)

    def fisher_information(self, outputs: Array) -> Array:
        """``E[grad grad^T] = diag(p) - p p^T``, to relative accuracy, shape (..., n, C, C)."""
        p, xp = link_functions.softmax(outputs), _functions(outputs)
        # p_c (1 - p_c) is the sum of p_c p_d over the other classes, without the difference 1 - p_c
        products = p[..., :, None] * p[..., None, :] * (1 - _identity(outputs))
        return xp.sum(products, axis=-1)[..., None] * _identity(outputs) - products

    def check_targets(self, targets: Array, num_examples: int, num_outputs: int) -> Array:
        """Return integer labels in 0..C-1, shape (N,); the model must have C >= 2 outputs."""
        if num_outputs < 2:
            raise checks.InputError(
                f"num_outputs={num_outputs}; SoftmaxCrossEntropy needs one output a class, at "
                "least 2; use LogisticLoss for a single output"
            )
        return checks.class_labels(
            "targets", targets, num_classes=num_outputs, num_examples=num_examples
        )


def _amplitudes(outputs):
    """Roots of the probabilities, the largest of them, and the one-hot vector of its class."""
    xp = _functions(outputs)
    amplitudes = xp.exp((outputs - link_functions.log_sum_exp(outputs)[..., None]) / 2)
    leading = link_functions.one_hot(xp.argmax(outputs, axis=-1), outputs.shape[-1])
    return amplitudes, xp.max(amplitudes, axis=-1, keepdims=True), leading


def _functions(array):
    # autograd's NumPy for lists, numbers and autograd's boxes, which have no library
    return places.namespace(array) if places.is_numpy(array) or places.is_foreign(array) else anp


def _real(targets):
    # labels as double precision: the standard mixes no integers with reals
    xp = _functions(targets)
    return xp.astype(targets, xp.float64)


def _indicator(condition):
    xp = _functions(condition)
    return xp.astype(condition, xp.float64)


def _identity(outputs):
    xp = places.namespace(outputs)
    size, where = outputs.shape[-1], places.device(outputs)
    return xp.eye(size, dtype=xp.float64, device=where)


def _binary_labels(targets, num_examples, num_outputs, name):
    if num_outputs != 1:
        raise checks.InputError(
            f"num_outputs={num_outputs}; {name} needs a model with one output; "
            "use SoftmaxCrossEntropy for several"
        )
    return checks.class_labels("targets", targets, num_classes=2, num_examples=num_examples)


def _single(outputs):
    """Shape of the outputs without their last axis, which must have one entry."""
    if outputs.shape[-1] != 1:
        raise checks.InputError(f"outputs has shape {outputs.shape}; expected (..., n, 1)")
    return outputs.shape[:-1]


def _same_trailing(name, shape, expected):
    # a column against a row would broadcast to a matrix of losses without any complaint
    if tuple(shape[-len(expected) :]) != tuple(expected):
        raise checks.InputError(
            f"{name} has shape {tuple(shape)}; expected its last axes to be {tuple(expected)}"
        )
