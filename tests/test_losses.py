"""Losses against scalar references, their derivatives against autograd, their labels by draws."""

import math

import numpy as np
import pytest
import reference_problems as reference
from autograd import elementwise_grad
from autograd import jacobian as autograd_jacobian
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks
from aniso.problems import MeanSquaredLoss
from aniso.problems.losses import (
    ClippedSquaredLoss,
    LogisticLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
)

# (loss, number of outputs)
LOSSES = [
    (SquaredLoss(), 1),
    (SquaredLoss(), 3),
    (MeanSquaredLoss(), 1),
    (MeanSquaredLoss(), 3),
    (ClippedSquaredLoss(), 1),
    (LogisticLoss(), 1),
    (SoftmaxCrossEntropy(), 2),
    (SoftmaxCrossEntropy(), 4),
]
every_loss = pytest.mark.parametrize(("loss", "num_outputs"), LOSSES)


def draw(loss, num_outputs, rng, num_examples=20):
    """Outputs, for the clipped loss on both sides of both bounds, and targets."""
    outputs = 0.5 + rng.standard_normal((num_examples, num_outputs))
    if isinstance(loss, SquaredLoss):
        return outputs, rng.standard_normal(outputs.shape)
    return outputs, rng.integers(0, max(2, num_outputs), num_examples)


@every_loss
def test_values_equal_the_scalar_reference(loss, num_outputs, rng):
    outputs, targets = draw(loss, num_outputs, rng)
    function = reference.LOSSES[type(loss).__name__]
    expected = [function(f, y) for f, y in zip(outputs, targets, strict=True)]
    # a few terms of size |f|^2 each
    assert_equal_up_to_rounding(
        loss(outputs, targets), np.array(expected), num_terms=num_outputs + 2, scale=20.0
    )


@every_loss
def test_derivatives_equal_autograd(loss, num_outputs, rng):
    outputs, targets = draw(loss, num_outputs, rng)
    gradient = loss.gradient(outputs, targets)
    by_autograd = elementwise_grad(lambda f: loss(f, targets))(outputs)
    assert_equal_up_to_rounding(gradient, by_autograd, num_terms=num_outputs + 2, scale=20.0)
    gradient_of = elementwise_grad(lambda f, y: loss(f, y))
    hessian = np.stack(
        [
            autograd_jacobian(lambda f, i=i: gradient_of(f[None], targets[i : i + 1])[0])(
                outputs[i]
            )
            for i in range(len(outputs))
        ]
    )
    actual = loss.hessian(outputs, targets)
    assert_equal_up_to_rounding(actual, hessian, num_terms=num_outputs + 2, scale=20.0)
    with pytest.raises(AssertionError, match="rounding"):
        assert_equal_up_to_rounding(actual + 1e-9, hessian, num_terms=num_outputs + 2, scale=20.0)


@every_loss
def test_roots_and_whitened_gradients(loss, num_outputs, rng):
    outputs, targets = draw(loss, num_outputs, rng)
    root, whitened = loss.hessian_root(outputs), loss.whitened_gradient(outputs, targets)
    assert_equal_up_to_rounding(
        root @ np.swapaxes(root, -1, -2),
        loss.hessian(outputs, targets),
        num_terms=num_outputs + 2,
        scale=2.0,
    )
    gradient = (root @ whitened[..., None])[..., 0]
    expected = loss.gradient(outputs, targets)
    assert_equal_up_to_rounding(gradient, expected, num_terms=num_outputs + 2, scale=20.0)
    # w has the least norm: r^T S^+ r
    inverse = np.linalg.pinv(loss.hessian(outputs, targets), rcond=1e-12, hermitian=True)
    forms = np.einsum("nc,ncd,nd->n", expected, inverse, expected)
    np.testing.assert_allclose(np.square(whitened).sum(axis=-1), forms, rtol=1e-8, atol=1e-12)


