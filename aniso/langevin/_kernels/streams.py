"""Independent random streams, one per path, from the counter-based generator Philox 4x32-10.

A stream is a function of (seed, path, block) and has no state. Its block number b is the 128 bits
``Philox(counter = (path, b), key = seed)``. Box and Muller's map turns them into two standard
normals. The normals of a path at a step are computed from their block numbers alone. So a result
does not depend on the number of threads, on the order of the work, or on interruptions.

======================  =========================================================================
word of the counter     holds
======================  =========================================================================
c0, c1                  path, low and high 32 bits
c2                      block, low 32 bits
c3                      block, high 28 bits, and in the top four bits the purpose: 0 normals,
                        1 uniforms of the bridge test, 2 choice of examples
======================  =========================================================================

Notes
-----
Philox: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3"
(2011), ten rounds. The uniform under the logarithm has 52 bits, so a normal is at most
``sqrt(104 log 2) = 8.49`` in size; logarithm, sine and cosine are polynomials (fdlibm's) good to
1e-15, written out so that the compiler can treat lanes of paths as vectors.
"""

import math

import numpy as np

from aniso import checks
from aniso.arrays import (
    njit,
)

LANES = 64
"""Paths advanced together by a kernel: arrays [component, lane] stay in the first-level cache."""

KERNEL = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
"""Options of every compiled kernel: no packed square root without the numpy error model."""

INNER = KERNEL | {"inner": True}
"""Options of functions that kernels call."""

INLINE = INNER | {"forceinline": True}
"""Options of functions whose code becomes a part of the kernel."""

NORMALS, UNIFORMS, EXAMPLES = 0, 1, 2

_U = np.uint64
_LOW = _U(0xFFFFFFFF)
_32 = _U(32)
_ONE_BITS = _U(0x3FF0000000000000)
_SQRT_HALF_BITS = _U(0x3FE6A09E667F3BCD)
_MANTISSA = _U(0x000FFFFFFFFFFFFF)
_TO_SQRT_HALF = _U(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
_TO_EXPONENT = _U(0x4338000000000000 - 0x3FF)
_MULTIPLY_A, _MULTIPLY_B = _U(0xD2511F53), _U(0xCD9E8D57)
_WEYL_A, _WEYL_B = _U(0x9E3779B9), _U(0xBB67AE85)
_1, _12, _52, _63 = _U(1), _U(12), _U(52), _U(63)
_28, _2 = _U(28), _U(2)


@njit(**INLINE)
def philox(c0, c1, c2, c3, k0, k1):
    """Return two 64-bit words from a counter of four and a key of two 32-bit words (all uint64)."""
    for _ in range(10):
        a = c0 * _MULTIPLY_A
        b = c2 * _MULTIPLY_B
        c0 = (b >> _32) ^ c1 ^ k0
        c1 = b & _LOW
        c2 = (a >> _32) ^ c3 ^ k1
        c3 = a & _LOW
        k0 = (k0 + _WEYL_A) & _LOW
        k1 = (k1 + _WEYL_B) & _LOW
    return (c0 << _32) | c1, (c2 << _32) | c3


@njit(**INLINE)
def words(seed, path, block, purpose):
    """Return 128 bits, one block of one path's stream, as two uint64; all arguments uint64."""
    return philox(
        path & _LOW,
        path >> _32,
        block & _LOW,
        (block >> _32) | (purpose << _28),
        seed & _LOW,
        seed >> _32,
    )


@njit(**INLINE)
def box_muller(first, second):
    """Return two independent standard normals from two 64-bit words."""
    # logarithm of u in (0, 1]: u = 2^k m with m in [sqrt(1/2), sqrt(2))
    u = 2.0 - np.uint64((first >> _12) | _ONE_BITS).view(np.float64)
    bits = np.float64(u).view(np.uint64) + _TO_SQRT_HALF
    k = np.uint64((bits >> _52) + _TO_EXPONENT).view(np.float64) - 6755399441055744.0
    m = np.uint64((bits & _MANTISSA) + _SQRT_HALF_BITS).view(np.float64)
    f = m - 1.0
    s = f / (m + 1.0)
    z = s * s
    r = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    r = 2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * r)
    r = z * (
        6.666666666666735130e-01
        + z * (3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * r))
    )
    h = 0.5 * f * f
    logarithm = k * 6.93147180559945286e-01 + (f - (h - s * (h + r)))
    radius = math.sqrt(-2.0 * logarithm)
    # angle in an octant pair, then a random reflection and exchange of sine and cosine
    t = (np.uint64((second >> _12) | _ONE_BITS).view(np.float64) - 1.5) * 1.5707963267948966
    q = t * t
    sine = -2.50507602534068634195e-08 + q * 1.58969099521155010221e-10
    sine = -1.98412698298579493134e-04 + q * (2.75573137070700676789e-06 + q * sine)
    sine = t + t * q * (-1.66666666666666324348e-01 + q * (8.33333333332248946124e-03 + q * sine))
    cosine = 2.08757232129817482790e-09 - q * 1.13596475577881948265e-11
    cosine = 2.48015872894767294178e-05 + q * (-2.75573143513906633035e-07 + q * cosine)
    cosine = 1.0 - q * (
        0.5 - q * (4.16666666666666019037e-02 + q * (-1.38888888888741095749e-03 + q * cosine))
    )
    cosine = np.uint64(np.float64(cosine).view(np.uint64) ^ (second << _63)).view(np.float64)
    exchange = (second >> _1) & _1
    return (
        radius * (sine if exchange else cosine),
        radius * (cosine if exchange else sine),
    )


