"""The task of the study of Figures 1 and 6, and sigma of GLD const, tuned before it."""

from pathlib import Path

from analysis import figure_data, figure_paths, folders
from aniso import checks

TASK = {
    "datasets": ("cifar10", "svhn"),
    "split": "official",
    "width": 1 / 8,
    "pooling": 2,
    "num_train": 1000,
    "num_validation": 1000,
    "batch_size": 100,
    "num_steps": 1500,
}
"""Of the study and of its tuning, see ``docs/study.md``."""

TUNING = TASK | {
    "learning_rate": 0.05,
    "refresh_interval": 10,
    "num_test": 100,
    "num_seeds": 2,
    "sigma_grid": (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
}
"""Runs of GLD const that choose its sigma. Their seeds are not the study's."""


def stored_tuning(folder, images):
    """Return path and stored arrays (None if absent) of the tuning, see :func:`tuned_sigma`."""
    data = figure_paths.path_of(Path(folder), "vgg_tuning_study", {"images": images})
    return data, figure_data.load(data, TUNING)


def tuned_sigma(images, folder=folders.FIGURES):
    """Return sigma of GLD const for the study, by data set: the best on held-out images.

    Parameters
    ----------
    images : dict of str to dict
        "digest" and "source" of the study's images, by data set.
    folder : path-like
        Folder of the figures, with the stored tuning.

    Returns
    -------
    dict of str to float

    Raises
    ------
    InputError
        If there is no stored tuning, it was made with other images, or a chosen sigma lies at an
        end of its grid.
    """
    data, stored = stored_tuning(folder, images)
    if stored is None:
        raise checks.InputError(
            f"{str(data)!r} holds no tuning of sigma for GLD const on these images; "
            "run python -m analysis.vgg_tuning --scale study on them first"
        )
    for name, own in stored["prepared"]["images"].items():
        if own["digest"] != images[name]["digest"]:
            raise checks.InputError(
                f"{name}: sigma was tuned on images of {own['source']} that are not the present "
                "ones; tune again: python -m analysis.vgg_tuning --scale study --fresh"
            )
    chosen = best_places(stored["arrays"]["validation_accuracy"])
    grid = TUNING["sigma_grid"]
    for name, place in zip(TUNING["datasets"], chosen, strict=True):
        if place in (0, len(grid) - 1):
            raise checks.InputError(
                f"{name}: the best sigma is {grid[place]:g}, an end of the grid {grid}; expected "
                "one within: extend sigma_grid of analysis.vgg_study.TUNING and tune again"
            )
    return {n: grid[place] for n, place in zip(TUNING["datasets"], chosen, strict=True)}


def best_places(validation_accuracy):
    """Return the places of the best sigma in the grid, the smaller of equals.

    Parameters
    ----------
    validation_accuracy : ndarray, shape (data sets, seeds, grid)
        Means over seeds are compared. A run that diverged has accuracy 0.

    Returns
    -------
    list of int

    Examples
    --------
    >>> import numpy as np
    >>> best_places(np.array([[[0.1, 0.3, 0.2], [0.1, 0.1, 0.3]]]))
    [2]
    """
    return validation_accuracy.mean(axis=1).argmax(axis=1).tolist()
