"""Activations with their slopes: four piecewise linear ones and five that are not.

At a kink the slope is autograd's: the mean of both sides where ``np.maximum`` ties, 0 for
``np.abs`` at 0 and for ``np.clip`` at its bounds. ELU's slope is continuous; its curvature at 0 is
the curvature on the exponential side.
"""

from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, notrace_primitive, primitive

from aniso import checks

LEAKY_SLOPE = 0.01


@dataclass(frozen=True)
class Activation:
    """Scalar function rho applied to every entry.

    Attributes
    ----------
    name : str
        Name, for instance "relu".
    value : callable
        ``rho(z)``, any shape, differentiable by autograd any number of times.
    slope : callable
        ``rho'(z)``, same shape.
    piecewise_linear : bool
        Whether rho'' is 0 away from finitely many kinks.
    """

    name: str
    value: Callable
    slope: Callable
    piecewise_linear: bool

    def __reduce__(self):
        # functions that autograd has wrapped have no name by which to find them
        if ACTIVATIONS.get(self.name) is self:
            return named, (self.name,)
        return super().__reduce__()


def named(name):
    """Return the activation called `name`.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> named("abs").value(np.array([-2.0, 3.0]))
    array([2., 3.])
    >>> named("relu").slope(np.array([-1.0, 0.0, 1.0]))
    array([0. , 0.5, 1. ])
    """
    return ACTIVATIONS[checks.one_of("activation", name, sorted(ACTIVATIONS))]


def _piecewise_linear(name, value, slope):
    # one multiplication backwards, and a slope whose own derivative is exactly 0
    traced_value, constant_slope = primitive(value), notrace_primitive(slope)
    defvjp(traced_value, lambda ans, z: lambda g: g * constant_slope(z))  # noqa: ARG005
    return Activation(name, traced_value, constant_slope, True)


def _relu_slope(z):
    slope = (z > 0).astype(z.dtype)
    return np.add(slope, 0.5, out=slope, where=z == 0)


def _sigmoid(z):
    return anp.exp(-anp.logaddexp(0.0, -z))


def _slope_of_silu(z):
    return _sigmoid(z) * (1 + z * _sigmoid(-z))


def _not_positive(z):
    # no overflow on the side that the choice drops
    return anp.where(z > 0, 0.0, z)


def _elu(z):
    return anp.where(z > 0, z, anp.expm1(_not_positive(z)))


def _slope_of_elu(z):
    return anp.where(z > 0, 1.0, anp.exp(_not_positive(z)))


_DEFINITIONS = (
    _piecewise_linear("relu", lambda z: np.maximum(z, 0.0), _relu_slope),
    _piecewise_linear(
        "leaky_relu",
        lambda z: np.maximum(z, LEAKY_SLOPE * z),
        lambda z: LEAKY_SLOPE + (1 - LEAKY_SLOPE) * _relu_slope(z),
    ),
    _piecewise_linear("abs", np.abs, np.sign),
    _piecewise_linear(
        "hard_tanh",
        lambda z: np.clip(z, -1.0, 1.0),
        lambda z: (np.abs(z) < 1).astype(z.dtype),
    ),
    Activation("tanh", anp.tanh, lambda z: 4 * _sigmoid(2 * z) * _sigmoid(-2 * z), False),
    Activation("softplus", lambda z: anp.logaddexp(0.0, z), _sigmoid, False),
    Activation("sigmoid", _sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z), False),
    Activation("silu", lambda z: z * _sigmoid(z), _slope_of_silu, False),
    Activation("elu", _elu, _slope_of_elu, False),
)

ACTIVATIONS = {activation.name: activation for activation in _DEFINITIONS}
