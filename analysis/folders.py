"""Output folders of the scripts: in this repository, for any working directory."""

import argparse
import os
from pathlib import Path

from aniso import checks

_REPOSITORY = Path(__file__).parents[1]
FIGURES = _REPOSITORY / "figures"
RUNS = _REPOSITORY / "runs"


def path(text):
    """Return the path that an option of a command names; an empty one is refused.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is empty, which Path takes for the working directory.
    """
    if not text:
        raise argparse.ArgumentTypeError("'' is no path; '.' is the working directory")
    return Path(text)


def given(name, value, default):
    """Return the folder that an argument names, or the default where it is None.

    Raises
    ------
    InputError
        If it is no path, or empty.

    Examples
    --------
    >>> given("output", 3, Path("figures"))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: output=3; expected the path of a folder, or None for 'figures'
    """
    if value is None:
        return default
    if not isinstance(value, (str, os.PathLike)) or value == "":
        raise checks.InputError(
            f"{name}={value!r}; expected the path of a folder, or None for {str(default)!r}"
        )
    return Path(value)


def add_output(parser, what):
    """Add the option ``--output``, whose help names the folder.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser that gets the option.
    what : str
        Kind of output, for the help text.
    """
    parser.add_argument(
        "--output",
        type=path,
        default=FIGURES,
        metavar="FOLDER",
        help=f"folder for {what} (default: %(default)s)",
    )


def add_runs(parser):
    """Add the option ``--runs``, whose help names the folder.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser that gets the option.
    """
    parser.add_argument(
        "--runs",
        type=path,
        default=RUNS,
        metavar="FOLDER",
        help="folder for checkpoints and finished runs (default: %(default)s)",
    )
