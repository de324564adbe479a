"""Figure 3 by the dynamics of the published scripts, beside those that the paper states.

Both variants of a dynamics start at the same theta*_GD with the same images, so that their ends are
compared seed by seed, see ``docs/study.md``.
"""

from pathlib import Path

import numpy as np

from analysis import decisions, figure_data, figure_style
from analysis.claims import Verdict
from analysis.fig3_fashion_mnist import ANISOTROPIC, DYNAMICS
from analysis.figure import seeds_of

_VARIANTS = ("as published", "as stated")
ENDS = ("expected_sharpness", "test_accuracy", "accuracy")

_WORDS = {
    Verdict.HOLDS: "more",
    Verdict.FAILS: "less",
    Verdict.EQUIVALENT: "equivalent",
    Verdict.UNRESOLVED: "not resolved",
}


def stored(folder):
    """Return the ends of both variants, from the stored data of one scale of a study.

    Parameters
    ----------
    folder : path-like
        Of the figures, with the folder ``data``.

    Returns
    -------
    (dict, dict of str to ndarray) or None
        Description of the published variant, and the ends of both, see :func:`ends_of_both`. None
        where no scale is stored in both variants with two common seeds.

    Raises
    ------
    InputError
        If a stored file is damaged.
    """
    data = Path(folder) / "data"
    for path in sorted(data.glob("fig3_fashion_mnist_study*_as_published.json")):
        published = figure_data.read(path)
        stated = data / f"fig3_fashion_mnist_{published[0]['scale']}.json"
        if not stated.exists():
            continue
        if (ends := ends_of_both(published, figure_data.read(stated))) is not None:
            return published[0], ends
    return None


def ends_of_both(published, stated):
    """Return the last records of both variants, for the seeds that both have.

    Parameters
    ----------
    published, stated : (dict, dict of str to ndarray)
        Description and arrays of Figure 3, of one scale of a study.

    Returns
    -------
    dict of str to ndarray or None
        Each of :data:`ENDS`, of shape (2, seeds, dynamics), the published scripts first; "seeds".
        None where fewer than two seeds are in both.
    """
    seeds = [seeds_of(description["parameters"]) for description, _ in (published, stated)]
    both = sorted(set(seeds[0]) & set(seeds[1]))
    if len(both) < 2:
        return None
    places = [[own.index(seed) for seed in both] for own in seeds]
    variants = [arrays for _, arrays in (published, stated)]
    return {"seeds": np.array(both)} | {
        name: np.stack([own[name][at, :, -1] for own, at in zip(variants, places, strict=True)])
        for name in ENDS
    }


def effects(ends, margins):
    """Return one effect for each anisotropic dynamics and each of sharpness and test accuracy.

    Parameters
    ----------
    ends : dict of str to ndarray
        Of :func:`ends_of_both`.
    margins : dict of str to float
        Of the study: "sharpness", a factor, and "accuracy", a difference.

    Returns
    -------
    list of decisions.Effect
        Positive where the published scripts end at more: first the logarithms of the ratios of
        sharpness, then the differences of accuracy.
    """
    return [
        decisions.comparison(
            f"{name} {quantity}",
            f"{figure_style.LABELS[name]} of the published scripts ends at more {quantity}",
            [f"{figure_style.LABELS[name]} {_VARIANTS[variant]}" for variant in order],
            [ends[key][variant, :, DYNAMICS.index(name)] for variant in order],
            [ends["accuracy"][variant, :, DYNAMICS.index(name)] for variant in order],
            margins[quantity],
            ratio=quantity == "sharpness",
        )
        # a comparison of sharpness is positive where its first variant is the flatter one
        for quantity, key, order in (
            ("sharpness", "expected_sharpness", (1, 0)),
            ("accuracy", "test_accuracy", (0, 1)),
        )
        for name in ANISOTROPIC
    ]


def told(ends, margins):
    """Return every effect with its single 95 % interval and its verdict, as text.

    Parameters
    ----------
    ends, margins : dict
        As for :func:`effects`.

    Returns
    -------
    str
    """
    own = effects(ends, margins)
    numbers = [
        _one(effect, claim.verdict, figure_style.LABELS[name])
        for effect, claim, name in zip(own, decisions.decide(own), 2 * ANISOTROPIC, strict=True)
    ]
    half = len(ANISOTROPIC)
    first, last = ends["seeds"][[0, -1]]
    lost = "".join(effect.remark for effect in own[:half])
    return (
        f"the scripts' ends against the stated ones, seeds {first} to {last}: sharpness by the "
        f"factor {', '.join(numbers[:half])}; test accuracy by points {', '.join(numbers[half:])}"
        f"{lost}"
    )


def _one(effect, verdict, label):
    ends = decisions.interval(effect)
    form, shown = (".2g", np.exp(ends)) if effect.ratio else (".2f", 100 * np.array(ends))
    mean, low, high = (format(each, form) for each in shown)
    known, count = effect.known.size, effect.values.size
    part = f", from {known} of {count} pairs" * (known < count)
    return f"{label} {mean} ({low} to {high}, {_WORDS[verdict]}{part})"
