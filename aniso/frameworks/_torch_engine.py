"""Sequential PyTorch models on the engine of :mod:`aniso.networks`, with the same numbers.

The engine's parameters of a layer are weights and biases in PyTorch's order and shape, so that
theta is the same vector. Layers are translated one by one; whatever has no exact counterpart is
named, and stays with PyTorch.
"""

import math

import numpy as np
import torch

from aniso import checks, networks
from aniso.frameworks import _torch_known_losses
from aniso.frameworks._torch_known_losses import Unknown
from aniso.frameworks._torch_model import array
from aniso.frameworks.torch_network import NamedStack, TorchNetwork

_TOLERANCES = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}
_NUM_COMPARED = 8
# exp(-z) is below half a rounding of 1: PyTorch's softplus is linear from its threshold on
_LINEAR_SOFTPLUS = 37


def network_of(problem, vectors, checked, blocks, chunk_size):
    """Return the network with the numbers of a PyTorch problem.

    Parameters
    ----------
    problem : TorchProblem
    vectors : VectorModel
    checked : CheckedModel
    blocks : object
        As in :func:`aniso.frameworks.from_torch`.
    chunk_size : int or None
        As given.

    Returns
    -------
    TorchNetwork

    Raises
    ------
    Unknown
        If the engine lacks a part of the model, or its numbers differ; the message says which.
    """
    if chunk_size is not None or blocks != "modules":
        raise Unknown("chunk_size or blocks are given")
    if vectors.device.type != "cpu":
        raise Unknown(f"the model is on {vectors.device}, and the engine is fast on the CPU")
    inputs = problem._inputs
    if not isinstance(inputs, torch.Tensor) or not inputs.is_floating_point():
        raise Unknown("the inputs are not one tensor of real numbers")
    if not checked.hessian_ways or checked.output_shape is None or len(checked.output_shape) != 1:
        raise Unknown("the outputs are no vectors, or have no second derivatives")
    loss, targets = _torch_known_losses.known(
        checked.losses, checked.output_shape, problem._targets
    )
    layers, names = _layers(vectors, tuple(inputs.shape[1:]))
    try:
        stack = NamedStack(layers, tuple(inputs.shape[1:]), tuple(names))
    except checks.InputError as error:
        raise Unknown(f"the layers do not fit the engine: {error}") from error
    if stack.blocks != vectors.blocks("modules"):
        raise Unknown("not every parameter moves, or modules share parameters")
    made = TorchNetwork(stack, loss, array(inputs), targets, dtype=problem.dtype)
    made._vectors, made.reduction = vectors, checked.losses.reduction
    _require_agreement(made, problem)
    return made


def _layers(vectors, shape):
    """Return the engine's layers and the names of those with parameters."""
    layers, names = [], []
    for name, module in _chain(vectors):
        translate = _TRANSLATIONS.get(type(module))
        if translate is None:
            raise Unknown(f"{name} is a {type(module).__name__}, which the engine does not have")
        if any(getattr(module, kind) for kind in ("_forward_hooks", "_forward_pre_hooks")):
            raise Unknown(f"{name} has a hook")
        if getattr(module, "bias", 0) is None:
            raise Unknown(f"{name} has no bias")
        layer = translate(name, module, shape)
        if layer is not None:
            layers.append(layer)
            try:
                shape = tuple(layer.output_shape(shape))
            except checks.InputError as error:
                raise Unknown(f"{name} does not fit the engine: {error}") from error
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            names.append(name)
    return tuple(layers), names


def _chain(vectors):
    """Yield names and modules of a sequential model in the order of application."""
    if not vectors.calls_the_model:
        raise Unknown("forward is given")

    def inside(prefix, module):
        if type(module) is not torch.nn.Sequential:
            yield prefix or "model", module
            return
        if module._forward_hooks or module._forward_pre_hooks:
            raise Unknown(f"{prefix or 'model'} has a hook")
        # named_children() leaves out a module that comes again, an activation for instance
        for name, part in module._modules.items():
            yield from inside(f"{prefix}.{name}".strip("."), part)

    model = vectors._module.model
    modules = list(inside("", model))
    owners = [id(module) for _, module in modules if any(True for _ in module.parameters())]
    if len(owners) != len(set(owners)):
        raise Unknown("a module is used twice")
    return modules


