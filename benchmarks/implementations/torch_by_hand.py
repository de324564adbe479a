"""PyTorch with the derivatives of dense networks written by hand: no tape, one product a layer."""

import torch
import torch.nn.functional as F

from benchmarks.implementations import network_problems
from benchmarks.implementations.torch_networks import as_array, tensors

__all__ = ["as_array", "by_hand"]


def by_hand(model, num_examples, dtype):
    """Gradient and gradients of the examples."""
    if model == "convolutional":
        return {}
    problem = network_problems.problem(model, num_examples, dtype)
    theta, inputs, targets, _ = tensors(problem)
    arrays = network_problems.unpacked(model, theta)
    passes = (_of_one_hidden_layer if problem.is_small else _of_perceptron)(arrays, targets)
    size = theta.numel()

    @torch.no_grad()
    def gradient():
        parts = [(d.T @ a, d.sum(0)) for a, d in passes(inputs)]
        return torch.cat([part.reshape(-1) for pair in parts for part in pair]) / num_examples

    @torch.no_grad()
    def rows():
        out, start = torch.empty(num_examples, size, dtype=inputs.dtype), 0
        for a, d in passes(inputs):
            shape = (d.shape[1], a.shape[1])
            middle = start + shape[0] * shape[1]
            torch.mul(d[:, :, None], a[:, None, :], out=out[:, start:middle].unflatten(1, shape))
            out[:, middle : middle + shape[0]] = d
            start = middle + shape[0]
        return out

    return {"gradient": gradient, "per_example_gradients": rows}


def _of_perceptron(arrays, targets):
    """Return the function from inputs to pairs (inputs, deltas) of the layers."""
    weights, biases = arrays[::2], arrays[1::2]
    labels = F.one_hot(targets, len(biases[-1])).to(biases[-1].dtype)

    def passes(inputs):
        hidden, kept = inputs, [inputs]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            hidden = torch.addmm(b, hidden, w.T).relu_()
            kept.append(hidden)
        delta = torch.softmax(torch.addmm(biases[-1], hidden, weights[-1].T), 1) - labels
        deltas = [delta]
        for w, a in zip(weights[:0:-1], kept[:0:-1], strict=True):
            delta = (delta @ w) * (a > 0)
            deltas.append(delta)
        return list(zip(kept, deltas[::-1], strict=True))

    return passes


def _of_one_hidden_layer(arrays, targets):
    """Return the same for one hidden layer with fixed output weights and the clipped loss."""
    weights, biases = arrays
    signs = torch.ones_like(biases)
    signs[len(signs) // 2 :] = -1

    def passes(inputs):
        hidden = torch.addmm(biases, inputs, weights.T).relu_()
        values = hidden @ signs
        slopes = 2 * (values - targets) * ((values > 1e-3) & (values < 1 - 1e-3))
        return [(inputs, torch.outer(slopes, signs) * (hidden > 0))]

    return passes
