"""Python functions of compiled functions: they check their indices and can be inspected."""

import types


def names_used(code):
    """Return the global names and attributes that a code object uses, inner functions included.

    Parameters
    ----------
    code : types.CodeType
        Code of a Python function.

    Returns
    -------
    set of str

    Examples
    --------
    >>> sorted(names_used((lambda x: [math.sqrt(y) for y in x]).__code__))
    ['math', 'sqrt']
    """
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_used(constant)
    return names


def uncompiled(function):
    """Return the Python function of a compiled one; the functions that it calls are uncompiled too.

    Parameters
    ----------
    function : callable
        Compiled with ``numba.njit``, or plain.

    Returns
    -------
    callable
        A compiled function reads beyond the end of an array; this one raises IndexError there,
        also within the compiled functions that it calls.

    Examples
    --------
    >>> import numba, numpy
    >>> @numba.njit
    ... def second(values):
    ...     return values[1]
    >>> uncompiled(numba.njit(lambda values: 2 * second(values)))(numpy.ones(1))
    Traceback (most recent call last):
        ...
    IndexError: index 1 is out of bounds for axis 0 with size 1
    """
    source = getattr(function, "py_func", function)
    return _rebuilt(source, {}) if isinstance(source, types.FunctionType) else source


def _rebuilt(source, made):
    """A copy of a function that reaches uncompiled functions; `made` holds the copies so far."""
    if source in made:
        return made[source]
    outside = dict(source.__globals__)
    cells = tuple(types.CellType() for _ in source.__closure__ or ())
    copy = types.FunctionType(
        source.__code__, outside, source.__name__, source.__defaults__, cells or None
    )
    copy.__kwdefaults__ = source.__kwdefaults__
    made[source] = copy
    names = names_used(source.__code__)
    for name in names & outside.keys():
        outside[name] = _replaced(outside[name], names, made)
    for cell, given in zip(cells, source.__closure__ or (), strict=True):
        try:
            cell.cell_contents = _replaced(given.cell_contents, names, made)
        except ValueError:  # a name that has no value yet
            continue
    return copy


def _replaced(value, names, made):
    source = getattr(value, "py_func", None)
    if isinstance(source, types.FunctionType):
        return _rebuilt(source, made)
    if isinstance(value, types.ModuleType) and any(
        hasattr(vars(value).get(name), "py_func") or isinstance(vars(value).get(name), type(value))
        for name in names
    ):
        return _Namespace(value, names, made)
    return value


class _Namespace:
    """A module whose compiled functions are seen uncompiled."""

    def __init__(self, module, names, made):
        self._module, self._names, self._made = module, names, made

    def __getattr__(self, name):
        return _replaced(getattr(self._module, name), self._names, self._made)
