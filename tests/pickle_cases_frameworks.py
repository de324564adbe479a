"""Cases of pickling: problems of PyTorch and JAX, where these are."""

import importlib.util

import numpy as np
from pickle_objects import VECTOR, Case, mean_and_norms

from aniso import (
    frameworks,
)


def torch_gradients():
    import torch

    model = torch.nn.Linear(2, 1, dtype=torch.float64)
    data = torch.ones(3, 2), torch.ones(3, 1)
    made = frameworks.from_torch(model, torch.nn.MSELoss(), data, engine="torch")
    return made.example_gradients(np.ones(3))


def torch_problem(engine, loss):
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 1, dtype=torch.float64))
    data = torch.arange(6.0).reshape(3, 2).double(), torch.ones(3, 1, dtype=torch.float64)
    return frameworks.from_torch(model, getattr(torch.nn, loss)(), data, engine=engine)


def token_problem():
    import torch

    model = torch.nn.Embedding(3, 2, dtype=torch.float64)
    tokens = torch.tensor([[0, 1, 2], [2, 2, 1]])
    targets = torch.tensor([[1, 0, -100], [0, 1, 1]])
    return frameworks.from_torch(
        model,
        torch.nn.CrossEntropyLoss(),
        (tokens, targets),
        example="token",
        forward=transposed,
    )


def transposed(model, tokens):
    return model(tokens).mT


def tensor_operator():
    import torch

    operator = torch_operators.Applied(torch.eye(2, dtype=torch.float64))
    return frameworks.from_matrices(operator, per_example_gradients=np.eye(2))


def jax_gradients():
    import jax_cases

    with jax_cases.double():
        made = frameworks.from_jax(jax_cases.line, jax_cases.LINE, (VECTOR, VECTOR))
    return made.example_gradients(np.ones(2))


def jax_token_gradients():
    import jax_cases

    grid = np.arange(6.0).reshape(2, 3)
    with jax_cases.double():
        made = frameworks.from_jax(
            jax_cases.line, jax_cases.LINE, (grid, np.cos(grid)), example="token"
        )
    return made.example_gradients(np.ones(2))


FRAMEWORKS = {}
if importlib.util.find_spec("jax"):
    FRAMEWORKS["gradients of a JAX problem"] = Case(jax_gradients, mean_and_norms)
    FRAMEWORKS["gradients of JAX tokens"] = Case(jax_token_gradients, mean_and_norms)
if importlib.util.find_spec("torch"):
    import torch_operators

    FRAMEWORKS["gradients of a PyTorch problem"] = Case(torch_gradients, mean_and_norms)
    FRAMEWORKS["PyTorch model on the engine"] = Case(
        lambda: torch_problem("aniso", "MSELoss"), lambda made: made.gradient(np.ones(3))
    )
    FRAMEWORKS["PyTorch model with outputs"] = Case(
        lambda: torch_problem("torch", "SmoothL1Loss"),
        lambda made: made.output_gradients(np.ones(3)),
    )
    FRAMEWORKS["PyTorch model of tokens"] = Case(
        token_problem, lambda made: made.losses(np.arange(6.0))
    )
    FRAMEWORKS["operator of tensors"] = Case(tensor_operator, lambda at: at.hessian @ VECTOR[:2])
