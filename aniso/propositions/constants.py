"""Curvature and gradient noise of a one-output network at one point, in the smallest basis.

A network's H, F and Sigma act in the span of the active examples' output gradients. If that span is
smaller than the parameter space, the matrices are given in an orthonormal basis of the span. The
basis follows from the Gram matrix, so no matrix of size D x D is formed.
"""

import functools
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from aniso.problems import activations, losses


@dataclass(frozen=True)
class Snapshot:
    """Curvature and gradient noise of a network at one epoch.

    Attributes
    ----------
    epoch : int
        Number of epochs trained.
    loss : float
        Mean training loss.
    num_parameters : int
        D, the size of the parameter space.
    num_examples : int
        N.
    num_active : int
        Examples with a nonzero output gradient or curvature, |U|.
    hessian, empirical_fisher, gradient_covariance : ndarray, shape (r, r)
        H, F and Sigma_1 of one example, in a basis of the span of active output gradients.
    gradient : ndarray, shape (r,)
        Mean gradient in that basis.
    lowest_weight, highest_weight : float
        Extremes of w_i, the constants in ``w_min H <= F <= w_max H``: ``2 (f_i - y_i)^2`` over the
        active examples for the clipped squared loss, ``exp((1 - 2 y_i) f_i)`` for the logistic.
    explicit_constant : float
        The constant that needs no residuals: ``(delta/(1-delta))^2``, or ``exp(-2 max |f_i|)``.
    """

    epoch: int
    loss: float
    num_parameters: int
    num_examples: int
    num_active: int
    hessian: np.ndarray
    empirical_fisher: np.ndarray
    gradient_covariance: np.ndarray
    gradient: np.ndarray
    lowest_weight: float
    highest_weight: float
    explicit_constant: float

    @functools.cached_property
    def leading_eigenpair(self):
        """Largest eigenvalue of H and its unit eigenvector, shape (r,)."""
        last = len(self.hessian) - 1
        values, vectors = scipy.linalg.eigh(self.hessian, subset_by_index=[last, last])
        return float(values[0]), vectors[:, 0]

    def coefficient(self, matrix):
        """``u^T M u Tr H / (lambda Tr M)`` of a symmetric matrix M in the snapshot's basis."""
        eigenvalue, vector = self.leading_eigenpair
        return float(
            vector @ matrix @ vector * np.trace(self.hessian) / (eigenvalue * np.trace(matrix))
        )

    def readings(self, *, with_pencil=False):
        """Return the numbers that the propositions compare; at least one example must be active.

        Parameters
        ----------
        with_pencil : bool
            Whether to compute the eigenvalues of F relative to H as well.

        Returns
        -------
        Readings
        """
        fisher, covariance = self.empirical_fisher, self.gradient_covariance
        eigenvalue, vector = self.leading_eigenpair
        trace, noise_trace = np.trace(self.hessian), np.trace(covariance)
        projection = self.coefficient(covariance)
        below = _eigenvalue(fisher - self.lowest_weight * self.hessian, 0)
        above = _eigenvalue(self.highest_weight * self.hessian - fisher, 0)
        aligned = np.sum(self.hessian * covariance)
        return Readings(
            epoch=self.epoch,
            rank=len(self.hessian),
            active_fraction=self.num_active / self.num_examples,
            weight_ratio=self.lowest_weight / self.highest_weight,
            explicit_constant=self.explicit_constant,
            excess_below=below / _eigenvalue(fisher, len(fisher) - 1),
            excess_above=above / (self.highest_weight * eigenvalue),
            fisher_coefficient=self.coefficient(fisher),
            projection_coefficient=projection,
            gradient_share=float(
                (vector @ self.gradient) ** 2 * trace / (eigenvalue * noise_trace)
            ),
            trace_ratio=float(aligned * self.num_parameters / (trace * noise_trace)),
            guaranteed_ratio=float(projection * self.num_parameters * (eigenvalue / trace) ** 2),
            weights=(self.lowest_weight, self.highest_weight),
            pencil=self._pencil() if with_pencil else (),
        )

    def _pencil(self):
        values, vectors = np.linalg.eigh(self.hessian)
        kept = values > 1e-10 * values[-1]
        whitening = vectors[:, kept] / np.sqrt(values[kept])
        return tuple(np.linalg.eigvalsh(whitening.T @ self.empirical_fisher @ whitening).tolist())


