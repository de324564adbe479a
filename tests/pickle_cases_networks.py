"""Cases of pickling: networks and what is made of them."""

import numpy as np
from pickle_objects import (
    Case,
    convolutions,
    factors,
    gradient,
    hessian_and_trace,
    layer_classes,
    linearised,
    mean_and_norms,
    network,
    product,
    product_and_trace,
    residual,
    rows,
    streamed,
    tangents,
    text,
    used,
)

from aniso import (
    networks,
    threads,
)
from aniso.arrays import places
from aniso.matrices import (
    gradient_covariance,
)
from aniso.networks import architectures, numpy_network, parameter_blocks
from aniso.problems import (
    losses,
)

NETWORKS = {
    "network": Case(network, gradient),
    "used network": Case(lambda: used(network()), gradient),
    "used network of dense layers": Case(
        lambda: used(
            networks.Network(
                architectures.multilayer_perceptron((2, 4, 3, 2)),
                losses.SoftmaxCrossEntropy(),
                rows(),
                np.arange(7) % 2,
            )
        ),
        gradient,
    ),
    "network of convolutions": Case(lambda: used(convolutions()), gradient),
    "network of residual blocks": Case(lambda: used(residual()), gradient),
    "signed sum": Case(
        lambda: networks.Network(
            architectures.one_hidden_layer(2, 4),
            losses.LogisticLoss(),
            rows(),
            np.arange(7) % 2,
        ),
        gradient,
    ),
    "layers": Case(
        lambda: [e for kind in layer_classes() for e in kind.examples()], lambda e: text(e)
    ),
    "factors": Case(linearised, hessian_and_trace),
    "factors with a bilinear part": Case(lambda: linearised("factors", "relu"), hessian_and_trace),
    "tangents": Case(lambda: linearised("tangents"), hessian_and_trace),
    "tangents elsewhere": Case(tangents, hessian_and_trace),
    "operator": Case(lambda: linearised("factors").hessian_operator(), product_and_trace),
    "dense operator": Case(lambda: linearised().hessian_operator(10**9), product_and_trace),
    "gauss-newton of a network": Case(
        lambda: linearised().generalized_gauss_newton_operator(), product_and_trace
    ),
    "fisher of a network": Case(lambda: linearised().fisher_operator(), product),
    "operator elsewhere": Case(lambda: tangents().hessian_operator(), product_and_trace),
    "gradient factors": Case(factors, mean_and_norms),
    "factors of convolutions": Case(lambda: factors(convolutions()), mean_and_norms),
    "streamed gradients": Case(streamed, mean_and_norms),
    "layered covariance": Case(lambda: gradient_covariance(factors()), product_and_trace),
    "streamed covariance": Case(lambda: gradient_covariance(streamed()), product_and_trace),
    "noise curvature": Case(lambda: linearised().noise_curvature(), lambda found: text(found)),
    "parameter blocks": Case(lambda: parameter_blocks.blocks_of(network().stack), text),
    "network with NumPy arrays": Case(lambda: numpy_network.NumpyNetwork(network()), gradient),
    "workers": Case(lambda: threads.Workers(2), lambda w: np.array(w.map(abs, [-1, -2]))),
    "place": Case(lambda: places.NUMPY, text),
}
