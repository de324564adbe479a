"""Small cases of every architecture with every loss it can have, for all tests of derivatives."""

from dataclasses import dataclass

from aniso import networks
from aniso.problems import AutogradModel
from aniso.problems.losses import (
    ClippedSquaredLoss,
    LogisticLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
)


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network: for the references, which share no code with the package.

    ``signed`` networks have one hidden layer, widths (d, h), and output weights fixed at +1 and -1.
    """

    widths: tuple
    activation: str = "relu"
    signed: bool = False

    @property
    def stack(self):
        if self.signed:
            return networks.one_hidden_layer(*self.widths, self.activation)
        return networks.multilayer_perceptron(self.widths, self.activation)

    @property
    def num_outputs(self):
        return 1 if self.signed else self.widths[-1]


@dataclass(frozen=True)
class ProblemCase:
    """An architecture, a loss and a number of examples.

    ``problem_and_theta(rng, form)`` draws data and parameters; `form` is AutogradModel or
    networks.Network. With the clipped loss they are drawn again until some examples are active and
    some are not, so that no seed gives an empty case.
    """

    name: str
    architecture: Architecture
    output_loss: object
    num_examples: int

    def problem_and_theta(self, rng, form=AutogradModel):
        for _ in range(10_000):
            problem, theta = self._draw(rng, form)
            if not isinstance(self.output_loss, ClippedSquaredLoss):
                return problem, theta
            active = int(self.output_loss.active(problem.outputs(theta)).sum())
            if 2 <= active < self.num_examples:
                return problem, theta
        raise AssertionError("no draw with some active and some inactive examples")

    def _draw(self, rng, form):
        architecture = self.architecture
        inputs = rng.standard_normal((self.num_examples, architecture.widths[0]))
        if isinstance(self.output_loss, SquaredLoss):
            targets = rng.standard_normal((self.num_examples, architecture.num_outputs))
        else:
            num_classes = max(2, architecture.num_outputs)
            targets = rng.integers(0, num_classes, self.num_examples)
        stack = architecture.stack
        problem = form(stack, self.output_loss, inputs, targets)
        return problem, stack.initial_parameters(rng)


SMOOTH = ("tanh", "softplus", "sigmoid", "silu", "elu")


def _hidden(*widths, activation="relu"):
    return Architecture(widths, activation, signed=True)


def _cases():
    binary = (ClippedSquaredLoss(), LogisticLoss(), SquaredLoss())
    for activation in ("relu", "leaky_relu", "abs", "hard_tanh"):
        for loss in binary:
            model = _hidden(2, 5, activation=activation)
            yield _named(f"one hidden layer, {activation}", model, loss, 7)
    for activation in ("relu", "leaky_relu", "abs", "hard_tanh", *SMOOTH):
        for loss in (SoftmaxCrossEntropy(), SquaredLoss()):
            yield _named(f"perceptron, {activation}", Architecture((3, 4, 3), activation), loss, 6)
    yield _named("deep perceptron", Architecture((2, 3, 4, 3, 1), "tanh"), binary[1], 5)
    yield _named("deep clipped perceptron", Architecture((2, 3, 1)), binary[0], 8)
    yield _named("wide inputs", _hidden(9, 3), LogisticLoss(), 5)
    yield _named("softmax regression", Architecture((3, 4)), SoftmaxCrossEntropy(), 6)
    yield _named("linear regression", Architecture((2, 2)), SquaredLoss(), 6)
    yield _named("one example, one unit", _hidden(1, 1, activation="abs"), LogisticLoss(), 1)


def _named(name, architecture, loss, num_examples):
    return ProblemCase(f"{name}, {type(loss).__name__}", architecture, loss, num_examples)


CASES = tuple(_cases())
LINEAR_CASES = tuple(case for case in CASES if case.architecture.stack.linear_almost_everywhere)
IDS = [case.name for case in CASES]
LINEAR_IDS = [case.name for case in LINEAR_CASES]
