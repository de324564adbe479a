"""SGD in PyTorch, eager mode."""

import numpy as np
import torch

from benchmarks.implementations.torch_networks import mean_loss, tensors
from benchmarks.implementations.training import LEARNING_RATE, NUM_STEPS, batches, start_of
from benchmarks.worker import Measured


def sgd(model, batch_size, dtype):
    """Steps of SGD: draw, gather, gradient, update."""
    problem, _ = start_of(model, dtype)
    start, inputs, targets, _ = tensors(problem)
    count = NUM_STEPS[model]

    def run():
        theta = start.clone()
        for rows in batches(np.random.default_rng(0), count, batch_size):
            drawn, own = torch.from_numpy(rows), theta.requires_grad_(True)
            slope = torch.autograd.grad(mean_loss(model, own, inputs[drawn], targets[drawn]), own)
            theta = own.detach() - LEARNING_RATE * slope[0]
        return Measured(units=count, value=theta.numpy())

    return {"step": run}
