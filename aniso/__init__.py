"""aniso, a numerical laboratory for the noise in stochastic gradient descent.

aniso pairs the Hessian H of a loss with the covariance Sigma of its stochastic gradient. How
aligned are the two, and how fast does the iterate leave a minimum because of it? Two calls lead
from a loss to Tr(H Sigma):

>>> import autograd.numpy as anp
>>> import numpy as np
>>> import aniso
>>> def loss(theta, inputs, targets):  # one number for each example
...     return (anp.dot(inputs, theta) - targets) ** 2 / 2
>>> problem = aniso.AutogradProblem(loss, inputs=[[1.0], [2.0]], targets=[0.0, 0.0])
>>> at = problem.at(np.array([1.0]))  # g_i = x_i^2, so 1 and 4; H is the mean of x^2
>>> aniso.alignment(at.hessian, at.noise)  # 2.5 times the variance 2.25
5.625

Names
-----
=========================  ======================================================================
your loss or model
-------------------------------------------------------------------------------------------------
Problem                    mean loss over examples; six members make one of anything
AutogradProblem            a loss written with ``autograd.numpy``
AutogradModel              a model and a loss of its outputs, by automatic differentiation
Network                    a stack of layers on data, with an engine of its own
from_torch                 a PyTorch model, a loss and data
from_jax                   a JAX function of a pytree, with data
from_draws                 gradients that a training step draws, at one theta
from_matrices              a Hessian and a covariance of another program
LocalGeometry              result of ``problem.at(theta)``: gradient, Hessian, noise, blocks
quadratic_problem          a quadratic with a prescribed Hessian and noise
two_basin_problem          the toy with a sharp and a flat minimum
SquaredLoss                ``|f - y|^2``, summed over outputs
LogisticLoss               binary cross-entropy of one output
SoftmaxCrossEntropy        cross-entropy of class labels
-------------------------  ----------------------------------------------------------------------
layers and architectures
-------------------------------------------------------------------------------------------------
Stack                      layers, one after the other
Dense, Convolution         layers with parameters
Activation                 relu, tanh, gelu, ...
MaxPooling, Flatten        layers without
AveragePooling, Residual   mean over windows; a block with a shortcut
multilayer_perceptron      dense layers of given widths
fashion_mnist_network      the convolutional network of the paper
vgg11                      VGG-11 of any width
-------------------------  ----------------------------------------------------------------------
matrices: arrays or operators of any framework
-------------------------------------------------------------------------------------------------
gradient_covariance        centred covariance of the gradient of one example
minibatch_covariance       the same of the mean of a batch
diffusion_covariance       learning rate times that: Sigma of the SDE
alignment                  ``Tr(H Sigma)``
trace_ratio                alignment relative to isotropic noise of equal trace
projection_coefficient     noise along the leading eigenvector of H
alignment_by_block         traces, alignment and ratio for each block of theta
leading_eigenpairs         largest eigenvalues and eigenvectors, with their residuals
estimate_alignment         estimate of ``Tr(H Sigma)`` with its error, from few Hessian products
expected_loss_change       what one step of SGD does to the loss: slope, curvature, noise
simple_noise_scale         ``Tr Sigma / |g|^2``, with an interval
stability_threshold        learning rate up to which SGD is mean-square stable
-------------------------  ----------------------------------------------------------------------
motion and escape
-------------------------------------------------------------------------------------------------
simulate_descent           GD, SGD or a Langevin dynamics on a problem, with records
LangevinProblem            drift, noise and start of a stochastic differential equation
simulate_ensemble          moments of many paths
simulate_mean_exit_time    mean first-passage time of many paths
forecast                   loss and escape from where a network stands, and up to when
kramers_time               mean exit time of one dimension at low noise
quasi_potential_at         exponent of rare exits from a quadratic basin
minimise_action            the likeliest path out of a basin
-------------------------  ----------------------------------------------------------------------
data and results
-------------------------------------------------------------------------------------------------
fashion_mnist              images that come with the package
cifar10, svhn              images from the official archives
Estimate                   a number with its standard error
InputError, NotConverged   an argument breaks its rule; an iteration stopped early
show_versions              print the versions of all packages, for a report of a bug
=========================  ======================================================================

The packages hold the rest: :mod:`~aniso.matrices`, :mod:`~aniso.closed_forms`,
:mod:`~aniso.problems`, :mod:`~aniso.frameworks`, :mod:`~aniso.networks`,
:mod:`~aniso.langevin`, :mod:`~aniso.escape`, :mod:`~aniso.descent`, :mod:`~aniso.datasets`,
:mod:`~aniso.arrays`, :mod:`~aniso.runs`, :mod:`~aniso.propositions`, :mod:`~aniso.diagnostics`.
Everything loads when it is first used.

Conventions
-----------
The loss is a mean over N examples, ``L(theta) = (1/N) sum_i l_i(theta)``, theta in R^D.

=========================  ======================================================================
name                       means exactly
=========================  ======================================================================
theta                      flat parameters, shape (D,)
per_example_gradients      shape (N, D), row i is the gradient of l_i
hessian                    Hessian of the *mean* loss, shape (D, D)
gauss_newton               ``(1/N) sum_i J_i^T S_i J_i``, J_i Jacobian of the model output, S_i
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
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, _dir, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "arrays",
        "closed_forms",
        "datasets",
        "descent",
        "diagnostics",
        "escape",
        "frameworks",
        "langevin",
        "matrices",
        "networks",
        "problems",
        "propositions",
        "runs",
    ],
    submod_attrs={
        "checks": ["InputError"],
        "closed_forms": ["stability_threshold"],
        "datasets": ["cifar10", "fashion_mnist", "svhn"],
        "descent": ["simulate_descent"],
        "escape": [
            "forecast",
            "kramers_time",
            "minimise_action",
            "quasi_potential_at",
            "simulate_mean_exit_time",
        ],
        "estimates": ["Estimate", "NotConverged"],
        "frameworks": ["from_draws", "from_jax", "from_matrices", "from_torch"],
        "langevin": ["LangevinProblem", "simulate_ensemble"],
        "matrices": [
            "alignment",
            "alignment_by_block",
            "diffusion_covariance",
            "estimate_alignment",
            "expected_loss_change",
            "gradient_covariance",
            "leading_eigenpairs",
            "minibatch_covariance",
            "projection_coefficient",
            "simple_noise_scale",
            "trace_ratio",
        ],
        "networks": [
            "Activation",
            "AveragePooling",
            "Convolution",
            "Dense",
            "Flatten",
            "MaxPooling",
            "Network",
            "Residual",
            "Stack",
            "fashion_mnist_network",
            "multilayer_perceptron",
            "vgg11",
        ],
        "runs": ["show_versions"],
        "problems": [
            "AutogradModel",
            "AutogradProblem",
            "LocalGeometry",
            "LogisticLoss",
            "Problem",
            "SoftmaxCrossEntropy",
            "SquaredLoss",
            "quadratic_problem",
            "two_basin_problem",
        ],
    },
)


def __dir__():
    return sorted([*_dir(), "__version__"])
