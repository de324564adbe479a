"""Networks of layers, with exact first and second derivatives by matrix products.

A :class:`Stack` of layers is an architecture. A :class:`Network` is a stack with a loss and data.

============================  ====================================================================
architectures                 `multilayer_perceptron`, `one_hidden_layer`,
                              `fashion_mnist_network`, `vgg11`
layers                        `Dense`, `Convolution`, `Activation`, `MaxPooling`,
                              `AveragePooling`, `Flatten`, `Residual`, `FixedLinear`, `signed_sum`
first weights                 `initialisation.he_normal`
a network on data             `Network`, its geometry `NetworkGeometry`,
                              gradients as factors `StreamedGradients`
============================  ====================================================================

>>> import numpy as np
>>> from aniso.problems import losses
>>> from aniso import networks
>>> stack = networks.multilayer_perceptron((2, 3, 1))
>>> stack.num_parameters
13
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "architectures",
        "arguments",
        "curvature",
        "data",
        "fast",
        "geometry",
        "gradients",
        "hidden",
        "initialisation",
        "layers",
        "matrix_products",
        "network",
        "numpy_network",
        "parameter_blocks",
        "passes",
        "placed_stack",
        "plans",
        "precision",
        "results",
        "routing",
        "ways",
    ],
    submod_attrs={
        "architectures": [
            "fashion_mnist_network",
            "multilayer_perceptron",
            "one_hidden_layer",
            "vgg11",
        ],
        "gradients.streamed": ["StreamedGradients"],
        "layers.activation": ["Activation"],
        "layers.average_pooling": ["AveragePooling"],
        "layers.convolution": ["Convolution"],
        "layers.dense": ["Dense"],
        "layers.fixed_linear": ["FixedLinear", "signed_sum"],
        "layers.flatten": ["Flatten"],
        "layers.layer": ["Layer"],
        "layers.max_pooling": ["MaxPooling"],
        "layers.residual": ["Residual"],
        "layers.stack": ["Stack"],
        "geometry": ["NetworkGeometry"],
        "network": ["Network"],
    },
)
