"""Output folders of the scripts: in this repository, for any working directory."""

import argparse
from pathlib import Path

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
