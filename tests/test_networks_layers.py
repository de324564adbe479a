"""Every layer's four rules against autograd's derivatives of its plain form, at every place."""

import math

import autograd.numpy as anp
import numpy as np
import pytest
import reference_networks as reference
from autograd import hessian, jacobian
from place_cases import PLACES, every_place

from aniso import checks, networks
from aniso.arrays import places, transfer
from aniso.networks.fast.convolution_form import ConvolutionForm
from aniso.networks.fast.pooled import PooledConvolution
from aniso.networks.layers.activation import RULES
from aniso.networks.layers.layer import Layer

COUNT, BLOCK = 3, 2
# A few hundred additions of numbers of order one: 1e-12 is some thousand roundings.
ROUNDING = 1e-12


def _subclasses(cls):
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def _cases():
    for cls in _subclasses(Layer):
        for layer, shape in cls.examples():
            yield pytest.param(layer, shape, id=f"{layer}-{shape}")


every_layer = pytest.mark.parametrize(("layer", "shape"), list(_cases()))


def _cases_everywhere():
    """Every layer at every place; the fast convolutions are NumPy's alone."""
    for place in PLACES:
        for case in _cases():
            fast = isinstance(case.values[0], (PooledConvolution, ConvolutionForm))
            if place.values[0].is_numpy or not fast:
                yield pytest.param(
                    *case.values, *place.values, id=f"{case.id}-{place.id}", marks=place.marks
                )


every_layer_everywhere = pytest.mark.parametrize(
    ("layer", "shape", "place"), list(_cases_everywhere())
)


class Case:
    """A layer at random parameters, inputs and directions, with autograd's derivatives.

    `own`, `tangents`, `outputs` and `memory` are at the place, the rest is NumPy's.
    """

    def __init__(self, layer, shape, rng, place=places.NUMPY):
        self.layer, self.shape, self.place = layer, shape, place
        self.out = tuple(layer.output_shape(shape))
        self.parameters = tuple(rng.normal(size=s) for s in layer.parameter_shapes(shape))
        self.inputs = rng.normal(size=(COUNT, *shape))
        self.directions = tuple(rng.normal(size=(BLOCK, *s)) for s in layer.parameter_shapes(shape))
        self.moved = rng.normal(size=(BLOCK, COUNT, *shape))
        self.delta = rng.normal(size=(BLOCK, COUNT, *self.out))
        self.own = tuple(self.at(p) for p in self.parameters)
        self.tangents = tuple(self.at(d) for d in self.directions)
        self.outputs, self.memory = layer.forward(
            self.own, layer.prepare(self.at(last(self.inputs, 0)))
        )

    def at(self, array):
        """The array at the place."""
        return transfer.to_device(array, self.place)

    @property
    def packed(self):
        return np.concatenate([*(p.ravel() for p in self.parameters), self.inputs.ravel()])

    @property
    def num_parameters(self):
        return sum(p.size for p in self.parameters)

    def directions_packed(self):
        blocks = [d.reshape(BLOCK, -1) for d in (*self.directions, self.moved)]
        return np.concatenate(blocks, axis=1)

    def plain(self, packed):
        parts, start = [], 0
        for p in self.parameters:
            parts.append(anp.reshape(packed[start : start + p.size], p.shape))
            start += p.size
        return self.layer.plain(tuple(parts), anp.reshape(packed[start:], self.inputs.shape))

    def jacobian(self):
        return jacobian(self.plain)(self.packed).reshape(COUNT, -1, self.packed.size)


def last(array, axis):
    """The example axis moved to the end, contiguous."""
    return np.ascontiguousarray(np.moveaxis(array, axis, -1))


def agree(actual, expected):
    actual, expected = transfer.to_numpy(actual), transfer.to_numpy(expected)
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=ROUNDING * max(1.0, np.abs(expected).max(initial=0))
    )


def flat(arrays):
    return np.concatenate([transfer.to_numpy(a).reshape(BLOCK, -1) for a in arrays], axis=1)


