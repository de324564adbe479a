"""Fingerprint of an experiment: a hash of its numbers and of all that its functions use.

The hash of a function covers its code, its defaults, and the values of its global names. It follows
modules, objects, methods and other functions. A value that can't be identified is refused, because
a resumed run could continue with another value. The standard library, NumPy, SciPy and Numba enter
by name and version.
"""

import dis
import functools
import hashlib
import os
import sys
import sysconfig
import types

import numpy as np

from aniso import checks
from aniso.langevin.plain_functions import names_used

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite")
_INSTALLED = ("stdlib", "purelib", "platlib")  # of sysconfig
_REACHING = frozenset(
    ("__import__", "eval", "exec", "getattr", "globals", "locals", "open", "vars")
)
_READERS = frozenset(
    ("environ", "fromfile", "genfromtxt", "getenv", "load", "loadtxt", "memmap", "read_text")
)
_PLAIN = (str, bytes, int, float, complex, range, np.generic, types.NoneType, types.EllipsisType)


def fingerprint(*parts):
    """Return the hash of an experiment: numbers, text, None, arrays and functions.

    Parameters
    ----------
    parts : objects
        Everything that determines the result.

    Returns
    -------
    str
        The same in every process with the same versions of Python and NumPy.

    Raises
    ------
    InputError
        If a function reaches something that can't be identified, or looks things up by name.

    Examples
    --------
    >>> fingerprint(1, np.ones(2)) == fingerprint(1, np.ones(2)) != fingerprint(1, np.ones(3))
    True
    """
    names, found = None, frozenset()
    # a function may pass a module to another one, which uses more of it
    while found != names:
        names, description = found, _Description(found)
        text = ";".join(description.of(part, "the experiment") for part in parts)
        found = names | description.found
    return hashlib.sha256(text.encode()).hexdigest()