def test_the_softmax_hessian_of_a_confident_prediction_keeps_its_digits():
    """p_0 rounds to 1, so that p_0 (1 - p_0) would be 0, and S indefinite."""
    found = SoftmaxCrossEntropy().hessian(np.array([[40.0, 0.0, -1.0]]), np.array([0]))[0]
    small = np.exp([-40.0, -41.0])  # up to terms of the order exp(-40)
    expected = [
        [small.sum(), -small[0], -small[1]],
        [-small[0], small[0], 0.0],
        [-small[1], 0.0, small[1]],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-33)
    assert np.linalg.eigvalsh(found)[0] > -1e-15 * small.sum()
    gradient = SoftmaxCrossEntropy().gradient(np.array([[40.0, 0.0, -1.0]]), np.array([0]))[0]
    np.testing.assert_allclose(gradient, [-small.sum(), *small], rtol=1e-13)


def test_whitened_gradients_keep_their_digits():
    outputs = np.array([[60.0, 0.0, -3.0], [0.0, 650.0, -3.0], [1.0, 1.0, 1.0]])
    for label in range(3):
        targets = np.full(3, label)
        squares = np.square(SoftmaxCrossEntropy().whitened_gradient(outputs, targets)).sum(axis=1)
        # (1 - p_y) / p_y, a sum of positive terms
        exact = [
            sum(math.exp(f - row[label]) for c, f in enumerate(row) if c != label)
            for row in outputs
        ]
        np.testing.assert_allclose(squares, exact, rtol=2e-13)
    logistic = LogisticLoss().whitened_gradient(np.array([[-60.0], [650.0]]), np.array([0, 0]))
    np.testing.assert_allclose(logistic[:, 0], [math.exp(-30), math.exp(325)], rtol=1e-15)


@every_loss
def test_leading_axes_are_separate_calls(loss, num_outputs, rng):
    outputs, targets = draw(loss, num_outputs, rng)
    block = np.stack([outputs, 0.5 * outputs, outputs + 1])
    for name in ("__call__", "gradient", "hessian", "whitened_gradient"):
        function = getattr(loss, name)
        expected = np.stack([function(part, targets) for part in block])
        assert np.array_equal(function(block, targets), expected)
    for name in ("fisher_information", "hessian_root"):
        function = getattr(loss, name)
        assert np.array_equal(function(block), np.stack([function(part) for part in block]))


@every_loss
def test_fisher_information_is_the_second_moment_of_sampled_gradients(loss, num_outputs, rng):
    outputs = 0.5 + 0.3 * rng.standard_normal((1, num_outputs))
    num_samples = 20_000
    many = np.repeat(outputs, num_samples, axis=0)
    targets = loss.sample_targets(many, rng)
    slopes = loss.gradient(many, targets)
    products = (slopes[:, :, None] * slopes[:, None, :]).reshape(num_samples, -1)
    # the score has mean zero
    moments = np.concatenate([products, slopes], axis=1)
    expected = np.concatenate([loss.fisher_information(outputs).ravel(), np.zeros(num_outputs)])
    mean, error = moments.mean(axis=0), moments.std(axis=0) / np.sqrt(num_samples)
    # exact where a moment does not vary; rounding of a mean of equal numbers
    assert_within_sampling_error(mean, expected, error, discretisation_error=1e-12)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(mean, 1.2 * expected + 0.1, error)


def test_the_clipped_loss_has_no_slope_at_and_outside_its_bounds():
    loss = ClippedSquaredLoss(delta=0.25)
    outputs = np.array([[-3.0], [0.25], [0.25 + 1e-9], [0.75 - 1e-9], [0.75], [8.0]])
    targets = np.zeros(6, dtype=int)
    active = [False, False, True, True, False, False]
    assert loss.active(outputs).tolist() == active
    assert (loss.gradient(outputs, targets)[:, 0] != 0).tolist() == active
    assert (loss.hessian(outputs, targets)[:, 0, 0] == 2).tolist() == active
    by_autograd = elementwise_grad(lambda f: loss(f, targets))(outputs)
    assert ((by_autograd != 0)[:, 0]).tolist() == active


