"""Reverse differentiation by autograd's graph, quiet where a function is constant."""

import numpy as np
from autograd.core import VJPNode, backward_pass, vspace
from autograd.tracer import Node, isbox, new_box, notrace_primitives, toposort, trace_stack


def traced(function, point):
    """Return pull-back and value of a function at a point, from one traced evaluation.

    Parameters
    ----------
    function : callable
        Written with autograd's NumPy.
    point : array or tuple of arrays
        Arguments of the function.

    Returns
    -------
    pull_back : callable
        Cotangent of the value to cotangent of the point; may be called many times, one pass back
        through the graph each.
    value : array or float

    Notes
    -----
    ``autograd.core.make_vjp`` without its warning for functions that do not depend on the point:
    the gradient of a linear loss is one, and its derivative is rightly 0.

    Examples
    --------
    >>> pull_back, value = traced(lambda x: x**2, np.array([3.0]))
    >>> pull_back(np.array([1.0])), value
    (array([6.]), array([9.]))
    """
    value, node = _trace(VJPNode.new_root(), function, point)
    if node is None:
        return lambda cotangent: vspace(point).zeros(), value  # noqa: ARG005
    return lambda cotangent: backward_pass(cotangent, node), value


def largest_intermediate(function, theta):
    """Number of entries of the largest array between theta and ``function(theta)``.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> largest_intermediate(lambda theta: anp.sum(anp.outer(theta, theta)), np.ones(4))
    16
    """
    _, node = _trace(_SizeNode.new_root(theta.size), function, theta)
    return theta.size if node is None else node.largest


def recorded(function, point):
    """Return the operations between a point and ``function(point)``, in order of evaluation.

    Returns
    -------
    list of RecordedNode, or None
        The point first, the result last; None where the result does not depend on the point.

    Examples
    --------
    >>> [node.value for node in recorded(lambda x: -(x * 2.0), np.ones(1))]
    [array([1.]), array([2.]), array([-2.])]
    """
    _, node = _trace(RecordedNode.new_root(point), function, point)
    return None if node is None else list(toposort(node))[::-1]


class RecordedNode(Node):
    """Node of autograd's graph with the operation that computed it.

    Attributes
    ----------
    value : array
        Result of the operation.
    function : callable
        Primitive that made the value; None for the point.
    arguments, keywords : tuple, dict
        Arguments of the call, as plain arrays.
    numbers : tuple of int
        Positions of the arguments that depend on the point.
    parents : tuple of RecordedNode
        Nodes of these arguments.
    """

    __slots__ = ["arguments", "function", "keywords", "numbers", "parents", "value"]

    def __init__(self, value, fun, args, kwargs, parent_argnums, parents):
        self.value, self.function, self.arguments, self.keywords = value, fun, args, kwargs
        self.numbers, self.parents = tuple(parent_argnums), parents

    def initialize_root(self, value):
        """Take the place of the point, which no operation made."""
        self.value, self.function, self.arguments, self.keywords = value, None, (), {}
        self.numbers, self.parents = (), ()


def plain(value):
    """Return the array inside autograd's boxes."""
    while isbox(value):
        value = value._value
    return np.asarray(value)


class _SizeNode(Node):
    """Node of autograd's graph that remembers only the largest array before it."""

    __slots__ = ["largest"]

    def __init__(self, value, fun, args, kwargs, parent_argnums, parents):  # noqa: ARG002
        self.largest = max(np.size(value), *(parent.largest for parent in parents))

    def initialize_root(self, size):
        self.largest = size


# comparisons and the like end the graph here as they do in a gradient
notrace_primitives[_SizeNode] = notrace_primitives[VJPNode]
notrace_primitives[RecordedNode] = notrace_primitives[VJPNode]


def _trace(root, function, point):
    with trace_stack.new_trace() as level:
        start = new_box(point, level, root)
        end = function(start)
        if isbox(end) and end._trace == start._trace:
            return end._value, end._node
        return end, None
