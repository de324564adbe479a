"""One-hidden-layer networks along training, reduced to the matrices that the theory speaks of.

Both data sets of the checks live here: the points of the paper's one-hidden-layer experiment and
pairs of FashionMNIST classes. A network's H, F and Sigma act in the span of the active examples'
output gradients; where that span is smaller than the parameter space, the matrices are given in
an orthonormal basis of it, obtained from the Gram matrix, so that nothing of size D x D appears.
"""

import functools
from dataclasses import dataclass

import numpy as np

from aniso import datasets, losses
from aniso.model_objective import ModelObjective
from aniso.models import activations, layers
from aniso.models.one_hidden_layer import OneHiddenLayer
from aniso.training import adam_iterates

ACTIVATIONS = ("relu", "leaky_relu", "abs", "hard_tanh")
LOSSES = ("clipped squared", "logistic")
POINTS = "synthetic"
IMAGES = "FashionMNIST"
NUM_EPOCHS = 31
_STEPS_PER_EPOCH = 10
_DECAYING_EPOCHS = 10
_CLIP = 1e-3


@dataclass(frozen=True)
class Problem:
    """A network, its loss and its data.

    Attributes
    ----------
    data : {"synthetic", "FashionMNIST"}
        1000 points on [-2, 2]^2 with label 1 where x_1 >= x_2, or two classes of the shipped
        FashionMNIST subset.
    loss : {"clipped squared", "logistic"}
        One of the two losses of Proposition 2.
    activation : str
        Piecewise-linear activation of the hidden layer.
    num_hidden : int
        Width of the hidden layer.
    seed : int
        Seed of the data and of the initial parameters.
    classes : tuple of int
        The two FashionMNIST classes; the labels of the points are 0 and 1 already.
    """

    data: str
    loss: str
    activation: str
    num_hidden: int
    seed: int
    classes: tuple[int, int] = (0, 6)

    def __str__(self):
        data = (
            self.data if self.data == POINTS else f"{self.data} {'/'.join(map(str, self.classes))}"
        )
        return f"{data}, {self.loss}, {self.activation}, h = {self.num_hidden}"


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

    @property
    def weight_ratio(self):
        """``w_min / w_max``, the constant C of Proposition 2."""
        return self.lowest_weight / self.highest_weight

    @functools.cached_property
    def leading_eigenpair(self):
        """Largest eigenvalue of H and its unit eigenvector, shape (r,)."""
        values, vectors = np.linalg.eigh(self.hessian)
        return float(values[-1]), vectors[:, -1]

    @property
    def projection_coefficient(self):
        """``u^T Sigma u Tr H / (lambda Tr Sigma)``."""
        return self.coefficient(self.gradient_covariance)

    def coefficient(self, matrix):
        """``u^T M u Tr H / (lambda Tr M)`` of a symmetric matrix M in the snapshot's basis."""
        eigenvalue, vector = self.leading_eigenpair
        return float(
            vector @ matrix @ vector * np.trace(self.hessian) / (eigenvalue * np.trace(matrix))
        )

    @property
    def trace_ratio(self):
        """``Tr(H Sigma) / Tr(H Sigma_bar)``, the isotropic noise living in all D dimensions."""
        aligned = np.sum(self.hessian * self.gradient_covariance)
        traces = np.trace(self.hessian) * np.trace(self.gradient_covariance)
        return float(aligned * self.num_parameters / traces)


def training_objective(problem):
    """The loss of `problem` over its data.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    aniso.model_objective.ModelObjective
    """
    rng = np.random.default_rng([problem.seed, 1])
    if problem.data == POINTS:
        inputs = rng.uniform(-2, 2, (1000, 2))
        targets = (inputs[:, 0] >= inputs[:, 1]).astype(np.int64)
    else:
        images = datasets.fashion_mnist()
        inputs, targets = datasets.pair(images.train_images, images.train_labels, *problem.classes)
        inputs = datasets.scale_images(inputs, -1.0, 1.0).reshape(len(inputs), -1)
    loss = (
        losses.ClippedSquaredLoss(_CLIP)
        if problem.loss == "clipped squared"
        else losses.LogisticLoss()
    )
    model = OneHiddenLayer(inputs.shape[1], problem.num_hidden, problem.activation)
    return ModelObjective(model, loss, inputs, targets)


def runs(settings):
    """Networks to follow and the epochs at which to look, for a scale.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of (Problem, tuple of int)
    """
    every = tuple(range(NUM_EPOCHS + 1))
    few = (0, 1, 3, 10, 20, NUM_EPOCHS)
    widths = {
        "quick": {32: few},
        "default": {32: every, 128: few, 512: (0, 10, NUM_EPOCHS)},
        "full": {32: every, 128: every, 512: every},
    }[settings.scale]
    data = [(POINTS, (0, 1)), (IMAGES, (0, 6))]
    if settings.scale == "full":
        data += [(IMAGES, (2, 4)), (IMAGES, (0, 9))]
    return [
        (Problem(name, loss, activation, width, settings.seed, classes), epochs)
        for name, classes in data
        for loss in LOSSES
        for activation in ACTIVATIONS
        for width, epochs in widths.items()
        if settings.scale == "full" or _affordable(name, activation, width)
    ]


