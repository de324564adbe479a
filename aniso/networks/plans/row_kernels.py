"""Compiled writers of per-example gradients: outer products, written once at the speed of memory.

A store of the usual kind reads the line of the cache that it will overwrite. For results larger
than the cache, the stores of `stream` go past it, which saves a third of the traffic.
"""

import llvmlite.ir
from numba import types
from numba.extending import intrinsic

from aniso.arrays import njit
from aniso.networks.plans.kernels import KERNEL

LINE_BYTES = 64
"""Bytes that one streaming store writes, to an address that is a multiple of them."""


@intrinsic
def _stream_scaled(typingctx, target, start, source, offset, factor):  # noqa: ARG001
    """``target[start:start + w] = factor * source[offset:offset + w]``, w numbers of 64 bytes."""
    signature = types.void(target, types.intp, source, types.intp, factor)

    def generate(context, builder, signature, arguments):
        target, start, source, offset, factor = arguments
        kind, _, from_kind, _, _ = signature.args
        entry = context.get_value_type(kind.dtype)
        width = LINE_BYTES * 8 // kind.dtype.bitwidth
        vector = llvmlite.ir.VectorType(entry, width)
        number = llvmlite.ir.IntType(32)

        def address(array_type, array, index):
            data = context.make_array(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        values = builder.load(address(from_kind, source, offset), align=kind.dtype.bitwidth // 8)
        single = builder.insert_element(
            llvmlite.ir.Constant(vector, llvmlite.ir.Undefined), factor, number(0)
        )
        zeros = llvmlite.ir.Constant(llvmlite.ir.VectorType(number, width), [0] * width)
        factors = builder.shuffle_vector(single, single, zeros)
        store = builder.store(
            builder.fmul(values, factors), address(kind, target, start), align=LINE_BYTES
        )
        store.set_metadata("nontemporal", builder.module.add_metadata([number(1)]))
        return context.get_dummy_value()

    return signature, generate


@njit(**KERNEL)
def stream_rows(out, packed, shapes):
    """Write what :func:`write_rows` writes, past the cache."""
    width = LINE_BYTES // out.itemsize
    flat = out.reshape(-1)
    first = out.ctypes.data // out.itemsize
    for i in range(out.shape[0]):
        base, place = i * out.shape[1], 0
        for layer in range(shapes.shape[0]):
            units, ins = shapes[layer, 0], shapes[layer, 1]
            inputs = packed[i, place : place + ins]
            deltas = packed[i, place + ins : place + ins + units]
            for u in range(units):
                delta, j = deltas[u], 0
                while j < ins and (first + base + j) % width != 0:
                    flat[base + j] = delta * inputs[j]
                    j += 1
                while j + width <= ins:
                    _stream_scaled(flat, base + j, inputs, j, delta)
                    j += width
                while j < ins:
                    flat[base + j] = delta * inputs[j]
                    j += 1
                base += ins
            for u in range(units):
                flat[base + u] = deltas[u]
            base += units
            place += ins + units


@njit(**KERNEL)
def write_rows(out, packed, shapes):
    """Write the gradients of n examples of dense layers, weights before biases.

    Parameters
    ----------
    out : ndarray, shape (n, D)
        C-contiguous.
    packed : ndarray, shape (n, P)
        Inputs, then deltas of each layer.
    shapes : ndarray of int, shape (L, 2)
        Outputs and inputs of each layer.
    """
    for i in range(out.shape[0]):
        start, place = 0, 0
        for layer in range(shapes.shape[0]):
            units, ins = shapes[layer, 0], shapes[layer, 1]
            # a view of two axes keeps the inner loop a plain one over contiguous memory
            own = out[i, start : start + units * ins].reshape((units, ins))
            inputs = packed[i, place : place + ins]
            deltas = packed[i, place + ins : place + ins + units]
            for u in range(units):
                delta = deltas[u]
                for j in range(ins):
                    own[u, j] = delta * inputs[j]
            start += units * ins
            tail = out[i, start : start + units]
            for u in range(units):
                tail[u] = deltas[u]
            start += units
            place += ins + units
