"""Per-example gradients of a user's loss from one trace of a batch of examples.

In most losses a few operations combine parameters with examples: a matrix product ``X @ theta``, a
bias that is added, a number that multiplies a column. After these, every entry of an array depends
on one example. One pass back through the batch therefore gives the derivative of each loss in that
array. The operation itself, and earlier operations on the parameters such as slices, are then
differentiated with an additional axis for the examples.
"""

import math
from functools import partial

import autograd.numpy as anp
import numpy as np
from autograd.core import add_outgrads, primitive_vjps
from autograd.numpy.numpy_boxes import ArrayBox

from aniso.problems._tracing import recorded, traced

NUM_PROBED = 5
# a reordered sum is far below; an entry of one example that depends on another far above
TOLERANCE = 1e-9

_PRODUCTS = (anp.dot, anp.matmul, anp.inner, anp.tensordot, anp.einsum)
_REARRANGING = (
    *(anp.reshape, anp.ravel, anp.transpose, anp.swapaxes, anp.moveaxis, anp.squeeze),
    *(anp.expand_dims, ArrayBox.__getitem__),
)
_ENTRYWISE = (
    *(anp.negative, anp.add, anp.subtract, anp.multiply, anp.divide, anp.true_divide, anp.power),
    *(anp.exp, anp.expm1, anp.log, anp.log1p, anp.sqrt, anp.square, anp.abs, anp.absolute),
    *(anp.sin, anp.cos, anp.sinh, anp.cosh, anp.tanh, anp.arctan, anp.maximum, anp.minimum),
    *(anp.logaddexp,),
)
_PARAMETERS, _SILENT = "parameters", "silent"  # roles of arrays without an axis of examples


class Unsupported(Exception):
    """Parameters and examples are combined by an operation that is not followed here."""


def is_followed(loss, theta, inputs, targets):
    """Return whether :func:`traced_rows` works for a loss, by a test on at most five examples.

    Parameters
    ----------
    loss : callable
        Per-example loss written with autograd's NumPy.
    theta : array, shape (D,)
        Point in parameter space.
    inputs, targets : array, shape (N, ...)
        Data of the examples.

    Returns
    -------
    bool
        False also where the rows differ from separate calls for each example, or an error occurs:
        separate calls are right in any case.

    Examples
    --------
    >>> def product(theta, x, y): return (anp.dot(x, theta) - y) ** 2
    >>> def centred(theta, x, y): return (anp.dot(x, theta) - anp.mean(anp.dot(x, theta))) ** 2
    >>> x, y = np.eye(3), np.ones(3)
    >>> [is_followed(loss, np.array([1.0, 2.0, 4.0]), x, y) for loss in (product, centred)]
    [True, False]
    """
    if len(inputs) < 2:
        return False
    inputs, targets = inputs[:NUM_PROBED], targets[:NUM_PROBED]
    wave = np.cos(1.0 + np.arange(theta.size))
    moved = theta + 1e-2 * (1.0 + np.abs(theta)) * wave
    try:
        with np.errstate(all="ignore"):
            rows = traced_rows(loss, moved, inputs, targets)
            separate = separate_rows(loss, moved, inputs, targets)
    except Exception:
        return False
    scale = np.abs(separate).max()
    return bool(np.isfinite(scale) and np.abs(rows - separate).max() <= TOLERANCE * scale)


def rows(loss, theta, inputs, targets):
    """Gradients of the losses, shape (n, D), by :func:`traced_rows` where it works at this theta.

    A loss may branch at another theta into operations that are not followed. Separate calls then
    give the gradients.
    """
    try:
        return traced_rows(loss, theta, inputs, targets)
    except Unsupported:
        return separate_rows(loss, theta, inputs, targets)


def separate_rows(loss, theta, inputs, targets):
    """Gradients of the losses, shape (n, D), from a separate call for each example."""
    result = np.empty((len(inputs), theta.size))
    for i in range(len(inputs)):
        given = inputs[i : i + 1], targets[i : i + 1]
        pull_back, _ = traced(lambda point, given=given: anp.sum(loss(point, *given)), theta)
        result[i] = pull_back(1.0)
    return result


