"""The pages of the reference: one for each package, with its docstring and its public names."""

import importlib
import inspect
from pathlib import Path

PACKAGES = (
    "aniso.problems",
    "aniso.matrices",
    "aniso.closed_forms",
    "aniso.networks",
    "aniso.frameworks",
    "aniso.diagnostics",
    "aniso.descent",
    "aniso.langevin",
    "aniso.escape",
    "aniso.propositions",
    "aniso.datasets",
    "aniso.arrays",
    "aniso.runs",
)
# modules without a package, whose names are offered by aniso itself
SINGLE = ("aniso.estimates", "aniso.checks")


def write(folder):
    """Write the page of every package, and their index.

    Parameters
    ----------
    folder : path-like
        Gets ``index.rst`` and a file for each package; files that are right stay untouched.
    """
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    pages = {"aniso": front_page()} | {name: page(name) for name in PACKAGES}
    entries = "\n".join(f"   {name}" for name in pages)
    pages["index"] = f"Reference\n=========\n\n.. toctree::\n   :maxdepth: 1\n\n{entries}\n"
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def public_names(package):
    """Return the objects and the modules of a package that its face offers, two lists of names."""
    module = importlib.import_module(package)
    objects, modules = [], []
    for name in sorted(module.__all__):
        value = getattr(module, name)
        if not inspect.ismodule(value):
            objects.append(name)
        elif not name.startswith("_") and value.__name__ not in PACKAGES:
            modules.append(name)
    return objects, modules


def offered_classes():
    """Return the names of the classes that the packages offer."""
    return {
        name
        for package in PACKAGES
        for name in public_names(package)[0]
        if inspect.isclass(getattr(importlib.import_module(package), name))
    }


def page(package):
    """Return the page of a package: its docstring, its functions and classes, its modules."""
    lines = [package, "=" * len(package), "", f".. automodule:: {package}", ""]
    titles = ("Functions and classes", "Modules")
    for title, names in zip(titles, public_names(package), strict=True):
        if names:
            lines += [title, "-" * len(title), "", f".. currentmodule:: {package}", ""]
            lines += _summary(names)
    return "\n".join(lines)


def front_page():
    """Return the page of ``aniso``: its names stand where their packages document them."""
    homes = {}
    for package in reversed(PACKAGES):
        homes |= dict.fromkeys(public_names(package)[0], package)
    own = [f"{homes[name]}.{name}" for name in public_names("aniso")[0] if name in homes]
    lines = ["aniso", "=====", "", ".. automodule:: aniso", ""]
    lines += ["Elsewhere", "---------", ""]
    lines += [".. autosummary::", "", *[f"   ~{name}" for name in own], ""]
    return "\n".join([*lines, *_summary(SINGLE)])


def _summary(names):
    return [".. autosummary::", "   :toctree: generated", "", *[f"   {name}" for name in names], ""]
