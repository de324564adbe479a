"""Descent: one loop for GD, SGD and every gradient Langevin dynamics (GLD) that is compared.

    theta_{t+1} = theta_t - eta (grad L(theta_t) + eps_t),    E eps_t = 0

What distinguishes the dynamics is the covariance of eps_t: one function each, in
:data:`aniso.descent.structures.STRUCTURES`.

>>> import numpy as np
>>> from aniso import descent
>>> from aniso.models import quadratic
>>> bowl = quadratic.quadratic_objective([[1.0]], [0.0], [[1.0], [-1.0]])
>>> settings = descent.Settings("gd", learning_rate=0.5, num_steps=2)
>>> descent.simulate_descent(bowl, [1.0], settings, np.random.default_rng(0)).theta
array([0.25])
"""

from aniso.descent.loop import DescentResult, simulate_descent
from aniso.descent.measurements import Measurements
from aniso.descent.settings import Settings, as_published, as_stated
from aniso.descent.structures import DYNAMICS

__all__ = [
    "DYNAMICS",
    "DescentResult",
    "Measurements",
    "Settings",
    "as_published",
    "as_stated",
    "simulate_descent",
]
