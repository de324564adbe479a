"""Slow, obvious references for the layer engine: loops, one example at a time, and autograd."""

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, grad, hessian, jacobian


def convolution(weights, biases, image, stride, padding):
    """Output (O, down, across) of one image (C, h, w), by the definition."""
    (down, across) = padding
    image = np.pad(image, ((0, 0), (down, down), (across, across)))
    num_outputs, _, height, width = weights.shape
    rows = (image.shape[1] - height) // stride[0] + 1
    columns = (image.shape[2] - width) // stride[1] + 1
    outputs = np.empty((num_outputs, rows, columns))
    for o in range(num_outputs):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride[0], j * stride[1]
                window = image[:, top : top + height, left : left + width]
                outputs[o, i, j] = np.sum(weights[o] * window) + biases[o]
    return outputs


def max_pooling(image, size, stride):
    """Maxima (C, down, across) of the windows of one image (C, h, w)."""
    rows = (image.shape[1] - size[0]) // stride[0] + 1
    columns = (image.shape[2] - size[1]) // stride[1] + 1
    outputs = np.empty((len(image), rows, columns))
    for c in range(len(image)):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride[0], j * stride[1]
                outputs[c, i, j] = image[c, top : top + size[0], left : left + size[1]].max()
    return outputs


def average_pooling(image, size, stride):
    """Means (C, down, across) of the windows of one image (C, h, w)."""
    rows = (image.shape[1] - size[0]) // stride[0] + 1
    columns = (image.shape[2] - size[1]) // stride[1] + 1
    outputs = np.empty((len(image), rows, columns))
    for c in range(len(image)):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride[0], j * stride[1]
                outputs[c, i, j] = image[c, top : top + size[0], left : left + size[1]].mean()
    return outputs


def derivatives(model, output_loss, inputs, targets, theta):
    """Dense quantities of the mean loss by autograd: a dictionary of arrays."""

    def losses(t):
        return output_loss(model.outputs(t, inputs), targets)

    def mean(t):
        return anp.mean(losses(t))

    outputs = model.outputs(theta, inputs)
    jacobians = jacobian(lambda t: model.outputs(t, inputs))(theta)
    loss_hessians = output_loss.hessian(outputs, targets)
    information = output_loss.fisher_information(outputs)
    rows = jacobian(losses)(theta)
    centred = rows - rows.mean(axis=0)
    count = len(inputs)
    return {
        "losses": losses(theta),
        "gradient": grad(mean)(theta),
        "rows": rows,
        "jacobians": jacobians,
        "hessian": hessian(mean)(theta),
        "gauss_newton": np.einsum("ncd,nck,nke->de", jacobians, loss_hessians, jacobians) / count,
        "fisher": np.einsum("ncd,nck,nke->de", jacobians, information, jacobians) / count,
        "covariance": centred.T @ centred / count,
    }


def derivative_of(function):
    """Elementwise derivative by autograd."""
    return elementwise_grad(function)
