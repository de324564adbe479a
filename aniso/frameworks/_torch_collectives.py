"""Sums over the processes of a torch.distributed group, and what happens when one of them fails.

Every process, a rank, makes the same calls with the same numbers. Each call first compares what the
ranks ask for, so that a rank that went another way is named instead of waited for.
"""

import re
import zlib

import numpy as np
import torch
from torch import distributed

from aniso import checks, memory

_SAME = 1e-6
"""Largest relative difference of the same numbers on processors of different kinds."""
_MOST_ARRAYS = 2
_FOLD = 4093  # words, a prime: numbers that change place change the fold
_REFUSALS = (memory.AllocationRefused, checks.InputError)


class LostRank(RuntimeError):
    """A process of the group ended, or did not answer within the timeout of the group."""


class RankFailed(RuntimeError):
    """The computation failed on another process of the group; the message names it."""


class Ranks:
    """The processes of a group.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup or None
        None is the group of all processes.

    Attributes
    ----------
    rank, size : int
        Number of this process within the group, and of all processes.
    """

    def __init__(self, group):
        if not distributed.is_available() or not distributed.is_initialized():
            raise checks.InputError(
                "torch.distributed is not initialised; expected a program that torchrun started "
                'and that has called torch.distributed.init_process_group("gloo" or "nccl")'
            )
        self.group = group
        self.rank, self.size = distributed.get_rank(group), distributed.get_world_size(group)
        if self.rank < 0:
            raise checks.InputError("this process is no member of group; expected one of its ranks")
        self._first = 0 if group is None else distributed.get_global_rank(group, 0)
        backend = distributed.get_backend(group)
        self._device = torch.device("cuda" if backend == "nccl" else "cpu")

    def agreed(self, what, *arrays):
        """Return the arrays of the first rank, after a comparison with those of all ranks.

        Parameters
        ----------
        what : str
            What the ranks are about to compute.
        *arrays : ndarray
            Its arguments, two at most, the same on every rank up to rounding.

        Raises
        ------
        RankFailed
            On every rank, if ranks compute different things or with different numbers.
        LostRank
        """
        arrays = [np.ascontiguousarray(part) for part in arrays]
        form = repr([what, *((part.shape, part.dtype.str) for part in arrays)])
        # one width for all calls, so that ranks in different calls meet here
        row = [zlib.crc32(form.encode()), *(_checksum(part) for part in arrays)]
        found = torch.zeros((self.size, _MOST_ARRAYS + 1), dtype=torch.int64)
        found[self.rank, : len(row)] = torch.tensor(row)
        found = self._sum(what, found)
        if not _is_constant(found[:, 0]):
            self._refuse(what, form, "compute different things")
        return tuple(
            array if _is_constant(column) else self._first_of(what, array)
            for array, column in zip(arrays, found.T[1:], strict=False)
        )

    def _first_of(self, what, array):
        sent = self._placed(torch.from_numpy(array.copy()))
        _answered(what, self, distributed.broadcast, sent, self._first, group=self.group)
        first = sent.cpu().numpy()
        size = float(np.abs(first).max(initial=0.0))
        apart = float(np.abs(first - array).max(initial=0.0))
        differing = self._sum(what, torch.tensor([float(not apart <= _SAME * size)]))
        if differing[0] > 0:
            self._refuse(what, f"{apart:.3g}", "have different arguments, by at most")
        return first

    def _refuse(self, what, own, how):
        told = ", ".join(f"rank {rank}: {text}" for rank, text in enumerate(self.objects(own)))
        raise RankFailed(
            f"the ranks {how}: {told}; expected the same calls with the same theta and random "
            f"generators of the same seed on every rank (here in {what})"
        )

    def summed(self, what, shape, dtype, compute):
        """Sum an array over the ranks.

        Parameters
        ----------
        what : str
            What is computed.
        shape : tuple of int
        dtype : numpy.dtype
        compute : callable
            ``() -> array_like``, the part of this rank.

        Returns
        -------
        ndarray
            The same on every rank.

        Raises
        ------
        InputError, AllocationRefused
            On every rank, if `compute` raised it on some.
        Exception
            That of `compute` on the rank where it was raised.
        RankFailed
            On the other ranks.
        LostRank
        """
        # the last number counts the ranks that failed
        entries = np.zeros(int(np.prod(shape)) + 1, dtype)
        failure = None
        try:
            entries[:-1] = np.asarray(compute()).reshape(-1)
        except Exception as error:
            failure = error
            entries[-1] = 1
        total = self._sum(what, torch.from_numpy(entries)).numpy()
        if total[-1] > 0:
            self._raise_failure(what, failure)
        return total[:-1].reshape(shape)

    def _raise_failure(self, what, failure):
        own = None
        if failure is not None:
            kinds = [kind.__name__ for kind in _REFUSALS if isinstance(failure, kind)]
            own = "".join(kinds[:1]), f"{type(failure).__name__}: {failure}", str(failure)
        told = {rank: each for rank, each in enumerate(self.objects(own)) if each is not None}
        # a refusal of one rank is the refusal of all: they go on together
        kinds = {kind for kind, *_ in told.values()}
        for kind in _REFUSALS:
            if kinds == {kind.__name__}:
                rank, (_, _, text) = next(iter(told.items()))
                raise kind(f"{text} (on rank {rank})") from failure
        if failure is not None:
            raise failure
        failed = "; ".join(f"rank {rank}: {text}" for rank, (_, text, _) in told.items())
        raise RankFailed(f"{what} failed on {failed}")

    def objects(self, value):
        """Return the values of all ranks, a list in the order of the ranks."""
        found = [None] * self.size
        _answered("an exchange", self, distributed.all_gather_object, found, value, self.group)
        return found

    def on_first(self, function):
        """Return ``function()`` of the first rank on every rank; only the first one calls it.

        Raises
        ------
        Exception
            That of the function on the first rank.
        RankFailed
            On the other ranks.
        """
        self.agreed("a call of the first rank alone")
        sent, failure = [None, None], None
        if self.rank == 0:
            try:
                sent[0] = function()
            except Exception as error:
                failure, sent[1] = error, f"{type(error).__name__}: {error}"
        _answered(
            "an exchange", self, distributed.broadcast_object_list, sent, self._first, self.group
        )
        if failure is not None:
            raise failure
        if sent[1] is not None:
            raise RankFailed(f"rank 0: {sent[1]}")
        return sent[0]

    def _sum(self, what, tensor):
        placed = self._placed(tensor)
        _answered(what, self, distributed.all_reduce, placed, group=self.group)
        return placed.cpu()

    def _placed(self, tensor):
        return tensor.to(self._device)


def _checksum(array):
    """Checksum of an array; of long ones that of a fold, which takes one pass over the memory."""
    content = memoryview(np.ravel(array)).cast("B")
    count = len(content) // (8 * _FOLD) * _FOLD
    if count == 0:
        return zlib.crc32(content)
    words = np.frombuffer(content, np.uint64, count).reshape(-1, _FOLD)
    return zlib.crc32(content[8 * count :], zlib.crc32(np.bitwise_xor.reduce(words, axis=0)))


def _is_constant(column):
    return bool((column == column[0]).all())


def _answered(what, ranks, collective, *arguments, **options):
    """Call a collective operation; a failure of it is a lost rank."""
    try:
        collective(*arguments, **options)
    except RuntimeError as error:
        # without the place in the sources of PyTorch, and its advice
        reason = re.sub(r"^\[\S*\] ", "", str(error)).partition(". ")[0]
        raise LostRank(
            f"rank {ranks.rank} of {ranks.size} lost another rank in {what} ({reason}); expected "
            "all ranks to answer within the timeout of the group; start the program again: a "
            "monitor measures no step twice"
        ) from error
