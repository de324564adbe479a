"""Rules for the members of a class of problems, and for what these members return."""

import types
import weakref

import numpy as np

from aniso import _arguments, checks

REQUIRED = (
    "num_examples",
    "losses",
    "gradient",
    "example_gradients",
    "hessian_product",
    "subset",
)
"""Members that every problem defines."""

_ARGUMENTS = {
    "losses": ("theta",),
    "gradient": ("theta",),
    "example_gradients": ("theta",),
    "hessian_product": ("theta", "vectors"),
    "subset": ("indices",),
}
_SOUND = weakref.WeakSet()


def require_members(kind, base):
    """Refuse a class of problems that lacks a required member, or has it with other arguments.

    Parameters
    ----------
    kind : type
        The class, a subclass of `base`.
    base : type
        The abstract class, whose required members are abstract.

    Raises
    ------
    InputError
        If a member is missing, stands in a base class after `base`, or can't be called with its
        arguments.
    """
    if kind in _SOUND:
        return
    missing = [name for name in REQUIRED if name in kind.__abstractmethods__]
    if missing:
        raise checks.InputError(_missing(kind, base, missing))
    for name, arguments in _ARGUMENTS.items():
        member = getattr(kind, name)
        if isinstance(member, types.FunctionType):
            found = _arguments.misfit(member, ("self", *arguments))
            if found is not None:
                raise checks.InputError(
                    f"{kind.__name__}.{name} takes {found}; expected "
                    f"{name}(self, {', '.join(arguments)})"
                )
    _SOUND.add(kind)


def _missing(kind, base, missing):
    after = kind.__mro__[kind.__mro__.index(base) + 1 :]
    for other in after:
        hidden = [name for name in missing if name in vars(other)]
        if hidden:
            return (
                f"{kind.__name__} takes {', '.join(hidden)} from {base.__name__}, where they are "
                f"abstract: {other.__name__}, which defines them, stands after it; expected "
                f"class {kind.__name__}({other.__name__}, {base.__name__})"
            )
    return (
        f"{kind.__name__} lacks {', '.join(missing)}; expected a class that defines all of "
        f"{', '.join(REQUIRED)}"
    )


def not_a_problem(name, value):
    """Return the message for an argument that is no problem, with the members that it lacks."""
    if isinstance(value, type):
        return (
            f"{name} is the class {value.__name__}, not a problem; expected an instance, "
            f"{value.__name__}(...)"
        )
    kind = type(value).__name__
    lacking = [part for part in REQUIRED if not hasattr(value, part)]
    reason = f"it has no {', '.join(lacking)}" if lacking else "its class is no subclass of Problem"
    return (
        f"{name} is of type {kind}, not a problem: {reason}; expected "
        "AutogradProblem(loss, inputs, targets), a networks.Network, or a subclass of "
        "problems.Problem"
    )


def of_shape(problem, member, value, symbols, shape):
    """Return what a member of a problem returned; refuse it if it has another shape.

    Parameters
    ----------
    problem : Problem
        Loss over the examples, and its derivatives.
    member : str
        Name of the member, for the message.
    value : array or object with a shape
        Its result.
    symbols : str
        The expected shape in symbols, for instance "(N,)".
    shape : tuple of int
        The expected shape.

    Raises
    ------
    InputError
        If the shape is another one.

    Examples
    --------
    >>> of_shape(None, "losses", np.ones((2, 1)), "(N,)", (2,))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: NoneType.losses returned shape (2, 1); expected (N,)=(2,); \
numpy.ravel(...) of it has that shape
    """
    found = tuple(value.shape) if hasattr(value, "shape") else np.shape(value)
    if found != shape:
        raise checks.InputError(
            f"{type(problem).__name__}.{member} returned shape {found}; expected {symbols}={shape}"
            + ravel_remedy(found, shape)
        )
    return value


def ravel_remedy(found, shape):
    """Return the remedy for a column or a row in place of a vector, "" for other shapes."""
    flat = len(shape) == 1 and len(found) > 1 and sorted(found)[:-1] == [1] * (len(found) - 1)
    return "; numpy.ravel(...) of it has that shape" if flat and max(found) == shape[0] else ""
