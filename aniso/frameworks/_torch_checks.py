"""Checks of a PyTorch model before its derivatives are used, on a few examples."""

import copy
from dataclasses import dataclass, replace

import torch

from aniso import checks
from aniso.frameworks import (
    _torch_data,
    _torch_losses,
    _torch_outside,
    _torch_products,
    _torch_tokens,
    _torch_ways,
    _torch_whole_loss,
    _trees,
)
from aniso.frameworks._torch_differences import SLACK, STEPS, any_near, directions_of
from aniso.frameworks._torch_model import differentiable

_NUM_EXAMPLES = 8
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
_STEP_AWAY = 0.05


class _Disagreement(checks.InputError):
    """A gradient differs from differences of the loss."""


@dataclass(frozen=True)
class CheckedModel:
    """Findings about the derivatives of a model with a loss.

    Attributes
    ----------
    losses : ExampleLosses or TokenLosses
        Losses of single examples.
    factor : float
        Constant by which they are multiplied, so that their mean is the given loss.
    hessian_ways : tuple of str
        Right ways to multiply with the Hessian, keys of HESSIAN_PRODUCTS.
    projection_ways : tuple of str
        Right ways to multiply with the gradients of the examples, keys of PROJECTIONS.
    combination_ways : tuple of str
        Right ways to sum them with weights, keys of COMBINATIONS.
    rows_together : bool
        Whether the gradients of many examples are right when computed together.
    reason : str
        Why there is no way for the Hessian; empty where there is one.
    output_shape : tuple of int or None
        Shape of the outputs of one example; None where they are not a single tensor.
    weights_differ : bool
        Whether the loss is a weighted mean, and the examples have different weights.
    """

    losses: _torch_losses.ExampleLosses
    factor: float
    hessian_ways: tuple = ()
    projection_ways: tuple = ()
    combination_ways: tuple = ("backward",)
    rows_together: bool = False
    reason: str = ""
    output_shape: tuple | None = None
    weights_differ: bool = False

    def moved(self, vectors):
        """Return the same for a model in another precision or on another device."""
        return replace(self, losses=self.losses.with_loss(_moved(self.losses.loss, vectors)))

    def losses_of(self, vectors, parts, inputs, targets):
        """Losses of the examples of a batch at the parts of theta, or at theta, shape (n,)."""
        return self.factor * self.losses(vectors.outputs(parts, inputs), targets)

    def rows_of(self, vectors, theta, batch):
        """Gradients of the examples of a batch, parts of shapes (n, ...)."""
        if not self.rows_together:
            return _torch_products.rows_one_by_one(
                vectors, lambda parts: self.losses_of(vectors, parts, *batch), theta
            )

        def loss_of_one(parts, example):
            inputs, targets = _trees.mapped(lambda part: part[None], example)
            return self.losses_of(vectors, parts, inputs, targets)[0]

        return _torch_products.rows_together(vectors, loss_of_one, theta, batch)


def check(vectors, loss, inputs, targets, tokens=None, chunk_size=None):
    """Return the :class:`CheckedModel` of a model, a loss and data.

    Parameters
    ----------
    vectors : VectorModel
    loss : callable
        ``(outputs, targets) -> tensor``.
    inputs, targets : nested tensors
        All examples, or all sequences.
    tokens : Tokens, optional
        The examples, where they are tokens.
    chunk_size : int, optional
        Examples of one pass.

    Returns
    -------
    CheckedModel

    Raises
    ------
    InputError
        If outputs or losses are not finite, random or constant, or the gradient is wrong.
    InteractingExamples
        If examples depend on each other.
    """
    _torch_outside.refuse_in_module(loss, vectors)
    try:
        return _checked(vectors, in_double(vectors), loss, inputs, targets, tokens, chunk_size)
    except checks.InputError:
        if vectors.dtype == torch.float64:
            raise
    except (RuntimeError, TypeError):
        pass
    # a model that is written for its own precision
    return _checked(vectors, vectors, loss, inputs, targets, tokens, chunk_size)


def in_double(vectors):
    """Return a model in double precision, on the CPU where its device has none."""
    device = vectors.device if vectors.device.type in ("cpu", "cuda") else "cpu"
    return vectors.in_precision(torch.float64, device)


