"""Losses written for autograd, with data."""

import autograd.numpy as anp

from aniso.problems.autograd_problem import AutogradProblem

SIZE = 4


def matrix_loss(theta, x, y):
    inner = anp.dot(x, theta)
    return anp.log(1 + anp.exp(inner)) - y * inner


def draw(loss, rng, num_examples=9):
    inputs = rng.standard_normal((num_examples, SIZE))
    objective = AutogradProblem(loss, inputs, rng.integers(0, 2, num_examples))
    return objective, rng.standard_normal(SIZE)
