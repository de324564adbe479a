"""The fused convolution and pooling: the same as both layers, ties and zero deltas included."""

import numpy as np
import pytest
from tolerances import assert_equal_up_to_rounding

from aniso.networks import passes
from aniso.networks.fast import choice
from aniso.networks.fast.pooled import PooledConvolution
from aniso.networks.fast.toeplitz import ToeplitzConvolution
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.max_pooling import MaxPooling

COUNT = 7
CASES = [
    (Convolution(3, 5), (1, 13, 12)),
    (Convolution(4, (2, 3), padding=(1, 2)), (3, 8, 9)),
    (Convolution(2, 4), (1, 8, 8)),  # runs of 16: no padding
    (Convolution(5, 1), (2, 2, 2)),
]


def both(convolution, shape, rng):
    """Parameters, and outputs, trail and layers of the plain and of the fused stack."""
    parameters = [tuple(rng.normal(size=s) for s in convolution.parameter_shapes(shape)), ()]
    # few values, so that many windows tie
    images = rng.integers(-1, 2, (*shape, COUNT)).astype(float)
    parameters[0][0][...] = np.round(parameters[0][0])
    runs = []
    for layers in ((convolution, MaxPooling(2)), (PooledConvolution(convolution),)):
        own = parameters[: len(layers)]
        outputs, trail = passes.forward(layers, own, layers[0].prepare(images))
        runs.append((layers, own, outputs, trail))
    return runs


@pytest.mark.parametrize(("convolution", "shape"), CASES)
def test_the_fused_layer_is_convolution_and_pooling(convolution, shape, rng):
    (plain, own, outputs, trail), (fused, fused_own, fused_outputs, fused_trail) = both(
        convolution, shape, rng
    )
    scale = np.abs(outputs).max()
    assert_equal_up_to_rounding(fused_outputs, outputs, num_terms=100, scale=scale)
    delta = rng.normal(size=(2, *outputs.shape)) * rng.integers(0, 2, outputs.shape)
    unpooled = plain[1].backward((), trail[1], delta)
    pairs = [
        (
            fused[0].backward(fused_own[0], fused_trail[0], delta),
            plain[0].backward(own[0], trail[0], unpooled),
        ),
        *zip(
            fused[0].gradient(fused_trail[0], delta),
            plain[0].gradient(trail[0], unpooled),
            strict=True,
        ),
    ]
    for found, expected in pairs:
        assert_equal_up_to_rounding(found, expected, num_terms=1000)


def test_the_first_of_equal_entries_wins():
    layer = PooledConvolution(Convolution(1, 1))
    parameters = np.ones((1, 1, 1, 1)), np.zeros(1)
    images = np.array([[1, 2, 2, 0], [1, 2, 2, 0], [5, 5, 3, 4], [6, 6, 4, 4]], float)
    _, memory = layer.forward(parameters, layer.prepare(images[None, ..., None]))
    assert memory.winners[0, ..., 0].tolist() == [[1, 0], [2, 1]]


def test_not_a_number_is_never_pooled_away():
    layer = PooledConvolution(Convolution(1, 1))
    parameters = np.ones((1, 1, 1, 1)), np.zeros(1)
    for place in range(4):
        images = np.arange(4.0)
        images[place] = np.nan
        outputs, _ = layer.forward(parameters, layer.prepare(images.reshape(1, 2, 2, 1)))
        assert np.isnan(outputs).all()


@pytest.mark.needs_jit
def test_few_channels_before_a_pooling_are_fused():
    layers = choice.fused((Convolution(2, 3), MaxPooling(2)), (1, 8, 8))
    assert layers == (PooledConvolution(Convolution(2, 3)),)
    apart = (Convolution(2, 3, stride=2), MaxPooling(2))
    assert choice.fused(apart, (1, 9, 9)) == apart


@pytest.mark.needs_jit
def test_images_no_larger_than_the_kernel_take_the_matrix():
    small = Convolution(4, 3, padding=1)
    assert choice.fused((small, MaxPooling(2)), (2, 2, 4)) == (
        ToeplitzConvolution(small),
        MaxPooling(2),
    )
    assert choice.fused((small,), (2, 2, 5)) == (small,)
    wide = Convolution(512, 3, padding=1)
    assert choice.fused((wide,), (512, 2, 2)) == (wide,)
