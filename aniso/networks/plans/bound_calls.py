"""Bound matrix products that compiled functions call, so that the lock is released once for many.

Two threads that release and take the interpreter's lock around each short product wait for each
other. A compiled pass of a whole layer with its product takes the lock once.
"""

import ctypes

import llvmlite.ir
import numpy as np
from numba import types
from numba.extending import intrinsic

from aniso.arrays import njit
from aniso.networks.plans.kernels import KERNEL

# place of the right factor among the arguments
_RIGHT = 6


class BoundCall:
    """A bound product as a compiled function takes it.

    Parameters
    ----------
    product : BoundProduct
        It keeps the arrays.

    Attributes
    ----------
    addresses : ndarray of int, shape (14,)
        Addresses of the function and of its arguments, for :func:`call`.
    """

    def __init__(self, product):
        self._product = product
        self.addresses = np.array([product.function, *map(_address, product.arguments)], np.int64)

    def move_right(self, address):
        """Move the right factor to other memory, of the same strides."""
        self.addresses[1 + _RIGHT] = address


def _address(argument):
    # c_void_p and c_char_p are addresses; others are given by reference
    if isinstance(argument, (ctypes.c_void_p, ctypes.c_char_p)):
        return ctypes.cast(argument, ctypes.c_void_p).value
    return ctypes.addressof(argument._obj)


@intrinsic
def _call(typingctx, addresses):  # noqa: ARG001
    signature = types.void(addresses)

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = llvmlite.ir.IntType(8).as_pointer()

        def entry(number):
            index = llvmlite.ir.Constant(llvmlite.ir.IntType(64), number)
            return builder.load(builder.gep(data, [index]))

        function = llvmlite.ir.FunctionType(llvmlite.ir.VoidType(), [pointer] * 13)
        target = builder.inttoptr(entry(0), function.as_pointer())
        builder.call(target, [builder.inttoptr(entry(1 + i), pointer) for i in range(13)])
        return context.get_dummy_value()

    return signature, generate


@njit(inner=True, **KERNEL)
def call(addresses):
    """Call a bound product in a compiled function: a function's address and its 13 arguments."""
    _call(addresses)
