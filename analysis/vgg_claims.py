"""The claims of Figures 1 and 6: the ends of two dynamics, compared seed by seed."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, decisions, effect_plot, figure_style, vgg

PAIRS = [(aligned, other) for aligned in vgg.ALIGNED for other in vgg.ROUND]
"""The compared dynamics of one data set."""


@dataclass(frozen=True)
class Comparison:
    """The ends of two dynamics over the seeds with which neither diverged.

    Attributes
    ----------
    first, second : float
        Mean ends; NaN where no seed is left.
    difference, standard_error : float
        ``first - second`` by seeds, see :func:`claims.over_seeds`; NaN where too few are left.
    remark : str
        The divergences, for a reader.
    """

    first: float
    second: float
    difference: float
    standard_error: float
    remark: str


def compare(ends, first, second, own_error):
    """Compare two dynamics seed by seed.

    Parameters
    ----------
    ends : ndarray, shape (seeds, dynamics)
        NaN where a run diverged.
    first, second : str
        Names of the dynamics.
    own_error : float
        Sampling error of one seed's difference.

    Returns
    -------
    Comparison
        A comparison that divergences have left with one seed or none has no error bar.

    Examples
    --------
    >>> ends = np.full((3, 5), 1.0)
    >>> ends[0, vgg.DYNAMICS.index("sgd")] = np.nan
    >>> compare(ends, "sgd", "gd", 0.0).remark
    '; SGD diverged with 1 of 3 seeds'
    """
    pair = ends[:, [vgg.DYNAMICS.index(first), vgg.DYNAMICS.index(second)]]
    lost = np.isnan(pair)
    remark = "".join(
        f"; {figure_style.LABELS[name]} diverged with {number} of {len(pair)} seeds"
        for name, number in zip((first, second), lost.sum(axis=0), strict=True)
        if number
    )
    kept = pair[~lost.any(axis=1)]
    if len(kept) < min(2, len(pair)):
        return Comparison(np.nan, np.nan, np.nan, np.nan, remark)
    difference, error = claims.over_seeds(kept[:, 0] - kept[:, 1], own_error)
    return Comparison(*kept.mean(axis=0), difference, error, remark)


def compared(parameters, arrays, quantity, own_error, claim):
    """Judge the ends of every aligned and every other dynamics, for each data set.

    Parameters
    ----------
    parameters, arrays : dict
        Parameters of the figure, and its collected arrays.
    quantity : str
        Name of the records, of which the last counts.
    own_error : callable
        ``(data set number, pair of dynamics numbers) -> float``, sampling error of a difference.
    claim : callable
        ``(name, place, aligned, other) -> (short name, statement, sign)``; the claim is that
        ``sign * (aligned - other)`` is positive.

    Returns
    -------
    list of claims.Claim
    """
    found = []
    for number, name in enumerate(parameters["datasets"]):
        place, ends = title(name, arrays["source"][number]), arrays[quantity][number, ..., -1]
        for aligned, other in PAIRS:
            short, statement, sign = claim(name, place, aligned, other)
            pair = [vgg.DYNAMICS.index(aligned), vgg.DYNAMICS.index(other)]
            c = compare(ends, aligned, other, own_error(number, pair))
            gap = sign * c.difference
            measured = f"{c.first:.4g} against {c.second:.4g}"
            found.append(
                claims.judged(short, statement, gap, c.standard_error, measured, remark=c.remark)
            )
    return found


def study_effects(parameters, arrays, quantity, claim):
    """Return the effects of the same claims in a study, see :mod:`analysis.decisions`.

    Parameters
    ----------
    parameters, arrays : dict
        Parameters of the figure, and its collected arrays.
    quantity : {"test_accuracy", "expected_sharpness"}
        Name of the records, of which the last counts.
    claim : callable
        As for :func:`compared`.

    Returns
    -------
    list of decisions.Effect
        Six for each data set, in the order of the data sets.
    """
    effects, ratio = [], quantity == "expected_sharpness"
    margin = parameters["margins"]["sharpness" if ratio else "accuracy"]
    for number, name in enumerate(parameters["datasets"]):
        place, ends = title(name, arrays["source"][number]), arrays[quantity][number, ..., -1]
        for aligned, other in PAIRS:
            short, statement, _ = claim(name, place, aligned, other)
            places = [vgg.DYNAMICS.index(each) for each in (aligned, other)]
            effects.append(
                decisions.comparison(
                    short,
                    statement,
                    [figure_style.LABELS[each] for each in (aligned, other)],
                    ends[:, places].T,
                    arrays["accuracy"][number][:, places, -1].T,
                    margin,
                    ratio=ratio,
                )
            )
    return effects


def decided(parameters, effects):
    """Return the claims of a study, judged as one family, see :func:`decisions.decide`."""
    return decisions.decide(effects, decisions.designed_seeds(parameters, vgg.SCALES))


def panels_of(num_rows, num_datasets, row_height, study):
    """Return an empty figure with its panels, (rows, data sets); a study has one row more."""
    canvas = Canvas(figsize=(3.6 * max(num_datasets, 1.5), 0.6 + (num_rows + study) * row_height))
    parts = canvas.subfigures(1 + study, 1, height_ratios=[num_rows, 1][: 1 + study], squeeze=False)
    panels = parts[0, 0].subplots(num_rows, num_datasets, squeeze=False)
    if study:  # its long labels take no room from the panels above
        panels = np.vstack(
            [panels, parts[1, 0].subplots(1, num_datasets, sharex=True, squeeze=False)]
        )
    return canvas, panels


def draw_effects(panels, effects, found):
    """Draw the effects of a study with their verdicts, a panel for each data set."""
    for number, axes in enumerate(panels):
        own = slice(len(PAIRS) * number, len(PAIRS) * (number + 1))
        rows = [" vs ".join(effect.labels) for effect in effects[own]]
        effect_plot.draw(axes, effects[own], found[own], rows)
    for axes in panels[1:]:
        axes.set(yticklabels=[])


def title(name, source):
    """Return the name of a data set for a reader, with the source of a user's own images.

    A part of SVHN is called a subset.
    """
    names = {"cifar10": "CIFAR-10", "svhn": "SVHN", "fashion_mnist": "FashionMNIST"}
    if "(images " in str(source):  # see `image_sources.label`
        return f"{names[name]} of {source}"
    partial = name == "svhn" and "official" not in str(source)
    return names[name] + (" subset" if partial else "")


def draw_legend(canvas, axes, note, verdicts=()):
    """Draw the legend of all dynamics below the panels, in a study with a row of verdicts."""
    handles, labels = axes.get_legend_handles_labels()
    if verdicts:
        rows = (handles, labels), effect_plot.legend_entries(verdicts)
        handles, labels = figure_style.in_rows(5, *rows)
        note += f"\n{effect_plot.NOTE}"
    legend = canvas.legend(
        handles, labels, loc="outside lower center", ncols=5, title=note, title_fontsize=7
    )
    legend.get_title().set_multialignment("center")