@njit(**INLINE)
def unit_uniform(word):
    """Return a uniform number in [0, 1) from a 64-bit word, 52 bits."""
    return np.uint64((word >> _12) | _ONE_BITS).view(np.float64) - 1.0


@njit(**INNER)
def fill_normals(seed, first_path, first_block, num_rows, out):
    """Write normals of LANES paths from block `first_block` on into `out` (rows, LANES).

    Rows 2b and 2b + 1 hold the two normals of block ``first_block + b``; `out` has an even number
    of rows at or above `num_rows`.
    """
    k0 = seed & _LOW
    k1 = seed >> _32
    for pair in range((num_rows + 1) // 2):
        block = first_block + _U(pair)
        c2 = block & _LOW
        c3 = block >> _32
        for lane in range(LANES):
            path = first_path + _U(lane)
            a, b = philox(path & _LOW, path >> _32, c2, c3, k0, k1)
            out[2 * pair, lane], out[2 * pair + 1, lane] = box_muller(a, b)


def normals(seed, path, num_normals, first_block=0):
    """Return the first standard normals of one path's stream, shape (num_normals,).

    Parameters
    ----------
    seed : int
        Key of the experiment, ``0 <= seed < 2^64``.
    path : int
        Number of the path, ``0 <= path < 2^64``.
    num_normals : int
        How many; two come from each block of the stream.
    first_block : int
        Block at which to begin.

    Raises
    ------
    InputError
        If an argument is out of its range.

    Examples
    --------
    The second block of path 3 does not depend on `first_block`.

    >>> bool((normals(7, 3, 4)[2:] == normals(7, 3, 2, first_block=1)).all())
    True
    """
    seed = seed_word(seed)
    path = _U(checks.integer("path", path, low=0, high=2**64 - 1))
    checks.integer("num_normals", num_normals, low=1)
    first_block = checks.integer("first_block", first_block, low=0, high=2**60 - 1)
    out = np.empty(2 * ((num_normals + 1) // 2))
    _fill_path(seed, path, _U(first_block), out)
    return out[:num_normals]


@njit(**KERNEL)
def _fill_path(seed, path, first_block, out):
    for pair in range(len(out) // 2):
        first, second = words(seed, path, first_block + _U(pair), _U(NORMALS))
        out[2 * pair], out[2 * pair + 1] = box_muller(first, second)


def seed_word(seed):
    """Return the seed as the 64-bit key of Philox.

    Examples
    --------
    >>> seed_word(-1)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: seed=-1; expected an integer with 0 <= seed <= 18446744073709551615
    """
    return _U(checks.integer("seed", seed, low=0, high=2**64 - 1))
