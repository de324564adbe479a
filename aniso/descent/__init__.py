"""Descent: one loop for GD, SGD and every gradient Langevin dynamics (GLD) that is compared.

    theta_{t+1} = theta_t - eta (grad L(theta_t) + eps_t),    E eps_t = 0

The dynamics differ in the covariance of eps_t, one function each in
:data:`aniso.descent.structures.STRUCTURES`.

============================  ====================================================================
a run                         `simulate_descent`, `Settings`, `DYNAMICS`, `as_stated`,
                              `as_published`
what is recorded              `Measurements`, `accuracy`
momentum, weight decay        `HeavyBall`, `Adam`, `CoupledDecay`, `DecoupledDecay`
learning rates that change    `schedules.Cosine`, `schedules.Steps`, `schedules.WarmUp`,
                              `schedules.tabulated`
is a run stationary?          `stationarity_test`
sharpness by sampling         `sample_batch_sharpness`, `sharpness.expected_sharpness`
Adam by itself                `adam_iterates`
============================  ====================================================================

>>> import numpy as np
>>> from aniso import descent
>>> from aniso.problems import quadratic
>>> bowl = quadratic.quadratic_problem([[1.0]], [0.0], [[1.0], [-1.0]])
>>> settings = descent.Settings("gd", learning_rate=0.5, num_steps=2)
>>> result = descent.simulate_descent(bowl, [1.0], settings, np.random.default_rng(0))
>>> result.theta
array([0.25])
>>> result
<DescentResult: finished after 2 steps, D = 1, last recorded loss 0.03125; records of step, loss, \
noise_square_norm, noise_trace>
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "adam",
        "batch_noise",
        "batch_sharpness",
        "batches",
        "generator_states",
        "hessian_pairs",
        "loop",
        "measurements",
        "run_state",
        "schedules",
        "settings",
        "sharpness",
        "start_witness",
        "stationarity",
        "structures",
        "updates",
    ],
    submod_attrs={
        "adam": ["adam_iterates"],
        "batch_sharpness": ["sample_batch_sharpness"],
        "loop": ["DescentResult", "simulate_descent"],
        "_labels": ["accuracy"],
        "measurements": ["Measurements"],
        "settings": ["Settings", "as_published", "as_stated"],
        "stationarity": ["StationarityTest", "stationarity_test"],
        "structures": ["DYNAMICS"],
        "updates": ["Adam", "CoupledDecay", "DecoupledDecay", "HeavyBall"],
    },
)
