"""aniso, a numerical laboratory for the noise in stochastic gradient descent.

Pairs the curvature of a loss with the covariance of its stochastic gradient: how aligned are
the two, and how fast does the iterate leave a minimum because of it?

Conventions
-----------
The loss is a mean over N examples, ``L(theta) = (1/N) sum_i l_i(theta)``, theta in R^D.

=========================  ======================================================================
name                       means exactly
=========================  ======================================================================
theta                      flat parameters, shape (D,)
per_example_gradients      shape (N, D), row i is the gradient of l_i
hessian                    Hessian of the *mean* loss, shape (D, D)
generalized_gauss_newton   ``(1/N) sum_i J_i^T S_i J_i``, J_i Jacobian of the model output, S_i
                           Hessian of the loss in the output
empirical_fisher           *uncentred* second moment of per-example gradients, the data's labels
fisher                     the same with labels drawn from the model's own distribution
gradient_covariance        *centred* covariance of one example's gradient, normalised by 1/N
minibatch_covariance       covariance of a mini-batch mean; with or without replacement is an
                           argument without default
diffusion_covariance       learning rate times minibatch_covariance: the Sigma of the SDE whose
                           Euler-Maruyama step of size eta is SGD
alignment                  ``Tr(H Sigma)``
trace_ratio                ``Tr(H Sigma) / Tr(H Sigma_bar)``, Sigma_bar isotropic of equal trace
projection_coefficient     ``u^T Sigma u Tr H / (lambda Tr Sigma)``, (lambda, u) leading in H
escaping_efficiency        ``E[L(theta_t)] - L(theta_0)`` at time t
escape_rate                ``Tr(H Sigma) / 2``, the slope of escaping_efficiency at t = 0
mean_exit_time             a mean first-passage time; never called an efficiency
=========================  ======================================================================

Modules load when they are first used::

    from aniso.problems import curvature; from aniso.matrices import noise, indicators
"""

import importlib
import pkgutil

__version__ = "0.1.0"


def __getattr__(name):
    if name in _modules():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*_modules(), "__version__"})


def _modules():
    return {module.name for module in pkgutil.iter_modules(__path__)}