def _checked(vectors, trial, loss, inputs, targets, tokens, chunk_size):
    """Check the model `trial`, the same as `vectors` in the precision of the check."""
    num_examples = _trees.count("data", (inputs, targets))
    if tokens is None:
        # data may be in order, by class for instance
        chosen = _torch_data.spread(_torch_losses.that_count(loss, targets), _NUM_EXAMPLES)
        every = targets
    else:
        num_examples, every = len(tokens), tokens.of_tree(targets)
        chosen, few_tokens = tokens.of_some_sequences(_NUM_EXAMPLES)
    few = _torch_data.taken((inputs, targets), chosen)
    # a copy: a model may write into its inputs
    few = _trees.mapped(torch.clone, _torch_data.placed(few, trial.device, trial.dtype))
    given = _trees.mapped(torch.clone, few[1])
    theta, tolerance = trial.theta_of(), _TOLERANCES[trial.dtype]
    with differentiable(trial.device):
        with torch.no_grad():
            outputs = _outputs(trial, theta, few[0])
            _require_independent(trial, theta, few[0], outputs, tolerance)
            trial_loss = _moved(loss, trial)
            _torch_losses.require_targets(loss, outputs, targets)

            def losses_of(made):
                if tokens is None:
                    return _torch_losses.of_loss(trial_loss, made, few[1], tolerance, every)
                return _torch_tokens.of_loss(trial_loss, made, few[1], few_tokens, tolerance, every)

            found = losses_of(outputs)
            _require_unchanged(few[1], given)
            found, place = _found_away(found, losses_of, trial, theta, few[0], tolerance)
            if tokens is not None or num_examples > _NUM_EXAMPLES:
                one, data = _torch_data.taken(outputs, slice(0, 1)), (inputs, targets)
                _torch_whole_loss.require_whole(
                    trial_loss,
                    found,
                    vectors,
                    trial,
                    place,
                    data,
                    tokens,
                    one,
                    tolerance,
                    chunk_size,
                )
            if tokens is not None:
                outputs = found.outputs(outputs, few_tokens)
                few = _torch_tokens.few(few_tokens).alone(*few)
        own = found.with_loss(_moved(loss, vectors))
        placed = _torch_data.placed(every, vectors.device, vectors.dtype)
        weight, differ = own.total_weight(placed), own.weights_differ(placed)
        model = CheckedModel(found, num_examples / weight)
        try:
            _require_gradient(model, trial, theta, few)
        except _Disagreement:
            # the parameters may lie on a kink, as biases that start at zero
            theta = _away(theta)
            _require_gradient(model, trial, theta, few)
        ways = _torch_ways.right_ways(model, trial, theta, few, tolerance)
    if vectors is not trial:
        small = _torch_data.placed(few, vectors.device, vectors.dtype)
        ways = _torch_ways.that_run(
            CheckedModel(own, num_examples / weight, **ways), vectors, small
        )
    shape = tuple(outputs.shape[1:]) if isinstance(outputs, torch.Tensor) else None
    return CheckedModel(
        own, num_examples / weight, **ways, output_shape=shape, weights_differ=differ
    )


def _away(theta):
    """Return theta a small step away, where nothing is zero by the start of a training."""
    return theta + _STEP_AWAY * directions_of(theta, torch.zeros_like(theta))[0]


def _found_away(found, losses_of, trial, theta, inputs, tolerance):
    """Return what the loss reduces a step away from theta, and that place.

    Weights that start at zero and data that are fitted exactly make losses equal or zero: these
    look like any reduction, and hide how examples interact. Where the model or its loss is not
    finite a step away, theta and `found` are returned.
    """
    place = _away(theta)
    try:
        outputs = trial.outputs(place, inputs)
        if not all(bool(torch.isfinite(part).all()) for part in _trees.leaves(outputs)):
            return found, theta
        _require_independent(trial, place, inputs, outputs, tolerance)
        return losses_of(outputs), place
    except checks.InteractingExamples:
        raise
    except Exception:  # out of the domain of the model or of its loss
        return found, theta


def _require_unchanged(targets, given):
    if not all(map(torch.equal, _trees.leaves(targets), _trees.leaves(given))):
        raise checks.InputError(
            "the loss writes into its targets; expected operations that are not in place, "
            "targets.clamp(0, 1) instead of targets.clamp_(0, 1) for instance"
        )


def _moved(loss, vectors):
    """Return a copy of a loss in the precision and on the device of a model, with fixed numbers."""
    if not isinstance(loss, torch.nn.Module):
        return loss
    made = copy.deepcopy(loss).to(vectors.device, vectors.dtype)
    return made.requires_grad_(requires_grad=False)


