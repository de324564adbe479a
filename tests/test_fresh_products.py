"""The first product at a theta: as cheap as a single one, whatever the linearisation keeps."""

import numpy as np
import pytest

from aniso import networks
from aniso.networks.plans.kernels import COMPILED
from aniso.problems import losses

COUNT = 30
SIZES = [
    (2, 7, 3),
    (2, 40, 1),
    (5, 6, 4, 2),
    (30, 20, 10, 4),
    (3, 60, 60, 2),
    (50, 3),
    (2, 300, 1),
    (60, 50, 40, 10),
]


def made(rng, sizes, activation="relu"):
    inputs, count = rng.standard_normal((COUNT, sizes[0])), sizes[-1]
    loss = losses.SoftmaxCrossEntropy() if count > 1 else losses.ClippedSquaredLoss()
    targets = rng.integers(max(2, count), size=COUNT)
    model = networks.multilayer_perceptron(sizes, activation)
    return networks.Network(model, loss, inputs, targets), model.initial_parameters(rng)


@pytest.mark.skipif(not COMPILED, reason="without kernels the passes by layers make the products")
@pytest.mark.parametrize(("sizes", "activation"), [((2, 7, 3), "relu"), ((30, 20, 10, 4), "tanh")])
def test_one_product_needs_no_pass_beside_its_own(sizes, activation, rng):
    network, theta = made(rng, sizes, activation)
    vector, at = rng.standard_normal(len(theta)), network.at(theta)
    np.testing.assert_array_equal(at.hessian @ vector, network.hessian_product(theta, vector))
    assert "_outputs" not in at.linearisation.__dict__
    # the same bits after a product with a block, which may take the cache
    at.hessian @ rng.standard_normal((len(theta), 40))
    np.testing.assert_array_equal(at.hessian @ vector, network.hessian_product(theta, vector))


@pytest.mark.parametrize("num_products", [1, 3, 100])
def test_the_bound_that_comes_first_changes_no_choice(num_products, rng):
    found = []
    for sizes in SIZES:
        network, theta = made(rng, sizes)
        at = network.linearise(theta, num_products=num_products)
        pays = at._costs.cache_pays(num_products)
        assert at.strategy == ("factors" if pays else "tangents")
        found += [pays]
        for count in (1, 2, 8, 64):
            assert at._least_costs.could_pay(count) >= at._costs.cache_pays_for_block(count)
    assert len(set(found)) == 2, "networks of both kinds"
