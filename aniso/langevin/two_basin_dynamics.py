"""The compared dynamics on the two-basin toy (Zhu et al. 2019, Figure 2), run by run."""

from dataclasses import dataclass

import numpy as np
import scipy

from aniso import checks, memory
from aniso.langevin import cells
from aniso.langevin._kernels import records, streams, two_basin
from aniso.langevin._kernels.two_basin_loss import rotated, rotated_back

DYNAMICS = {
    "gd": two_basin.GD,
    "gld_constant": two_basin.CONSTANT,
    "gld_diagonal": two_basin.DIAGONAL,
    "gld_leading": two_basin.LEADING,
    "gld_hessian": two_basin.HESSIAN,
    "gld_first_eigenvector": two_basin.FIRST_EIGENVECTOR,
    "sgd": two_basin.SGD,
}
"""The dynamics by name; Figure 2 of Zhu et al. compares the first six.

The noise has the same expected squared norm in every step and for all of them but "gd". In two
dimensions "gld_leading" and "gld_hessian" with k = 2 keep both eigenpairs: the whole covariance,
and the whole Hessian. "sgd" adds the gradient of a datum drawn at random less the mean gradient,
scaled: the covariance of "gld_leading", not its Gaussian law.
"""

FIGURE_DYNAMICS = tuple(DYNAMICS)[:6]


@dataclass(frozen=True)
class TwoBasinRuns:
    """Runs of one of the dynamics.

    Attributes
    ----------
    ends : numpy.ndarray, shape (num_runs, 2)
        Last iterates.
    paths : numpy.ndarray, shape (num_runs, num_steps + 1, 2), or None
        All iterates; None without `store_paths`.
    alignments : numpy.ndarray, shape (num_runs, num_steps + 1), or None
        Tr(H Sigma) along each run, Sigma the covariance of the added noise.
    """

    ends: np.ndarray
    paths: np.ndarray | None
    alignments: np.ndarray | None

    @property
    def successes(self):
        """Number of runs whose last iterate has both coordinates below -0.5."""
        return int((self.ends < -0.5).all(axis=1).sum())

    def success_rate(self, confidence=0.95):
        """Share of successful runs and its Clopper-Pearson interval, (rate, low, high)."""
        result = scipy.stats.binomtest(self.successes, len(self.ends))
        interval = result.proportion_ci(confidence)
        return result.statistic, interval.low, interval.high


def simulate_two_basin(
    dynamics,
    data,
    num_runs,
    seed,
    *,
    num_steps=500,
    learning_rate=0.005,
    squared_norm=0.01,
    start=(1.0, 1.0),
    store_paths=False,
    num_threads=None,
):
    """Simulate independent runs ``w <- w - eta grad L(w) + xi`` of one of the dynamics.

    Parameters
    ----------
    dynamics : str
        A name in :data:`DYNAMICS`.
    data : array_like, shape (N, 2)
        As from :func:`aniso.problems.two_basin.two_basin_data`.
    num_runs : int
        Number of runs.
    seed : int
        Key of the random streams: one per run, the same for all dynamics.
    num_steps, learning_rate
        500 and 0.005 in the figure.
    squared_norm : float
        ``E|xi|^2`` of every step.
    start : array_like, shape (2,)
        w at step 0.
    store_paths : bool
        Whether to keep all iterates and the alignment along them.
    num_threads : int, optional
        Threads; all CPUs of this process if not given.

    Returns
    -------
    TwoBasinRuns

    Raises
    ------
    InputError
        If an argument breaks its rule.
    AllocationRefused
        If the stored paths would not fit into memory.

    Notes
    -----
    The noise is added to w directly; the learning rate does not multiply it. Where no datum is in
    the sharp basin, the Hessian is twice the identity, and (1, 1) / sqrt 2 is taken as its first
    eigenvector. A step takes about 0.1 us per hundred data.

    Examples
    --------
    >>> runs = simulate_two_basin("gd", [[0.0, 0.0]], 2, seed=1)
    >>> runs.ends.tolist(), runs.successes
    ([[1.0, 1.0], [1.0, 1.0]], 0)
    """
    code = DYNAMICS[checks.one_of("dynamics", dynamics, list(DYNAMICS))]
    data = checks.array("data", data, shape=(None, 2))
    if len(data) == 0:
        raise checks.InputError("data is empty; expected at least one row")
    num_runs = checks.integer("num_runs", num_runs, low=1)
    num_steps = checks.integer("num_steps", num_steps, low=0)
    learning_rate = checks.number("learning_rate", learning_rate, low=0)
    squared_norm = checks.number("squared_norm", squared_norm, low=0)
    start = checks.array("start", start, shape=(2,))
    key = streams.seed_word(seed)
    stored = num_runs if store_paths else 0
    memory.require(
        8 * (3 * stored * (num_steps + 1) + 2 * num_runs),
        f"{num_runs} runs of {num_steps} steps",
        "store fewer of them",
    )
    rotated_data, rotated_start = rotated(data).T.copy(), rotated(start)

    def begin(first_path, count):  # noqa: ARG001
        kept = count if store_paths else 0
        return {
            "ends": np.zeros((count, 2)),
            "paths": np.zeros((kept, num_steps + 1, 2)),
            "alignments": np.zeros((kept, num_steps + 1)),
            "position": np.zeros(2, np.int64),
            "panel": np.zeros((2, streams.LANES)),
        }

    def advance(first_path, count, arrays, budget):
        two_basin.run_cell(
            code,
            learning_rate,
            squared_norm,
            rotated_data,
            num_steps,
            records.Paths(key, np.uint64(first_path), count, rotated_start),
            records.Runs(arrays["ends"], arrays["paths"], arrays["alignments"]),
            arrays["position"],
            arrays["panel"],
            budget,
        )
        return arrays["position"][0] >= count

    # runs are independent, so their cells may be as small as the lanes
    work = cells.Work(begin, advance)
    parts = list(cells.in_order(work, num_runs, num_threads, cell=streams.LANES))
    ends, paths, alignments = (
        np.concatenate([part[name] for part in parts]) for name in ("ends", "paths", "alignments")
    )
    if not store_paths:
        return TwoBasinRuns(rotated_back(ends), None, None)
    return TwoBasinRuns(rotated_back(ends), rotated_back(paths), alignments)
