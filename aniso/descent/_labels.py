"""Outputs and labels: the accuracy, and which problems have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.problems import losses

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.typing import ArrayLike


def accuracy(problem: Problem, theta: ArrayLike) -> float:
    """Accuracy, the share of examples whose largest output is the output of their label.

    Parameters
    ----------
    problem : problems.Problem
        A problem with outputs and class labels.
    theta : array_like, shape (D,)
        Point in parameter space.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the targets are rows of C numbers, and a row has no single largest entry.
    MissingFaculty
        If the problem has no outputs.

    Notes
    -----
    The label of a row of C targets, one-hot for instance, is the index of its largest entry. With
    one output the label 1 is predicted where the output is above a threshold: 1/2 for squared
    losses, 0 for the logistic loss.
    """
    outputs = problem.outputs(theta)
    if outputs.shape[1] > 1:
        labels = problem.targets
        if labels.ndim > 1:
            outputs, labels = transfer.to_numpy(outputs), _labels_of_rows(labels)
        return float(np.mean(outputs.argmax(axis=1) == labels))
    middle = 0.0 if isinstance(problem.output_loss, losses.LogisticLoss) else 0.5
    labels = np.ravel(problem.targets) > 0.5
    return float(np.mean((outputs[:, 0] > middle) == labels))


def _labels_of_rows(targets):
    """Return the index of the largest entry of each row, shape (N,)."""
    rows = transfer.to_numpy(targets)
    largest = rows.max(axis=1, keepdims=True)
    tied = np.flatnonzero((rows == largest).sum(axis=1) != 1)
    if tied.size:
        raise checks.InputError(
            f"targets has the row {rows[tied[0]].tolist()} at index {int(tied[0])}; expected one "
            "largest entry, whose index is the label that the accuracy compares outputs with: "
            "one-hot rows, for instance, or no accuracy of such targets"
        )
    return rows.argmax(axis=1)


def require_labels(problem, quantity):
    """Refuse a problem whose outputs can't be compared with labels.

    Parameters
    ----------
    problem : problems.Problem
    quantity : str
        Name of what compares them, for the message.

    Raises
    ------
    InputError
        If the problem has no outputs, or a row of its targets no single largest entry.
    """
    for faculty in ("outputs", "targets", "output_loss"):
        if not problem.has(faculty):
            raise checks.InputError(
                f"{type(problem).__name__} has no {faculty}; {quantity!r} compares outputs with "
                "labels: expected a networks.Network or a problems.AutogradModel"
            )
    if problem.targets.ndim == 2 and problem.targets.shape[1] > 1:
        _labels_of_rows(problem.targets)
