"""``python -m benchmarks.beside``: time the programs of docs/beside.md, and write its table.

The programs are those of the page, as they stand. Packages that are not installed are left out.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import re
import statistics
import sys
import time
from pathlib import Path

from aniso import checks
from aniso.runs import files
from benchmarks import machine

PAGE = Path(__file__).parents[1] / "docs" / "beside.md"
BEGIN = "<!-- times: begin, written by python -m benchmarks.beside -->"
END = "<!-- times: end -->"
SHARED = {"model": "λ₁ and Tr(HΣ₁) of a model", "equation": "mean loss of an ensemble"}
"""Programs that the programs after them begin with, and the title of their task."""
DISTRIBUTIONS = {
    "aniso": "aniso",
    "torch.func": "torch",
    "curvlinops": "curvlinops-for-pytorch",
    "backpack": "backpack-for-pytorch",
    "hessian_eigenthings": "hessian-eigenthings",
    "pyhessian": "pyhessian",
    "diffrax": "diffrax",
    "torchsde": "torchsde",
}
"""Distribution of each package of the page."""

_PROGRAM = re.compile(r"<!-- beside: ([\w.]+) -->\n```python\n(.*?)```", re.DOTALL)


def programs(text):
    """Return the programs of a page, a dict of (task, package) to source, shared lines included.

    Examples
    --------
    >>> page = '''<!-- beside: model -->
    ... ```python
    ... x = 1
    ... ```
    ... <!-- beside: aniso -->
    ... ```python
    ... y = x
    ... ```
    ... '''
    >>> programs(page)
    {('model', 'aniso'): 'x = 1\\ny = x\\n'}
    """
    task, shared, found = None, "", {}
    for name, source in _PROGRAM.findall(text):
        if name in SHARED:
            task, shared = name, source
        else:
            found[task, name] = shared + source
    return found


def is_installed(package):
    """Return whether a package of the page can be imported."""
    return importlib.util.find_spec(package.partition(".")[0]) is not None


def defined(package, source, sizes=()):
    """Run a program and return the names that it defines, its function ``answer`` among them.

    Parameters
    ----------
    package : str
        Name of the program, for messages.
    source : str
        Program with its shared lines.
    sizes : sequence of pair of str
        Replacements of text in the program, for smaller sizes; each must occur.

    Raises
    ------
    ValueError
        If a text to be replaced is not in the program.

    Examples
    --------
    >>> defined("aniso", "x = 1", [("1", "2")])["x"]
    2
    """
    for old, new in sizes:
        if old not in source:
            raise ValueError(f"the program of {package} has no {old!r}")
        source = source.replace(old, new)
    names = {"__name__": f"program of {package}"}
    exec(compile(source, f"{PAGE.name}, {package}", "exec"), names)
    return names


def measured(rounds):
    """Return seconds of first calls and medians of later ones, by task and package.

    Parameters
    ----------
    rounds : int
        Timed calls of each program, one of each in a round.
    """
    found = programs(PAGE.read_text(encoding="utf-8"))
    installed = [key for key in found if is_installed(key[1])]
    answers = {key: defined(key[1], found[key])["answer"] for key in installed}
    first, later = {}, {key: [] for key in answers}
    for number in range(rounds + 1):
        for key, answer in answers.items():
            begin = time.perf_counter()
            answer()
            passed = time.perf_counter() - begin
            if number:
                later[key].append(passed)
            else:
                first[key] = passed
    return first, {key: statistics.median(times) for key, times in later.items()}


def table(first, later):
    """Return the table of the page, Markdown."""
    where = machine.environment("")
    lines = [
        f"Measured on {where['date'][:10]} on {where['cores']} cores ({where['processor']}, "
        f"{where['memory_gib']} GiB, Python {where['python']}), with the programs in turn in one "
        "process, and medians. A first call includes imports and compilation at run time. The load "
        f"of the machine was {where['load_before']}.",
        "",
        "| task | package | version | first call | later calls |",
        "| --- | --- | --- | --- | --- |",
    ]
    for task, package in later:
        version = importlib.metadata.version(DISTRIBUTIONS[package])
        seconds = first[task, package], later[task, package]
        shown = " | ".join(f"{each:.3g} s" for each in seconds)
        lines.append(f"| {SHARED[task]} | {package} | {version} | {shown} |")
    return "\n".join(lines)


def rows(first, later):
    """Return the numbers of the table, a list of dict; times in seconds.

    Examples
    --------
    >>> rows({("model", "aniso"): 2.0}, {("model", "aniso"): 0.5})[0]["later_calls"]
    0.5
    """
    return [
        {
            "task": SHARED[task],
            "package": package,
            "version": importlib.metadata.version(DISTRIBUTIONS[package]),
            "first_call": first[task, package],
            "later_calls": seconds,
        }
        for (task, package), seconds in later.items()
    ]


def main(arguments=None):
    """Measure, print the table, and write it into the page where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed calls (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds as JSON")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    options = parser.parse_args(arguments)
    try:
        checks.integer("--rounds", options.rounds, low=1)
        if options.json is not None:
            files.require_writable("--json", options.json)
    except checks.InputError as error:
        parser.error(str(error))
    first, later = measured(options.rounds)
    found = table(first, later)
    print(found)
    if options.json is not None:
        with files.atomic_writer(options.json) as stream:
            stream.write(json.dumps(rows(first, later), indent=1) + "\n")
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        with files.atomic_writer(PAGE) as stream:
            stream.write(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
