r"""
Choosing a batch size from the noise scale
==========================================

How much does one step of SGD lower the loss on average, and from which batch size on is a larger
batch not worth its price? Both follow from the gradient, the Hessian and the centred covariance of
the gradient, at one :math:`\theta`.
"""

# %%
# A network on images of two moments of a training: after 5 and after 200 steps.
import matplotlib.pyplot as plt
import numpy as np

import aniso
from aniso import matrices, networks

data = aniso.fashion_mnist()
images, labels = data.train_images[:400].reshape(400, 784) / 255, data.train_labels[:400]
stack = aniso.multilayer_perceptron((784, 16, 10), "tanh")
network = aniso.Network(stack, aniso.SoftmaxCrossEntropy(), images, labels)
theta = networks.initialisation.he_normal(stack, np.random.default_rng(0))
moments = {}
for step in range(201):
    if step in (5, 200):
        moments[step] = network.at(theta)
    theta = theta - 0.3 * network.gradient(theta)

# %%
# :func:`aniso.expected_loss_change` is the mean change of the loss to second order. The best
# learning rate depends on the batch: a small batch allows small steps only.
sizes = 2 ** np.arange(0, 9)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for (step, at), colour in zip(moments.items(), ("#0072B2", "#D55E00"), strict=True):
    best, per_example = [], []
    for size in sizes:
        batch = matrices.minibatch_covariance(at.noise, int(size), replacement=True)
        change = matrices.expected_loss_change(at.gradient, at.hessian, batch, learning_rate=0.1)
        rate = change.best_learning_rate
        lowest = matrices.expected_loss_change(at.gradient, at.hessian, batch, rate).total
        best.append(rate)
        per_example.append(-lowest / size)
    scale = matrices.curvature_noise_scale(at.example_gradients, at.hessian)
    left.loglog(sizes, best, "o-", color=colour, label=f"after {step} steps")
    right.loglog(sizes, per_example, "o-", color=colour, label=f"after {step} steps")
    for axes in (left, right):
        axes.axvline(scale.of_examples, color=colour, linestyle=":")
    print(f"after {step} steps:", scale)
left.set(xlabel="batch size", ylabel="learning rate", title="best learning rate")
right.set(
    xlabel="batch size", ylabel="decrease", title="decrease of the loss for each example used"
)
_ = left.legend(title="dotted: noise scale")