class _Description:
    """Text that is different for different values.

    Parameters
    ----------
    names : frozenset of str
        Names that are looked up in modules. `found` collects the names that functions use.
    """

    def __init__(self, names):
        self.names, self.found = names, set()
        self.seen, self.kept = {}, []

    def of(self, value, where):
        """Describe a value; `where` is the path to it, for the message."""
        if isinstance(value, _PLAIN):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, types.CodeType):
            return self._code(value, where)
        if id(value) in self.seen:
            return f"the same as {self.seen[id(value)]}"
        # kept alive, so that no other object gets its number
        self.kept.append(value)
        self.seen[id(value)] = len(self.seen)
        if isinstance(value, types.ModuleType):
            return self._module(value, where)
        if isinstance(value, type):
            return self._class(value, where)
        return (
            self._container(value, where)
            or self._callable(value, where)
            or self._object(value, where)
        )

    def _container(self, value, where):
        """Return the text of a tuple, list, set or dict and of its class; None of anything else."""
        if isinstance(value, (tuple, list)):
            parts = [self.of(part, f"{where}[{i}]") for i, part in enumerate(value)]
        elif isinstance(value, (set, frozenset)):
            # each on its own, because their order is not fixed
            others = [_Description(self.names) for _ in value]
            parts = sorted(other.of(part, where) for other, part in zip(others, value, strict=True))
            self.found.update(*(other.found for other in others))
        elif isinstance(value, dict):
            parts = [
                (self.of(key, where), self.of(part, f"{where}[{key!r}]"))
                for key, part in value.items()
            ]
        else:
            return None
        return f"{self.of(type(value), where)} {parts}"

    def _array(self, value, where):
        if value.dtype.hasobject:
            raise _unknown(where, value)
        content = hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
        return f"array {value.dtype.str} {value.shape} {content}"

    def _code(self, code, where):
        names = names_used(code)
        imports = any(step.opname == "IMPORT_NAME" for step in dis.get_instructions(code))
        if imports or names & _REACHING:
            how = "imports" if imports else f"uses {', '.join(sorted(names & _REACHING))}"
            raise checks.InputError(
                f"{where} {how}, so that its inputs can't be identified for the checkpoint; "
                "expected names from outside that are numbers, arrays and functions, or run "
                "without checkpoint"
            )
        constants = [self.of(constant, where) for constant in code.co_consts]
        shape = (code.co_argcount, code.co_kwonlyargcount, code.co_flags, code.co_freevars)
        handlers = getattr(code, "co_exceptiontable", b"").hex()
        return f"{code.co_code.hex()} {code.co_names} {shape} {handlers} {constants}"

    def _module(self, module, where):
        name = module.__name__
        if _is_foundation(name):
            return f"module {name} {_version(name)}"
        used = sorted(self.names & vars(module).keys())
        parts = [(key, self.of(vars(module)[key], f"{where}.{key}")) for key in used]
        missing = sorted(self.names - vars(module).keys()) if hasattr(module, "__getattr__") else []
        missing = [key for key in missing if hasattr(module, key)]
        if missing:
            raise checks.InputError(
                f"{where}.{missing[0]} is made by the module at each access, so that it "
                "can't be identified for the checkpoint; expected a name that the module holds, "
                "or run without checkpoint"
            )
        return f"module {name} {parts}"

    def _callable(self, value, where):
        """Text of a function, a compiled or partial one, or a method; None of anything else."""
        if isinstance(value, types.FunctionType):
            return self._function(value)
        source = getattr(value, "py_func", getattr(value, "__wrapped__", None))
        if isinstance(source, types.FunctionType):
            options = dict(getattr(value, "targetoptions", {}))
            return f"compiled {self.of(options, where)} {self.of(source, where)}"
        if isinstance(value, types.MethodType):
            return f"method {self.of(value.__func__, where)} of {self.of(value.__self__, where)}"
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return f"partial {[self.of(part, where) for part in parts]}"
        module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if isinstance(value, np.ufunc):
            known = [sys.modules.get(home) for home in ("numpy", "scipy.special")]
            homes = [home for home in known if getattr(home, name, None) is value]
            module = homes[0].__name__ if homes else None
        if callable(value) and name is not None and _is_foundation(module):
            return f"{module}.{name} {_version(module)}"
        return None

    def _function(self, function):
        name = f"{function.__module__}.{function.__qualname__}"
        if _is_foundation(function.__module__):
            return f"{name} {_version(function.__module__)}"
        names = names_used(function.__code__)
        self.found |= names
        outside = {key: function.__globals__[key] for key in names & function.__globals__.keys()}
        for key, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                outside[key] = cell.cell_contents
            except ValueError:  # a name that has no value yet
                continue
        where = f"function {function.__qualname__!r}"
        reading = sorted(names & _READERS)
        if reading and any(_is_foundation(_module_of(part)) for part in outside.values()):
            raise checks.InputError(
                f"{where} uses {', '.join(reading)}, so that these inputs can't be identified for "
                "the checkpoint; expected values that are read before and passed in "
                "parameters, or run without checkpoint"
            )
        taken = [
            (key, self.of(part, f"{key!r} in {where}")) for key, part in sorted(outside.items())
        ]
        carried = (function.__defaults__, function.__kwdefaults__, self._attributes(function))
        return f"{name} {self._code(function.__code__, where)} {taken} {self.of(carried, where)}"

    def _attributes(self, function):
        # __wrapped__ and other attributes of decorators count where the code uses them
        return {key: vars(function)[key] for key in sorted(self.names & vars(function).keys())}

    def _class(self, value, where):
        name = f"{value.__module__}.{value.__qualname__}"
        if _is_foundation(value.__module__):
            return f"{name} {_version(value.__module__)}"
        parts = [self.of(value.__bases__, where)]
        for key, part in sorted(vars(value).items()):
            if isinstance(part, property):
                part = (part.fget, part.fset, part.fdel)
            elif isinstance(part, (staticmethod, classmethod)):
                part = part.__func__
            elif isinstance(part, functools.cached_property):
                part = part.func
            elif key.startswith("__") and not isinstance(part, types.FunctionType):
                continue  # the documentation, annotations and bookkeeping of Python
            elif isinstance(part, types.MemberDescriptorType):
                continue  # a slot
            parts.append((key, self.of(part, f"{where}.{key}")))
        return f"class {name} {parts}"

    def _object(self, value, where):
        slots = [
            name
            for base in type(value).__mro__
            for name, part in vars(base).items()
            if isinstance(part, types.MemberDescriptorType)
        ]
        state = {name: getattr(value, name) for name in sorted(slots) if hasattr(value, name)}
        state |= getattr(value, "__dict__", {})
        # the state of an object of C cannot be read
        if not state and (_is_foundation(type(value).__module__) or callable(value)):
            raise _unknown(where, value)
        kind = self.of(type(value), f"the class of {where}")
        parts = [(key, self.of(part, f"{where}.{key}")) for key, part in sorted(state.items())]
        return f"object {kind} {parts}"


def _is_foundation(module):
    top = str(module or "").partition(".")[0]
    if top not in sys.stdlib_module_names:
        return top in _PACKAGES
    # a user's file may have the name of a standard module: profile.py, say
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return not file.endswith((".py", ".pyc")) or _is_installed(file)


def _is_installed(file):
    folders = {os.path.dirname(os.__file__), *map(sysconfig.get_path, _INSTALLED)}
    path = os.path.normcase(os.path.realpath(file))
    return any(
        path.startswith(os.path.join(os.path.normcase(os.path.realpath(folder)), ""))
        for folder in folders
    )


def _module_of(value):
    return getattr(value, "__name__" if isinstance(value, types.ModuleType) else "__module__", None)


def _version(module):
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return sys.version
    return getattr(sys.modules[top], "__version__", "")


def _unknown(where, value):
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return checks.InputError(
        f"{where} is a {kind}, which can't be identified for the checkpoint; expected numbers, "
        "text, arrays and functions: hand them over in parameters, or run without checkpoint"
    )