def _outputs(trial, theta, inputs):
    """Return the outputs of a few examples, refused where two calls differ."""
    count, given = _trees.count("the inputs", inputs), _trees.mapped(torch.clone, inputs)
    try:
        outputs, second = trial.outputs(theta, inputs), trial.outputs(theta, inputs, calls=2)
    except Exception as error:
        shapes = [tuple(part.shape) for part in _trees.leaves(inputs)]
        raise checks.InputError(
            f"the model raised {type(error).__name__} for inputs of shapes {shapes}: "
            f"{_torch_ways.first_line(error)}; expected inputs as the model takes them, a dict of "
            "its named arguments, or forward=(model, inputs) -> outputs"
        ) from error
    if not all(map(torch.equal, _trees.leaves(inputs), _trees.leaves(given))):
        raise checks.InputError(
            "the model writes into its inputs; expected a first operation that is not in place, "
            "torch.nn.ReLU(inplace=False) for instance"
        )
    for first, other in zip(_trees.leaves(outputs), _trees.leaves(second), strict=True):
        if not isinstance(first, torch.Tensor) or first.ndim == 0 or len(first) != count:
            raise checks.InputError(
                f"the model returned {_described(first)} for {count} examples; expected tensors "
                "whose first axis counts the examples, by forward=(model, inputs) -> outputs"
            )
        if not bool(torch.isfinite(first).all()):
            raise checks.InputError(
                "outputs of the model are not finite at its parameters; expected finite numbers"
            )
        if not torch.equal(first, other):
            raise checks.InputError(
                "two calls of the model at the same parameters differ: it draws random numbers or "
                "keeps a state, as spectral normalisation does in training mode; expected "
                "model.eval(), or gradients of batches by from_draws"
            )
    return outputs


def _described(value):
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _require_independent(trial, theta, inputs, outputs, tolerance):
    for index in range(_trees.count("the inputs", inputs)):
        alone = trial.outputs(theta, _torch_data.taken(inputs, slice(index, index + 1)))
        for one, whole in zip(_trees.leaves(alone), _trees.leaves(outputs), strict=True):
            scale = float(whole.abs().max()) + float(whole.abs().mean())
            row = whole[index : index + 1]
            # an output that is NaN for one example alone differs too
            if one.shape != row.shape or not float((one - row).abs().max()) <= tolerance * scale:
                raise checks.InteractingExamples(
                    "the output for an example changes with the other examples of its batch; "
                    "expected a model without coupling, as batch normalisation in eval mode, or "
                    "gradients of whole batches by from_draws"
                )


def _require_gradient(model, trial, theta, few):
    """Refuse a gradient that differences of the loss contradict, and a loss without one."""

    def losses(point):
        return model.losses_of(trial, point, *few)

    at_theta = losses(theta)
    _torch_outside.refuse_behind(at_theta)
    at_theta = at_theta.detach()
    if not losses(theta.clone().requires_grad_()).requires_grad:
        raise checks.InputError(
            "the loss has no gradient in the parameters: it does not depend on them, or a step "
            "detaches it; expected a differentiable loss"
        )
    weights = torch.full_like(at_theta, 1 / len(at_theta))
    try:
        slope, _ = _torch_products.gradient(trial, losses, theta, weights)
    except Exception as error:
        raise checks.InputError(
            f"PyTorch can't differentiate the model: {type(error).__name__}, "
            f"{_torch_ways.first_line(error)}; expected a model without activation checkpointing, "
            "and with a backward pass"
        ) from error
    if not bool(torch.isfinite(slope).all()):
        raise checks.InputError(
            "the gradient is not finite at the model's parameters; expected a differentiable loss"
        )
    moved = False
    for direction in directions_of(theta, slope):
        differences = []
        for step in STEPS[trial.dtype]:
            with torch.no_grad():
                ahead, back = losses(theta + step * direction), losses(theta - step * direction)
            differences.append((ahead - back) @ weights / (2 * step))
            moved = moved or not (torch.equal(ahead, at_theta) and torch.equal(back, at_theta))
        size = float(slope.norm() * direction.norm()) + float(at_theta.abs().max()) * 1e-6
        if not any_near(differences, slope @ direction, SLACK[trial.dtype] * size):
            raise _Disagreement(
                "the gradient that PyTorch returns disagrees with differences of the loss: "
                f"{float(slope @ direction):.6g}, {float(differences[1]):.6g}; expected right "
                "derivatives, also of custom autograd functions"
            )
    if not moved:
        raise checks.InputError(
            f"the losses are constant near the model's parameters, {float(at_theta.mean()):.6g} on "
            "average; expected a loss that depends on them"
        )
