"""Small cases of every model with every loss it can have, for all tests of derivatives."""

from dataclasses import dataclass

from aniso.problems.losses import (
    ClippedSquaredLoss,
    LogisticLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
)
from aniso.problems.model_objective import ModelObjective
from aniso.problems.multilayer_perceptron import MultilayerPerceptron
from aniso.problems.one_hidden_layer import OneHiddenLayer


@dataclass(frozen=True)
class ProblemCase:
    """A network, a loss and a number of examples.

    ``objective_and_theta(rng)`` draws data and parameters. With the clipped loss they are drawn
    again until some examples are active and some are not, so that no seed gives an empty case.
    """

    name: str
    model: object
    output_loss: object
    num_examples: int

    def objective_and_theta(self, rng):
        for _ in range(10_000):
            objective, theta = self._draw(rng)
            if not isinstance(self.output_loss, ClippedSquaredLoss):
                return objective, theta
            active = int(self.output_loss.active(objective.outputs(theta)).sum())
            if 2 <= active < self.num_examples:
                return objective, theta
        raise AssertionError("no draw with some active and some inactive examples")

    def _draw(self, rng):
        inputs = rng.standard_normal((self.num_examples, self.model.num_inputs))
        if isinstance(self.output_loss, SquaredLoss):
            targets = rng.standard_normal((self.num_examples, self.model.num_outputs))
        else:
            num_classes = max(2, self.model.num_outputs)
            targets = rng.integers(0, num_classes, self.num_examples)
        objective = ModelObjective(self.model, self.output_loss, inputs, targets)
        return objective, self.model.initial_parameters(rng)


SMOOTH = ("tanh", "softplus", "sigmoid", "silu", "elu")


def _cases():
    binary = (ClippedSquaredLoss(), LogisticLoss(), SquaredLoss())
    for activation in ("relu", "leaky_relu", "abs", "hard_tanh"):
        model = OneHiddenLayer(2, 5, activation)
        for loss in binary:
            yield _named(f"one hidden layer, {activation}", model, loss, 7)
    for activation in ("relu", "leaky_relu", "abs", "hard_tanh", *SMOOTH):
        model = MultilayerPerceptron((3, 4, 3), activation)
        for loss in (SoftmaxCrossEntropy(), SquaredLoss()):
            yield _named(f"perceptron, {activation}", model, loss, 6)
    yield _named("deep perceptron", MultilayerPerceptron((2, 3, 4, 3, 1), "tanh"), binary[1], 5)
    yield _named("deep clipped perceptron", MultilayerPerceptron((2, 3, 1)), binary[0], 8)
    yield _named("wide inputs", OneHiddenLayer(9, 3), LogisticLoss(), 5)
    yield _named("softmax regression", MultilayerPerceptron((3, 4)), SoftmaxCrossEntropy(), 6)
    yield _named("linear regression", MultilayerPerceptron((2, 2)), SquaredLoss(), 6)
    yield _named("one example, one unit", OneHiddenLayer(1, 1, "abs"), LogisticLoss(), 1)


def _named(name, model, loss, num_examples):
    return ProblemCase(f"{name}, {type(loss).__name__}", model, loss, num_examples)


CASES = tuple(_cases())
LINEAR_CASES = tuple(case for case in CASES if case.model.linear_almost_everywhere)
IDS = [case.name for case in CASES]
LINEAR_IDS = [case.name for case in LINEAR_CASES]
