"""Mean loss of a network model, with derivatives from its layered structure."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from aniso import checks
from aniso.problems import _plans, derivative_check, plain_layers
from aniso.problems._tracing import plain, traced
from aniso.problems.autograd_problem import Objective
from aniso.problems.problem_checks import (
    checked_indices,
    checked_vectors,
    finite,
    require_independent_examples,
)

PASS_ENTRIES = 2**16  # entries of the widest layer in one traced pass: stays in cache
JACOBIAN_ENTRIES = 2**22  # entries of the Jacobians held at once


class ModelObjective:
    """Mean loss, ``L(theta) = (1/N) sum_i l(f(x_i; theta), y_i)``, of a model and an output loss.

    Parameters
    ----------
    model : object
        A network of :mod:`aniso.problems`.
    output_loss : object
        A loss of :mod:`aniso.problems.losses`.
    inputs : array_like, shape (N, d)
        Copied, as the targets are.
    targets : array_like, shape (N,) or (N, C)
        As ``output_loss.check_targets`` expects.

    Raises
    ------
    InputError
        If the model or the loss is none, or the data are not finite, are empty, have a wrong
        shape or wrong labels; at a call, if theta is not a finite vector of D entries.

    Notes
    -----
    Nothing loops over examples. Derivatives of the outputs in the pre-activations of all examples
    come from one traced pass (in passes that stay in the cache); a layer's parameter gradients are
    their outer products with the layer's inputs. Where the model is linear in theta almost
    everywhere the Hessian is the generalised Gauss-Newton matrix: one symmetric product
    ``A^T A`` of n C rows, n the number of examples whose output Hessian is not 0, N C D^2
    operations at most. (Splitting it by pairs of inputs, Khatri-Rao, needs no fewer operations.)
    Otherwise the Hessian comes from products, in blocks or in a loop as the rule of
    :func:`aniso.problems._plans.plan_products` says, D of them for a dense one.

    On a kink (a pre-activation of exactly 0, say) the derivatives follow the slopes of
    :mod:`aniso.problems.activations`; the Hessian has no part from the kinks.

    Examples
    --------
    f = relu(theta_1 x + theta_2) at x = 1, label 1, theta = (0.25, 0.25): l = (0.5 - 1)^2.

    >>> from aniso.problems.losses import ClippedSquaredLoss
    >>> from aniso.problems.one_hidden_layer import OneHiddenLayer
    >>> objective = ModelObjective(OneHiddenLayer(1, 1), ClippedSquaredLoss(), [[1.0]], [1])
    >>> objective.loss([0.25, 0.25]), objective.gradient([0.25, 0.25])
    (0.25, array([-1., -1.]))
    >>> objective.hessian([0.25, 0.25])
    array([[2., 2.],
           [2., 2.]])
    """

    def __init__(self, model, output_loss, inputs, targets):
        _check_parts("model", model, ("num_inputs", "num_outputs", "layered_outputs"))
        _check_parts("output_loss", output_loss, ("gradient", "hessian", "check_targets"))
        inputs = checks.array("inputs", inputs, shape=(None, model.num_inputs))
        targets = output_loss.check_targets(targets, len(inputs), model.num_outputs)
        self.model, self.output_loss = model, output_loss
        self.num_parameters = model.num_parameters
        self._direct = Objective(
            _ComposedLoss(model, output_loss),
            inputs,
            targets,
            num_parameters=self.num_parameters,
        )
        self.inputs, self.targets = self._direct.inputs, self._direct.targets
        self.num_examples = len(self.inputs)
        self._independent = False  # whether one example was found to be so

    def outputs(self, theta):
        """Outputs f(x_i; theta), shape (N, C)."""
        return self._outputs(self._theta(theta))

    def losses(self, theta):
        """Losses of the examples, shape (N,)."""
        return finite("a loss", self.output_loss(self.outputs(theta), self.targets))

    def loss(self, theta):
        """Mean loss L, float."""
        return float(np.mean(self.losses(theta)))

    def output_gradients(self, theta):
        """Gradients of the losses in the outputs, shape (N, C)."""
        return self.output_loss.gradient(self.outputs(theta), self.targets)

    def output_hessians(self, theta):
        """Hessians of the losses in the outputs, S_i, shape (N, C, C)."""
        return self.output_loss.hessian(self.outputs(theta), self.targets)

    def gradient(self, theta):
        """Gradient of the mean loss, shape (D,)."""
        return self.loss_and_gradient(theta)[1]

    def loss_and_gradient(self, theta):
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        theta = self._theta(theta)
        total, gradient = 0.0, np.zeros(self.num_parameters)
        for part in self._passes():
            vjp, outputs = traced(partial(self.model.outputs, inputs=self.inputs[part]), theta)
            losses = self.output_loss(outputs, self.targets[part])
            total += finite("a loss", losses).sum()
            gradient += vjp(self.output_loss.gradient(outputs, self.targets[part]))
        return float(total / self.num_examples), gradient / self.num_examples

    def per_example_gradients(self, theta):
        """Gradients of the losses l_i, shape (N, D), row i for example i.

        Raises
        ------
        AllocationRefused
            If N × D numbers do not fit.
        InteractingExamples
            If the gradient of the last example differs from that of a batch of it alone, as where
            the model normalises over the batch.
        """
        theta = self._theta(theta)
        _plans.require_matrix(
            self.num_examples,
            self.num_parameters,
            "the matrix of per-example gradients",
            "use gradient, or subset of fewer examples",
        )
        rows = np.empty((self.num_examples, self.num_parameters))
        for part in self._passes():
            pull_back, outputs, layer_inputs = self._linearised(theta, self.inputs[part])
            slopes = self.output_loss.gradient(outputs, self.targets[part])
            plain_layers.write_parameter_rows(rows[part], pull_back(slopes), layer_inputs)
        if not self._independent:
            # the sum is the gradient by construction: a model that couples shows in one example
            last = self.num_examples - 1
            require_independent_examples(rows[last:], self.subset([last]).gradient(theta))
            self._independent = True
        return rows

    def jacobians(self, theta):
        """Jacobians of the outputs in theta, J_i, shape (N, C, D).

        Raises
        ------
        AllocationRefused
            If N × C × D numbers do not fit.
        """
        theta = self._theta(theta)
        _plans.require_matrix(
            self.num_examples * self.model.num_outputs,
            self.num_parameters,
            "the Jacobians of all examples",
            "use hessian_product, or subset of fewer examples",
        )
        return self._jacobians(theta, self.inputs)

    def hessian_product(self, theta, vectors):
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Notes
        -----
        For a model linear almost everywhere: the Jacobians of the curved examples, formed a
        bounded number at a time, and 4 n C D K operations; nothing is kept between calls, so one
        call with K columns is far cheaper than K calls.
        """
        theta = self._theta(theta)
        vectors, columns = checked_vectors(vectors, theta.size)
        if not self.model.linear_almost_everywhere:
            return self._direct.hessian_product(theta, vectors)
        products = np.zeros_like(columns)
        for jacobians, curvatures in self._curved_chunks(theta):
            pushed = jacobians @ columns
            weighted = np.einsum("nab,nbk->nak", curvatures, pushed)
            products += np.tensordot(jacobians, weighted, axes=([0, 1], [0, 1]))
        return products.reshape(vectors.shape)

    def hessian(self, theta):
        """Dense Hessian of the mean loss, shape (D, D), exact to rounding and symmetric.

        Raises
        ------
        AllocationRefused
            If D × D numbers do not fit.
        """
        theta = self._theta(theta)
        if not self.model.linear_almost_everywhere:
            return self._direct.hessian(theta)
        size = self.num_parameters
        _plans.require_matrix(
            size, size, "the dense Hessian", "use hessian_product, which needs no matrix"
        )
        total = None
        for jacobians, curvatures in self._curved_chunks(theta):
            rows, signs = _root_rows(jacobians, curvatures)
            # A.T @ A runs as a symmetric product: half the work, and symmetric exactly
            part = rows[signs > 0].T @ rows[signs > 0] if (signs < 0).any() else rows.T @ rows
            if (signs < 0).any():
                part -= rows[signs < 0].T @ rows[signs < 0]
            total = part if total is None else np.add(total, part, out=total)
        return np.zeros((size, size)) if total is None else total

    def subset(self, indices):
        """The objective of some of the examples, in the order of `indices`."""
        indices = checked_indices(indices, self.num_examples)
        return ModelObjective(
            self.model,
            self.output_loss,
            checks.frozen(self.inputs[indices]),
            checks.frozen(self.targets[indices]),
        )

    def check(self, theta, rng):
        """Comparison of all derivatives with finite differences, a DerivativeReport.

        See :func:`aniso.problems.derivative_check.check_derivatives`.
        """
        return derivative_check.check_derivatives(self, self._theta(theta), rng)

    def _theta(self, theta):
        return checks.parameters(theta, self.num_parameters)

    def _outputs(self, theta):
        parts = [self.model.outputs(theta, self.inputs[part]) for part in self._passes()]
        return finite("an output of the model", np.concatenate(parts))

    def _passes(self, num_examples=None):
        """Slices of examples whose widest layer has at most 2^16 entries."""
        widest = max(max(shape) for shape in self.model.layer_shapes)
        total = self.num_examples if num_examples is None else num_examples
        return _plans.slices(total, PASS_ENTRIES // widest)

    def _linearised(self, theta, inputs):
        """Pull-back of output cotangents (..., n, C) to pre-activations, outputs, layer inputs."""
        kept = []

        def perturbed(perturbations):
            outputs, layer_inputs = self.model.layered_outputs(theta, inputs, perturbations)
            kept.append(layer_inputs)
            return outputs

        zeros = tuple(
            np.zeros((len(inputs), num_outputs)) for num_outputs, _ in self.model.layer_shapes
        )
        pull_back, outputs = traced(perturbed, zeros)
        layer_inputs = tuple(plain(hidden) for hidden in kept[0])
        return pull_back, finite("an output of the model", outputs), layer_inputs

    def _jacobians(self, theta, inputs):
        num_outputs = self.model.num_outputs
        result = np.empty((len(inputs), num_outputs, self.num_parameters))
        for part in self._passes(len(inputs)):
            pull_back, outputs, layer_inputs = self._linearised(theta, inputs[part])
            for output in range(num_outputs):
                cotangents = np.zeros_like(outputs)
                cotangents[:, output] = 1.0
                plain_layers.write_parameter_rows(
                    result[part, output], pull_back(cotangents), layer_inputs
                )
        return result

    def _curved_chunks(self, theta):
        """Jacobians and output Hessians / N of the examples whose output Hessian is not 0."""
        curvatures = self.output_loss.hessian(self._outputs(theta), self.targets)
        curved = np.flatnonzero(curvatures.any(axis=(1, 2)))
        row_size = self.model.num_outputs * self.num_parameters
        for part in _plans.slices(curved.size, JACOBIAN_ENTRIES // row_size):
            chosen = curved[part]
            yield (
                self._jacobians(theta, self.inputs[chosen]),
                curvatures[chosen] / self.num_examples,
            )


def _check_parts(name, value, parts):
    if isinstance(value, type) or not all(hasattr(value, part) for part in parts):
        home = {"model": "aniso.problems", "output_loss": "aniso.problems.losses"}[name]
        example = {"model": "OneHiddenLayer(num_inputs=2, num_hidden=32)"}.get(
            name, "SoftmaxCrossEntropy()"
        )
        raise checks.InputError(
            f"{name}={value!r}; expected an object with {', '.join(parts)}, such as those of "
            f"{home}, for instance {example}"
        )


@dataclass(frozen=True)
class _ComposedLoss:
    """Per-example loss of theta, for the derivatives that need automatic differentiation."""

    model: object
    output_loss: object

    def __call__(self, theta, inputs, targets):
        return self.output_loss(self.model.outputs(theta, inputs), targets)


def _root_rows(jacobians, curvatures):
    """Rows r and signs s with ``sum s r r^T = sum_i J_i^T S_i J_i``, shapes (n C, D), (n C,)."""
    if curvatures.shape[-1] == 1:
        signed = curvatures[:, 0, 0]
        return jacobians[:, 0] * np.sqrt(np.abs(signed))[:, None], signed
    signed, vectors = np.linalg.eigh(curvatures)
    roots = np.sqrt(np.abs(signed))[..., None] * vectors.swapaxes(-1, -2)
    return (roots @ jacobians).reshape(-1, jacobians.shape[-1]), signed.ravel()
