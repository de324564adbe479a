"""Writes the stub ``__init__.pyi`` of every face, by which type checkers see what it exports.

    python scripts/write_stubs.py
    python scripts/write_stubs.py --check

With --check nothing is written, and the exit status is 1 if a stub is not what it would be.

Faces load lazily, so that no checker finds their names in ``__init__.py``. A stub repeats the
table of the face, and the signatures of functions that the face itself defines.
"""

import ast
import sys
from pathlib import Path

from aniso.runs import files

ROOT = Path(__file__).parents[1]


def faces(root=ROOT):
    """Return the ``__init__.py`` of the package and its folders that load their names lazily."""
    found = sorted((root / "aniso").rglob("__init__.py"))
    return [path for path in found if "lazy_loader.attach(" in path.read_text(encoding="utf-8")]


def stub(source):
    """Return the stub of a face.

    Parameters
    ----------
    source : str
        Text of its ``__init__.py``.

    Returns
    -------
    str

    Examples
    --------
    >>> table = "lazy_loader.attach(__name__, submodules=['fits'], submod_attrs={'fits': ['line']})"
    >>> print(stub(table), end="")
    from . import fits as fits
    from .fits import line as line
    """
    tree = ast.parse(source)
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_loader.attach"
    )
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    lines = [f"from . import {name} as {name}" for name in sorted(given.get("submodules", ()))]
    for module, names in sorted(given.get("submod_attrs", {}).items()):
        lines += [f"from .{module} import {name} as {name}" for name in sorted(names)]
    lines += [f"{name}: {_hint(value)}" for name, value in _constants(tree)]
    own = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    public = [node for node in own if not node.name.startswith("_")]
    if public:
        lines = [*_imports_for_hints(tree), "", *lines]
    for node in public:
        node.body, node.decorator_list = [ast.Expr(ast.Constant(...))], []
        lines += ["", ast.unparse(node).replace(":\n    ...", ": ...")]
    if "__version__" in source:
        lines += ["", "__version__: str"]
    return "\n".join(lines) + "\n"


def _constants(tree):
    """Pairs (name, value) of the public constants that a face itself defines."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.isupper() and not name.startswith("_"):
                yield name, ast.literal_eval(node.value)


def _hint(value):
    """Return the hint of a tuple or a dict of values of one type each."""
    if isinstance(value, dict):
        (key,), (entry,) = (set(map(type, part)) for part in (value, value.values()))
        return f"dict[{key.__name__}, {entry.__name__}]"
    (entry,) = set(map(type, value))
    return f"tuple[{entry.__name__}, ...]"


def _imports_for_hints(tree):
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from map(ast.unparse, node.body)


def main(arguments):
    """Write or check all stubs; return the exit status."""
    status = 0
    for face in faces():
        path, text = face.with_suffix(".pyi"), stub(face.read_text(encoding="utf-8"))
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            print(f"{path} is not what its face exports; run python scripts/write_stubs.py")
            status = 1
            continue
        with files.atomic_writer(path) as stream:
            stream.write(text)
        print(f"wrote {path}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
