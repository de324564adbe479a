"""Slow and obvious mini-batch chains: draws in Python integers, laws by enumeration."""

import itertools

import numpy as np
import reference_langevin as reference
import scipy.sparse
import scipy.sparse.linalg

EXAMPLES = 2
"""Purpose of the blocks from which examples are drawn."""


def whole_number(word, bound):
    """A number in 0 .. bound - 1 from the upper 52 bits of a word."""
    return (word >> 12) * bound >> 52


def batch(seed, path, step, num_examples, size, sampling):
    """Examples of the batch that a path takes in a step."""

    def word(block):
        return reference.words(seed, path, block, EXAMPLES)[0]

    if sampling == "epochs":
        epoch, within = divmod(step, num_examples // size)
        order = list(range(num_examples))
        for i in reversed(range(1, num_examples)):
            j = whole_number(word(epoch * num_examples + i), i + 1)
            order[i], order[j] = order[j], order[i]
        return order[within * size : (within + 1) * size]
    chosen = []
    for draw in range(size):
        bound = num_examples if sampling == "with_replacement" else num_examples - size + draw + 1
        candidate = whole_number(word(step * size + draw), bound)
        # Floyd: each subset equally likely
        repeated = sampling == "without_replacement" and candidate in chosen
        chosen.append(bound - 1 if repeated else candidate)
    return chosen


def chain(gradients, draw, rate, momentum, start, num_steps):
    """States of heavy ball; ``gradients(theta)`` is (N, D), ``draw(step)`` the examples."""
    states, velocity = [np.array(start, float)], 0.0
    for step in range(num_steps):
        velocity = momentum * velocity + gradients(states[-1])[draw(step)].mean(axis=0)
        states.append(states[-1] - rate * velocity)
    return np.array(states)


def moments(maps, start, num_steps):
    """Mean and covariance of ``z <- A z + b`` from a start, (A, b) one of `maps` in every step."""
    mean, second = np.array(start, float), np.outer(start, start)
    for _ in range(num_steps):
        second = np.mean(
            [
                a @ second @ a.T + np.outer(a @ mean, b) + np.outer(b, a @ mean) + np.outer(b, b)
                for a, b in maps
            ],
            axis=0,
        )
        mean = np.mean([a @ mean + b for a, b in maps], axis=0)
    return mean, second - np.outer(mean, mean)


def exit_shares(moves, inside, num_steps, momentum=0.0):
    """Exact law of the exit step of a chain from 0 whose moves do not depend on where it is.

    `moves` are sequences of gradients, all equally likely: one of them after the other is followed.
    A sequence has one gradient for independent batches, and those of an epoch for epochs. The
    result (num_steps + 1,) holds P(exit after step k), and in entry 0 P(no exit).
    """
    shares = np.zeros(num_steps + 1)
    states = {(0.0, 0.0): 1.0}
    length = len(moves[0])
    for first in range(0, num_steps, length):
        after = {}
        for ((theta, velocity), mass), sequence in itertools.product(states.items(), moves):
            x, m, part = theta, velocity, mass / len(moves)
            for step, gradient in enumerate(sequence, start=first + 1):
                m = momentum * m + gradient
                x = x - m
                if not inside(x) or step == num_steps:
                    shares[0 if inside(x) else step] += part
                    break
            else:
                after[x, m] = after.get((x, m), 0.0) + part
        states = after
    return shares


def mean_exit_time(gradients, rate, low, high, start, num_cells):
    """Mean exit time of a chain on the line, from ``T(x) = eta + (1/N) sum_i T(x - eta g_i(x))``.

    ``gradients(x)`` is (n, N). T is linear between the centres of `num_cells` cells; 0 outside.
    """
    width = (high - low) / num_cells
    centres = low + width * (np.arange(num_cells) + 0.5)
    reached = centres[:, None] - rate * gradients(centres)
    inside = (reached > low) & (reached < high)
    place = (reached - low) / width - 0.5
    left = np.clip(np.floor(place).astype(int), 0, num_cells - 2)
    share = place - left
    rows = np.broadcast_to(np.arange(num_cells)[:, None], reached.shape)
    moved = (
        sum(
            scipy.sparse.csc_matrix(
                ((weight * inside).ravel(), (rows.ravel(), column.ravel())), (num_cells, num_cells)
            )
            for weight, column in ((1 - share, left), (share, left + 1))
        )
        / reached.shape[1]
    )
    system = scipy.sparse.identity(num_cells, format="csc") - moved
    times = scipy.sparse.linalg.spsolve(system, np.full(num_cells, rate))
    return float(np.interp(start, centres, times))
