"""VGG-11 in PyTorch, torch.func and BackPACK."""

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from benchmarks.implementations.vgg_images import images
from benchmarks.worker import Measured

_CHUNK = 10  # about as fast as 2 and 5, and faster than 1 and 25


def module_and_data(num_images, width, pixels):
    """Return the network as users write it, inputs and targets."""
    layers, channels, length = [], 3, pixels
    for group in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for full in group:
            own = round(full * width)
            layers += [nn.Conv2d(channels, own, 3, padding=1), nn.ReLU()]
            channels = own
        if length > 1:
            layers.append(nn.MaxPool2d(2))
            length //= 2
    hidden = round(512 * width)
    layers += [nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU()]
    layers += [nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10)]
    return nn.Sequential(*layers), *map(torch.tensor, images(num_images, pixels))


def eager(num_images, width, pixels, memory_format="contiguous_format"):
    """The backward pass, with images and weights in a memory format of PyTorch."""
    module, inputs, targets = module_and_data(num_images, width, pixels)
    order = getattr(torch, memory_format)
    module, inputs = module.to(memory_format=order), inputs.to(memory_format=order)

    def gradient():
        module.zero_grad()
        cross_entropy(module(inputs), targets).backward()
        return Measured()  # the parameters are not aniso's

    return {"gradient": gradient}


def functional(num_images, width, pixels):
    """vmap of the gradient in chunks of examples."""
    module, inputs, targets = module_and_data(num_images, width, pixels)
    parameters = {k: v.detach() for k, v in module.named_parameters()}

    def loss(own, x, y):
        return cross_entropy(functional_call(module, own, (x[None],)), y[None])

    rows = vmap(grad(loss), (None, 0, 0))

    def norms():
        parts = []
        for x, y in zip(inputs.split(_CHUNK), targets.split(_CHUNK), strict=True):
            found = rows(parameters, x, y)
            parts.append(sum(v.flatten(1).square().sum(1) for v in found.values()))
        return Measured(more={"sum": float(torch.cat(parts).sum())})

    return {"square_norms": norms}


def backpack(num_images, width, pixels):
    """BatchL2Grad, which forms no gradients of dense layers."""
    from backpack import backpack as extended
    from backpack import extend
    from backpack.extensions import BatchL2Grad

    module, inputs, targets = module_and_data(num_images, width, pixels)
    module, loss = extend(module), extend(nn.CrossEntropyLoss(reduction="sum"))

    def norms():
        module.zero_grad()
        with extended(BatchL2Grad()):
            loss(module(inputs), targets).backward()
        return Measured(more={"sum": float(sum(p.batch_l2 for p in module.parameters()).sum())})

    return {"square_norms": norms}
