"""Ensembles in PyTorch: a loop over the steps, and torchsde."""

import numpy as np
import torch

from benchmarks.implementations.ensemble_problems import NUM_STEPS, STEP, linear_problem
from benchmarks.worker import Measured

torch.set_default_dtype(torch.float64)


def loop(scale):
    """A loop over the steps, all paths at once."""

    hessian, factor, start = map(torch.tensor, linear_problem())
    a, f = (torch.eye(10) - STEP * hessian).T.contiguous(), (np.sqrt(STEP) * factor).T.contiguous()
    paths = 4000 // scale

    @torch.no_grad()
    def run():
        x = start.repeat(paths, 1)
        for _ in range(NUM_STEPS):
            x = x @ a + torch.randn(paths, 10) @ f
        return Measured(units=paths * NUM_STEPS)

    return {"linear": run}


def torchsde(scale):
    """torchsde with its default BrownianInterval."""
    import torchsde as library

    hessian, factor, start = map(torch.tensor, linear_problem())
    paths, steps = 4000 // scale, 100

    class Problem(torch.nn.Module):
        noise_type, sde_type = "general", "ito"

        def f(self, t, y):  # noqa: ARG002
            return -y @ hessian.T

        def g(self, t, y):  # noqa: ARG002
            return factor.expand(len(y), 10, 10)

    @torch.no_grad()
    def run():
        times = torch.tensor([0.0, steps * STEP])
        library.sdeint(Problem(), start.repeat(paths, 1), times, dt=STEP, method="euler")
        return Measured(units=paths * steps)

    return {"linear": run}
