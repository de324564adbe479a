"""Arguments that are functions or objects of the package: refused before they are used."""

import inspect

from aniso import checks


def misfit(function, arguments):
    """Return the parameters of a function that can't be called with the arguments, else None.

    Parameters
    ----------
    function : callable
        A function compiled by numba is judged by its Python source.
    arguments : tuple of str
        Names of the positional arguments of the call.

    Returns
    -------
    str or None
        The signature, for a message; None if the call fits or the signature is unknown.

    Examples
    --------
    >>> misfit(lambda theta, x: 0.0, ("theta", "inputs", "targets"))
    '(theta, x)'
    >>> misfit(lambda theta, *data: 0.0, ("theta", "inputs", "targets"))
    """
    try:
        signature = inspect.signature(getattr(function, "py_func", function))
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        return str(signature.replace(return_annotation=inspect.Signature.empty))
    return None


def require_function(name, value, arguments, kind=""):
    """Return a function, after checking that it can be called with the arguments of its role.

    Parameters
    ----------
    name : str
        Name or role of the function, for the message.
    value : object
        Argument to test.
    arguments : tuple of str
        Names of the positional arguments of the call.
    kind : str
        What else is expected of it, for the message.

    Raises
    ------
    InputError
        If it is no function, or takes other arguments.

    Examples
    --------
    >>> require_function("drift", lambda theta, time: -theta, ("theta",))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: drift takes (theta, time); expected a function (theta)
    """
    expected = f"expected a function ({', '.join(arguments)}){kind}"
    if not callable(value):
        raise checks.InputError(f"{name}={value!r}; {expected}")
    found = misfit(value, arguments)
    if found is not None:
        raise checks.InputError(f"{name} takes {found}; {expected}")
    return value


def require_instance(name, value, kind, example):
    """Return an object of the class `kind`; refuse any other.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        Argument to test.
    kind : type
        The class.
    example : str
        A call that makes such an object.

    Raises
    ------
    InputError
        If it is of another class, or the class itself.

    Examples
    --------
    >>> require_instance("theta", 3.0, list, "[0.0, 1.0]")
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: theta is a float; expected a list, for instance [0.0, 1.0]
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, type):
        found = f"the class {value.__name__}"
    else:
        found = "None" if value is None else f"a {type(value).__name__}"
    expected = f"expected a {kind.__name__}, for instance {example}"
    raise checks.InputError(f"{name} is {found}; {expected}")
