r"""
A batch-normalised model, by drawn gradients
============================================

With batch normalisation in training mode an example has no gradient of its own: it depends on the
batch. The noise of the step exists nevertheless. :func:`aniso.frameworks.from_draws` takes the
gradients that training steps would use, and returns a geometry with standard errors.

The model is one of PyTorch: ``pip install 'aniso[torch]'``.
"""

# %%
# A small network with batch normalisation, in training mode.
import matplotlib.pyplot as plt
import numpy as np
import torch

from aniso import datasets, frameworks

images = datasets.fashion_mnist()
inputs = torch.tensor(images.train_images[:500].reshape(500, 784) / 255, dtype=torch.float32)
labels = torch.tensor(images.train_labels[:500])
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(784, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 10)
)
parameters = list(model.parameters())


def draws(size, generator):
    while True:
        batch = torch.randperm(500, generator=generator)[:size]
        value = torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
        yield torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, parameters)])


# %%
# Without batch normalisation :math:`\mathrm{Tr}\,\Sigma` would fall like one over the batch size.
sizes, traces = (10, 20, 40, 80, 160), []
for size in sizes:
    generator = torch.Generator().manual_seed(size)
    at = frameworks.from_draws(draws(size, generator), 200)
    traces.append(at.covariance_trace())
    print(size, traces[-1])

figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
values, errors = (np.array([getattr(t, n) for t in traces]) for n in ("value", "standard_error"))
axes.errorbar(sizes, values, 2 * errors, fmt="o", capsize=3, color="#0072B2", label="measured")
sampling = (1 / np.array(sizes) - 1 / 500) / (1 / sizes[2] - 1 / 500)
axes.plot(sizes, values[2] * sampling, "--", color="0.4", label="sampling of examples alone")
axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="Tr Σ of the step's gradient")
axes.set_title("noise of a step over the batch size")
_ = axes.legend()