def _affordable(data, activation, width):
    """Whether a network trains within seconds; the widest on images stand for one activation."""
    return data == POINTS or width < 512 or activation == "relu"


def initial_parameters(problem, model):
    """Random theta, every entry uniform on ``(-1, 1) / sqrt(d h)``, shape (D,).

    The factor 1/sqrt(h) keeps the initial outputs of order one. Without it, about one network in
    ten starts with every output beyond the clip, and then never learns.
    """
    rng = np.random.default_rng([problem.seed, 2])
    return model.initial_parameters(rng) / np.sqrt(problem.num_hidden)


def learning_rates(problem):
    """Learning rate of each of the 310 iterations: constant, then linear decay.

    The points have the paper's 1e-3. One step of Adam moves an output by up to the learning rate
    times d h, so the 784-dimensional images have 1e-3 / h. The last ten epochs decay linearly:
    epoch e of the decay has the factor ``1 - e / 11``.
    """
    largest = 1e-3 if problem.data == POINTS else 1e-3 / problem.num_hidden
    constant = [largest] * ((NUM_EPOCHS - _DECAYING_EPOCHS) * _STEPS_PER_EPOCH)
    decay = [
        largest * (1 - epoch / (_DECAYING_EPOCHS + 1))
        for epoch in range(1, _DECAYING_EPOCHS + 1)
        for _ in range(_STEPS_PER_EPOCH)
    ]
    return constant + decay


@functools.lru_cache(maxsize=64)
def parameters_along_training(problem):
    """Parameters after each epoch, the initial ones first, shape (32, D)."""
    loss = training_objective(problem)
    start = initial_parameters(problem, loss.model)
    kept = [start]
    for count, theta in enumerate(adam_iterates(loss, start, learning_rates(problem)), start=1):
        if count % _STEPS_PER_EPOCH == 0:
            kept.append(theta)
    return np.array(kept)


@functools.lru_cache(maxsize=256)
def snapshots(problem, epochs):
    """Snapshots of `problem` after the given epochs.

    Parameters
    ----------
    problem : Problem
    epochs : tuple of int
        Numbers in 0 .. 31.

    Returns
    -------
    tuple of Snapshot
    """
    loss = training_objective(problem)
    parameters = parameters_along_training(problem)
    return tuple(snapshot(loss, parameters[epoch], epoch) for epoch in epochs)


def snapshot(loss, theta, epoch=0):
    """Snapshot of a one-output objective at `theta`.

    Parameters
    ----------
    loss : aniso.model_objective.ModelObjective
        One output per example; clipped squared or logistic loss.
    theta : ndarray, shape (D,)
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
    lowest, highest, explicit = _constants(loss, outputs, active)
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
    values, vectors = np.linalg.eigh(jacobian_gram(loss.model, theta, loss.inputs[active]))
    return vectors * np.sqrt(np.maximum(values, 0))


def jacobian_gram(model, theta, inputs):
    """Gram matrix of the output gradients, ``K_ij = (x_i.x_j + 1) sum_h rho'_ih rho'_jh``.

    Parameters
    ----------
    model : aniso.models.one_hidden_layer.OneHiddenLayer
        Its output weights are +1 and -1, so that their squares are 1.
    theta : ndarray, shape (D,)
    inputs : ndarray, shape (n, d)

    Returns
    -------
    ndarray, shape (n, n)

    Notes
    -----
    Cost n^2 (d + h); the n x D Jacobian is never formed.
    """
    ((weights, biases),) = layers.unflattened(model.layer_shapes, theta)
    slopes = activations.named(model.activation).slope(layers.affine(weights, biases, inputs))
    return (inputs @ inputs.T + 1) * (slopes @ slopes.T)


def _constants(loss, outputs, active):
    """Extremes of the weights w_i from outputs and labels, and the explicit constant."""
    if not active.any():
        return 0.0, 0.0, 0.0
    outputs, targets = outputs[active], loss.targets[active]
    if isinstance(loss.output_loss, losses.ClippedSquaredLoss):
        weights = 2 * (outputs - targets) ** 2
        explicit = (_CLIP / (1 - _CLIP)) ** 2
    else:
        weights = np.exp((1 - 2 * targets) * outputs)
        explicit = float(np.exp(-2 * np.abs(outputs).max()))
    return float(weights.min()), float(weights.max()), explicit
