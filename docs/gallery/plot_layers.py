r"""
Anisotropy by layer
===================

Which layers carry the curvature, which the noise, and where are the two aligned?
``at.by_block()`` answers for every layer of the convolutional network of the paper, exactly.
"""

# %%
# The network is trained for some steps of full-batch gradient descent first.
import matplotlib.pyplot as plt
import numpy as np

import aniso

data = aniso.fashion_mnist()
images = data.train_images[:200, None] / 127.5 - 1
network = aniso.Network(
    aniso.fashion_mnist_network(), aniso.SoftmaxCrossEntropy(), images, data.train_labels[:200]
)
theta = network.model.initial_parameters(np.random.default_rng(0))
tables = {}
for step in range(151):
    if step in (0, 30, 150):
        tables[step] = network.at(theta).by_block()
    theta = theta - 0.1 * network.gradient(theta)
print(tables[150])

# %%
# A ratio of 1 means noise that is as aligned with the curvature as isotropic noise.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
width, colours = 0.25, ("#56B4E9", "#0072B2", "#D55E00")
names = tables[0].names
for number, ((step, table), colour) in enumerate(zip(tables.items(), colours, strict=True)):
    place = np.arange(len(names)) + (number - 1) * width
    left.bar(place, table.block_ratios, width, color=colour, label=f"{step} steps")
    right.bar(place, table.alignments / table.alignment, width, color=colour, label=f"{step} steps")
left.axhline(1, color="0.4", linewidth=0.8)
left.set(yscale="log", ylabel="ratio", title="Tr(HΣ) over that of isotropic noise, by layer")
right.set(ylabel="share", title="share of Tr(HΣ), by layer")
for axes in (left, right):
    axes.set_xticks(np.arange(len(names)), names, rotation=20)
_ = right.legend(loc="upper left")
