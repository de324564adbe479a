"""Which code made a figure's numbers: a hash of the sources that its module imports."""

import ast
import hashlib
from pathlib import Path

import aniso

_ROOTS = {"aniso": Path(aniso.__file__).parent, "analysis": Path(__file__).parent}
_PRESENTATION = frozenset(
    f"analysis.{name}" for name in ("claims", "figure_command", "figure_data", "figure_style")
)


def fingerprint(module):
    """Hash of the sources of a module and of all of `aniso` and `analysis` that it imports.

    Parameters
    ----------
    module : str
        Dotted name.

    Returns
    -------
    str
        16 hexadecimal digits. Docstrings and what only presents numbers don't count: modules of
        that kind and functions ``draw``, ``judge`` and ``_draw...`` of a figure; comments do.

    Examples
    --------
    >>> fingerprint("aniso.checks") != fingerprint("aniso.memory")
    True
    """
    digest = hashlib.sha256()
    for name, path in sorted(modules(module).items()):
        digest.update(name.encode() + b"\0" + _computing(name, path).encode() + b"\0")
    return digest.hexdigest()[:16]


def _computing(name, path):
    # the lines of a module without docstrings and the functions that present its numbers
    text = path.read_text(encoding="utf-8")
    lines, tree = text.splitlines(), ast.parse(text)
    silent = [
        node.body[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node)
    ]
    if name.startswith("analysis."):
        silent += [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and (node.name in ("draw", "judge") or node.name.startswith("_draw"))
        ]
    for node in silent:
        for number in range(node.lineno - 1, node.end_lineno):
            lines[number] = ""
    return "\n".join(line for line in lines if line)


def modules(module):
    """The module and those that it imports, directly or not: dict of dotted name to file."""
    found, waiting = {}, [module]
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if path is None or name in found or name in _PRESENTATION:
            continue
        found[name] = path
        waiting += _imported(path)
    return found


def _path(name):
    top, _, rest = name.partition(".")
    if top not in _ROOTS:
        return None
    place = _ROOTS[top].joinpath(*rest.split(".")) if rest else _ROOTS[top]
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.exists():
            return path
    return None


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
