"""``python -m analysis.index``: write figures/README.md and DISCREPANCIES.md from stored data.

The differences are written as JSON too; the verdicts are in the description of each figure's data.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from analysis import as_published, discrepancies, figure_data, folders
from analysis.__main__ import FIGURES
from analysis.claims import Verdict
from analysis.figure import SCALES, seeds_of
from aniso import checks
from aniso.runs import files


def stored_figures(folder):
    """Return description and arrays of the largest stored scale of every figure, by name.

    Parameters
    ----------
    folder : path-like
        With the folder ``data``.

    Returns
    -------
    dict of str to (dict, dict of str to ndarray)

    Raises
    ------
    InputError
        If a stored file is damaged, or a description has no verdicts.
    """
    paths = {}
    for name, figure in FIGURES.items():
        # other seeds and published dynamics have further words in their names
        for scale in sorted(figure.scales, key=SCALES.index):
            path = Path(folder) / "data" / f"{name}_{scale}.json"
            if path.exists() and path.with_suffix(".npz").exists():
                paths[name] = path
    for path in paths.values():
        _require_verdicts(path)
    return {name: figure_data.read(path) for name, path in paths.items()}


def _require_verdicts(path):
    """Return a description; refuse one without verdicts."""
    description = figure_data.described(path)
    if "claims" not in description:
        command = "python -m analysis.{figure} --scale {scale} --plot-only".format(**description)
        raise checks.InputError(
            f"{str(path)!r} has no verdicts, for its command was cut off; run {command}, with its "
            "further options"
        )
    return description


def studies(folder):
    """Return stem and description of every stored study, its replications among them.

    Parameters
    ----------
    folder : path-like
        With the folder ``data``.

    Returns
    -------
    list of (str, dict)

    Raises
    ------
    InputError
        If a description is damaged, or has no verdicts.
    """
    found = []
    for path in sorted((Path(folder) / "data").glob("*_study*.json")):
        if not path.stem.startswith(tuple(f"{name}_" for name in FIGURES)):
            continue
        description = _require_verdicts(path)
        if "margins" in description["parameters"]:
            found.append((path.stem, description))
    return found


def readme(stored, found_studies=()):
    """Return the index of the figures with the verdicts of their claims, as Markdown.

    Parameters
    ----------
    stored : dict
        Of :func:`stored_figures`.
    found_studies : sequence
        Of :func:`studies`; those that `stored` lacks are added below their figure.
    """
    lines = [
        "# Figures",
        "",
        "Each picture is drawn from the data beside it (`data/*.npz`, provenance and verdicts in",
        "`data/*.json`) and made by one command. Claims are those of the captions, held against",
        "the numbers with two standard errors (over seeds, widened by Student's factor, or of the",
        "single measurements where larger); ± is one. What does not reproduce is reported as it",
        "is, and a single seed resolves nothing. The scales of a study are judged by another rule,",
        "the design in [docs/study.md](../docs/study.md). The small scale of Figure 3 is a task",
        "that was chosen because it shows the effect: its verdicts there are no independent",
        "evidence. Where the paper, its published scripts and these numbers differ",
        "is listed in [DISCREPANCIES.md](DISCREPANCIES.md). This page is written by",
        "`python -m analysis.index`.",
        "",
        *_summary(stored, found_studies),
    ]
    for name in FIGURES:
        if name not in stored:
            continue
        description = stored[name][0]
        figure, scale = FIGURES[name], description["scale"]
        command = f"python -m analysis.{name} --scale {scale}"
        lines += [
            "",
            f"## {figure.title}",
            "",
            f"![{figure.title}]({name}_{scale}.png)",
            "",
            f"`{command}` ({figure.costs[scale]}), parameters "
            f"`{json.dumps(description['parameters'])}`{_bands(figure, description)}",
            "",
            "| claim | verdict | measured |",
            "| --- | --- | --- |",
        ]
        lines += _rows(description)
        for stem, other in found_studies:
            if _differs(other, name, description):
                lines += _other_study(figure, stem, other)
        if figure.table is not None:
            lines += ["", f"The numbers are in [a table]({name}_{scale}.md)."]
        if figure.rows is not None:
            lines[-1] = lines[-1][:-1] + f", also [as CSV]({name}_{scale}.csv)."
    lines += [
        "",
        "## Verification of the propositions",
        "",
        "`python -m aniso.verify_propositions --plot figures/verification` draws its evidence:",
        *_EVIDENCE,
    ]
    return "\n".join(lines) + "\n"


_EVIDENCE = [
    f"\n![{title}](verification/{name}.png)"
    for name, title in (
        (
            "definition1",
            "Definition 1: four noises of one trace; simulated SGD and closed form",
        ),
        ("proposition1", "Proposition 1: measured alignment, explicit bound and published rate"),
        ("proposition2", "Proposition 2: eigenvalues of F relative to H, between their bounds"),
        (
            "proposition3",
            "Proposition 3: measured and guaranteed coefficient along training",
        ),
    )
]
_COUNTED = (Verdict.HOLDS, Verdict.FAILS, Verdict.EQUIVALENT, Verdict.UNRESOLVED)


def _summary(stored, found_studies):
    """Return a table of how many claims of each figure and study have each verdict."""
    lines = [
        f"| figure | scale | {' | '.join(map(str, _COUNTED))} |",
        f"|{' --- |' * (2 + len(_COUNTED))}",
    ]
    for name in (name for name in FIGURES if name in stored):
        own = stored[name][0]
        others = [found for _, found in found_studies if _differs(found, name, own)]
        number = re.match(r"fig(\d+)_", name)
        title = f"{number[1]}: {FIGURES[name].title}" if number else FIGURES[name].title
        for description in (own, *others):
            verdicts = [claim["verdict"] for claim in description["claims"]]
            counts = [verdicts.count(verdict) for verdict in _COUNTED]
            if any(counts):
                lines.append(
                    f"| {title} | {_scale(description)} | {' | '.join(map(str, counts))} |"
                )
    return lines


def _differs(description, name, own):
    return description["figure"] == name and description["parameters"] != own["parameters"]


def _scale(description):
    """Return the scale in words, with the seeds of a study and the dynamics where published."""
    parameters, scale = description["parameters"], description["scale"]
    if "margins" in parameters:
        seeds = seeds_of(parameters)
        scale += f", seeds {seeds[0]} to {seeds[-1]}"
    return scale + ", the dynamics of the published scripts" * ("preset" in parameters)


def _rows(description):
    return [
        f"| {claim['statement']} | **{claim['verdict']}** | {claim['measured']} |"
        for claim in description["claims"]
    ]


def _other_study(figure, stem, description):
    scale = _scale(description)
    return [
        "",
        f"Also scale {scale} ({figure.costs[description['scale']]}):",
        "",
        f"![{figure.title}, scale {scale}]({stem}.png)",
        "",
        "| claim | verdict | measured |",
        "| --- | --- | --- |",
        *_rows(description),
    ]


def _bands(figure, description):
    several = description["parameters"].get("num_seeds", 1) > 1
    return f"; {figure.bands}" if figure.bands and several else ""


def main(arguments=None):
    """Write both pages.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        Exit status: 0, 1 where a page can't be written, 130 after Ctrl-C. Damaged data end the
        process with status 2.
    """
    parser = argparse.ArgumentParser(prog="python -m analysis.index", description=__doc__)
    folders.add_output(parser, "the two pages, with the stored data in its folder data")
    folder = parser.parse_args(arguments).output
    try:
        return _write(folder)
    except checks.InputError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted; the same command writes the pages again", file=sys.stderr)
        return 130


def _write(folder):
    stored = stored_figures(folder)
    rows = discrepancies.rows(stored, as_published.stored(folder))
    pages = {
        "README.md": readme(stored, studies(folder)),
        "DISCREPANCIES.md": discrepancies.page(rows),
        "discrepancies.json": json.dumps(rows, indent=1, ensure_ascii=False) + "\n",
    }
    try:
        for name, text in pages.items():
            with files.atomic_writer(folder / name) as stream:
                stream.write(text)
            print(f"wrote {folder / name}")
    except OSError as error:
        print(f"{error}; expected a writable folder with room", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
