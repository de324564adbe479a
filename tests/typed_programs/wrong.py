"""Wrong calls, each marked with the error that the type checker must report there."""

import numpy as np

import aniso
from aniso import descent, escape, langevin, matrices, networks

rng = np.random.default_rng(0)
matrix = np.eye(2)

aniso.alignment(matrix)  # [call-arg]
aniso.alignment(matrix, None)  # [arg-type]
aniso.trace_ratio(matrix, matrix, max_product=3)  # [call-arg]
aniso.leading_eigenpairs(matrix, "one")  # [arg-type]
aniso.leading_eigenpairs(matrix, 1, which="biggest")  # [arg-type]
print(aniso.leading_eigenpairs(matrix, 1).value)  # [attr-defined]
aniso.minibatch_covariance(matrices.gradient_covariance(matrix), 10)  # [call-arg]
aniso.gradient_covariance(lambda theta: theta)  # [arg-type]
aniso.kramers_time(1.0, 1.0, 0.5, "small")  # [arg-type]
print(aniso.fashion_mnist().train_image)  # [attr-defined]
aniso.multilayer_perceptron(3)  # [arg-type]
aniso.vgg12((3, 8, 8), 1.0)  # [attr-defined]
text: str = aniso.alignment(matrix, matrix)  # [assignment]
descent.Settings("sgd", learning_rate="fast", num_steps=10)  # [arg-type]
descent.Measurements((0,)).at(matrix, [1.0], rng)  # [arg-type]
print(langevin.regions.ball([0.0], 1.0).radii)  # [attr-defined]
escape.quadrature.mean_exit_time(3.0, 1.0, 0.0, -1.0, 1.0)  # [arg-type]
networks.Dense("ten")  # [arg-type]
aniso.simulate_descent(matrix, [1.0], descent.Settings("gd", 0.1, 1), rng)  # [arg-type]
