"""Memory that a caller gives for a result: used where it fits, refused where it does not."""

import numpy as np
import pytest
import seeds

from aniso import checks, networks
from aniso.problems import losses

N, WIDTHS = 12, (3, 5, 2)
MODEL = networks.multilayer_perceptron(WIDTHS)
D = MODEL.num_parameters


@pytest.fixture(params=["plan", "layers"])
def network(request):
    rng = seeds.generator(2)
    model = MODEL
    if request.param == "layers":
        layers = (networks.Activation("tanh"), *MODEL.layers)
        model = networks.Stack(layers, (3,))
    return networks.Network(
        model, losses.SoftmaxCrossEntropy(), rng.normal(size=(N, 3)), rng.integers(0, 2, N)
    )


THETA = seeds.generator(3).normal(size=D)
VECTORS = seeds.generator(4).normal(size=(D, 20))
CALLS = {
    "gradient": ((D,), lambda at, **out: at.gradient(THETA, **out)),
    "loss_and_gradient": ((D,), lambda at, **out: at.loss_and_gradient(THETA, **out)[1]),
    "rows": ((N, D), lambda at, **out: at.per_example_gradients(THETA, **out)),
    "product": ((D,), lambda at, **out: at.hessian_product(THETA, VECTORS[:, 0], **out)),
    "products": ((D, 3), lambda at, **out: at.hessian_product(THETA, VECTORS[:, :3], **out)),
    "many": ((D, 20), lambda at, **out: at.hessian_product(THETA, VECTORS, **out)),
}


def order(name):
    return "F" if name in ("products", "many") else "C"


@pytest.mark.parametrize("name", CALLS)
def test_given_memory_is_written_and_returned(network, name):
    shape, call = CALLS[name]
    out = np.full(shape, np.nan, order=order(name))
    assert call(network, out=out) is out
    np.testing.assert_array_equal(out, call(network))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda out: out[:-1], "out has shape"),
        (lambda out: out.astype(np.float32), "dtype float32; expected float64"),
        (lambda out: np.repeat(out, 2, axis=-1)[..., ::2], "contiguous"),
        (lambda out: out.tolist(), "type list; expected a NumPy array"),
    ],
)
def test_memory_that_does_not_fit_is_refused(network, name, change, rule):
    shape, call = CALLS[name]
    with pytest.raises(checks.InputError, match=rule):
        call(network, out=change(np.zeros(shape, order=order(name))))


def test_memory_that_must_not_be_written_is_refused(network):
    theta, vector = THETA.copy(), np.ones(D)
    with pytest.raises(checks.InputError, match="out overlaps theta"):
        network.gradient(theta, out=theta)
    with pytest.raises(checks.InputError, match="out overlaps vectors"):
        network.hessian_product(theta, vector, out=vector)
    block = np.ones((N, D))
    inputs = block[:, :3]
    of_block = networks.Network(network.model, network.output_loss, inputs, network.targets)
    with pytest.raises(checks.InputError, match="out overlaps the inputs"):
        of_block.per_example_gradients(theta, out=block)
    frozen = np.zeros(D)
    frozen.setflags(write=False)
    with pytest.raises(checks.InputError, match="read-only"):
        network.gradient(theta, out=frozen)
    assert (theta == THETA).all()