def traced_rows(loss, theta, inputs, targets):
    """Gradients of the losses, shape (n, D), from one traced call for all n examples.

    Parameters
    ----------
    loss : callable
        ``loss(theta, inputs, targets)`` returns the losses (n,).
    theta : array, shape (D,)
        Point in parameter space.
    inputs, targets : array, shape (n, ...)
        Data of the examples.

    Returns
    -------
    array, shape (n, D)

    Raises
    ------
    Unsupported
        If an operation between the parameters and the examples is not among those followed.

    Notes
    -----
    Two passes back through the batch, the second with a different weight on each loss: the entries
    of an array belong to the examples where its derivatives change by just these weights.

    Examples
    --------
    >>> def loss(theta, x, y): return (anp.dot(x, theta) - y) ** 2
    >>> traced_rows(loss, np.array([1.0, 0.0]), np.array([[1.0, 0.0], [2.0, 1.0]]), np.zeros(2))
    array([[2., 0.],
           [8., 4.]])
    """
    count = len(inputs)
    if count == 1:
        return separate_rows(loss, theta, inputs, targets)
    nodes = recorded(lambda point: loss(point, inputs, targets), theta)
    if nodes is None:
        return np.zeros((count, theta.size))
    weights = 1.0 + np.arange(count) / count
    plain, weighted = _derivatives(nodes, np.ones(count)), _derivatives(nodes, weights)
    roles = {
        node: _role(np.shape(node.value), plain[node], weighted[node], weights) for node in nodes
    }
    roles[nodes[0]] = _PARAMETERS
    totals = {}  # derivatives of each loss in an array of parameters, (n, *shape)
    for node in reversed(nodes[1:]):
        role, axis = roles[node], 0
        if role is _SILENT:
            continue
        if role is _PARAMETERS:
            derivative = totals.pop(node, None)
            if derivative is None:
                continue
            _refuse_examples(node, roles, count)
        else:
            derivative, axis = plain[node], role
        for number, parent in zip(node.numbers, node.parents, strict=True):
            if roles[parent] is not _PARAMETERS:
                continue
            if role is _PARAMETERS and number == 0 and node.function in _REARRANGING:
                if parent not in totals:
                    totals[parent] = np.zeros((count, *np.shape(parent.value)))
                _add_rearranged(totals[parent], node, derivative)
                continue
            part = _followed(node, number, derivative, axis, role is _PARAMETERS)
            if parent in totals:
                totals[parent] += part
            else:
                totals[parent] = np.array(part) if part.base is not None else part
    return totals.get(nodes[0], np.zeros((count, theta.size)))


def _derivatives(nodes, seed):
    """Derivatives of ``sum_i seed_i l_i`` in the value of every node."""
    if np.shape(nodes[-1].value) != seed.shape:
        raise Unsupported
    result = {nodes[-1]: (seed, False)}
    for node in reversed(nodes[1:]):
        pull_back = _pull_back(node, node.numbers, node.arguments)
        for parent, part in zip(node.parents, pull_back(result[node][0]), strict=True):
            result[parent] = add_outgrads(result.get(parent), part)
    return {node: derivative for node, (derivative, _) in result.items()}


def _pull_back(node, numbers, arguments):
    if node.function not in primitive_vjps:
        raise Unsupported
    return primitive_vjps[node.function](numbers, node.value, arguments, node.keywords)


def _role(shape, plain, weighted, weights):
    """Return the axis of the examples in an array, or a constant for an array without one."""
    if not isinstance(plain, (np.ndarray, float)):
        raise Unsupported
    scale = max(np.abs(plain).max(initial=0.0), np.abs(weighted).max(initial=0.0))
    if scale == 0:
        return _SILENT
    for axis, length in enumerate(shape):
        if length == weights.size:
            along = weights.reshape([-1 if k == axis else 1 for k in range(len(shape))])
            if np.abs(weighted - along * plain).max() <= TOLERANCE * scale:
                return axis
    return _PARAMETERS


def _refuse_examples(node, roles, count):
    # an array between parameters in which examples take part: they interact, or its size misleads
    for number, argument in enumerate(node.arguments):
        if number not in node.numbers and count in np.shape(argument):
            raise Unsupported
    if any(roles[parent] not in (_PARAMETERS, _SILENT) for parent in node.parents):
        raise Unsupported


def _followed(node, number, derivative, axis, has_own_axis):
    """Derivative of each loss in an argument, (n, *shape), from that in the node's value.

    If `has_own_axis`, the axis of the examples precedes the axes of the value. Otherwise it is the
    axis `axis` of the value.
    """
    if node.function in _PRODUCTS:
        return _through_product(node, number, derivative, axis, has_own_axis)
    if node.function in _ENTRYWISE:
        return _through_entries(node, number, derivative, axis)
    if has_own_axis and node.function is anp.sum and np.ndim(node.value) == 0:
        shape = np.shape(node.arguments[0])
        ones = (1,) * len(shape)
        return np.broadcast_to(derivative.reshape(-1, *ones), (len(derivative), *shape))
    raise Unsupported


