"""Output folders of the scripts: in this repository, for any working directory."""

from pathlib import Path

_REPOSITORY = Path(__file__).parents[1]
FIGURES = _REPOSITORY / "figures"
RUNS = _REPOSITORY / "runs"


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
        type=Path,
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
        type=Path,
        default=RUNS,
        metavar="FOLDER",
        help="folder for checkpoints and finished runs (default: %(default)s)",
    )
