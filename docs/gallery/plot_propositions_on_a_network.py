r"""
The propositions on your own network
====================================

What do the losses of the examples promise about the noise of a network, and what is measured?
With one output the empirical Fisher matrix F lies between two multiples of the Gauss-Newton matrix
G, at any depth. The noise along the leading eigenvector of G then has a lower bound.
"""

# %%
# T-shirts against shirts, a network with two hidden layers, full-batch gradient descent.
import matplotlib.pyplot as plt
import numpy as np

import aniso
from aniso import networks, propositions

data = aniso.fashion_mnist()
kept = np.flatnonzero(np.isin(data.train_labels, (0, 6)))[:60]
images = data.train_images[kept].reshape(60, 784) / 255
stack = aniso.multilayer_perceptron((784, 12, 12, 1), "tanh")
network = aniso.Network(
    stack, aniso.LogisticLoss(), images, (data.train_labels[kept] == 6).astype(float)
)
theta = networks.initialisation.he_normal(stack, np.random.default_rng(1))
steps, orders, constants, bounds = [], [], [], []
for step in range(121):
    if step % 15 == 0:
        at = network.at(theta)
        steps.append(step)
        constants.append(propositions.order_constants(at))
        orders.append(propositions.fisher_gauss_newton_order(at))
        bounds.append(propositions.deep_alignment_bound(at))
    theta = theta - 0.1 * network.gradient(theta)
print(bounds[-1])

# %%
# Lines: measured. Dashed: what the losses promise.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.semilogy(steps, [o.largest for o in orders], color="#D55E00", label="largest, measured")
left.semilogy(steps, [o.smallest for o in orders], color="#0072B2", label="smallest, measured")
left.semilogy(steps, [c.highest for c in constants], "--", color="black", label="promised")
left.semilogy(steps, [c.lowest for c in constants], "--", color="black")
left.set(xlabel="step", title="extreme eigenvalues of F relative to G")
_ = left.legend()
right.plot(steps, [b.coefficient for b in bounds], color="#009E73", label="measured")
right.plot(steps, [b.lower for b in bounds], "--", color="black", label="promised")
right.plot(steps, [b.upper for b in bounds], "--", color="black")
right.axhline(0, color="0.8", linewidth=0.8)
right.set(xlabel="step", ylabel="relative to Σ ∝ G", title="noise along the leading eigenvector")
_ = right.legend()
