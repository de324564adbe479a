"""The figures' settings and data are the paper's: literals, labels drawn anew, test images."""

import numpy as np
import pytest

from analysis import (
    fashion_mnist,
    fig2_two_basins,
    fig3_fashion_mnist,
    fig4_one_hidden_layer,
    fig5_curvature,
    vgg,
)
from aniso import datasets

pytestmark = pytest.mark.needs_jit


def test_the_settings_are_the_papers():
    """What experiments of the paper state, in literals."""
    paper = fig3_fashion_mnist.SCALES["paper"]
    assert {name: paper[name] for name in ("gd_learning_rate", "learning_rate", "batch_size")} == {
        "gd_learning_rate": 0.1,
        "learning_rate": 0.07,
        "batch_size": 20,
    }
    assert (paper["num_train"], paper["gd_steps"], paper["num_pairs"]) == (1200, 3000, 20)
    assert (paper["radius"], paper["num_draws"], paper["num_steps"]) == (0.01, 1000, 16000)
    assert fig5_curvature.SCALES["paper"]["num_eigenvalues"] == 400
    assert fig2_two_basins.SCALES["paper"] == {"num_seeds": 1, "num_runs": 100, "num_steps": 500}
    assert fig4_one_hidden_layer.SCALES["paper"]["widths"] == [32, 128, 512]
    big = vgg.SCALES["paper"]
    assert (big["learning_rate"], big["batch_size"], big["radius"]) == (0.05, 100, 1e-3)
    assert (big["num_steps"], big["num_draws"], big["refresh_interval"]) == (100_000, 100, 10)


def test_one_label_in_six_is_drawn_anew_and_test_images_are_others(monkeypatch):
    images = datasets.fashion_mnist()
    changed = [
        fashion_mnist.training_network(600, seed).targets != images.train_labels[:600]
        for seed in range(3)
    ]
    for own in changed:
        assert not own[:500].any()
        assert 80 <= own[500:].sum() <= 98  # nine in ten of a hundred, within four deviations
    held_out = fashion_mnist.held_out_network(50)
    expected = images.test_images[:50] / 127.5 - 1
    np.testing.assert_allclose(held_out.inputs[:, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(held_out.targets, images.test_labels[:50])
    seen = []

    def caught(*given):
        seen.append((given[2], given[5]))
        return {}

    monkeypatch.setattr(fashion_mnist, "stored_run", caught)
    fashion_mnist.gd_minimum(
        {"seed": 0, "num_train": 60, "gd_steps": 3, "gd_learning_rate": 0.1}, ""
    )
    # truncated at two standard deviations: 0.88 of 0.02
    assert np.std(seen[0][0]) == pytest.approx(0.0176, rel=0.03)
    unit = fig3_fashion_mnist.make_units(fig3_fashion_mnist.SCALES["medium"] | {"num_test": 100})[0]
    fig3_fashion_mnist.compute_unit(unit, "", {"theta": seen[0][0]})
    tested = seen[1][1].test_problem
    np.testing.assert_array_equal(tested.inputs, fashion_mnist.held_out_network(100).inputs)


def test_the_small_task_is_a_perceptron_on_pooled_images():
    images = datasets.fashion_mnist()
    perceptron = fig3_fashion_mnist.SCALES["small"]["perceptron"]
    assert perceptron == {"pooling": 4, "hidden": 16}
    network = fashion_mnist.training_network(30, 0, perceptron=perceptron)
    assert network.num_parameters == (49 + 1) * 16 + (16 + 1) * 10
    blocks = [
        [image[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean() for i in range(7) for j in range(7)]
        for image in images.train_images[:30].astype(float)
    ]
    np.testing.assert_allclose(network.inputs, np.array(blocks) / 127.5 - 1, atol=1e-6)
    held_out = fashion_mnist.held_out_network(20, perceptron=perceptron)
    assert held_out.inputs.shape == (20, 49)
    plain = {"num_train": 3, "gd_steps": 1, "gd_learning_rate": 0.1}
    assert fashion_mnist.gd_minimum_unit(plain | {"batch_size": 2}, 2) == {"seed": 2} | plain
    with_it = plain | {"perceptron": perceptron}
    assert fashion_mnist.gd_minimum_unit(with_it, 2) == {"seed": 2} | with_it


def test_figure_4_trains_and_measures_as_stated(monkeypatch):
    rates = []

    def adam(_, start, learning_rates):
        rates.extend(learning_rates)
        return [start] * len(learning_rates)

    monkeypatch.setattr(fig4_one_hidden_layer.adam, "adam_iterates", adam)
    network = fig4_one_hidden_layer.training_network(32, 0)
    assert network.num_examples == 1000
    fig4_one_hidden_layer.parameters_by_epoch(network, 32, 0)
    assert len(rates) == 31 * 10
    np.testing.assert_allclose(rates[:210], 1e-3)
    np.testing.assert_allclose(np.diff(rates[210::10]), -1e-3 / 11)
    found = fig4_one_hidden_layer._traces({"width": 32, "seed": 0, "every": 31})["traces"]
    theta = fig4_one_hidden_layer.parameters_by_epoch(network, 32, 0)[0]
    gradients = network.per_example_gradients(theta)
    covariance = np.cov(gradients.T, ddof=0) / 10  # batches of ten, drawn with replacement
    assert found[0, 1] == pytest.approx((network.hessian(theta) * covariance).sum())
