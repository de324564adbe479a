"""Small figures, made once for all tests of a session."""

import re
from pathlib import Path

from analysis import __main__ as listing
from analysis import (
    decisions,
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


def verdict_that_is_printed(measured):
    """What a reader concludes from the text of a claim; None where it prints an exact number."""
    if "no error bar" in measured or "nothing to compare" in measured or "diverged" in measured:
        return "not resolved"
    number = r"([-+\d.e]+)"
    if found := re.search(rf"adjusted p = {number} for no effect, {number} for one of", measured):
        no_effect, relevant = map(float, found.groups())
        if relevant <= decisions.LEVEL:
            return "equivalent within the margin"
        if no_effect > decisions.LEVEL or "fewer than two pairs" in measured:
            return "not resolved"
        kind, mean = re.search(rf"\((difference|.+ over .+) {number}, 95 %", measured).groups()
        return "holds" if float(mean) > (kind != "difference") else "fails"
    if found := re.search(rf"difference {number} ± {number}", measured):
        difference, error = map(float, found.groups())
        low, high = difference - 2 * error, difference + 2 * error
    elif found := re.search(rf"factor {number}, two .* from {number} to {number}", measured):
        low, high = (float(end) - 1 for end in found.groups()[1:])
    else:
        return None
    return "holds" if low > 0 else "fails" if high < 0 else "not resolved"


# ---- the command


ONE_SEED = fig3_fashion_mnist.SCALES["small"] | {"num_seeds": 1}


def every_small_figure(folder):
    """Make every figure at scale small in a folder."""
    for name in listing.FIGURES:
        assert run(name, folder) == 0