@every_layer_everywhere
def test_first_order_rules_are_autograds(layer, shape, place, rng):
    case = Case(layer, shape, rng, place)
    agree(case.outputs, last(case.plain(case.packed), 0))
    full, split = case.jacobian(), case.num_parameters
    delta = case.at(last(case.delta, 1))
    flat_delta = case.delta.reshape(BLOCK, COUNT, -1)
    pulled = np.einsum("kno,nop->kp", flat_delta, full)
    backward = layer.backward(case.own, case.memory, delta)
    agree(backward, last(pulled[:, split:].reshape(BLOCK, COUNT, *shape), 1))
    pushed = np.einsum("nop,kp->kno", full, case.directions_packed())
    outputs, _ = layer.tangent(case.own, case.memory, case.tangents, case.at(last(case.moved, 1)))
    agree(outputs, last(pushed.reshape(BLOCK, COUNT, *case.out), 1))
    if not case.parameters:
        assert layer.tangent((), case.memory, (), None) == (None, None)
        return
    agree(flat(layer.gradient(case.memory, delta)), pulled[:, :split])
    both = layer.backward_and_gradient(case.own, case.memory, delta, True)
    agree(both[0], backward)
    agree(flat(both[1]), pulled[:, :split])
    skipped, _ = layer.backward_and_gradient(case.own, case.memory, delta, False)
    assert skipped is None
    rows = np.einsum("kno,nop->knp", flat_delta, full[..., :split])
    agree(layer.per_example_gradients(case.memory, delta), rows)
    agree(layer.gradient_square_norms(case.memory, delta), np.sum(rows**2, axis=-1))
    weights = rng.normal(size=(BLOCK, COUNT))
    squares = np.einsum("kn,knp->kp", weights, rows**2)
    agree(layer.gradient_squares(case.memory, delta, case.at(weights)), squares)
    out = place.empty(rows.shape[1:], "float64")
    layer.write_per_example_gradients(case.memory, delta[0, ...], out)
    agree(out, rows[0])
    data_only, _ = layer.tangent(case.own, case.memory, case.tangents, None)
    pushed = np.einsum("nop,kp->kno", full[..., :split], flat(case.directions))
    agree(data_only, last(pushed.reshape(BLOCK, COUNT, *case.out), 1))


@every_layer_everywhere
def test_second_order_rule_is_the_derivative_of_the_backward_pass(layer, shape, place, rng):
    case = Case(layer, shape, rng, place)
    delta, split = case.delta[0], case.num_parameters
    # half |p|^2 keeps autograd from warning where the layer is linear; its Hessian is I
    function = lambda p: anp.sum(delta * case.plain(p)) + anp.sum(p**2) / 2  # noqa: E731
    curvature = hessian(function)(case.packed) - np.eye(case.packed.size)
    expected = case.directions_packed() @ curvature
    _, trace = layer.tangent(case.own, case.memory, case.tangents, case.at(last(case.moved, 1)))
    fixed = case.at(last(delta, 0))
    inputs, gradients = layer.second_order(case.own, case.memory, case.tangents, trace, fixed)
    wanted = last(expected[:, split:].reshape(BLOCK, COUNT, *shape), 1)
    agree(np.zeros_like(wanted) if inputs is None else inputs, wanted)
    if case.parameters and not layer.linear_in_parameters:
        check_second_order_of_a_block(case, delta, expected, gradients)
    elif case.parameters:
        weights, biases = gradients
        assert biases is None  # outputs are linear in the biases
        zero = np.zeros_like(case.directions[1])
        agree(flat((weights, zero)), expected[:, :split])
        none = layer.second_order(case.own, case.memory, case.tangents, None, fixed)
        assert none[1] is None
    if layer.piecewise_linear and not case.parameters:
        assert inputs is None


def check_second_order_of_a_block(case, delta, expected, gradients):
    """Gradients of a layer made of layers, and the same where its inputs are data."""
    split, fixed = case.num_parameters, case.at(last(delta, 0))
    agree(flat(filled(gradients, case.directions)), expected[:, :split])
    function = lambda p: anp.sum(delta * case.plain(p)) + anp.sum(p**2) / 2  # noqa: E731
    curvature = hessian(function)(case.packed) - np.eye(case.packed.size)
    wanted = case.directions_packed()[:, :split] @ curvature[:split, :split]
    _, trace = case.layer.tangent(case.own, case.memory, case.tangents, None)
    _, own = case.layer.second_order(case.own, case.memory, case.tangents, trace, fixed)
    agree(flat(filled(own, case.directions)), wanted)


def filled(gradients, directions):
    """Gradients with zeros where there are none."""
    pairs = zip(gradients, directions, strict=True)
    return [np.zeros_like(like) if own is None else own for own, like in pairs]


@every_layer_everywhere
def test_forms_and_curved_entries_are_those_of_autograds_hessian(layer, shape, place, rng):
    case = Case(layer, shape, rng, place)
    delta, split = case.delta[0], case.num_parameters
    function = lambda p: anp.sum(delta * case.plain(p)) + anp.sum(p**2) / 2  # noqa: E731
    curvature = hessian(function)(case.packed) - np.eye(case.packed.size)
    moved, fixed = case.at(last(case.moved, 1)), case.at(last(delta, 0))
    for tangent, packed in (
        (moved, case.directions_packed()),
        (None, np.pad(case.directions_packed()[:, :split], ((0, 0), (0, case.inputs.size)))),
    ):
        found = layer.second_order_form(case.own, case.memory, case.tangents, tangent, fixed)
        expected = np.einsum("kp,pq,kq->k", packed, curvature, packed)
        agree(np.zeros(BLOCK) if found is None else found, expected)
    diagonal, below = np.zeros(split), np.zeros((COUNT, *shape))
    for weights, pull_back in layer.curved_entries(case.own, case.memory, fixed):
        size, kind = math.prod(weights.shape[:-1]), weights.shape[:-1]
        units = np.repeat(np.eye(size)[..., None], COUNT, axis=-1)
        weights = transfer.to_numpy(weights).reshape(size, COUNT)
        squares, deltas = pull_back(case.at(units.reshape(size, *kind, COUNT)), case.at(weights))
        if squares is not None:
            diagonal += transfer.to_numpy(squares).sum(axis=0)
        squares = transfer.to_numpy(deltas).reshape(size, -1, COUNT) ** 2
        below += np.einsum("un,udn->nd", weights, squares).reshape(below.shape)
    # apart from its activations a layer is linear in every single parameter and input
    agree(np.concatenate([diagonal, below.ravel()]), curvature.diagonal())


