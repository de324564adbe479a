"""Reach of the quadratic model: its remainder, measured by evaluations of the loss."""

import numpy as np

from aniso import checks
from aniso.closed_forms import geometric_sum
from aniso.escape._reduced_exits import symmetric_root
from aniso.problems import LossFailed

_NUM_PAIRS_OF_POINTS = 4
_NUM_TIMES = 8
# a difference of losses below this many roundings of the loss is no remainder
_ROUNDINGS = 64.0


class ModelRemainder:
    """Remainder of a leading model relative to its quadratic term.

    Parameters
    ----------
    problem : problems.Problem
        On the host.
    theta : ndarray, shape (D,)
    model : LeadingModel
    moments_after : callable
        From a number of steps to the moments of x.
    learning_rate : float
    noise_at_start : GradientCovariance or None
        Covariance of one example at theta, where the model takes it as constant; None where it is
        not that of the examples.
    examples : ExampleChain or None
        The chain on the examples, whose noise depends on x.
    scale : float
        Factor of the covariance from one example to a batch mean.
    rng : numpy.random.Generator
        Draws the directions, in pairs of opposite sign. The same ones are used at all times.
    """

    def __init__(
        self,
        problem,
        theta,
        model,
        moments_after,
        learning_rate,
        noise_at_start,
        examples,
        scale,
        rng,
    ):
        self.problem, self.theta, self.model = problem, theta, model
        self.moments_after, self.learning_rate = moments_after, learning_rate
        self.examples, self.scale = examples, scale
        half = rng.standard_normal((_NUM_PAIRS_OF_POINTS, len(model.eigenvalues)))
        self.normals = np.concatenate([half, -half])
        self.rounding = _ROUNDINGS * float(np.finfo(problem.dtype).eps) * abs(model.loss)
        self.start = None if noise_at_start is None else self._curved_noise(noise_at_start)

    def at(self, points):
        """Mean ``|L(theta + V x) - model|`` beyond rounding, and mean ``sum |lambda_i| x_i^2 / 2``.

        Parameters
        ----------
        points : ndarray, shape (n, k)
            x.

        Returns
        -------
        tuple of float
            (remainder, quadratic term); the first is inf where the loss is not finite.
        """
        losses = np.array([self._loss(self.theta + self.model.vectors @ x) for x in points])
        differences = np.abs(losses - self.model.loss - self.model.rise(points))
        differences = np.where(np.isfinite(differences), differences, np.inf)
        remainder = np.maximum(differences - self.rounding, 0.0).mean()
        quadratic = 0.5 * (points**2 @ np.abs(self.model.eigenvalues)).mean()
        return float(remainder), float(quadratic)

    def after(self, num_steps):
        """Remainder over quadratic term, noise over noise at the start, error of the step; n steps.

        The remainder is measured at 8 points of the chain, the noise at 2 of them, where it is
        taken as constant: as ``sum_i |lambda_i| s_i``. Else its ratio is 1. The error of the step
        is that of ``sum_i |lambda_i| x_i^2 / 2`` after one more step, summed up over n steps as the
        model decays, relative to the quadratic term.
        """
        moments = self.moments_after(num_steps)
        points = moments.mean + self.normals @ symmetric_root(moments.covariance)
        remainder, quadratic = self.at(points)
        share, change = _share(remainder, quadratic), 1.0
        if not np.isfinite(share):
            return share, change, np.inf
        errors, squares = self._step_errors(points)
        drift = errors.mean(axis=0)
        if self.examples is not None:
            errors += self._noise_errors(points, self.examples.variances)
        elif self.start:
            # gradients of all examples are needed, so at two points only
            pair = points[[0, _NUM_PAIRS_OF_POINTS]]
            found = np.array([self._variances(x) for x in pair]) @ np.abs(self.model.eigenvalues)
            change = float(found.mean()) / self.start
        rates = (1 - self.learning_rate * self.model.eigenvalues) ** 2
        with np.errstate(over="ignore", invalid="ignore"):
            # an error lives as long as the squares of the problem do, if that is longer
            longer = 1 + np.maximum(drift, 0.0) / np.where(squares > 0, squares, 1.0)
            sums = geometric_sum(1 - np.minimum(rates, 1.0) * longer, num_steps)
            total = 0.5 * float(np.abs(self.model.eigenvalues) @ (errors.mean(axis=0) * sums))
        return share, change, _share(abs(total), quadratic)

    def _step_errors(self, points):
        """Squares of x after a step of the problem minus those of the model, and their mean."""
        model, rate = self.model, self.learning_rate
        expected = points * (1 - rate * model.eigenvalues) - rate * model.gradient
        reached = points - rate * np.array([self._gradient(x) for x in points])
        with np.errstate(invalid="ignore", over="ignore"):
            found = reached**2 - expected**2
        # a square that differs by rounding alone is no error
        limit = _ROUNDINGS * np.finfo(self.problem.dtype).eps * (expected**2 + points**2)
        found = np.where(np.isfinite(found), found, np.inf)
        return np.where(np.abs(found) <= limit, 0.0, found), np.mean(expected**2, axis=0)

    def _noise_errors(self, points, predicted):
        """Variances that the noise of the problem adds in a step, minus those of the model."""
        pairs = [(self.scale * self._variances(x), predicted(x)) for x in points]
        found = np.array([np.where(abs(a - b) <= 1e-9 * b, 0.0, a - b) for a, b in pairs])
        return self.learning_rate**2 * found

    def _gradient(self, point):
        """Gradient at theta + V x within the subspace; infinite where the problem refuses it."""
        theta = self.theta + self.model.vectors @ point
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return np.asarray(self.problem.gradient(theta), float) @ self.model.vectors
        except LossFailed:
            raise
        except checks.InputError:
            return np.full(len(point), np.inf)

    def _variances(self, point):
        noise = self.problem.at(self.theta + self.model.vectors @ point).noise
        return self._along(noise)

    def share_at_boundary(self, boundary, points):
        """Remainder over the rise of the loss at points that are moved to the boundary.

        Each point is moved along its ray from the start; nan if no ray reaches the boundary. For a
        ball the quadratic term takes the place of the rise.
        """
        scales = boundary.scales(points)
        reached = np.isfinite(scales)
        if not reached.any():
            return np.nan
        remainder, quadratic = self.at(points[reached] * scales[reached, None])
        return _share(remainder, quadratic if boundary.rise is None else boundary.rise)

    def steps_within(self, tolerance, num_steps):
        """Steps up to which remainder and change of the noise stay within the tolerance.

        Returns
        -------
        tuple
            (steps, what :meth:`after` returned there, what it returned beyond or None). It is asked
            at up to eight numbers of steps that grow geometrically, then by bisection.
        """
        counts = np.unique(np.rint(np.geomspace(1, num_steps, _NUM_TIMES)).astype(int))
        good, here, beyond = 0, (0.0, 1.0, 0.0), None
        for count in counts:
            found = self.after(int(count))
            if not _within(found, tolerance):
                beyond, bad = found, int(count)
                break
            good, here = int(count), found
        while beyond is not None and bad - good > max(1, good // 10):
            middle = (good + bad) // 2
            found = self.after(middle)
            if _within(found, tolerance):
                good, here = middle, found
            else:
                bad, beyond = middle, found
        return good, here, beyond

    def _loss(self, theta):
        """Loss at a point; inf where the problem refuses the point or its loss overflows."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return float(self.problem.loss(theta))
        except LossFailed:
            raise
        except checks.InputError:
            return np.inf

    def _along(self, noise):
        vectors = self.model.vectors
        return np.sum(vectors * np.asarray(noise @ vectors), axis=0)

    def _curved_noise(self, noise):
        return float(np.abs(self.model.eigenvalues) @ self._along(noise))


def _within(found, tolerance):
    share, change, error = found
    return max(share, error) <= tolerance and abs(change - 1) <= tolerance


def _share(remainder, quadratic):
    if remainder == 0:
        return 0.0
    return remainder / quadratic if quadratic > 0 else np.inf
