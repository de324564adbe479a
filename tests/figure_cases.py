"""What test_analysis and test_analysis_claims share."""

from pathlib import Path

from analysis import __main__ as listing
from analysis import (
    fig3_fashion_mnist,
    figure_command,
)
from analysis.figure import Figure

ROOT = Path(__file__).parents[1]


def run(name, folder, *more, executor="serial"):
    arguments = ["--output", str(folder / "figures"), "--runs", str(folder / "runs")]
    figure = name if isinstance(name, Figure) else listing.FIGURES[name]
    return figure_command.main(figure, [*arguments, "--executor", executor, *more])


def verdicts(found):
    return {claim.name: str(claim.verdict) for claim in found}


# ---- the command


ONE_SEED = fig3_fashion_mnist.SCALES["small"] | {"num_seeds": 1}


def every_small_figure(folder):
    """Make every figure at scale small in a folder."""
    for name in listing.FIGURES:
        assert run(name, folder) == 0
