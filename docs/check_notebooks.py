"""``python docs/check_notebooks.py SITE_EXAMPLES``: run notebooks, and look at what they show.

Two notebooks of the gallery run as they are downloaded. A third one shows a diagnosis, an estimate
and the progress of a command. No output may hold a control sequence that moves the cursor of a
terminal, or the bare address of an object.
"""

import os
import re
import sys
from pathlib import Path

import required

if missing := required.sentence(dict.fromkeys(("nbclient", "nbformat", "ipykernel"), "docs")):
    sys.exit(missing)

import nbclient
import nbformat

GALLERY = ("plot_layers", "plot_propositions_on_a_network")
SECONDS = 300
CELLS = (
    """import numpy as np
import aniso
from aniso import diagnostics, propositions
from aniso.propositions import command
bowl = aniso.quadratic_problem(np.diag([4.0, 1.0]), np.zeros(2), [[1.0, 0.0], [-1.0, 0.0]])
diagnostics.measure(bowl, [1.0, 1.0], batch_size=1, replacement=True,
    quantities=["loss", "alignment"], rng=np.random.default_rng(0))""",
    "bowl.at([1.0, 1.0]).by_block()",
    "command.main(['--quick', '--only', 'proposition1'])",
)
"""Cells whose values and progress are looked at."""
FORBIDDEN = {
    # colours are shown as such
    "a control sequence of a terminal": re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]"),
    "the address of an object": re.compile(r"<[\w.]+ (?:object )?at 0x[0-9a-f]+>"),
}


def run(notebook, folder):
    """Run the cells of a notebook in a folder; an exception of a cell is raised."""
    nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return notebook


def texts(notebook):
    """Yield the texts of all outputs, of a stream or of a kind of data."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                yield output.text
            else:
                yield from (
                    text for text in output.get("data", {}).values() if isinstance(text, str)
                )


def faults(name, notebook):
    """Return what is wrong with the outputs of a notebook that has run, a list of sentences."""
    found = [
        f"{name}: an output holds {what}: {text[:200]!r}"
        for text in texts(notebook)
        for what, pattern in FORBIDDEN.items()
        if pattern.search(text)
    ]
    return found


def main(arguments):
    """Run all notebooks and print their faults; the exit status is 1 if there is one."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ.pop("MPLBACKEND", None)  # with which a notebook would show no picture
    folder, found = Path(arguments[0]), []
    for name in GALLERY:
        notebook = run(nbformat.read(folder / f"{name}.ipynb", as_version=4), str(folder))
        found += faults(name, notebook)
        if not any(
            "image/png" in output.get("data", {})
            for cell in notebook.cells
            for output in cell.get("outputs", ())
        ):
            found.append(f"{name}: no picture is shown")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = run(nbformat.v4.new_notebook(cells=cells), str(folder))
    found += faults("values and progress", notebook)
    kinds = [sorted(output.get("data", {})) for output in notebook.cells[0].outputs]
    if kinds != [["text/html", "text/plain"]]:
        found.append(f"a diagnosis is shown as {kinds}; expected one page with its text")
    print(*found, f"{len(GALLERY) + 1} notebooks, {len(found)} faults", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
