"""Problems that test_forecast and test_forecast_reach share."""

import autograd.numpy as anp
import numpy as np

from aniso import matrices
from aniso.problems import AutogradProblem, quadratic_problem


def batch_noise(at, size=1, *, replacement=True):
    return matrices.minibatch_covariance(at.noise, size, replacement=replacement)


def squared_error(theta, inputs, targets):
    return (anp.dot(inputs, theta) - targets) ** 2 / 2


def regression(rng, count=4):
    """Least squares: the Hessian of every example is its own."""
    return AutogradProblem(
        squared_error, rng.standard_normal((count, 2)), rng.standard_normal(count)
    )


def bowl(rng, count=4):
    hessian = np.array([[2.0, 0.4], [0.4, 0.7]])
    return quadratic_problem(hessian, [0.3, -0.2], rng.standard_normal((count, 2)))


def quartic(strength):
    def loss(theta, inputs, targets):  # noqa: ARG001
        x = theta[..., 0, None]
        return x**2 / 2 + strength * x**4 - inputs * x

    return AutogradProblem(loss, [1.0, -1.0], [0.0, 0.0])
