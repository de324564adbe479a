"""Blocks of plain SGD steps, which the problem takes together: the same bits in less time.

A block ends before a step that is recorded, and where a checkpoint may be due. It takes some
hundredths of a second, so that Ctrl-C does not wait.
"""

import time

import numpy as np

_SECONDS = 0.02
_FIRST, _MOST = 8, 4096
_MOST_INDICES = 2**20


class StepBlocks:
    """Blocks of steps of one run.

    Parameters
    ----------
    problem : problems.Problem
        Its :meth:`aniso.problems.Problem.sgd_steps` takes the steps.
    settings : Settings
        Settings of the run.
    recorded : iterable of int
        Steps that are recorded, which belong to no block.
    """

    def __init__(self, problem, settings, recorded):
        self.problem, self.settings = problem, settings
        self.recorded = np.array(sorted(recorded), dtype=np.int64)
        plain = settings.update is None and settings.decay is None
        self._is_possible = settings.dynamics == "sgd" and plain
        self._size = _FIRST

    def advance(self, state, interval):
        """Take a block of steps and return whether there was one.

        Parameters
        ----------
        state : RunState
            It is moved on by these steps, with its generator and its batches.
        interval : int
            The block stops at a multiple of it rather than beyond.
        """
        count = self._count(state.step, interval)
        if count < 2:
            return False
        generator = state.rng.bit_generator
        before = generator.state, state.sampler.order, state.sampler.position
        batches = state.sampler.draw_several(state.rng, count)
        rates = np.array([self.settings.learning_rate_at(state.step + i) for i in range(count)])
        began = time.perf_counter()
        theta, taken = self.problem.sgd_steps(state.theta, batches, rates)
        seconds = time.perf_counter() - began
        if taken < count:
            # the step that ends the block draws its batch itself
            generator.state, state.sampler.order, state.sampler.position = before
            if taken:
                state.sampler.draw_several(state.rng, taken)
            self._is_possible = taken > 0
        state.theta, state.step = theta, state.step + taken
        fitting = count * _SECONDS / max(seconds, 1e-9)
        self._size = int(min(max(2, fitting), 8 * self._size, _MOST))
        return taken > 0

    def _count(self, step, interval):
        if not self._is_possible:
            return 0
        later = self.recorded[np.searchsorted(self.recorded, step) :]
        end = min(self.settings.num_steps, int(later[0]) if len(later) else self.settings.num_steps)
        end = min(end, step + min(self._size, max(1, _MOST_INDICES // self.settings.batch_size)))
        stop = end // interval * interval
        return (stop if stop > step else end) - step
