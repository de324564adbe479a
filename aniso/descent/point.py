"""What a step of the dynamics may know at one theta, each part computed when first asked for."""

from functools import cached_property, partial

import numpy as np

from aniso import checks
from aniso.arrays import places, transfer
from aniso.descent.precision import in_single_precision
from aniso.matrices import (
    FactoredCovariance,
    SymmetricOperator,
    eigenpairs,
    noise,
)
from aniso.networks import Network
from aniso.problems import curvature

_EXTRA_VECTORS = 4
_FEW_PAIRS = 1  # their products cost less, each from scratch, than one linearisation
_SINGLE_PRECISION_TOLERANCE = 1e-4  # forty times the finest that lanczos accepts there
_DENSE_DIMENSION = 400


class Point:
    """Gradient, mini-batch covariance and leading curvature of an objective at theta.

    Parameters
    ----------
    objective : Objective, ModelObjective or networks.Network
    theta : ndarray, shape (D,)
    settings : Settings
    rng : numpy.random.Generator
        Draws the epoch of ``covariance_source="batches"``; unused otherwise.
    start_vectors : ndarray, shape (D, k), optional
        Eigenvectors of an earlier Hessian, from which the iteration starts.

    Notes
    -----
    Of a layer network the per-example gradients exist as factors only, so that gradient, noise and
    its trace together cost about one full-batch gradient. Of other objectives they are an (N, D)
    array. Nothing of size D x D is formed where D exceeds a few hundred.
    """

    def __init__(self, objective, theta, settings, rng, start_vectors=None):
        self.objective, self.theta, self.settings = objective, checks.held(theta), settings
        self.rng, self.start_vectors = rng, start_vectors

    @property
    def num_parameters(self):
        """D."""
        return len(self.theta)

    @cached_property
    def _gradients(self):
        # factors of a layer network, or the array (N, D)
        if hasattr(self.objective, "linearise"):
            return self.objective.example_gradients(self.theta)
        return self.objective.per_example_gradients(self.theta)

    @property
    def gradient(self):
        """Gradient of the mean loss, (D,), from the per-example gradients; a copy."""
        return self._gradient.copy()

    @cached_property
    def _gradient(self):
        if isinstance(self._gradients, np.ndarray):
            return self._gradients.mean(axis=0)
        return transfer.to_numpy(self._gradients.mean())

    @cached_property
    def example_covariance(self):
        """Centred gradient covariance of one example."""
        return noise.gradient_covariance(self._gradients)

    @cached_property
    def covariance(self):
        """Covariance of the mean of a mini-batch, exact or estimated from batches."""
        if self.settings.covariance_source == "batches":
            return self._covariance_of_batches()
        return self.exact_covariance

    @property
    def exact_covariance(self):
        """Covariance of the mean of a mini-batch, from the per-example gradients."""
        settings = self.settings
        return noise.minibatch_covariance(
            self.example_covariance, settings.batch_size, replacement=settings.replacement
        )

    def _covariance_of_batches(self):
        # the published estimate: gradients of the disjoint batches of one shuffled epoch, ddof 1
        count, size = self.objective.num_examples, self.settings.batch_size
        num_batches = count // size
        order = self.rng.permutation(count)[: num_batches * size].reshape(num_batches, size)
        weights = np.zeros((num_batches, count))
        np.put_along_axis(weights, order, 1 / size, axis=1)
        if isinstance(self._gradients, np.ndarray):
            rows = weights @ self._gradients
        else:
            rows = self._combined(weights)
        return FactoredCovariance(rows - rows.mean(axis=0), 1 / (num_batches - 1))

    def _combined(self, weights):
        gradients = self._gradients
        place = getattr(gradients, "place", places.NUMPY)
        weights = transfer.to_device(weights.astype(gradients.dtype), place)
        return np.asarray(transfer.to_numpy(gradients.combine(weights)), dtype=np.float64)

    @cached_property
    def hessian(self):
        """Hessian as a linear operator; of few parameters as an array."""
        if hasattr(self.objective, "linearise"):
            return self.objective.linearise(self.theta).hessian_operator()
        if self.num_parameters <= _DENSE_DIMENSION:
            return curvature.hessian(self.objective, self.theta)
        return curvature.hessian_operator(self.objective, self.theta)

    def hessian_eigenpairs(self, num_pairs, which="largest"):
        """Leading eigenpairs of the Hessian with their residuals, by block Lanczos, warm-started.

        Raises
        ------
        NotConverged
            If a residual stays above the settings' tolerance; `partial` holds the pairs.
        """
        num_pairs = min(num_pairs, self.num_parameters)
        if self.num_parameters <= _DENSE_DIMENSION:
            return eigenpairs.leading_eigenpairs(self.hessian, num_pairs, which=which)
        few = num_pairs <= _FEW_PAIRS
        block_size = num_pairs if few else num_pairs + _EXTRA_VECTORS
        return eigenpairs.leading_eigenpairs(
            self._hessian_for_eigenpairs(few),
            num_pairs,
            which=which,
            method="block",
            tolerance=self.settings.eigen_tolerance,
            block_size=min(self.num_parameters, block_size),
            start=self.start_vectors,
        )

    def _hessian_for_eigenpairs(self, few):
        if not isinstance(self.objective, Network):
            return self.hessian
        coarse = self.settings.eigen_tolerance >= _SINGLE_PRECISION_TOLERANCE
        network = in_single_precision(self.objective) if coarse else self.objective
        if not few:
            return network.linearise(self.theta).hessian_operator()
        theta = network.check_theta(self.theta)
        return SymmetricOperator(
            partial(network.hessian_product, theta),
            self.num_parameters,
            network.dtype,
            None,
        )

    def power_iteration(self, num_iterations):
        """Leading eigenvector of the Hessian after so many power iterations, (D,), of norm 1.

        A vector that the Hessian takes to zero is an eigenvector already, and is returned.
        """
        vector = eigenpairs.quasi_random_vector(self.num_parameters)
        vector = vector / np.linalg.norm(vector)
        for _ in range(num_iterations):
            product = self.hessian @ vector
            norm = np.linalg.norm(product)
            if norm == 0:
                break
            vector = product / norm
        return np.asarray(vector, dtype=np.float64)