def _through_entries(node, number, derivative, axis):
    argument = node.arguments[number]
    arguments = list(node.arguments)
    arguments[number] = np.broadcast_to(argument, derivative.shape)
    whole = _pull_back(node, (number,), arguments)(derivative)[0]
    shape = np.shape(argument)
    padded = (1,) * (derivative.ndim - len(shape)) + shape
    if padded[axis] != 1:
        raise Unsupported
    spread = tuple(k for k, length in enumerate(padded) if length == 1 and k != axis)
    part = np.moveaxis(np.sum(whole, axis=spread, keepdims=True), axis, 0)
    return part.reshape(len(part), *shape)


def _add_rearranged(total, node, derivative):
    """Add the derivative in a view (slice, transpose) to the derivative in the array, in place."""
    shape, count = np.shape(node.arguments[0]), len(derivative)
    numbers = np.arange(math.prod(shape)).reshape(shape)
    places = np.ravel(node.function(numbers, *node.arguments[1:], **node.keywords))
    whole, part = total.reshape(count, -1), derivative.reshape(count, -1)  # whole is a view
    if places.size and (np.diff(places) == 1).all():
        whole[:, places[0] : places[-1] + 1] += part
    elif np.unique(places).size == places.size:
        whole[:, places] += part
    else:
        np.add.at(whole, (slice(None), places), part)


def _through_product(node, number, derivative, axis, has_own_axis):
    first, second, out, operands = _subscripts(node)
    own, other = (first, second) if number == operands[0] else (second, first)
    factor = node.arguments[operands[1] if number == operands[0] else operands[0]]
    example = "Z" if has_own_axis else out[axis]
    given = "Z" + out if has_own_axis else out
    known = set(given) | set(other)
    if example in own or example not in known or len(set(own)) < len(own) or set(own) - known:
        raise Unsupported
    return np.einsum(f"{given},{other}->{example}{own}", derivative, factor)


def _subscripts(node):
    """Return the indices of two factors and their product as letters, and the factors' numbers."""
    if node.function is anp.einsum:
        text = node.arguments[0]
        if not isinstance(text, str) or len(node.arguments) != 3 or "." in text or "Z" in text:
            raise Unsupported
        left, arrow, out = text.replace(" ", "").partition("->")
        first, second = left.split(",")
        if not arrow:
            letters = first + second
            out = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
        return first, second, out, (1, 2)
    shapes = [np.shape(argument) for argument in node.arguments[:2]]
    dimensions = [len(shape) for shape in shapes]
    if 0 in dimensions or sum(dimensions) > 20:
        raise Unsupported
    first = "abcdefghij"[: dimensions[0]]
    second = "klmnopqrst"[: dimensions[1]]
    rule = _RULES[node.function]
    second, summed = rule(first, second, shapes, node)
    out = "".join(c for c in first if c not in summed)
    out += "".join(c for c in second if c not in first)
    return first, second, out, (0, 1)


def _paired(first, second, pairs):
    """Return the letters of the second factor and of the summed axes, which both factors share."""
    letters = list(second)
    for of_first, of_second in pairs:
        letters[of_second] = first[of_first]
    return "".join(letters), {first[of_first] for of_first, _ in pairs}


def _dot_letters(first, second, shapes, node, last=2):  # noqa: ARG001
    return _paired(first, second, [(len(first) - 1, max(len(second) - last, 0))])


def _matmul_letters(first, second, shapes, node):
    if len(second) <= 2:
        return _dot_letters(first, second, shapes, node)
    # stacks of matrices: the leading axes of the shorter factor are the last ones of the longer
    if len(first) < 2 or len(first) != len(second) or shapes[0][:-2] != shapes[1][:-2]:
        raise Unsupported
    stacked = [(k, k) for k in range(len(first) - 2)]
    second, _ = _paired(first, second, [*stacked, (len(first) - 1, len(second) - 2)])
    return second, {first[-1]}


def _tensordot_letters(first, second, shapes, node):  # noqa: ARG001
    axes = node.arguments[2] if len(node.arguments) > 2 else node.keywords.get("axes", 2)
    if np.ndim(axes) == 0:
        axes = range(len(first) - axes, len(first)), range(axes)
    of_first, of_second = (np.atleast_1d(part).tolist() for part in axes)
    return _paired(first, second, list(zip(of_first, of_second, strict=True)))


_RULES = {
    anp.dot: _dot_letters,
    anp.matmul: _matmul_letters,
    anp.inner: partial(_dot_letters, last=1),
    anp.tensordot: _tensordot_letters,
}
