r"""
Training to the edge of stability
=================================

Gradient descent with the learning rate :math:`\eta` is stable along a direction while its curvature
is below :math:`2/\eta`. In many trainings the largest eigenvalue of the Hessian rises to that limit
and stays there (Cohen et al., arXiv:2103.00065). A :class:`aniso.diagnostics.Monitor` follows it
with the noise of mini-batches beside it.

The model is a PyTorch module (``pip install 'aniso[torch]'``). The training loop stays as it is.
"""

# %%
# The data are 60 images of FashionMNIST, pooled to 7 x 7 pixels. The loss is squared.
import tempfile

import torch

from aniso import datasets, diagnostics, frameworks

images = datasets.fashion_mnist()
pixels = images.train_images[:60].reshape(60, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(60, 49)
pixels = (pixels - pixels.mean(axis=0)) / pixels.std()
inputs = torch.tensor(pixels, dtype=torch.float64)
targets = torch.nn.functional.one_hot(torch.tensor(images.train_labels[:60]), 10).double()

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(49, 12),
    torch.nn.Tanh(),
    torch.nn.Linear(12, 12),
    torch.nn.Tanh(),
    torch.nn.Linear(12, 10),
).double()


def loss(outputs, targets):
    return ((outputs - targets) ** 2).sum(dim=1).mean()


# %%
# The monitor measures at 16 steps. It reads the learning rate from the optimizer.
problem = frameworks.from_torch(model, loss, (inputs, targets))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
monitor = diagnostics.Monitor(
    tempfile.mkdtemp(),
    problem,
    steps=100,
    seed=0,
    batch_size=20,
    replacement=False,
    quantities=["loss", "leading_eigenvalue", "noise_scale", "trace_ratio"],
)
for step in range(1501):
    monitor.at_step(step, model, optimizer=optimizer)
    optimizer.zero_grad()
    loss(model(inputs), targets).backward()
    optimizer.step()

# %%
# :math:`\lambda_1` rises to :math:`2/\eta = 20`. The noise is far more aligned with the curvature
# than isotropic noise of the same size: the ratio of the two would be 1.
axes = monitor.plot()

# %%
# Each number has its error, and a sentence.
last = monitor.record[1500]
print(last["leading_eigenvalue"].sentence)
print(last["trace_ratio"].sentence)
