"""One-hidden-layer networks along training, on synthetic and on real data.

The points of the paper's one-hidden-layer experiment, and pairs of FashionMNIST classes.
"""

from dataclasses import dataclass

import numpy as np

from aniso import checks, datasets, networks
from aniso.datasets import transformations
from aniso.descent import (
    adam_iterates,
)
from aniso.problems import losses
from aniso.propositions.constants import Readings, snapshot
from aniso.propositions.direct_gradient import DirectGradient
from aniso.propositions.needs import Need, Remembered

ACTIVATIONS = ("relu", "leaky_relu", "abs", "hard_tanh")
LOSSES = ("clipped squared", "logistic")
POINTS = "synthetic"
IMAGES = "FashionMNIST"
NUM_EPOCHS = 31
_STEPS_PER_EPOCH = 10
_DECAYING_EPOCHS = 10


@dataclass(frozen=True)
class TrainingCase:
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
    pooling : int
        Side of the blocks of pixels that are averaged: 1 for 28 x 28 inputs, 2 for 14 x 14.
    """

    data: str
    loss: str
    activation: str
    num_hidden: int
    seed: int
    classes: tuple[int, int] = (0, 6)
    pooling: int = 2

    def __post_init__(self):
        checks.one_of("data", self.data, (POINTS, IMAGES))
        checks.one_of("loss", self.loss, LOSSES)
        checks.one_of("activation", self.activation, ACTIVATIONS)

    def __str__(self):
        data = self.data
        if data == IMAGES:
            side = 28 // self.pooling
            data = f"{data} {self.classes[0]}/{self.classes[1]} at {side}×{side}"
        return f"{data}, {self.loss}, {self.activation}, h = {self.num_hidden}"


def training_objective(case):
    """Return the loss of `case` over its data.

    Parameters
    ----------
    case : TrainingCase
        Data, loss and width of a training run.

    Returns
    -------
    aniso.networks.Network
    """
    rng = np.random.default_rng([case.seed, 1])
    if case.data == POINTS:
        inputs = rng.uniform(-2, 2, (1000, 2))
        targets = (inputs[:, 0] >= inputs[:, 1]).astype(np.int64)
    else:
        images = datasets.fashion_mnist()
        inputs, targets = transformations.pair(
            images.train_images, images.train_labels, *case.classes
        )
        inputs = transformations.average_pool(
            transformations.scale_images(inputs, -1.0, 1.0), case.pooling
        ).reshape(len(inputs), -1)
    loss = (
        losses.ClippedSquaredLoss(delta=1e-3)
        if case.loss == "clipped squared"
        else losses.LogisticLoss()
    )
    model = networks.one_hidden_layer(inputs.shape[1], case.num_hidden, case.activation)
    return networks.Network(model, loss, inputs, targets)


def runs(settings):
    """Return the networks to follow and the epochs at which to look, for a scale.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of (TrainingCase, tuple of int)
    """
    every = tuple(range(NUM_EPOCHS + 1))
    few = (0, 1, 3, 10, 20, NUM_EPOCHS)
    widths = {
        "quick": {32: few},
        "default": {32: every, 128: few, 512: (0, NUM_EPOCHS)},
        "full": {32: every, 128: every, 512: every},
    }[settings.scale]
    data = [{"data": POINTS}, {"data": IMAGES}]
    if settings.scale == "full":
        pairs = ((0, 6), (2, 4), (0, 9))
        data += [{"data": IMAGES, "classes": pair, "pooling": 1} for pair in pairs]
    return [
        (TrainingCase(loss=loss, activation=name, num_hidden=h, seed=settings.seed, **own), epochs)
        for own in data
        for loss in LOSSES
        for name in ACTIVATIONS
        for h, epochs in widths.items()
    ]


def initial_parameters(case, model):
    """Return a random theta, every entry uniform on ``(-1, 1) / sqrt(d h)``, shape (D,).

    The factor 1/sqrt(h) keeps the initial outputs of order one. Without it, about one network in
    ten starts with every output beyond the clip, and then never learns.
    """
    rng = np.random.default_rng([case.seed, 2])
    return model.initial_parameters(rng) / np.sqrt(case.num_hidden)


def learning_rates(case):
    """Learning rate of each of the 310 iterations: constant, then linear decay.

    For points the rate is the paper's 1e-3. One step of Adam changes an output by up to the rate
    times d h. So for images of d = 784 pixels the rate is 1e-3 / h, and for pooled images it is
    larger in proportion to 784 / d. In the last ten epochs it decays linearly: epoch e of the decay
    has the factor ``1 - e / 11``.
    """
    largest = 1e-3
    if case.data == IMAGES:
        largest *= case.pooling**2 / case.num_hidden
    constant = [largest] * ((NUM_EPOCHS - _DECAYING_EPOCHS) * _STEPS_PER_EPOCH)
    decay = [
        largest * (1 - epoch / (_DECAYING_EPOCHS + 1))
        for epoch in range(1, _DECAYING_EPOCHS + 1)
        for _ in range(_STEPS_PER_EPOCH)
    ]
    return constant + decay


def epochs_of_training(case, network):
    """Yield the epochs 0 to 31 of training with full-batch Adam, one after the other.

    Parameters
    ----------
    case : TrainingCase
        Data, loss and width of a training run.
    network : aniso.networks.Network
        From :func:`training_objective` of the case.

    Yields
    ------
    epoch : int
    theta : ndarray, shape (D,)
    """
    theta = initial_parameters(case, network.model)
    yield 0, theta
    iterates = adam_iterates(DirectGradient(network), theta, learning_rates(case))
    for count, theta in enumerate(iterates, start=1):
        if count % _STEPS_PER_EPOCH == 0:
            yield count // _STEPS_PER_EPOCH, theta


@dataclass(frozen=True)
class Training:
    """Numbers that are kept of a training run.

    Attributes
    ----------
    readings : tuple of aniso.propositions.constants.Readings
        Numbers after the chosen epochs. Epochs at which no example is active are left out: there is
        nothing to read.
    parameters : ndarray, shape (D,)
        theta after the last epoch.
    """

    readings: tuple[Readings, ...]
    parameters: np.ndarray


@Remembered
def training(case, epochs):
    """Train a network and read it after some epochs.

    Parameters
    ----------
    case : TrainingCase
        Data, loss and width of a training run.
    epochs : tuple of int
        Numbers in 0 .. 31 at which to take readings.

    Returns
    -------
    Training
    """
    network, found = training_objective(case), []
    for epoch, theta in epochs_of_training(case, network):
        if epoch in epochs:
            taken = snapshot(network, theta, epoch)
            if taken.num_active > 0:
                found.append(taken.readings(with_pencil=epoch == max(epochs)))
    return Training(tuple(found), theta)


def training_need(case, epochs):
    """Return the run of :func:`training` as a need of a task."""
    count, num_inputs = (1000, 2) if case.data == POINTS else (250, (28 // case.pooling) ** 2)
    num_parameters = case.num_hidden * (num_inputs + 1)
    a_gradient = count * (1e-10 * num_parameters + 1.2e-9 * case.num_hidden)
    a_reading = 0.005 + 8e-10 * min(num_parameters, count) ** 3
    num_steps = NUM_EPOCHS * _STEPS_PER_EPOCH
    return Need(training, (case, epochs), num_steps * a_gradient + len(epochs) * a_reading)


def trained_parameters(case):
    """Return the parameters after the last epoch, shape (D,); of a run that is known, if any."""
    for (known, _), run in training.values.items():
        if known == case:
            return run.parameters
    return training(case, ()).parameters


def readings_along_training(case, epochs):
    """Return the readings of `case` after the given epochs; only numbers are kept, no matrices.

    Parameters
    ----------
    case : TrainingCase
        Data, loss and width of a training run.
    epochs : tuple of int
        Numbers in 0 .. 31.

    Returns
    -------
    tuple of aniso.propositions.constants.Readings
        As in :class:`Training`.
    """
    return training(case, epochs).readings
