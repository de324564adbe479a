"""Models at the start of a training: zero weights and exact fits make losses equal or zero."""

import numpy as np
import pytest

from aniso import checks, frameworks

torch = pytest.importorskip("torch")
functional = torch.nn.functional


@pytest.fixture
def data(rng):
    labels = np.arange(100) % 2
    labels[[5, 7, 33, 77]] = 2  # a rare class
    return torch.tensor(rng.normal(size=(100, 4))), torch.tensor(labels)


def zero_layer():
    layer = torch.nn.Linear(4, 3).double()
    for part in layer.parameters():
        torch.nn.init.zeros_(part)
    return layer


def test_weights_of_a_loss_are_seen_where_all_losses_are_equal(data):
    weight = torch.tensor([1.0, 1.0, 20.0], dtype=torch.float64)
    with pytest.raises(checks.InteractingExamples, match="weights them, or couples them"):
        frameworks.from_torch(
            zero_layer(), lambda o, t: functional.cross_entropy(o, t, weight=weight), data
        )
    problem = frameworks.from_torch(zero_layer(), torch.nn.CrossEntropyLoss(), data)
    np.testing.assert_allclose(problem.losses(problem.initial_theta), np.log(3))


def test_a_sum_is_told_from_a_mean_where_every_example_is_fitted(data):
    layer = torch.nn.Linear(4, 3).double()
    inputs = data[0]
    loss = torch.nn.MSELoss(reduction="sum")
    problem = frameworks.from_torch(layer, loss, (inputs, layer(inputs).detach()), engine="torch")
    assert problem.reduction == "sum"
    # the Hessian of |W x + b - y|^2 is 2 x x^T and 2 for each of three outputs
    expected = 6 * (float((inputs**2).sum()) / len(inputs) + 1)
    trace = np.trace(problem.at(problem.initial_theta).hessian.to_dense())
    assert trace == pytest.approx(expected)


class Gated(torch.nn.Module):
    """Examples of a batch are mixed by a branch whose gate starts at zero."""

    def __init__(self):
        super().__init__()
        self.layer, self.gate = torch.nn.Linear(4, 3), torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs):
        outputs = self.layer(inputs)
        return outputs + self.gate * outputs.mean(dim=0)


def test_a_branch_behind_a_closed_gate_is_looked_at(data):
    with pytest.raises(checks.InteractingExamples, match="changes with the other examples"):
        frameworks.from_torch(Gated().double(), torch.nn.CrossEntropyLoss(), data)


def test_where_a_step_away_is_out_of_the_domain_the_start_counts(data):
    class Logarithm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor([1e-3, 1e-3, 1e-3]))

        def forward(self, inputs):
            return torch.log(self.scale) * inputs[:, :3]

    problem = frameworks.from_torch(
        Logarithm().double(), torch.nn.CrossEntropyLoss(), data, engine="torch"
    )
    assert problem.reduction == "mean"


def test_of_jax_losses_too(data):
    pytest.importorskip("jax")
    import jax.numpy as jnp

    inputs, targets = data[0].numpy(), (data[1].numpy() == 1).astype(float)

    def each(params, x, y):
        return jnp.logaddexp(0, (1 - 2 * y) * (x @ params))

    def weighted(params, x, y):
        weight = jnp.where(y > 0, 20.0, 1.0)
        return jnp.sum(weight * each(params, x, y)) / jnp.sum(weight)

    def penalised(params, x, y):
        return jnp.sum(each(params, x, y)) + 3.0 * jnp.sum(params**2)

    for loss in (weighted, penalised):
        with pytest.raises(checks.InteractingExamples):
            frameworks.from_jax(loss, np.zeros(4), (inputs, targets))
    problem = frameworks.from_jax(
        lambda *given: jnp.sum(each(*given)), np.zeros(4), (inputs, targets)
    )
    assert problem.loss(np.zeros(4)) == pytest.approx(np.log(2))
