"""Activations, elementwise: value, slope and curvature of each.

Values and slopes agree with :mod:`aniso.problems.activations`. At a kink the slope is
autograd's. Second derivatives and GELU are defined here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import autograd.numpy as anp
from array_api_compat import array_namespace

from aniso import checks
from aniso.arrays import functions, places
from aniso.networks.layers.layer import Layer
from aniso.problems import activations, link_functions

if TYPE_CHECKING:
    from aniso.typing import Array


class Rule(NamedTuple):
    """Functions of one activation in the array API; a curvature of None means piecewise linear."""

    value: Callable
    slope: Callable
    curvature: Callable | None = None


def _zero(z, xp):
    return xp.zeros((), dtype=z.dtype, device=places.device(z))


def _step(z, xp):
    # 1 above the kink, 0 below, 1/2 on it; comparisons are faster than arithmetic
    step = xp.astype(z > 0, z.dtype)
    if places.is_numpy(z) and not (z == 0).any():
        return step
    return 0.5 * (step + xp.astype(z >= 0, z.dtype))


def _tanh_slope(z, xp):
    # 1 - tanh(z)^2 would lose the digits of a saturated unit
    decay = xp.exp(-2 * xp.abs(z))
    return 4 * decay / (1 + decay) ** 2


def _tanh_curvature(z, xp):
    return -2 * xp.tanh(z) * _tanh_slope(z, xp)


def _softplus(z, xp):
    return xp.maximum(z, _zero(z, xp)) + xp.log1p(xp.exp(-xp.abs(z)))


def _expit(z, xp):  # noqa: ARG001
    return link_functions.expit(z)


def _logistic_density(z, xp):  # noqa: ARG001
    return link_functions.expit(z) * link_functions.expit(-z)


def _sigmoid_curvature(z, xp):
    return -_logistic_density(z, xp) * xp.tanh(0.5 * z)


def _silu_slope(z, xp):  # noqa: ARG001
    return link_functions.expit(z) * (1 + z * link_functions.expit(-z))


def _silu_curvature(z, xp):  # noqa: ARG001
    value, rest = link_functions.expit(z), link_functions.expit(-z)
    return value * rest * (2 + z * (rest - value))


def _not_positive(z, xp):
    return xp.minimum(z, _zero(z, xp))


def _normal_density(z, xp):
    return xp.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


_LEAK = activations.LEAKY_SLOPE

RULES = {
    "relu": Rule(lambda z, xp: xp.maximum(z, _zero(z, xp)), _step),
    "leaky_relu": Rule(
        lambda z, xp: xp.where(z > 0, z, _LEAK * z),
        lambda z, xp: _LEAK + (1 - _LEAK) * _step(z, xp),
    ),
    "abs": Rule(lambda z, xp: xp.abs(z), lambda z, xp: xp.sign(z)),
    "hard_tanh": Rule(
        lambda z, xp: xp.clip(z, -1.0, 1.0),
        lambda z, xp: xp.astype(xp.abs(z) < 1, z.dtype),
    ),
    "tanh": Rule(lambda z, xp: xp.tanh(z), _tanh_slope, _tanh_curvature),
    "softplus": Rule(_softplus, _expit, _logistic_density),
    "sigmoid": Rule(
        _expit,
        _logistic_density,
        _sigmoid_curvature,
    ),
    "silu": Rule(lambda z, xp: z * link_functions.expit(z), _silu_slope, _silu_curvature),  # noqa: ARG005
    "elu": Rule(
        lambda z, xp: xp.where(z > 0, z, xp.expm1(_not_positive(z, xp))),
        lambda z, xp: xp.exp(_not_positive(z, xp)),
        # at z = 0 the curvature is taken from the exponential side, as in autograd
        lambda z, xp: xp.where(z > 0, _zero(z, xp), xp.exp(_not_positive(z, xp))),
    ),
    "gelu": Rule(
        lambda z, xp: z * functions.normal_distribution(z),  # noqa: ARG005
        lambda z, xp: functions.normal_distribution(z) + z * _normal_density(z, xp),
        lambda z, xp: (2 - z * z) * _normal_density(z, xp),
    ),
}


def _plain_gelu(z):
    from autograd.scipy import special as traced_special  # loads scipy.stats, 0.3 s

    return z * 0.5 * traced_special.erfc(-z / anp.sqrt(2.0))


@dataclass(frozen=True)
class Activation(Layer):
    """``rho(z)`` for every entry.

    Parameters
    ----------
    name : str
        rho: "relu", "leaky_relu", "abs", "hard_tanh", which are piecewise linear, or "tanh",
        "sigmoid", "softplus", "gelu", "silu", "elu". At a kink the slope is autograd's: the mean of
        both sides for relu, leaky_relu and abs, and 0 at the bounds of hard_tanh. elu is
        ``exp(z) - 1`` for z < 0, silu is ``z sigmoid(z)``.

    Raises
    ------
    InputError
        If there is no activation of that name.

    Examples
    --------
    >>> import numpy as np
    >>> Activation("relu").forward((), np.array([[-1.0, 2.0]]))[0]
    array([[0., 2.]])
    """

    name: str

    routed = True

    def __post_init__(self):
        checks.one_of("activation", self.name, sorted(RULES))

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return cases of the tests."""
        return [(cls(name), (3, 2)) for name in RULES]

    @property
    def piecewise_linear(self) -> bool:  # type: ignore[override]
        """Whether rho'' is 0 between kinks."""
        return RULES[self.name].curvature is None

    def plain(self, parameters: Any, inputs: Array) -> Array:  # noqa: ARG002
        """Return rho by autograd's NumPy."""
        if self.name == "gelu":
            return _plain_gelu(inputs)
        return activations.named(self.name).value(inputs)

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:  # noqa: ARG002
        """Return ``rho(z)``; the memory is z and its slope."""
        xp = array_namespace(prepared)
        rule = RULES[self.name]
        return rule.value(prepared, xp), ActivationMemory(prepared, rule.slope(prepared, xp))

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:  # noqa: ARG002
        """Return ``rho'(z) delta``."""
        return delta * memory.slope

    def tangent(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,
        directions: Any,  # noqa: ARG002
        inputs_tangent: Array | None,
    ) -> tuple[Array | None, Any]:
        """Return ``rho'(z) z'``; the trace is z'."""
        if inputs_tangent is None:
            return None, None
        return inputs_tangent * memory.slope, inputs_tangent

    def second_order(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,
        directions: Any,  # noqa: ARG002
        trace: Any,
        delta: Array,
    ) -> tuple[Array | None, tuple[Array | None, ...] | None]:
        """Return ``rho''(z) z' delta``, the diagonal term of a smooth activation."""
        if self.piecewise_linear or trace is None:
            return None, None
        return trace * (self.curvature(memory) * delta), None

    def curvature(self, memory: Any) -> Array:
        """Return ``rho''(z)``, of the shape of z."""
        return RULES[self.name].curvature(memory.inputs, array_namespace(memory.inputs))

    def curved_entries(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,
        delta: Array,
    ) -> list[tuple[Array, Callable[..., Any]]]:
        """Return every z of a smooth activation; the inputs of the layer are z itself."""
        if self.piecewise_linear:
            return []
        return [(self.curvature(memory) * delta, lambda units, weights: (None, units))]  # noqa: ARG005

    def route(self, memory: Any, index: int, slope: Array) -> Any:
        """Return the route of a stage with the slopes multiplied."""
        return index, slope * memory.slope


class ActivationMemory(NamedTuple):
    """Pre-activations z and ``rho'(z)``."""

    inputs: object
    slope: object
