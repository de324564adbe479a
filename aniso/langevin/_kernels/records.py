"""Records that kernels take: numbers and arrays that belong together are one argument.

Numba passes the fields of a named tuple one by one, so a record costs no time in a kernel.
"""

from typing import NamedTuple

import numpy as np


class Paths(NamedTuple):
    """Paths of a cell: seed of the streams, number of the first path, count, start (D,)."""

    seed: np.uint64
    first: np.uint64
    count: int
    start: np.ndarray


class Progress(NamedTuple):
    """State from which the next call of a kernel continues.

    `position` (3,) describes the present block of LANES paths: its first path, its step and the
    number of its next record. `panel` (D, LANES) holds the states of the block. If a state is not
    finite, `failure` (3,) takes 1, the path and the step.
    """

    position: np.ndarray
    panel: np.ndarray
    failure: np.ndarray


class Sums(NamedTuple):
    """Sums over the paths at T recorded steps.

    Let d = `scale` theta - `centre`, both of shape (T, D). `first` (T, D) holds the sums of d and
    `second` (T, D, D) the sums of ``d_i d_j``. `fourth` (T, D, D) holds the sums of
    ``(d_i d_j)^2``; its shape (T, 0, 0) leaves them out. `observable` (T, 3) holds count, mean and
    sum of squared deviations of `observable_scale` (T,) times an observable. `snapshots`
    (paths, T, D) takes the states; its shape (0, T, D) leaves them out. Scales are powers of two:
    they change no digit, and keep the powers of d within the floating-point numbers.
    """

    centre: np.ndarray
    scale: np.ndarray
    observable_scale: np.ndarray
    first: np.ndarray
    second: np.ndarray
    fourth: np.ndarray
    observable: np.ndarray
    snapshots: np.ndarray


class Equation(NamedTuple):
    """Numbers of a drift and a noise; their functions are separate arguments.

    `factor` is the padded F with `rank` true columns. For diagonal noise it is (D, 1) and holds
    standard deviations. `form` distinguishes both. `observed_parameters` are the parameters of the
    amplitude of the noise, or of the margin of a region.
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
    """Scheme by which batches are drawn from N examples.

    `order` (N, LANES) holds, for each lane, the shuffled examples of one epoch. `epoch_in_order`
    (1,) is the number of that epoch, or -1 before the first one is shuffled.
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
    """State of lanes, each of which follows its own path.

    `position` (2,) holds the number of paths that have begun, and how many of these have not ended.
    For each lane, `index` (LANES,) is its path within the cell, -1 for none, and `path` the number
    of that path in the ensemble. A lane also has a `round_number`, a column of `state` (D, LANES)
    and a column of `margin` (2, LANES).
    """

    position: np.ndarray
    index: np.ndarray
    path: np.ndarray
    round_number: np.ndarray
    state: np.ndarray
    margin: np.ndarray


class Runs(NamedTuple):
    """Runs of the two-basin toy in its rotated axes.

    `ends` (n, 2) takes the last iterates and `iterates` (n, steps + 1, 2) all iterates.
    `alignments` (n, steps + 1) takes Tr(H Sigma); Sigma is the covariance of the added noise. If
    `iterates` or `alignments` has length 0, the kernel leaves it out.
    """

    ends: np.ndarray
    iterates: np.ndarray
    alignments: np.ndarray


def zero_sums(centre, *, num_fourth=0, num_snapshots=0):
    """Return sums of zero about a centre (T, D), with F x F fourth moments and n snapshots.

    The scales are 1.
    """
    times, size = centre.shape
    return Sums(
        centre,
        np.ones((times, size)),
        np.ones(times),
        np.zeros((times, size)),
        np.zeros((times, size, size)),
        np.zeros((times, num_fourth, num_fourth)),
        np.zeros((times, 3)),
        np.zeros((num_snapshots, times, size)),
    )
