"""Records that kernels take: numbers and arrays that belong together are one argument.

Numba passes the fields of a named tuple one by one, so a record costs no time in a kernel.
"""

from typing import NamedTuple

import numpy as np


class Paths(NamedTuple):
    """Paths of a cell: key of the streams, number of the first path, count, start (D,)."""

    seed: np.uint64
    first: np.uint64
    count: int
    start: np.ndarray


class Progress(NamedTuple):
    """State from which the next call of a kernel goes on.

    `position` (3,) holds the first path of the present block of LANES paths, its step and the
    number of its next record. `panel` (D, LANES) holds its states. `failure` (3,) takes 1, the path
    and the step where a state is not finite.
    """

    position: np.ndarray
    panel: np.ndarray
    failure: np.ndarray


class Sums(NamedTuple):
    """Sums over the paths at T recorded steps.

    With d = theta - `centre` (T, D): `first` (T, D) holds the sums of d, `second` (T, D, D) those
    of ``d_i d_j``, `fourth` (T, D, D) those of ``(d_i d_j)^2``, or (T, 0, 0) for none. `observable`
    (T, 3) holds count, mean and sum of squared deviations of an observable. `snapshots`
    (paths, T, D) takes the states, (0, T, D) for none.
    """

    centre: np.ndarray
    first: np.ndarray
    second: np.ndarray
    fourth: np.ndarray
    observable: np.ndarray
    snapshots: np.ndarray


class Equation(NamedTuple):
    """Numbers of a drift and a noise, beside their functions.

    `factor` is F, padded, with `rank` true columns, or (D, 1) with standard deviations where the
    noise is diagonal; `form` says which. `observed_parameters` belong to the amplitude of the noise
    or to the margin of a region.
    """

    drift_parameters: np.ndarray
    observed_parameters: np.ndarray
    form: int
    factor: np.ndarray
    rank: int


class Steps(NamedTuple):
    """A scheme: its code, normals and fine increments a step, step size, recorded steps (T,)."""

    code: int
    normals: int
    substeps: int
    size: float
    recorded: np.ndarray


class Batches(NamedTuple):
    """How batches are drawn from N examples.

    `order` (N, LANES) holds the shuffled examples of the epoch `epoch_in_order` (1,), -1 for none.
    """

    num_examples: int
    size: int
    sampling: int
    order: np.ndarray
    epoch_in_order: np.ndarray


class Exits(NamedTuple):
    """First exits of n paths.

    `step` (n,) is the number of the step in which a path left, from 1 on, 0 if it did not.
    `fraction` (n,) is the part of that step that had passed. `point` (n, D) is where it left.
    """

    step: np.ndarray
    fraction: np.ndarray
    point: np.ndarray


class Lanes(NamedTuple):
    """State of lanes that follow paths of their own.

    `position` (2,) holds how many paths have begun and how many of them have not ended. A lane has
    its path within the cell, `index` (-1 for none), its `path` in all, its `round_number`, its
    `state` (D, LANES) and its `margin` (2, LANES).
    """

    position: np.ndarray
    index: np.ndarray
    path: np.ndarray
    round_number: np.ndarray
    state: np.ndarray
    margin: np.ndarray


class Runs(NamedTuple):
    """Runs of the two-basin toy in its rotated axes.

    `ends` (n, 2) takes the last iterates. `iterates` (n, steps + 1, 2) and `alignments`
    (n, steps + 1), Tr(H Sigma) with the covariance Sigma of the added noise, are filled where they
    are not of length 0.
    """

    ends: np.ndarray
    iterates: np.ndarray
    alignments: np.ndarray


def zero_sums(centre, *, num_fourth=0, num_snapshots=0):
    """Return sums of zero about a centre (T, D), with F x F fourth moments and n snapshots."""
    times, size = centre.shape
    return Sums(
        centre,
        np.zeros((times, size)),
        np.zeros((times, size, size)),
        np.zeros((times, num_fourth, num_fourth)),
        np.zeros((times, 3)),
        np.zeros((num_snapshots, times, size)),
    )
