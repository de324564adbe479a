"""Least squares of one parameter, whose local geometry is known by hand."""

import numpy as np

from aniso.problems import Problem


class Line(Problem):
    """Least squares of one parameter, ``l_i = (theta x_i - y_i)^2 / 2``."""

    def __init__(self, x, y):
        self.x, self.y, self.num_examples, self.num_parameters = x, y, len(x), 1

    def losses(self, theta):
        return (theta[0] * self.x - self.y) ** 2 / 2

    def example_gradients(self, theta):
        return ((theta[0] * self.x - self.y) * self.x)[:, None]

    def gradient(self, theta):
        return self.example_gradients(theta).mean(axis=0)

    def hessian_product(self, theta, vectors):  # noqa: ARG002
        return np.mean(self.x**2) * np.asarray(vectors)

    def subset(self, indices):
        return Line(self.x[indices], self.y[indices])