def test_large_outputs_neither_overflow_nor_cancel():
    logistic = LogisticLoss()
    outputs, labels = np.array([[800.0], [800.0], [-800.0], [40.0]]), np.array([1, 0, 0, 1])
    values = logistic(outputs, labels)
    assert values[:3].tolist() == [0.0, 800.0, 0.0]
    # log(1 + e^-40) = e^-40 to relative accuracy
    assert values[3] == pytest.approx(np.exp(-40.0), rel=1e-12)
    assert logistic.gradient(outputs, labels)[3, 0] == pytest.approx(-np.exp(-40.0), rel=1e-12)
    softmax = SoftmaxCrossEntropy()
    outputs = np.array([[1000.0, 0.0], [1000.0, 0.0]])
    assert softmax(outputs, np.array([0, 1])).tolist() == [0.0, 1000.0]
    assert softmax.gradient(outputs, np.array([0, 1])).tolist() == [[0.0, 0.0], [1.0, -1.0]]


@pytest.mark.parametrize(
    ("loss", "targets", "num_outputs", "message"),
    [
        (SquaredLoss(), np.ones((3, 1)), 2, "targets has shape"),
        (SquaredLoss(), np.ones(3), 2, "targets has shape"),
        (SquaredLoss(), [1.0, np.nan, 0.0], 1, "non-finite"),
        (LogisticLoss(), [0, 1, 2], 1, "the label 2"),
        (LogisticLoss(), [0, 0.5, 1], 1, "the label 0.5"),
        (ClippedSquaredLoss(), [0, -1, 1], 1, "the label -1"),
        (ClippedSquaredLoss(), [0, 1, 1], 2, "num_outputs=2; ClippedSquaredLoss"),
        (SoftmaxCrossEntropy(), [0, 1, 3], 3, "the label 3"),
        (SoftmaxCrossEntropy(), [0, 0, 0], 1, "use LogisticLoss"),
        (SoftmaxCrossEntropy(), [[0, 1, 1]], 3, "targets has shape"),
    ],
)
def test_wrong_targets_are_refused(loss, targets, num_outputs, message):
    with pytest.raises(checks.InputError, match=message):
        loss.check_targets(targets, 3, num_outputs)


def test_right_targets_come_back_in_their_form():
    assert SquaredLoss().check_targets([1, 2], 2, 1).tolist() == [[1.0], [2.0]]
    assert SquaredLoss().check_targets([[1, 2]], 1, 2).tolist() == [[1.0, 2.0]]
    for loss in (LogisticLoss(), ClippedSquaredLoss()):
        labels = loss.check_targets([True, False], 2, 1)
        assert labels.dtype == np.int64
        assert labels.tolist() == [1, 0]


@every_loss
def test_a_column_of_targets_never_broadcasts_against_a_row(loss, num_outputs, rng):
    outputs, targets = draw(loss, num_outputs, rng)
    wrong = targets[:, 0] if isinstance(loss, SquaredLoss) else targets[:, None]
    with pytest.raises(checks.InputError, match="targets has shape"):
        loss(outputs, wrong)


def test_one_output_losses_refuse_several():
    for loss in (LogisticLoss(), ClippedSquaredLoss()):
        for name in ("__call__", "hessian"):
            with pytest.raises(checks.InputError, match="outputs has shape"):
                getattr(loss, name)(np.ones((4, 2)), np.ones(4, dtype=int))


@pytest.mark.parametrize("delta", [0.0, 0.5, -1, np.nan, "0.1"])
def test_a_wrong_margin_is_refused(delta):
    with pytest.raises(checks.InputError, match="delta"):
        ClippedSquaredLoss(delta)


@every_loss
def test_sampling_needs_a_generator(loss, num_outputs):
    with pytest.raises(checks.InputError, match="rng"):
        loss.sample_targets(np.zeros((1, num_outputs)), 3)


@every_loss
def test_targets_that_would_broadcast_are_refused(loss, num_outputs, rng):
    outputs, targets = draw(loss, num_outputs, rng)
    for function in (loss, loss.gradient):
        with pytest.raises(checks.InputError, match="expected its last axes"):
            function(outputs, targets[..., None])
