"""A problem whose examples many processes hold, each some of them: torch.distributed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks, matrices
from aniso.frameworks import _reductions
from aniso.frameworks._sharded_gradients import ShardedGradients
from aniso.frameworks._torch_collectives import LostRank, RankFailed, Ranks
from aniso.problems import Problem, problem_checks, require_problem

if TYPE_CHECKING:
    from aniso.diagnostics import OptimizerState
    from aniso.matrices import ExampleGradients
    from aniso.problems.derivative_check import DerivativeReport
    from aniso.typing import Array, ArrayLike, DTypeLike

__all__ = ["LostRank", "RankFailed", "ShardedProblem", "own_examples", "sharded"]


def own_examples(num_examples: int, group: Any = None) -> Array:
    """Return the examples that this process takes, next to each other, as even as possible.

    Parameters
    ----------
    num_examples : int
        N, at least the number of processes.
    group : torch.distributed.ProcessGroup, optional
        All processes if not given.

    Returns
    -------
    ndarray of int
        Indices between 0 and N - 1; the ranks' indices together are all of them, in order.

    Raises
    ------
    InputError
        If torch.distributed is not initialised, or N is smaller than the number of processes.
    """
    ranks = Ranks(group)
    num_examples = checks.integer("num_examples", num_examples, low=ranks.size)
    start, stop = (num_examples * rank // ranks.size for rank in (ranks.rank, ranks.rank + 1))
    return np.arange(start, stop)


def sharded(problem: Problem, group: Any = None) -> ShardedProblem:
    """Return the problem of all examples that the processes of a group hold.

    Parameters
    ----------
    problem : Problem
        The examples of this process, a share of its own: :func:`from_torch` of its data. The
        parameters, their blocks and the precision are the same on every process.
    group : torch.distributed.ProcessGroup, optional
        All processes if not given. The backends gloo and nccl have been tried.

    Returns
    -------
    ShardedProblem
        Its N is the number of all examples, ordered by rank.

    Raises
    ------
    InputError
        If torch.distributed is not initialised, or the problems of the ranks do not fit together.
    LostRank
        If a process does not answer within the timeout of the group.

    Notes
    -----
    Every rank makes the same calls, with the same theta and generators of the same seed, and gets
    the same numbers. They equal those of one process with all examples up to rounding. A
    weighted mean is weighted over the examples of all ranks. Per call one sum over the ranks of as
    many numbers as the result has, and a comparison of checksums of the arguments.

    Examples
    --------
    A program for ``torchrun --nproc-per-node 4 program.py``::

        torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(minutes=5))
        own = frameworks.own_examples(len(inputs))
        share = frameworks.from_torch(model, loss, (inputs[own], targets[own]))
        problem = frameworks.sharded(share)
        problem.at(theta).noise.trace()
    """
    require_problem("problem", problem)
    ranks = Ranks(group)
    ranks.agreed("sharded")
    local = problem.on_host()
    found = ranks.objects(_described(local))
    _require_alike(found)
    weight = sum(part["num_examples"] * part["mean_weight"] for part in found)
    counts = [part["num_examples"] for part in found]
    weight /= sum(counts)
    equal = np.isclose([part["mean_weight"] for part in found], weight, rtol=1e-14, atol=0.0)
    if not equal[ranks.rank]:
        local = local.with_mean_weight(weight)
    made = ShardedProblem(local, np.repeat(np.arange(ranks.size), counts), ranks)
    if not equal.all() or any(part["weights_differ"] for part in found):
        made._batch_assumption = _reductions.WEIGHTED_BATCHES
    return made


def _described(problem):
    blocks = None
    if problem.blocks is not None:
        blocks = {name: (part.start, part.stop) for name, part in problem.blocks.items()}
    return {
        "num_examples": int(problem.num_examples),
        "num_parameters": problem.num_parameters,
        "dtype": np.dtype(problem.dtype).name,
        "blocks": blocks,
        "reduction": getattr(problem, "reduction", "mean"),
        "mean_weight": float(getattr(problem, "mean_weight", 1.0)),
        "weights_differ": bool(problem.batch_assumption),
    }


def _require_alike(found):
    for name in ("num_parameters", "dtype", "reduction", "blocks"):
        values = [part[name] for part in found]
        if any(value != values[0] for value in values):
            told = ", ".join(f"rank {rank}: {value}" for rank, value in enumerate(values))
            raise checks.InputError(
                f"{name} differs between the ranks: {told}; expected the same model, loss and "
                "precision on every rank"
            )


class ShardedProblem(Problem):
    """Mean loss over the examples of all processes; :func:`sharded` makes it.

    Attributes
    ----------
    num_examples, num_parameters : int
        N of all processes together, and D.
    blocks : dict of str to slice
        Parts of theta by name.
    dtype : numpy.dtype
        Precision of the computation.
    local : Problem or None
        The examples of this process; None where it has none of a subset.
    positions : ndarray of int
        Their positions among all examples, increasing.
    """

    local: Problem | None
    positions: Array

    _batch_assumption = ""

    def __init__(self, local: Any, owners: Any, ranks: Any, like: Array | None = None) -> None:
        self.local, self.ranks, self._owners = local, ranks, owners
        self._like = local if like is None else like
        self.num_examples = len(owners)
        self.positions = np.flatnonzero(owners == ranks.rank)
        self.num_parameters, self.blocks = self._like.num_parameters, self._like.blocks
        self.dtype = np.dtype(self._like.dtype)

    # ---- the six members

    def losses(self, theta: ArrayLike) -> Array:
        """Losses of the examples of all ranks, l_i, shape (N,)."""
        (theta,) = self.ranks.agreed("losses", self.check_theta(theta))
        return self.scattered("losses", (), self.dtype, lambda: self.local.losses(theta))

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradient of the mean loss, shape (D,)."""
        (theta,) = self.ranks.agreed("gradient", self.check_theta(theta))
        return self.summed(
            "gradient", theta.shape, self.dtype, lambda: self.share * self.local.gradient(theta)
        )

    def loss_and_gradient(self, theta: ArrayLike) -> tuple[float, Array]:
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        (theta,) = self.ranks.agreed("loss_and_gradient", self.check_theta(theta))

        def part():
            loss, gradient = self.local.loss_and_gradient(theta)
            return self.share * np.append(gradient, loss)

        total = self.summed("loss_and_gradient", (len(theta) + 1,), np.float64, part)
        return float(total[-1]), total[:-1].astype(self.dtype)

    def loss(self, theta: ArrayLike) -> float:
        """Mean loss L, float."""
        (theta,) = self.ranks.agreed("loss", self.check_theta(theta))
        return float(
            self.summed("loss", (), np.float64, lambda: self.share * self.local.loss(theta))
        )

    def example_gradients(self, theta: ArrayLike) -> Array | ExampleGradients:
        """Gradients of the examples of all ranks, recomputed by their owners where needed.

        Returns
        -------
        matrices.ExampleGradients
        """
        (theta,) = self.ranks.agreed("example_gradients", self.check_theta(theta))
        return ShardedGradients(
            self, theta, lambda: matrices.example_gradients(self.local.example_gradients(theta))
        )

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Raises
        ------
        InputError
            On every rank, if the problem of one raises it.
        """
        theta = self.check_theta(theta)
        vectors, _ = problem_checks.checked_vectors(vectors, len(theta))
        theta, vectors = self.ranks.agreed("hessian_product", theta, vectors)
        return self.summed(
            "hessian_product",
            vectors.shape,
            self.dtype,
            lambda: self.share * self.local.hessian_product(theta, vectors),
        )

    def subset(self, indices: ArrayLike) -> ShardedProblem:
        """Return the problem on some of the examples of all ranks, in the order of `indices`.

        Each rank keeps those that it has, so that some may have many and others none.
        """
        indices = problem_checks.checked_indices(indices, self.num_examples).astype(np.int64)
        self.ranks.agreed("subset", indices)
        owners = self._owners[indices]
        own = np.searchsorted(self.positions, indices[owners == self.ranks.rank])
        local = self.local.subset(own) if len(own) else None
        part = ShardedProblem(local, owners, self.ranks, self._like)
        part._batch_assumption = self._batch_assumption
        return part

    def check(self, theta: ArrayLike, rng: np.random.Generator) -> DerivativeReport:
        """Compare the derivatives of this rank's examples with finite differences.

        Raises
        ------
        InputError
            If this rank has no example of a subset.
        """
        if self.local is None:
            raise checks.InputError(
                "this rank has no example; expected the check on a problem with some on every rank"
            )
        return self.local.check(theta, rng)

    @property
    def batch_assumption(self) -> str:
        """What the noise of a batch assumes of a weighted mean over the examples of all ranks."""
        return self._batch_assumption

    # ---- sums over the ranks

    @property
    def share(self) -> float:
        """Share of the examples that this rank has."""
        return len(self.positions) / self.num_examples

    def summed(
        self, what: str, shape: tuple[int, ...], dtype: DTypeLike, compute: Callable[[], Any]
    ) -> Array:
        """Return the sum over the ranks of ``compute()``, an array of a given shape."""

        def part():
            return 0.0 if self.local is None else compute()

        return self.ranks.summed(what, shape, dtype, part)

    def scattered(
        self, what: str, shape: tuple[int, ...], dtype: DTypeLike, compute: Callable[[], Any]
    ) -> Array:
        """Return the numbers of all examples, (N, ...), of which ``compute()`` gives the own."""

        def part():
            values = np.zeros((self.num_examples, *shape), dtype)
            if self.local is not None:
                values[self.positions] = compute()
            return values

        return self.ranks.summed(what, (self.num_examples, *shape), dtype, part)

    def on_first(self, function: Callable[..., Any]) -> Any:
        """Return ``function()`` of the first rank on every rank, for instance to read a file."""
        return self.ranks.on_first(function)

    def least(self, number: int) -> int:
        """Return the least of the ranks' numbers, for instance of their free memory, an int."""
        self.ranks.agreed("least")
        return min(self.ranks.objects(int(number)))

    # ---- of PyTorch problems

    @property
    def initial_theta(self) -> Array:
        """Parameters of the model when the problem was made, shape (D,)."""
        return self._like.initial_theta

    def theta_of(self, model: Any = None) -> Array:
        """Parameters of a model as theta, shape (D,)."""
        return self._like.theta_of(model)

    def with_state_of(self, model: Any) -> ShardedProblem:
        """Return the same problem with the present buffers and fixed parameters of a model.

        As :meth:`TorchProblem.with_state_of` on one process; all ranks call it.

        Raises
        ------
        InputError
            If they differ between the ranks.
        """
        if not hasattr(self._like, "with_state_of"):
            return self
        changed = self._changed(lambda problem: problem.with_state_of(model))
        states = self.ranks.objects(changed._like.state_digest())
        if any(state != states[0] for state in states):
            raise checks.InputError(
                "buffers or fixed parameters of the model differ between the ranks; expected the "
                "same on every rank, as torch.nn.SyncBatchNorm keeps them"
            )
        return changed

    def without_statistics(self) -> ShardedProblem:
        """Return the same problem with running means 0 and running variances 1."""
        if not hasattr(self._like, "without_statistics"):
            return self
        return self._changed(lambda problem: problem.without_statistics())

    def _changed(self, change):
        like = change(self._like)
        local = like if self.local is self._like else self.local and change(self.local)
        made = ShardedProblem(local, self._owners, self.ranks, like)
        made._batch_assumption = self._batch_assumption
        return made

    def optimizer_settings(self, optimizer: Any, theta: ArrayLike) -> OptimizerState:
        """Settings of an optimizer of the model, as the problem of one process gives them."""
        return self._like.optimizer_settings(optimizer, theta)

    def __repr__(self):
        return (
            f"<ShardedProblem: N = {self.num_examples} on {self.ranks.size} ranks, "
            f"D = {self.num_parameters}, {self.dtype}, of {type(self._like).__name__}>"
        )
