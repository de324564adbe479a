"""The chain of SGD on the examples of a problem, linear in each example, in a leading model.

    x <- x - eta (g_B + H_B x)

g_B and H_B are means over a batch of the gradients and Hessians of its examples, in the subspace.
So the noise depends on x, as that of SGD does. Derived in docs/theory/escape.md, "Chain on
examples in a leading subspace".
"""

from dataclasses import dataclass

import numpy as np

from aniso import memory
from aniso.escape._batch_kernel import add_batch_means
from aniso.escape._model_moments import Moments
from aniso.escape._reduced_exits import SimulatedExits, binomial_errors
from aniso.matrices import GradientCovariance, convention

LARGEST_NUMBER, LARGEST_SIZE = 2000, 48
"""Largest number of examples, and of directions, with which the chain is made."""

_POWER_ITERATIONS = 200


@dataclass(frozen=True)
class ExampleChain:
    """Deviations of the examples' gradients and Hessians from their means, in the subspace.

    Attributes
    ----------
    model : LeadingModel
    gradients : ndarray, shape (N, k)
        ``V^T (g_i - g)``.
    hessians : ndarray, shape (N, k, k)
        ``V^T (H_i - H) V``.
    mixing : ndarray, shape (k k, k k)
        Matrix of the map ``C -> mean(D_i C D_i)``, D_i the deviations of the Hessians.
    noise : matrices.Convention
        Batch size and sampling.
    """

    model: object
    gradients: np.ndarray
    hessians: np.ndarray
    mixing: np.ndarray
    noise: convention.Convention

    @property
    def scale(self):
        """Factor from one example to a batch mean."""
        noise = self.noise
        return convention.minibatch_scale(
            noise.num_examples, noise.batch_size, replacement=noise.replacement
        )

    def moments(self, learning_rate, steps):
        """Yield the moments of x after each of the increasing numbers of steps, from 0."""
        model, decay = self.model, 1 - learning_rate * self.model.eigenvalues
        mean, covariance = np.zeros(len(decay)), np.zeros((len(decay),) * 2)
        done = 0
        for count in steps:
            for _ in range(count - done):
                noise = self._noise(mean, covariance)
                covariance = decay[:, None] * covariance * decay + learning_rate**2 * noise
                mean = decay * mean - learning_rate * model.gradient
            done = count
            yield Moments(mean, covariance)

    def _noise(self, mean, covariance):
        """Mean covariance of a batch's gradient where x has these moments."""
        rows = self.gradients + self.hessians @ mean
        return self.scale * (rows.T @ rows / len(rows) + self._mixed(covariance))

    def variances(self, point):
        """Variances of a batch's gradient at x, shape (k,)."""
        rows = self.gradients + self.hessians @ point
        return self.scale * np.mean(rows**2, axis=0)

    def _mixed(self, covariance):
        return (self.mixing @ covariance.ravel()).reshape(covariance.shape)

    def growth(self, learning_rate):
        """Factor by which a step multiplies ``E[x x^T]`` in the end, without gradient noise.

        The spectral radius of ``C -> A C A + eta^2 s mean(D_i C D_i)``, A = I - eta H, by power
        iteration from the identity.
        """
        decay = 1 - learning_rate * self.model.eigenvalues
        covariance, radius = np.eye(len(decay)) / len(decay), 1.0
        for _ in range(_POWER_ITERATIONS):
            mixed = learning_rate**2 * self.scale * self._mixed(covariance)
            covariance = decay[:, None] * covariance * decay + mixed
            radius = float(np.trace(covariance))
            if radius == 0:
                break
            covariance /= radius
        return radius

    def exits(self, boundary, learning_rate, offsets, num_paths, rng):
        """Simulate the chain from 0; exits, and the loss of all paths whether they left or not.

        Parameters
        ----------
        boundary : Boundary
        learning_rate : float
        offsets : ndarray, shape (N + 1,)
            Contribution of the other directions after n steps.
        num_paths : int
        rng : numpy.random.Generator

        Returns
        -------
        tuple
            SimulatedExits; the last or first outer state of each path (n, k); the standard
            deviation of the loss after each number of steps (N + 1,).
        """
        model, num_steps = self.model, len(offsets) - 1
        decay = 1 - learning_rate * model.eigenvalues
        states = np.zeros((num_paths, len(decay)))
        times, exited = np.full(num_paths, float(num_steps)), np.zeros(num_paths, dtype=bool)
        last, deviations, left = states.copy(), np.zeros(num_steps + 1), np.zeros(num_steps + 1)
        for step in range(1, num_steps + 1):
            noise = self._drawn(states, rng)
            states = states * decay - learning_rate * (model.gradient + noise)
            now = (boundary.margin(states, offsets[step]) <= 0) & ~exited
            times[now], exited[now], last[now] = step, True, states[now]
            deviations[step], left[step] = model.rise(states).std(), exited.sum()
        last[~exited] = states[~exited]
        share = left / num_paths
        found = SimulatedExits(share, binomial_errors(share, num_paths), share, times, exited)
        return found, last, deviations

    def _drawn(self, states, rng):
        """Mean over a batch of ``g_i - g + (H_i - H) x`` for each path, shape (n, k)."""
        count, size = len(self.gradients), self.noise.batch_size
        if self.noise.replacement:
            batches = rng.integers(count, size=(len(states), size))
        else:
            batches = np.argpartition(rng.random((len(states), count)), size - 1)[:, :size]
        result = np.zeros_like(states)
        add_batch_means(self.gradients, self.hessians, batches, states, result)
        return result


def example_chain(problem, theta, noise, model):
    """Return the chain on the examples, or None where it can't be made.

    Parameters
    ----------
    problem : problems.Problem
        On the host.
    theta : ndarray, shape (D,)
    noise : GradientCovariance
        Covariance of a batch mean at theta.
    model : LeadingModel

    Returns
    -------
    ExampleChain or None
        None where the noise is not that of these examples, for more than 2000 examples or 48
        directions, and where the Hessians do not fit into memory.
    """
    count, size = problem.num_examples, model.vectors.shape[1]
    small = count <= LARGEST_NUMBER and size <= LARGEST_SIZE
    fits = 8 * size**2 * (2 * count + 3 * size**2) < 0.9 * memory.available_bytes()
    if not (is_of_examples(problem, noise) and small and fits):
        return None
    vectors = model.vectors
    gradients, hessians = np.empty((count, size)), np.empty((count, size, size))
    for index in range(count):
        example = problem.subset([index])
        gradients[index] = np.asarray(example.gradient(theta)) @ vectors
        hessians[index] = vectors.T @ np.asarray(example.hessian_product(theta, vectors))
    gradients -= gradients.mean(axis=0)
    hessians = (hessians + hessians.transpose(0, 2, 1)) / 2
    hessians -= hessians.mean(axis=0)
    flat = hessians.reshape(count, size**2)
    mixing = (flat.T @ flat / count).reshape((size,) * 4).transpose(0, 3, 1, 2)
    chain = ExampleChain(
        model, gradients, hessians, mixing.reshape(size**2, size**2), noise.convention
    )
    found = chain.scale * gradients.T @ gradients / count
    same = np.abs(found - model.covariance).max() <= 1e-4 * np.abs(model.covariance).max()
    return chain if same else None


def is_of_examples(problem, noise):
    """Return whether the noise is made of the gradients of as many examples as the problem has."""
    plain = isinstance(noise, GradientCovariance)
    return plain and noise.convention.num_examples == problem.num_examples