@every_layer
def test_counts_bound_the_arrays_kept(layer, shape):
    assert layer.forward_multiplications(shape) >= 0
    assert layer.memory_entries(shape) >= 0


def test_convolution_and_pooling_follow_their_definitions(rng):
    for layer, shape in networks.Convolution.examples():
        weights, biases = (rng.normal(size=s) for s in layer.parameter_shapes(shape))
        images = rng.normal(size=(2, *shape))
        expected = [
            reference.convolution(weights, biases, image, layer.stride, layer.padding)
            for image in images
        ]
        agree(layer.plain((weights, biases), images), np.array(expected))
    poolings = (
        (networks.MaxPooling, reference.max_pooling),
        (networks.AveragePooling, reference.average_pooling),
    )
    for kind, definition in poolings:
        for layer, shape in kind.examples():
            images = rng.normal(size=(2, *shape))
            expected = [definition(image, layer.size, layer.stride) for image in images]
            agree(layer.plain((), images), np.array(expected))


@every_place
@pytest.mark.parametrize("name", sorted(RULES))
def test_activations_have_autograds_derivatives_kinks_included(name, place):
    z = np.array([-30.0, -2.0, -1.0, -0.3, 0.0, 0.3, 1.0, 2.0, 30.0])
    layer, rule = networks.Activation(name), RULES[name]
    own, xp = transfer.to_device(z, place), place.namespace
    slope = reference.derivative_of(lambda z: layer.plain((), z))
    agree(rule.value(own, xp), layer.plain((), z))
    agree(rule.slope(own, xp), slope(z))
    if rule.curvature is not None:
        agree(rule.curvature(own, xp), reference.derivative_of(slope)(z))


@every_place
def test_the_first_of_equal_entries_wins(place):
    images = np.ones((1, 2, 2, 1))
    pooling = networks.MaxPooling(2)
    _, memory = pooling.forward((), transfer.to_device(images, place))
    sent = pooling.backward((), memory, transfer.to_device(np.ones((1, 1, 1, 1)), place))
    np.testing.assert_array_equal(transfer.to_numpy(sent).ravel(), [1, 0, 0, 0])


def test_the_first_of_equal_entries_wins_in_the_fused_layer_too():
    images = np.ones((1, 2, 2, 1))
    layer = PooledConvolution(networks.Convolution(1, 1))
    parameters = np.ones((1, 1, 1, 1)), np.zeros(1)
    _, memory = layer.forward(parameters, layer.prepare(images))
    sent = layer.backward(parameters, memory, np.ones((1, 1, 1, 1)))
    np.testing.assert_array_equal(sent.ravel(), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("layer", "shape", "rule"),
    [
        (networks.Dense(2), (1, 3, 3), "Flatten"),
        (networks.Convolution(1, 5), (1, 3, 3), "windows that fit"),
        (networks.Convolution(1, 5), (3,), "channels, height, width"),
        (networks.MaxPooling(2), (3,), "channels, height, width"),
        (networks.MaxPooling(4), (1, 3, 3), "windows that fit"),
        (networks.FixedLinear(((1.0, 2.0),)), (3,), "agree"),
        (networks.AveragePooling(2), (3,), "channels, height, width"),
        (networks.AveragePooling(4), (1, 3, 3), "windows that fit"),
        (networks.Residual(networks.Dense(2)), (3,), "give a shortcut"),
        (networks.Residual(networks.Dense(2), networks.Dense(3)), (3,), "expected the same"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, shape, rule):
    with pytest.raises(checks.InputError, match=rule):
        layer.output_shape(shape)


@pytest.mark.parametrize(
    "make",
    [
        lambda: networks.Dense(0),
        lambda: networks.Convolution(1, (1, 2, 3)),
        lambda: networks.Convolution(1, 2, padding=-1),
        lambda: networks.MaxPooling(0),
        lambda: networks.Activation("swish"),
        lambda: networks.AveragePooling(0),
        lambda: networks.Residual(()),
        lambda: networks.Residual("relu"),
        lambda: networks.Residual(networks.Dense(2), (3,)),
    ],
)
def test_impossible_layers_are_refused(make):
    with pytest.raises(checks.InputError):
        make()