# ---- one function for each module: name, module, shape of its inputs


def _dense(name, module, shape):
    if len(shape) != 1:
        raise Unknown(f"{name} takes inputs of shape {shape} for an example, not vectors")
    return networks.Dense(module.out_features)


def _convolution(name, module, shape):  # noqa: ARG001
    padding = (0, 0) if module.padding == "valid" else module.padding
    plain = (module.dilation, module.groups, module.padding_mode) == ((1, 1), 1, "zeros")
    if not plain or isinstance(padding, str):
        raise Unknown(f"{name} has groups, dilation, or a padding that the engine does not have")
    return networks.Convolution(module.out_channels, module.kernel_size, module.stride, padding)


def _pooling(layer):
    def translate(name, module, shape):  # noqa: ARG001
        plain = (
            _both(module.padding) == (0, 0)
            and not module.ceil_mode
            and _both(getattr(module, "dilation", 1)) == (1, 1)
            and getattr(module, "divisor_override", None) is None
            and not getattr(module, "return_indices", False)
        )
        if not plain:
            raise Unknown(f"{name} pools with padding, dilation, or windows over the border")
        return layer(_both(module.kernel_size), _both(module.stride))

    return translate


def _flatten(name, module, shape):
    axes = 1 + len(shape)
    if module.start_dim % axes != 1 or module.end_dim % axes != axes - 1:
        raise Unknown(f"{name} does not flatten all of an example")
    return None if len(shape) == 1 else networks.Flatten()


def _activation(kind, **settings):
    def translate(name, module, shape):  # noqa: ARG001
        for setting, value in settings.items():
            if getattr(module, setting) != value:
                raise Unknown(f"{name} has {setting}={getattr(module, setting)!r}, not {value!r}")
        return networks.Activation(kind)

    return translate


def _softplus(name, module, shape):  # noqa: ARG001
    if module.beta != 1 or module.threshold < _LINEAR_SOFTPLUS:
        raise Unknown(f"{name} is linear above {module.threshold}, or has another beta than 1")
    return networks.Activation("softplus")


def _nothing(name, module, shape):  # noqa: ARG001
    return None


def _both(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


_TRANSLATIONS = {
    torch.nn.Linear: _dense,
    torch.nn.Conv2d: _convolution,
    torch.nn.MaxPool2d: _pooling(networks.MaxPooling),
    torch.nn.AvgPool2d: _pooling(networks.AveragePooling),
    torch.nn.Flatten: _flatten,
    torch.nn.Identity: _nothing,
    torch.nn.Dropout: _nothing,  # in evaluation mode, without which the model was refused
    torch.nn.ReLU: _activation("relu"),
    torch.nn.LeakyReLU: _activation("leaky_relu", negative_slope=0.01),
    torch.nn.Hardtanh: _activation("hard_tanh", min_val=-1.0, max_val=1.0),
    torch.nn.Tanh: _activation("tanh"),
    torch.nn.Sigmoid: _activation("sigmoid"),
    torch.nn.SiLU: _activation("silu"),
    torch.nn.ELU: _activation("elu", alpha=1.0),
    torch.nn.GELU: _activation("gelu", approximate="none"),
    torch.nn.Softplus: _softplus,
}


def _require_agreement(network, problem):
    """Compare losses, gradients and a Hessian product of a few examples at the start."""
    few = range(min(_NUM_COMPARED, network.num_examples))
    ours, given = network.subset(list(few)), problem.subset(list(few))
    theta = problem.initial_theta
    direction = np.cos(np.arange(theta.size) * math.sqrt(2)).astype(theta.dtype)
    for what, first, second in (
        ("losses", ours.losses(theta), given.losses(theta)),
        ("gradients", ours.per_example_gradients(theta), given.per_example_gradients(theta)),
        (
            "Hessian products",
            ours.hessian_product(theta, direction),
            given.hessian_product(theta, direction),
        ),
    ):
        error, scale = np.abs(first - second).max(), np.abs(second).max()
        if error > _TOLERANCES[network.dtype] * scale + 1e-30:
            raise Unknown(
                f"{what} of the engine differ by {error / scale:.2g}, as at a kink of an activation"
            )
