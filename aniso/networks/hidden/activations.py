"""Compiled activations for a row of pre-activations: value, slope and curvature in one loop.

They are those of :class:`aniso.networks.Activation`, kinks included. A piecewise-linear activation
is described by numbers, so that one loop serves all of them:

    rho(z) = a z + b,   with (a, b) for z below the first kink, between both kinks, and above

A smooth activation is computed from ``exp(x)`` and ``exp(x) - 1`` with some x <= 0, in one loop for
all of them. All loops use vector instructions, except that gelu calls the error function.
"""

import math

import numpy as np

from aniso.arrays import njit
from aniso.problems import activations

_LEAK = activations.LEAKY_SLOPE
_NEVER = math.inf

# kinks; slopes below, on the first kink, between, on the second kink, above; values at z = 0 of the
# lines below and above
_PIECEWISE = {
    "relu": (0.0, _NEVER, 0.0, 0.5, 1.0, 1.0, 1.0, 0.0, 0.0),
    "leaky_relu": (0.0, _NEVER, _LEAK, _LEAK + (1 - _LEAK) * 0.5, 1.0, 1.0, 1.0, 0.0, 0.0),
    "abs": (0.0, _NEVER, -1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0),
    "hard_tanh": (-1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, -1.0, 1.0),
}

# x = linear |z| + square z^2 + negative min(z, 0)
_EXPONENTS = {
    "elu": (0.0, 0.0, 1.0),
    "sigmoid": (-1.0, 0.0, 0.0),
    "silu": (-1.0, 0.0, 0.0),
    "softplus": (-1.0, 0.0, 0.0),
    "tanh": (-2.0, 0.0, 0.0),
    "gelu": (0.0, -0.5, 0.0),
}

_PIECEWISE_LINEAR = 0
_ELU, _SIGMOID, _SILU, _SOFTPLUS, _TANH, _GELU = range(1, 7)

# no reordering of sums: the reduction of the exponential's argument depends on their order
INNER = {
    "nogil": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

# exp(x) = 2^k exp(r) with k = round(x / log 2); the sum with _ROUNDING holds k in its last bits
_ROUNDING = 6755399441055744.0
_PER_LOG_2 = 1.4426950408889634
_LOG_2_HIGH, _LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LEAST = -708.0
_ONE = np.int64(1023) << np.int64(52)
_SHIFT = np.int64(52)


def described(name):
    """Return an activation as the kernels take it: its kind, and numbers of double precision.

    Parameters
    ----------
    name : str
        One of :class:`aniso.networks.Activation`.

    Returns
    -------
    int, ndarray

    Examples
    --------
    >>> described("silu")
    (3, array([-1.,  0.,  0.]))
    """
    if name in _PIECEWISE:
        return _PIECEWISE_LINEAR, np.array(_PIECEWISE[name])
    return 1 + list(_EXPONENTS).index(name), np.array(_EXPONENTS[name])


@njit(**INNER, fastmath={"contract"})
def _respond_smoothly(kind, shape, z, n, work, value, slope, curvature):
    falls, powers = work[0], work[1]
    linear, square, negative = shape[0], shape[1], shape[2]
    for i in range(n):
        v = np.float64(z[i])
        x = linear * abs(v) + square * v * v + negative * (0.0 if v > 0.0 else v)
        x = _LEAST if x < _LEAST else x
        shifted = x * _PER_LOG_2 + _ROUNDING
        k = shifted - _ROUNDING
        r = (x - k * _LOG_2_HIGH) - k * _LOG_2_LOW
        p = 1.0 / 479001600.0 + r / 6227020800.0
        p = 1.0 / 3628800.0 + r * (1.0 / 39916800.0 + r * p)
        p = 1.0 / 40320.0 + r * (1.0 / 362880.0 + r * p)
        p = 1.0 / 720.0 + r * (1.0 / 5040.0 + r * p)
        p = 1.0 / 24.0 + r * (1.0 / 120.0 + r * p)
        p = r + r * r * (0.5 + r * (1.0 / 6.0 + r * p))
        bits = (np.float64(shifted).view(np.int64) << _SHIFT) + _ONE
        scale = np.int64(bits).view(np.float64)
        falls[i] = scale * p + (scale - 1.0)
        powers[i] = scale * p + scale
    if kind == _ELU:
        for i in range(n):
            value[i] = z[i] if z[i] > 0 else falls[i]
            slope[i] = powers[i]
            curvature[i] = 0.0 if z[i] > 0 else powers[i]
    elif kind == _TANH:
        for i in range(n):
            root = 2.0 + falls[i]
            size = -falls[i] / root if z[i] >= 0 else falls[i] / root
            own = 4.0 * powers[i] / (root * root)
            value[i], slope[i], curvature[i] = size, own, -2.0 * size * own
    elif kind == _GELU:
        for i in range(n):
            v = np.float64(z[i])
            share = 0.5 * math.erfc(-v / math.sqrt(2.0))
            density = powers[i] / math.sqrt(2.0 * math.pi)
            value[i], slope[i] = v * share, share + v * density
            curvature[i] = (2.0 - v * v) * density
    elif kind == _SOFTPLUS:
        for i in range(n):
            # log(1 + p) = 2 artanh(w), w = p / (2 + p) <= 1/3
            power = powers[i]
            w = power / (2.0 + power)
            q = w * w
            s = 1.0 / 25.0 + q * (1.0 / 27.0 + q * (1.0 / 29.0 + q * (1.0 / 31.0 + q / 33.0)))
            s = 1.0 / 17.0 + q * (1.0 / 19.0 + q * (1.0 / 21.0 + q * (1.0 / 23.0 + q * s)))
            s = 1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0 + q * s)))
            s = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * s)))
            large = 1.0 / (1.0 + power)
            value[i] = (0.0 if z[i] <= 0 else np.float64(z[i])) + 2.0 * w * s
            slope[i] = power * large if z[i] < 0 else large
            curvature[i] = power * large * large
    else:
        for i in range(n):
            # the logistic function and its complement
            power, v = powers[i], np.float64(z[i])
            large = 1.0 / (1.0 + power)
            small = power * large
            share, rest = (small, large) if v < 0 else (large, small)
            product = share * rest
            step = falls[i] * large if v >= 0 else -falls[i] * large  # rest - share
            if kind == _SILU:
                value[i], slope[i] = v * share, share * (1.0 + v * rest)
                curvature[i] = product * (2.0 + v * step)
            else:
                value[i], slope[i], curvature[i] = share, product, product * step


@njit(**INNER)
def respond(kind, shape, z, n, work, value, slope, curvature):
    """Write ``rho``, ``rho'`` and, if smooth, ``rho''`` of n numbers z.

    `work` are two rows of double precision. For a piecewise-linear activation it is None, so that
    only its own loop is compiled. At a kink the slope is autograd's.
    """
    if work is None:
        real = z.dtype.type
        first, second = real(shape[0]), real(shape[1])
        below, on_first, between = real(shape[2]), real(shape[3]), real(shape[4])
        on_second, above, low, high = real(shape[5]), real(shape[6]), real(shape[7]), real(shape[8])
        for i in range(n):
            v = z[i]
            s = below if v < first else (on_first if v == first else between)
            s = s if v < second else (on_second if v == second else above)
            slope[i] = s
            line = below * v + low if v < first else between * v
            value[i] = line if v <= second else above * v + high
    else:
        _respond_smoothly(kind, shape, z, n, work, value, slope, curvature)