@dataclass(frozen=True)
class Readings:
    """Numbers read off a snapshot, without its matrices.

    Attributes
    ----------
    epoch, rank : int
        Epoch, and size r of the snapshot's matrices.
    active_fraction : float
        ``|U| / N``.
    weight_ratio : float
        ``w_min / w_max``, the constant C of Proposition 2.
    explicit_constant : float
        As in :class:`Snapshot`.
    excess_below, excess_above : float
        Least eigenvalue of ``F - w_min H`` relative to ``|F|``, and of ``w_max H - F`` relative to
        ``|w_max H|``.
    fisher_coefficient, projection_coefficient : float
        ``u^T M u Tr H / (lambda Tr M)`` for M = F and for M = Sigma_1.
    gradient_share : float
        ``(u^T g)^2 Tr H / (lambda Tr Sigma_1)``.
    trace_ratio : float
        ``Tr(H Sigma) / Tr(H Sigma_bar)``, with isotropic noise in all D dimensions.
    guaranteed_ratio : float
        ``a D lambda^2 / (Tr H)^2`` with a the projection coefficient, at most `trace_ratio`.
    weights : tuple of float
        ``(w_min, w_max)``.
    pencil : tuple of float
        Eigenvalues of F relative to H on the range of H, increasing; empty if not computed.
    """

    epoch: int
    rank: int
    active_fraction: float
    weight_ratio: float
    explicit_constant: float
    excess_below: float
    excess_above: float
    fisher_coefficient: float
    projection_coefficient: float
    gradient_share: float
    trace_ratio: float
    guaranteed_ratio: float
    weights: tuple[float, float]
    pencil: tuple[float, ...]


def _eigenvalue(matrix, number):
    """Return one eigenvalue of a symmetric matrix, counted from the least."""
    found = scipy.linalg.eigh(matrix, eigvals_only=True, subset_by_index=[number, number])
    return float(found[0])


def snapshot(loss, theta, epoch=0):
    """Return the snapshot of a one-output objective at `theta`.

    Parameters
    ----------
    loss : aniso.problems.Problem
        One output per example; clipped squared or logistic loss.
    theta : ndarray, shape (D,)
        Point in parameter space.
    epoch : int
        Recorded as given.

    Returns
    -------
    Snapshot
    """
    outputs = loss.outputs(theta)[:, 0]
    slopes = loss.output_gradients(theta)[:, 0]
    curvatures = loss.output_hessians(theta)[:, 0, 0]
    active = (slopes != 0) | (curvatures != 0)
    rows = _reduced_jacobian(loss, theta, np.flatnonzero(active))
    slopes, curvatures = slopes[active], curvatures[active]
    count = loss.num_examples
    hessian = rows.T @ (rows * curvatures[:, None]) / count
    second_moment = rows.T @ (rows * slopes[:, None] ** 2) / count
    gradient = rows.T @ slopes / count
    lowest, highest, explicit = weight_constants(loss, outputs, active)
    return Snapshot(
        epoch=epoch,
        loss=loss.loss(theta),
        num_parameters=loss.num_parameters,
        num_examples=count,
        num_active=int(active.sum()),
        hessian=hessian,
        empirical_fisher=second_moment,
        gradient_covariance=second_moment - np.outer(gradient, gradient),
        gradient=gradient,
        lowest_weight=lowest,
        highest_weight=highest,
        explicit_constant=explicit,
    )


def _reduced_jacobian(loss, theta, active):
    """Output gradients of the active examples in an orthonormal basis, shape (|U|, r)."""
    if loss.num_parameters <= len(active):
        return loss.jacobians(theta)[active, 0]
    gram = jacobian_gram(loss.model, theta, loss.inputs[active])
    try:
        return np.linalg.cholesky(gram)  # J = L Q^T with the orthonormal basis Q
    except np.linalg.LinAlgError:  # singular to rounding
        values, vectors = np.linalg.eigh(gram)
        return vectors * np.sqrt(np.maximum(values, 0))


def jacobian_gram(model, theta, inputs):
    """Gram matrix of the output gradients, ``K_ij = (x_i.x_j + 1) sum_h rho'_ih rho'_jh``.

    Parameters
    ----------
    model : aniso.networks.Stack
        Of networks.one_hidden_layer. Its output weights are +1 and -1, so that their squares are 1.
    theta : ndarray, shape (D,)
        Point in parameter space.
    inputs : ndarray, shape (n, d)
        One example a row.

    Returns
    -------
    ndarray, shape (n, n)

    Notes
    -----
    Cost n^2 (d + h); the n x D Jacobian is never formed.
    """
    weights, biases = model.unpacked(np.asarray(theta))[0]
    activation = activations.named(model.layers[1].name)
    slopes = activation.slope(inputs @ weights.T + biases)
    return (inputs @ inputs.T + 1) * (slopes @ slopes.T)


def weight_constants(loss, outputs, active):
    """Extremes of the weights w_i from outputs and labels, and the explicit constant.

    Parameters
    ----------
    loss : aniso.problems.Problem
        Problem with one output; its loss and its labels count.
    outputs : ndarray, shape (N,)
        Outputs of the model.
    active : ndarray of bool, shape (N,)
        Examples whose loss has a derivative that is not zero.

    Returns
    -------
    tuple of float
        ``lowest_weight``, ``highest_weight`` and ``explicit_constant`` of :class:`Snapshot`; zeros
        where no example is active.
    """
    if not active.any():
        return 0.0, 0.0, 0.0
    outputs, targets = outputs[active], loss.targets[active]
    if isinstance(loss.output_loss, losses.ClippedSquaredLoss):
        weights = 2 * (outputs - targets) ** 2
        delta = loss.output_loss.delta
        explicit = (delta / (1 - delta)) ** 2
    else:
        weights = np.exp((1 - 2 * targets) * outputs)
        explicit = float(np.exp(-2 * np.abs(outputs).max()))
    return float(weights.min()), float(weights.max()), explicit
